"""A trained model as the start of another training: on other images, or for other classes."""

from dataclasses import replace
from pathlib import Path

from atrous.errors import InputError
from atrous.models import MODELS, ModelSpec, SegmentationModel, build_model, model_options
from atrous.models.fcn import FCN, stage
from atrous.weights.blueprint import blueprint
from atrous.weights.matching import check_match
from atrous.weights.model_folder import load, read_model_config
from atrous.weights.sources import SHIPPED, find_model, has_hub_form
from atrous.weights.tensor_files import SUFFIXES

__all__ = ["check_start", "class_tensors", "find_start", "start_from"]

STAGES = ("fcn32s", "fcn16s", "fcn8s")
"""Each of these can begin with one that stands before it (FCN, Sec. 4.2)."""


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

    An output stride is no part of the make: it changes dilations and no weight (DeepLab v3 is
    trained at 16 first, then at 8). A finer FCN may begin with a coarser one of the same classes.

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
    model.normalization = trained.normalization.with_white_at(model.normalization.white)
    if trained.spec.architecture != model.spec.architecture:
        assert isinstance(trained, FCN)
        assert isinstance(model, FCN)
        if not same_classes:
            raise InputError(
                f"{source} names other classes than the data: a finer FCN begins with a coarser "
                f"one of the same classes; train {trained.spec.architecture} on them first"
            )
        stage(trained, model)
        return True
    if not same_classes:
        tensors |= {name: own[name] for name in class_tensors(model.spec)}
    check_match(own, tensors, model.spec.architecture)
    model.load_state_dict(tensors)
    return same_classes


def check_start(wanted: ModelSpec, source: str | Path) -> None:
    """Refuse a model of another make than `wanted`; channels and classes are not looked at.

    Raises:
        InputError: No model there, or another architecture, encoder or option; the line names the
            flags that go with it.
    """
    spec = _complete(read_model_config(source).spec)
    if spec.encoder_name == wanted.encoder_name and (
        _is_same_make(spec, wanted) or _is_coarser(spec, wanted)
    ):
        return
    flags = f"--model {spec.architecture}"
    flags += f" --encoder {spec.encoder_name}" if spec.encoder_name else ""
    chosen = ",".join(f"{k}={_yaml(v)}" for k, v in spec.options.items() if v is not None)
    flags += f" --options {chosen}" if chosen else ""
    raise InputError(f"{source} is a model of another make; to begin with it: {flags}")


def class_tensors(spec: ModelSpec) -> set[str]:
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


def _is_same_make(spec: ModelSpec, wanted: ModelSpec) -> bool:
    options = [{**each.options, "output_stride": None} for each in (spec, wanted)]
    return spec.architecture == wanted.architecture and options[0] == options[1]


def _is_coarser(spec: ModelSpec, wanted: ModelSpec) -> bool:
    """Tell whether `spec` is an earlier stage of the FCN `wanted`, with the options both have."""
    if spec.architecture not in STAGES or wanted.architecture not in STAGES:
        return False
    shared = spec.options.keys() & wanted.options.keys()
    is_earlier = STAGES.index(spec.architecture) < STAGES.index(wanted.architecture)
    return is_earlier and all(spec.options[k] == wanted.options[k] for k in shared)


def _complete(spec: ModelSpec) -> ModelSpec:
    """Return a recipe with the options that came after it was saved, at their defaults."""
    if spec.architecture not in MODELS:
        return spec
    defaults = model_options(spec.architecture, network=spec.options.get("network"))
    return replace(spec, options={**defaults, **spec.options})


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
