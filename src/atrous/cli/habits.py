"""What users of other tools type, and what it is called here: a table, not a second grammar."""

import re
from collections.abc import Iterable
from pathlib import Path

from atrous.errors import InputError, closest, unknown

__all__ = [
    "UsageError",
    "foreign_value",
    "meant_value",
    "stray_word",
    "unknown_command",
    "unknown_option",
]


class UsageError(InputError):
    """The command line itself is wrong: exit code 2."""


COMMANDS: dict[str, str] = {
    "eval": "evaluate",
    "val": "evaluate",
    "valid": "evaluate",
    "validate": "evaluate",
    "test": "evaluate",
    "score": "evaluate",
    "infer": "predict",
    "inference": "predict",
    "detect": "predict",
    "segment": "predict",
    "run": "predict",
    "fit": "train",
    "finetune": "train",
    "fine-tune": "train",
    "list": "models",
    "zoo": "models",
    "networks": "models",
    "encoders": "models",
    "example": "demo",
    "quickstart": "demo",
}

OPTIONS: dict[str, tuple[str, ...]] = {
    "accelerator": ("device",),
    "amp": ("precision",),
    "arch": ("model",),
    "architecture": ("model",),
    "augment": ("scales", "flip", "jitter"),
    "backbone": ("encoder",),
    "batch": ("batch_size",),
    "bs": ("batch_size",),
    "bz": ("batch_size",),
    "checkpoint": ("resume", "model"),
    "ckpt": ("resume", "model"),
    "cfg": ("config",),
    "conf": ("config",),
    "continue": ("resume",),
    "criterion": ("loss",),
    "cos_lr": ("schedule",),
    "crop_size": ("crop",),
    "data_dir": ("data",),
    "dataset": ("data",),
    "decay": ("weight_decay",),
    "degrees": ("rotation",),
    "encoder_name": ("encoder",),
    "encoder_weights": ("weights",),
    "early_stopping": ("patience",),
    "epoch": ("epochs",),
    "eval_every": ("val_every",),
    "fliplr": ("flip",),
    "folder": ("data", "inputs"),
    "fp16": ("precision",),
    "freeze": ("freeze_encoder",),
    "freeze_backbone": ("freeze_encoder",),
    "gpu": ("device",),
    "gpus": ("device",),
    "grad_accum": ("micro_batch",),
    "grad_clip": ("clip",),
    "gradient_accumulation_steps": ("micro_batch",),
    "half": ("precision",),
    "hsv_v": ("jitter",),
    "image_size": ("crop",),
    "images": ("inputs", "data"),
    "img": ("crop",),
    "img_size": ("crop",),
    "imgsz": ("crop",),
    "input": ("inputs", "data"),
    "input_size": ("crop",),
    "iters": ("iterations",),
    "label_smoothing": ("loss",),
    "learning_rate": ("lr",),
    "loss_fn": ("loss",),
    "loss_function": ("loss",),
    "lr0": ("lr",),
    "lr_scheduler": ("schedule",),
    "max_epochs": ("epochs",),
    "max_iters": ("iterations",),
    "max_steps": ("iterations",),
    "max_time": ("minutes",),
    "name": ("out",),
    "network": ("model",),
    "num_epochs": ("epochs",),
    "num_train_epochs": ("epochs",),
    "num_workers": ("workers",),
    "nworkers": ("workers",),
    "opt": ("optimizer",),
    "optim": ("optimizer",),
    "output": ("out",),
    "output_dir": ("out",),
    "per_device_train_batch_size": ("batch_size",),
    "path": ("data", "inputs"),
    "pretrained": ("weights",),
    "project": ("out",),
    "random_state": ("seed",),
    "restore": ("resume",),
    "sampler": ("sampling",),
    "save": ("out",),
    "save_dir": ("out",),
    "save_path": ("out",),
    "scheduler": ("schedule",),
    "source": ("inputs",),
    "steps": ("iterations",),
    "threads": ("workers",),
    "time": ("minutes",),
    "tta": ("scales", "flip"),
    "val_interval": ("val_every",),
    "warmup_epochs": ("warmup",),
    "warmup_iters": ("warmup",),
    "wd": ("weight_decay",),
    "weights": ("weights", "model"),
}

VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "class_weights": {
        "auto": ("median_frequency",),
        "balanced": ("median_frequency",),
        "false": ("none",),
        "true": ("median_frequency",),
    },
    "sampling": {
        "balanced": ("class_balanced",),
        "class": ("class_balanced",),
        "random": ("uniform",),
        "weighted": ("class_balanced",),
    },
    "device": {"0": ("cuda",), "cuda:0": ("cuda",), "gpu": ("cuda", "cpu")},
    "precision": dict.fromkeys(("16", "16-mixed", "amp", "fp16", "half"), ("bf16", "bf16-mixed"))
    | dict.fromkeys(("32", "32-true", "float32", "full"), ("fp32",)),
}
"""What users of other tools give an option that has fixed values."""

NOT_NEEDED: dict[str, str] = {
    "classes": "the classes come from the data: its data.yaml, or the values in its masks",
    "dropout": "it belongs to the network: --options, as its page in docs/lineage says",
    "imgsz": "images of any size are taken as they are",
    "img_size": "images of any size are taken as they are",
    "in_channels": "the number of channels comes from the images",
    "nc": "the classes come from the data: its data.yaml, or the values in its masks",
    "num_classes": "the classes come from the data: its data.yaml, or the values in its masks",
    "task": "every model here segments semantically",
    "verbose": "progress is always shown; --debug shows stack traces and warnings",
    "workers": "one process is enough here",
}


def unknown_command(name: str, commands: Iterable[str]) -> UsageError:
    """Build the error for a command that does not exist; a habit of another tool comes first."""
    meant = COMMANDS.get(name.lower())
    if meant:
        return UsageError(f"unknown command {name!r}; did you mean {meant}? (all: atrous -h)")
    return UsageError(str(unknown("command", name, commands, see="atrous -h")))


def unknown_option(flag: str, flags: Iterable[str], command: str) -> UsageError:
    """Build the error for an option that `command` does not have.

    Args:
        flag: As typed: "--imgsz".
        flags: What the command knows: "--crop", ...; MODEL for a positional "--model".
        command: Its name.
    """
    see = f" (all: atrous {command} -h)"
    name = flag.lstrip("-").replace("-", "_").lower()
    known = {each.lstrip("-").replace("-", "_"): each for each in flags}
    meant = [known[each] for each in OPTIONS.get(name, ()) if each in known]
    meant += [known[each] for each in known if name and each.startswith(name)]
    if not meant and name in NOT_NEEDED:
        return UsageError(f"{command} has no option {flag}: {NOT_NEEDED[name]}{see}")
    meant = list(dict.fromkeys(meant or _similar(name, known)))
    question = f"; did you mean {', '.join(meant[:5])}?" if meant else ""
    return UsageError(f"unknown option {flag}{question}{see}")


def _similar(name: str, known: dict[str, str]) -> list[str]:
    """Return the flags that `name` resembles; before them, one whose other name is closer still."""
    habits = {habit: meant for habit, meant in OPTIONS.items() if habit not in known}
    near = closest(name, known)
    best = closest(name, [*known, *habits], count=1)
    if best and best[0] in habits:
        near = [each for each in habits[best[0]] if each in known] + near
    return [known[each] for each in near]


def meant_value(option: str, text: str, choices: Iterable[str]) -> str:
    """Return which of `choices` somebody means who gives an option this value, or ""."""
    words = list(choices)
    habits = [word for word in VALUES.get(option, {}).get(text.lower(), ()) if word in words]
    return " or ".join(habits or closest(text, words, count=1))


def stray_word(word: str, command: str, flags: Iterable[str]) -> UsageError:
    """Build the error for a word that belongs to no option; a folder is most often the data."""
    known = set(flags)
    if (Path(word) / "last.ckpt").exists() and "--resume" in known:
        meant = f"did you mean --resume {word}?"
    elif Path(word).exists() and "--data" in known:
        meant = f"did you mean --data {word}?"
    else:
        meant = "options start with --"
    told = f"{command} does not know what to do with {word!r}; {meant}"
    return UsageError(f"{told} (all: atrous {command} -h)")


def foreign_value(text: str) -> UsageError | None:
    """Recognise what only another tool's command line would hold."""
    if re.fullmatch(r"(.*/)?yolo[\w.-]*\.(pt|yaml|onnx)", text.lower()):
        return UsageError(
            f"{text} belongs to a detector of another tool; networks here have names: "
            "--model deeplab_v3_plus (all: atrous models)"
        )
    pair = re.fullmatch(r"([a-z_][a-z0-9_]*)=(.+)", text)
    if pair:
        flag = pair[1].replace("_", "-")
        return UsageError(f"{text} is not understood; options are written --{flag} {pair[2]}")
    return None
