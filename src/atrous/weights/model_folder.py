"""A model on disk: `config.json` and `model.safetensors`, never one without the other.

Two files cannot be renamed in one step, and a kill may come between them. So the weights file
carries a copy of its own config in its header and is renamed first: from that moment the new model
is whole. `config.json` is for people, for tools and for edits (class names, colours, licence); it
counts if its fingerprint is that of the weights beside it, else the copy in the header does.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from atrous.errors import InputError
from atrous.files import write_bytes, write_text
from atrous.models import Option, SegmentationModel
from atrous.weights.assemble import assemble
from atrous.weights.foreign_models import is_foreign_folder, load_foreign
from atrous.weights.model_config import MAX_CHARACTERS, ModelConfig
from atrous.weights.sources import CONFIG_FILE, WEIGHTS_FILE, find_model, what_lies_there
from atrous.weights.tensor_files import SUFFIXES, read_metadata, read_tensors

__all__ = ["load", "read_model_config", "save", "store_calibration", "store_crf"]

HEADER_KEY = "atrous"  # one key only: safetensors writes several in a random order


def save(
    model: SegmentationModel,
    folder: str | Path,
    *,
    metrics: Mapping[str, object] | None = None,
    provenance: Mapping[str, object] | None = None,
    licence: str | None = None,
    half: bool = False,
) -> Path:
    """Write a model folder; killed at any moment, what is there is the old model or the new one.

    Args:
        model: On any device; it is not changed.
        folder: Made if it is missing; other files in it stay.
        metrics: Scores and what they were measured on; JSON values.
        provenance: Data, command, versions; JSON values.
        licence: Terms of the weights.
        half: Store tensors of two or more dimensions as float16: half the bytes. Vectors (biases,
            batch norm) stay float32, where variances would under- or overflow.

    Returns:
        The folder. The same model gives the same bytes.

    Raises:
        InputError: The folder cannot be written (disk full, no permission), or a weight does not
            fit into float16.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: _halve(name, tensor) for name, tensor in tensors.items()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    config = ModelConfig(
        model.spec,
        model.label_set,
        model.normalization,
        provenance or {},
        metrics or {},
        licence,
        input_scale=model.input_scale,
        crf=model.crf,
        tile=model.tile,
        calibration=model.calibration,
    )
    config = dataclasses.replace(config, fingerprint=_fingerprint(config, tensors))
    text = config.to_json()
    try:
        _sweep(folder)
        write_bytes(folder / WEIGHTS_FILE, to_safetensors(tensors, {HEADER_KEY: text}))
        write_text(folder / CONFIG_FILE, text)
    except OSError as error:
        raise InputError(
            f"cannot save the model to {folder}: {error.strerror or error}; free some space or "
            "choose another folder (what was there before is intact)"
        ) from error
    return folder


def load(source: str | Path, **options: Option) -> SegmentationModel:
    """Return a saved model in eval mode, float32, on the CPU.

    Args:
        source: Folder of a model, "street-scenes" (shipped), an id of the Hugging Face hub, or a
            checkpoint of another library (`atrous.weights.layouts`): .safetensors, .pth, .pt, or
            a folder of segmentation_models_pytorch.
        options: Replace options of the network that its weights do not depend on, e.g.
            `output_stride=8` for one that was trained at 16.

    Raises:
        InputError: No such model, a file missing or truncated, a newer format, an unknown
            architecture, or weights of another network.
        WeightsUnreachable: A hub id, and no connection.
    """
    path = Path(source)
    if path.is_file() and path.suffix in SUFFIXES and not _is_ours(path):
        return load_foreign(path, options).eval()
    folder = find_model(source)
    if is_foreign_folder(folder):
        return load_foreign(folder, options).eval()
    config = read_model_config(folder)
    spec = dataclasses.replace(config.spec, options={**config.spec.options, **options})
    tensors, _ = read_tensors(folder / WEIGHTS_FILE)
    try:
        model = assemble(spec, tensors)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    model.label_set, model.normalization = config.label_set, config.normalization
    model.input_scale, model.crf = config.input_scale, config.crf
    model.tile, model.calibration = config.tile, config.calibration
    return model.eval()


def read_model_config(source: str | Path) -> ModelConfig:
    """Return what a model says of itself, without its tensors.

    Raises:
        InputError: As in `load`.
    """
    folder = find_model(source)
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(what_lies_there(folder))
    header = read_metadata(folder / WEIGHTS_FILE).get(HEADER_KEY)
    path = folder / CONFIG_FILE
    if not path.is_file() and header is None:
        raise InputError(f"{folder} has no {CONFIG_FILE}; copy the whole folder again")
    inner = _parse(header, folder / WEIGHTS_FILE) if header is not None else None
    if not path.is_file():
        assert inner is not None
        return inner
    with path.open(encoding="utf-8", errors="replace") as file:
        outer = _parse(file.read(MAX_CHARACTERS + 1), path)
    return outer if inner is None or inner.fingerprint == outer.fingerprint else inner


def store_crf(folder: Path, crf: Mapping[str, object]) -> None:
    """Write what a search found into `config.json` of a model folder; the weights stay as they are.

    Raises:
        InputError: It is no model folder of ours, or cannot be written.
    """
    _store(folder, dataclasses.replace(read_model_config(folder), crf=crf), "CRF's parameters")


def store_calibration(folder: Path, calibration: Mapping[str, object] | None) -> None:
    """Write a temperature, or that there is none, into `config.json`; the weights stay.

    Raises:
        InputError: It is no model folder of ours, or cannot be written.
    """
    config = dataclasses.replace(read_model_config(folder), calibration=calibration)
    _store(folder, config, "calibration")


def _store(folder: Path, config: ModelConfig, what: str) -> None:
    try:
        write_text(folder / CONFIG_FILE, config.to_json())
    except OSError as error:
        raise InputError(
            f"cannot write {folder / CONFIG_FILE} ({error.strerror or error}); {what} not stored: "
            "make the folder writable and run it again"
        ) from error


def _is_ours(path: Path) -> bool:
    """Tell the weights inside a model folder, which is loaded as a whole."""
    return path.name == WEIGHTS_FILE and HEADER_KEY in read_metadata(path)


def _halve(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all() and tensor.isfinite().all():
        raise InputError(
            f"{name} reaches {float(tensor.abs().max()):.3g}, but float16 ends at 65504; "
            "save without half=True"
        )
    return halved


def _fingerprint(config: ModelConfig, tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hexadecimal digits that tell this save from every other one."""
    digest = hashlib.sha256(config.to_json().encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _sweep(folder: Path) -> None:
    """Remove what earlier saves that were killed have left half written."""
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        for leftover in folder.glob(f".{file}.*.part"):
            leftover.unlink(missing_ok=True)


def _parse(text: str, path: Path) -> ModelConfig:
    try:
        return ModelConfig.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
