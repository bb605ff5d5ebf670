"""A recipe and its tensors put together: compared first, then filled, never allocated twice."""

from collections.abc import Mapping

from torch import Tensor

from atrous.errors import InputError
from atrous.models import ModelSpec, SegmentationModel, build_model
from atrous.weights.blueprint import blueprint
from atrous.weights.matching import check_match

__all__ = ["assemble"]


def assemble(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> SegmentationModel:
    """Build the network without memory, compare, and only then hang the tensors in.

    Args:
        spec: What to build; options that it leaves out are defaults.
        tensors: Every tensor of its state; float16 becomes float32.

    Raises:
        InputError: An impossible recipe, or tensors of another network.
    """
    with blueprint():
        model = _build(spec)
    network = f"{spec.architecture} with {spec.encoder_name} and {spec.classes} classes"
    check_match(model.state_dict(), tensors, network)
    model.load_state_dict({name: _widen(tensor) for name, tensor in tensors.items()}, assign=True)
    if any(buffer.is_meta for buffer in model.buffers()):  # some that are never saved, in timm
        weights, model = model.state_dict(), _build(spec)
        model.load_state_dict(weights)
    return model


def _build(spec: ModelSpec) -> SegmentationModel:
    try:
        return build_model(
            spec.architecture,
            encoder_name=spec.encoder_name,
            in_channels=spec.in_channels,
            classes=spec.classes,
            options=spec.options,
        )
    except (ArithmeticError, AssertionError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the recipe describes a {spec.architecture} that cannot be built ({reason}); take its "
            "options from the model it was saved with"
        ) from error


def _widen(tensor: Tensor) -> Tensor:
    """Return float16 as the float32 that networks compute in; counters stay integers."""
    return tensor.float() if tensor.is_floating_point() else tensor
