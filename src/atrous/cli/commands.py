"""Every command in one table: where it lives, what configures it, what it is for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """One row of the table; nothing is imported before the command is asked for."""

    module: str
    """Holds `run(config) -> int`, whose result is the exit code."""
    config: str
    """module:class of the frozen dataclass whose fields are the options."""
    purpose: str
    """One line for `atrous --help`."""
    examples: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    """The three commonest uses: what to type after `atrous`, what it does."""
    out_of_memory: str
    """What to do when memory runs out."""
    go_on: str
    """How to go on after the disk was full."""

    def config_class(self) -> type:
        """Import the configuration (no torch)."""
        module, name = self.config.split(":")
        found = getattr(import_module(module), name)
        assert isinstance(found, type)
        return found

    def run(self, config: object) -> int:
        """Import the command and run it."""
        module: Any = import_module(self.module)
        return int(module.run(config))


COMMANDS: dict[str, Command] = {
    "demo": Command(
        module="atrous.cli.demo",
        config="atrous.cli.demo:DemoConfig",
        purpose="see all of it on made street scenes, in three minutes",
        examples=(
            ("demo", "make scenes, train, evaluate, predict, report"),
            ("demo --predict-only", "only predict, with the model that ships"),
            ("demo --out runs/first", "somewhere else than runs/demo"),
        ),
        out_of_memory="close other programs; the demo needs about 2 GB",
        go_on="run it again",
    ),
    "train": Command(
        module="atrous.cli.train",
        config="atrous.training.config:TrainConfig",
        purpose="train a network on your images and masks",
        examples=(
            ("train --data FOLDER", "FOLDER/train/images, train/masks, val/..."),
            ("train --data FOLDER --minutes 10 --model unet", "a budget and a network"),
            ("train --resume runs/NAME", "go on where a run stopped, step-exact"),
        ),
        out_of_memory="lower --micro-batch or --crop",
        go_on="go on with --resume RUN",
    ),
    "compare": Command(
        module="atrous.cli.compare",
        config="atrous.compare.config:CompareConfig",
        purpose="find which network suits your images, and how sure that is",
        examples=(
            ("compare --data FOLDER --minutes 10", "three networks, ten minutes each"),
            ("compare --data FOLDER --models unet,segnet --dry-run", "what it would take"),
            ("compare --data FOLDER --models runs/A,runs/B", "finished runs, on equal terms"),
        ),
        out_of_memory="lower --crop or --batch-size",
        go_on="run the same command again",
    ),
    "evaluate": Command(
        module="atrous.cli.evaluate",
        config="atrous.evaluation.config:EvaluateConfig",
        purpose="score a model, or masks of any tool, against true labels",
        examples=(
            ("evaluate runs/NAME/model --data FOLDER", "mean IoU and every class"),
            ("evaluate runs/NAME/model --data FOLDER --report OUT", "and where it goes wrong"),
            ("evaluate --predictions MASKS --data FOLDER", "masks that another tool made"),
        ),
        out_of_memory="lower --tile (512, say)",
        go_on="run it again",
    ),
    "predict": Command(
        module="atrous.cli.predict",
        config="atrous.inference.config:PredictConfig",
        purpose="segment images, folders and patterns",
        examples=(
            ("predict runs/NAME/model photos --overlay", "a folder, with pictures to look at"),
            ("predict street-scenes photo.jpg", "the model that ships, no download"),
            ("predict MODEL 'day*/*.png' --out masks", "a quoted pattern, masks to a folder"),
        ),
        out_of_memory="lower --tile (512, say)",
        go_on="go on with --resume",
    ),
    "crf": Command(
        module="atrous.cli.crf",
        config="atrous.inference.sharpen_config:SharpenConfig",
        purpose="sharpen any mask with its image",
        examples=(
            ("crf photo.jpg mask.png", "mask-crf.png beside it, in the mask's own form"),
            ("crf photo.jpg mask.png --confidence 0.5", "trust the mask less"),
            ("crf photo.jpg mask.png --fill", "void pixels get a class, too"),
        ),
        out_of_memory="cut the image and the mask into smaller files",
        go_on="run it again",
    ),
    "crf-search": Command(
        module="atrous.cli.crf_search",
        config="atrous.evaluation.crf_search_config:CRFSearchConfig",
        purpose="find the CRF that suits a model, and whether it helps",
        examples=(
            ("crf-search runs/NAME/model --data FOLDER", "store the best parameters"),
            ("crf-search MODEL --data FOLDER --images 30", "sooner, with a wider interval"),
            ("crf-search MODEL --data FOLDER --start crf_rnn", "another smoothness kernel"),
        ),
        out_of_memory="lower --tile (512, say) or --images",
        go_on="run it again",
    ),
    "calibrate": Command(
        module="atrous.cli.calibrate",
        config="atrous.evaluation.calibrate_config:CalibrateConfig",
        purpose="make a model's probabilities say how often it is right",
        examples=(
            ("calibrate runs/NAME/model --data FOLDER", "store the temperature in the model"),
            ("calibrate MODEL --data FOLDER --images 50", "sooner, from fewer images"),
            ("calibrate MODEL --data FOLDER --split test", "another part of the data"),
        ),
        out_of_memory="lower --tile (512, say)",
        go_on="run it again",
    ),
    "bench": Command(
        module="atrous.cli.bench",
        config="atrous.cli.bench:BenchConfig",
        purpose="images a second of each stage between files and network",
        examples=(
            ("bench data --data FOLDER", "decode, cache, warp, colours, the whole loader"),
            ("bench data --data FOLDER --model unet", "and whether it would wait for them"),
            ("bench data --data FOLDER --cache none", "what decoding each time would cost"),
        ),
        out_of_memory="lower --batch-size or --crop",
        go_on="run it again",
    ),
    "explain": Command(
        module="atrous.cli.explain",
        config="atrous.cli.explain:ExplainConfig",
        purpose="layers of a network, how far each sees, what each costs",
        examples=(
            ("explain deeplab_v3_plus --depth 2", "parts, receptive fields, FLOPs, time"),
            ("explain fcn8s --size 480 640 --picture fcn.png", "and what it sees, drawn"),
            ("explain runs/NAME/model --picture seen.png", "the same of a trained model"),
        ),
        out_of_memory="lower --size",
        go_on="run it again",
    ),
    "models": Command(
        module="atrous.cli.models",
        config="atrous.cli.models:ModelsConfig",
        purpose="list networks and encoders: parameters, paper, stride",
        examples=(
            ("models", "the networks and our own encoders"),
            ("models resnet", "only names that hold a text"),
            ("models --json", "the same for a script"),
        ),
        out_of_memory="ask for fewer models, with a longer TEXT",
        go_on="run it again",
    ),
}
