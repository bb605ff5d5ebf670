"""Train the model that ships with atrous: `python zoo/street_scenes.py WORK_FOLDER`."""

import sys
from pathlib import Path

from atrous.cli.terminal import TerminalReporter
from atrous.data import DataSpec, open_data, write_scenes
from atrous.evaluation import evaluate
from atrous.inference import Predictor
from atrous.training import TrainConfig, fit
from atrous.weights import load, save

SIZE = (224, 224)
COMMAND = "python zoo/street_scenes.py WORK_FOLDER"
TARGET = Path(__file__).resolve().parents[1] / "src/atrous/weights/street_scenes"


def main(work: Path) -> None:
    """Make scenes, train on them with strong augmentation, save float16 and score that."""
    write_scenes(work / "scenes", {"train": 1500, "val": 40, "test": 60}, size=SIZE, seed=7)
    config = TrainConfig(
        data=work / "scenes",
        out=work / "run",
        encoder="mobilenet_v2_050",
        weights="none",
        options={"aspp_channels": 96, "skip_channels": 32, "decoder_channels": 64},
        iterations=1600,
        batch_size=8,
        micro_batch=8,
        crop=144,
        scale_range=(0.6, 1.2),
        rotation=4.0,
        jitter=0.3,
        precision="fp32",
        optimizer="adamw",
        lr=0.005,
        val_every=250,
        seed=7,
    )
    spec = open_data(work / "scenes")
    with TerminalReporter() as reporter:
        result = fit(config, spec=spec, reporter=reporter)
    save(load(result.model), TARGET, half=True)
    describe(spec)


def describe(spec: DataSpec) -> None:
    """Score the stored model on the unseen scenes and write that into its folder."""
    model = load(TARGET)
    unseen = evaluate(Predictor(model), spec, "test")
    iou = {
        name: round(value or 0.0, 3)
        for name, value in zip(spec.label_set.names, unseen.iou, strict=True)
    }
    save(
        model,
        TARGET,
        metrics={
            "data": "60 unseen made scenes of 224x224",
            "mean_iou": round(unseen.mean_iou, 4),
            "iou": iou,
        },
        provenance={
            "data": "made street scenes (atrous.data.write_scenes), no photographs",
            "start": "random weights",
            "command": COMMAND,
        },
        licence="Apache-2.0",
        half=True,
    )
    print(TARGET, unseen.mean_iou, iou)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
