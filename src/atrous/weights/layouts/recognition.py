"""Whose network is this? The layouts that are known, asked one after the other."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.weights.layouts.coral import coral_model
from atrous.weights.layouts.deeplab_pytorch import deeplab_pytorch_model
from atrous.weights.layouts.foreign import ForeignModel
from atrous.weights.layouts.pytorch_fcn import pytorch_fcn_model
from atrous.weights.layouts.semseg import semseg_model
from atrous.weights.layouts.smp import smp_model
from atrous.weights.layouts.torchvision import torchvision_model
from atrous.weights.layouts.vainf import vainf_model

__all__ = ["LAYOUTS", "recognise", "unwrapped", "with_counters"]

LAYOUTS: dict[str, Callable[[Mapping[str, Tensor]], ForeignModel | None]] = {
    "segmentation_models_pytorch": smp_model,
    "torchvision": torchvision_model,
    "VainF/DeepLabV3Plus-Pytorch": vainf_model,
    "hszhao/semseg": semseg_model,
    "kazuto1011/deeplab-pytorch": deeplab_pytorch_model,
    "wkentaro/pytorch-fcn": pytorch_fcn_model,
    "google-coral/test_data": coral_model,
}
"""Origin -> what turns its tensors into ours, or returns None if they are another's."""

WRAPPERS = ("module.", "_orig_mod.", "model.", "network.", "net.")
"""Prefixes of every key, left by data parallelism, torch.compile and training modules."""


def recognise(
    tensors: Mapping[str, Tensor], config: Mapping[str, object] | None = None
) -> ForeignModel:
    """Return a foreign checkpoint as a network of ours.

    Args:
        tensors: As they stand in the file.
        config: `config.json` beside them, as segmentation_models_pytorch writes it.

    Raises:
        InputError: None of the layouts, or a network that cannot be converted.
    """
    tensors = with_counters(unwrapped(tensors))
    if config is not None:
        found = smp_model(tensors, config)
    else:
        found = next(filter(None, (layout(tensors) for layout in LAYOUTS.values())), None)
    if found is None:
        first = ", ".join(list(tensors)[:3])
        raise InputError(
            f"a layout that is not known here (first keys: {first}); known are atrous's own model "
            f"folders and the networks of {', '.join(LAYOUTS)}; weights of a classifier go to "
            "create_model(..., encoder_weights=FILE)"
        )
    return found


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefixes that all names share because something was put around the network."""
    names = dict(tensors)
    while True:
        wrapper = next((w for w in WRAPPERS if all(name.startswith(w) for name in names)), None)
        if wrapper is None or not names:
            return names
        names = {name.removeprefix(wrapper): tensor for name, tensor in names.items()}


def with_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the step counters of batch norm, which files from before torch 0.4.1 do not have."""
    norms = [name.removesuffix("running_mean") for name in tensors if "running_mean" in name]
    counters = {f"{norm}num_batches_tracked": torch.tensor(0) for norm in norms}
    return {**counters, **tensors}
