"""What every network of the lineage is to its user: images in, scores or logits out."""

from typing import NamedTuple

from torch import Tensor, nn

from atrous.ops import resize

__all__ = ["Scores", "SegmentationModel"]


class Scores(NamedTuple):
    """What a network says before upsampling.

    Attributes:
        main: (N, K, h, w) logits at the network's own stride.
        auxiliary: Further score maps that the paper supervises, each (N, K, h', w').
        attention: (N, S, h, w) weights of S scales, or None.
    """

    main: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    attention: Tensor | None = None


class SegmentationModel(nn.Module):
    """A network that maps normalised images of any size to class logits.

    A paper's file writes `score`; `forward` is the same for all of them.
    """

    align_corners: bool = False
    """Corner convention of the final upsampling: the paper's, or the peer's whose weights it holds."""

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to coarse logits (N, K, h, w).

        The score map covers the whole image: resizing it to (H, W) is the prediction.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define score()")

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, C, H, W) to logits (N, K, H, W) at input size."""
        main = self.score(images).main
        return resize(main, images.shape[-2:], align_corners=self.align_corners)
