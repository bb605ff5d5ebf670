"""A trained model as the start of another training: on other images, or for other classes."""

from pathlib import Path

from atrous.errors import InputError
from atrous.models import ModelSpec, SegmentationModel, build_model
from atrous.weights.blueprint import blueprint
from atrous.weights.matching import check_match
from atrous.weights.model_folder import load, read_model_config

__all__ = ["check_start", "start_from"]


def start_from(model: SegmentationModel, folder: Path) -> bool:
    """Fill `model` in place with a trained model of the same make, normalisation included.

    The layers that score classes are filled only if both name the same classes in the same order;
    else they stay as they are.

    Args:
        model: Built, with its label set.
        folder: The trained model's.

    Returns:
        Whether the scores of the classes were taken over too.

    Raises:
        InputError: No model, or one of another make.
    """
    check_start(model.spec, folder)
    trained = load(folder)
    if trained.spec.in_channels != model.spec.in_channels:
        raise InputError(
            f"{folder} takes images of {trained.spec.in_channels} channel(s), the data have "
            f"{model.spec.in_channels}; begin without it"
        )
    tensors, own = trained.state_dict(), model.state_dict()
    same_classes = trained.label_set.names == model.label_set.names
    if not same_classes:
        tensors |= {name: own[name] for name in _class_tensors(model.spec)}
    check_match(own, tensors, model.spec.architecture)
    model.load_state_dict(tensors)
    model.normalization = trained.normalization
    return same_classes


def check_start(wanted: ModelSpec, folder: Path) -> None:
    """Refuse a model of another make than `wanted`; channels and classes are not looked at.

    Raises:
        InputError: No model there, or another architecture, encoder or option; the line names the
            flags that go with the folder.
    """
    spec = read_model_config(folder).spec
    same = ("architecture", "encoder_name", "options")
    if all(getattr(spec, name) == getattr(wanted, name) for name in same):
        return
    flags = f"--model {spec.architecture}"
    flags += f" --encoder {spec.encoder_name}" if spec.encoder_name else ""
    chosen = ",".join(f"{k}={_yaml(v)}" for k, v in spec.options.items() if v is not None)
    flags += f" --options {chosen}" if chosen else ""
    raise InputError(f"{folder} is a model of another make; to begin with it: {flags}")


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
