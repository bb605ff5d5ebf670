"""Max pooling that covers its map, dilated or not."""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaxPool"]


class MaxPool(nn.Module):
    """Max pooling of non-negative maps (after a ReLU) to ceil(size / stride) cells.

    torch's own pads by half a kernel at most, which a dilated window exceeds. The values of stride
    2 stand at every second position of stride 1.

    Args:
        kernel_size: Side of the window.
        stride: 1 or 2.
        dilation: Distance between its taps.
        centred: Windows lie around their first cell, not to its right and below.
    """

    def __init__(
        self, kernel_size: int, *, stride: int, dilation: int = 1, centred: bool = False
    ) -> None:
        super().__init__()
        reach = (kernel_size - 1) * dilation
        before = reach // 2 if centred else 0
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding = (before, reach - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        x = functional.pad(x, self.padding)
        return functional.max_pool2d(x, self.kernel_size, self.stride, dilation=self.dilation)
