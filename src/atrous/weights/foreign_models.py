"""Checkpoints of other libraries as networks of ours, ready to predict."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.models import ModelSpec, Option, SegmentationModel
from atrous.weights.assemble import assemble
from atrous.weights.layouts import ForeignModel, recognise
from atrous.weights.model_config import MAX_CHARACTERS
from atrous.weights.sources import CONFIG_FILE, WEIGHTS_FILE
from atrous.weights.tensor_files import read_tensors

__all__ = ["is_foreign_folder", "load_foreign"]


def load_foreign(path: Path, options: Mapping[str, Option]) -> SegmentationModel:
    """Return the network in a checkpoint, in float32 on the CPU, with numbered classes.

    A file with one map of scores, for a sigmoid, becomes a network of two classes that says the
    same: the other class scores zero, so that softmax is that sigmoid.

    Args:
        path: A file that `read_tensors` reads, or a folder of segmentation_models_pytorch.
        options: Replace what the layout stands for, e.g. `output_stride`, which no file tells.

    Raises:
        InputError: Unreadable, of no known layout, or a network that we do not have.
    """
    file, config = path, None
    if path.is_dir():
        file, config = path / WEIGHTS_FILE, _config(path)
    tensors, _ = read_tensors(file)
    try:
        found = recognise(tensors, config)
        state = _with_background(found)
        spec = ModelSpec(
            found.architecture,
            found.encoder_name,
            _first_convolution(state),
            state[found.head].shape[0],
            {**found.options, **options},
        )
        model = assemble(spec, state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if found.normalization is not None:
        model.normalization = found.normalization
    return model


def is_foreign_folder(folder: Path) -> bool:
    """Tell a folder that `save_pretrained` of segmentation_models_pytorch wrote."""
    path = folder / CONFIG_FILE
    if not path.is_file() or path.stat().st_size > MAX_CHARACTERS:
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "_model_class" in content


def _config(folder: Path) -> dict[str, object]:
    content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8", errors="replace"))
    assert isinstance(content, dict)
    return content


def _with_background(found: ForeignModel) -> dict[str, Tensor]:
    """Return the tensors, with a first class of score zero where there was only one."""
    state = dict(found.tensors)
    if state[found.head].shape[0] == 1:
        for name in (found.head, found.head.replace("weight", "bias")):
            state[name] = torch.cat([torch.zeros_like(state[name]), state[name]])
    return state


def _first_convolution(state: Mapping[str, Tensor]) -> int:
    """Return the channels of the images: what the encoder's first convolution takes."""
    first = next(v for k, v in state.items() if k.startswith("encoder.") and v.ndim == 4)
    return first.shape[1]
