"""Image classifiers as five feature maps, dilated to an output stride; one file per source."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.encoders.create import ENCODERS, create_encoder, resnet_depth
    from atrous.encoders.encoder import Encoder, Padding

__all__ = ["ENCODERS", "Encoder", "Padding", "create_encoder", "resnet_depth"]

__getattr__ = lazy(
    __name__,
    {
        "ENCODERS": "create",
        "Encoder": "encoder",
        "Padding": "encoder",
        "create_encoder": "create",
        "resnet_depth": "create",
    },
)
