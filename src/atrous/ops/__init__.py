"""Stateless tensor functions and kernels; each is usable alone.

Not lazy like the other rooms: most modules here are named after their one function, and a lazy
package would hand out the module instead of the function once the module has been imported.
"""

from atrous.ops.conv_depthwise import conv_depthwise, conv_depthwise_pays
from atrous.ops.conv_dilated import conv_dilated, conv_dilated_pays
from atrous.ops.lattice import pad_to_lattice, trim
from atrous.ops.max_pool_2bit import max_pool_2bit, max_unpool_2bit
from atrous.ops.normalise import Normalization, normalise
from atrous.ops.resize import resize
from atrous.ops.upsample_argmax import upsample_argmax
from atrous.ops.upsample_cross_entropy import upsample_cross_entropy

__all__ = [
    "Normalization",
    "conv_depthwise",
    "conv_depthwise_pays",
    "conv_dilated",
    "conv_dilated_pays",
    "max_pool_2bit",
    "max_unpool_2bit",
    "normalise",
    "pad_to_lattice",
    "resize",
    "trim",
    "upsample_argmax",
    "upsample_cross_entropy",
]
