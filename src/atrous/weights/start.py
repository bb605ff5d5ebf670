"""A trained model as the start of another training: on other images, or for other classes."""

from dataclasses import replace
from pathlib import Path

from atrous.errors import InputError
from atrous.models import MODELS, ModelSpec, SegmentationModel, build_model, model_options
from atrous.weights.blueprint import blueprint
from atrous.weights.matching import check_match
from atrous.weights.model_folder import load, read_model_config
from atrous.weights.sources import SHIPPED, find_model, has_hub_form
from atrous.weights.tensor_files import SUFFIXES

__all__ = ["check_start", "find_start", "start_from"]


def find_start(source: str) -> Path | None:
    """Return the folder of the model that training is to begin with; a hub's is fetched.

    Args:
        source: A folder, the name of a model that ships, an id of the Hugging Face hub; or a file
            of encoder weights, for which there is no folder.

    Raises:
        WeightsUnreachable: It has the form of a hub id, but the hub does not answer.
    """
    path = Path(source)
    is_folder = path.is_dir() or source in SHIPPED
    is_hub_id = path.suffix not in SUFFIXES and has_hub_form(source)
    return find_model(source) if is_folder or is_hub_id else None


def start_from(model: SegmentationModel, source: str | Path) -> bool:
    """Fill `model` in place with a trained model of the same make, normalisation included.

    The layers that score classes are filled only if both name the same classes in the same order;
    else they stay as they are. The figures of the normalisation are moved to the white of `model`:
    12-bit images look to it as 8-bit images looked to the trained one.

    Args:
        model: Built, with its label set, its normalisation at the white of its own images.
        source: The trained model's folder, its name or its id, as `find_start` takes them.

    Returns:
        Whether the scores of the classes were taken over too.

    Raises:
        InputError: No model, or one of another make.
    """
    check_start(model.spec, source)
    trained = load(find_model(source))
    if trained.spec.in_channels != model.spec.in_channels:
        raise InputError(
            f"{source} takes images of {trained.spec.in_channels} channel(s), the data have "
            f"{model.spec.in_channels}; begin without it"
        )
    tensors, own = trained.state_dict(), model.state_dict()
    same_classes = trained.label_set.names == model.label_set.names
    if not same_classes:
        tensors |= {name: own[name] for name in _class_tensors(model.spec)}
    check_match(own, tensors, model.spec.architecture)
    model.load_state_dict(tensors)
    model.normalization = trained.normalization.with_white_at(model.normalization.white)
    return same_classes


def check_start(wanted: ModelSpec, source: str | Path) -> None:
    """Refuse a model of another make than `wanted`; channels and classes are not looked at.

    Raises:
        InputError: No model there, or another architecture, encoder or option; the line names the
            flags that go with it.
    """
    spec = _complete(read_model_config(source).spec)
    same = ("architecture", "encoder_name", "options")
    if all(getattr(spec, name) == getattr(wanted, name) for name in same):
        return
    flags = f"--model {spec.architecture}"
    flags += f" --encoder {spec.encoder_name}" if spec.encoder_name else ""
    chosen = ",".join(f"{k}={_yaml(v)}" for k, v in spec.options.items() if v is not None)
    flags += f" --options {chosen}" if chosen else ""
    raise InputError(f"{source} is a model of another make; to begin with it: {flags}")


def _complete(spec: ModelSpec) -> ModelSpec:
    """Return a recipe with the options that came after it was saved, at their defaults."""
    if spec.architecture not in MODELS:
        return spec
    defaults = model_options(spec.architecture, network=spec.options.get("network"))
    return replace(spec, options={**defaults, **spec.options})


def _class_tensors(spec: ModelSpec) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    shapes = []
    for classes in (2, 3):
        with blueprint():
            network = build_model(
                spec.architecture,
                encoder_name=spec.encoder_name,
                in_channels=spec.in_channels,
                classes=classes,
                options=spec.options,
            )
        shapes.append({name: tensor.shape for name, tensor in network.state_dict().items()})
    first, second = shapes
    return {name for name in first if first[name] != second[name]}


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
