"""What the demo does: train, score and predict on made street scenes; or only predict."""

from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import answer, number, progress, say, size
from atrous.files import write_bytes

if TYPE_CHECKING:
    from atrous.cli.demo import DemoConfig

__all__ = ["predict_only", "whole"]

SIZE = (160, 160)
UNSEEN = 60


def whole(config: "DemoConfig", folder: Path) -> int:
    """Train, score and predict."""
    from atrous.cli.demo_crf import sharpened, told
    from atrous.cli.terminal import TerminalReporter
    from atrous.cli.train import verdict
    from atrous.data import open_data, write_scenes
    from atrous.evaluation import evaluate
    from atrous.reports import write_training_report
    from atrous.training import TrainConfig, fit

    scenes = folder / "scenes"
    counts = {"train": config.images, "val": UNSEEN // 3, "test": UNSEEN}
    write_scenes(scenes, counts, size=SIZE, seed=config.seed)
    training = TrainConfig(
        data=scenes,
        out=folder / "run",
        encoder="test_resnet",  # timm's smallest: plain convolutions learn fastest from nothing
        weights="none",
        options={"aspp_channels": 64, "skip_channels": 32, "decoder_channels": 64},
        iterations=config.iterations,
        batch_size=16,
        micro_batch=16,
        scale_range=(1.0, 1.0),  # unseen scenes come from the same camera
        rotation=0.0,
        jitter=0.0,
        optimizer="adamw",
        lr=0.01,
        val_every=max(1, config.iterations // 4),
        seed=config.seed,
    )
    say(
        f"Training {training.model} / {training.encoder} on {number(config.images)} made street "
        f"scenes of {SIZE[0]}x{SIZE[1]}"
    )
    spec = open_data(scenes)
    with TerminalReporter() as reporter:
        result = fit(training, spec=spec, reporter=reporter)
    if result.predictor is None:
        say(f"Stopped, nothing lost.   Go on: atrous train --resume {result.folder}")
        return 130
    unseen = evaluate(result.predictor, spec, "test")
    report = write_training_report(
        result.folder, evaluation=unseen, spec=spec, predictor=result.predictor
    )
    predictor, sharper, sharp = result.predictor, "", None
    if config.crf is not None:
        predictor = sharpened(predictor, config.crf, spec, result.model)
        sharp = evaluate(predictor, spec, "test")
        sharper = f"{told(unseen, sharp)}\n"
    pictures = folder / "predictions"
    for pair in spec.splits["test"][:6]:
        segmentation = predictor(pair.image)
        write_bytes(pictures / f"{pair.image.stem}-image.jpg", pair.image.read_bytes())
        segmentation.save(pictures / f"{pair.image.stem}.png")
        segmentation.overlay().save(pictures / f"{pair.image.stem}-overlay.png")
    model_bytes = (result.model / "model.safetensors").stat().st_size
    text = (
        f"{UNSEEN} unseen scenes: {verdict(unseen)}\n{sharper}"
        f"Model {result.model} ({size(model_bytes)}), report {report}, predictions {pictures}.\n"
        f"Next: atrous train --data FOLDER   (FOLDER/train/images, FOLDER/train/masks, the same "
        f"for val; {scenes} is an example)"
    )
    content = {"model": result.model, "report": report, **unseen.to_json()}
    answer(text, content if sharp is None else {**content, "with_crf": sharp.to_json()})
    return 0


def predict_only(config: "DemoConfig", folder: Path) -> int:
    """Segment a few made scenes with the shipped model."""
    import numpy as np
    from PIL import Image

    from atrous.data import make_scene
    from atrous.inference import Predictor
    from atrous.inference.crf_settings import open_crf
    from atrous.weights import load

    model = load("street-scenes")
    crf = None if config.crf is None else open_crf(config.crf, model)
    predictor = Predictor(model, crf=crf)
    folder.mkdir(parents=True, exist_ok=True)
    right = seen = 0
    with progress(6, "scenes") as bar:
        for index in range(6):
            image, labels = make_scene(np.random.default_rng((config.seed, 9, index)), (256, 256))
            segmentation = predictor(image)
            Image.fromarray(image).save(folder / f"scene-{index}.png")
            segmentation.save(folder / f"scene-{index}-mask.png")
            segmentation.overlay().save(folder / f"scene-{index}-overlay.png")
            right += int((segmentation.labels == labels).sum())
            seen += labels.size
            bar.advance()
    text = (
        f"6 made street scenes, {100 * right / seen:.1f} % of the pixels right.   "
        f"Masks and overlays: {folder}\n"
        "Next: atrous predict street-scenes PHOTO --overlay   or the whole demo: atrous demo"
    )
    answer(text, {"folder": folder, "pixel_accuracy": right / seen})
    return 0
