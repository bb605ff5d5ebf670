"""The parameters that each system published for its dense CRF."""

from dataclasses import dataclass

from atrous.crf.parameters import Appearance, Normalization, Smoothness

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """What one system ran with."""

    appearance: Appearance
    smoothness: Smoothness
    normalization: Normalization
    iterations: int
    source: str
    """Where the numbers stand."""


PUBLISHED: dict[str, Published] = {
    "deeplab": Published(
        Appearance(5, 50, 3), Smoothness(3, 3), "after", 10, "DeepLab release, script default"
    ),
    "deeplab_mat": Published(
        Appearance(5, 70, 5), Smoothness(3, 3), "after", 10, "DeepLab release, .mat reader default"
    ),
    "deeplab_bin": Published(
        Appearance(10, 60, 20), Smoothness(3, 3), "after", 10, "DeepLab release, .bin reader"
    ),
    "deeplab_pytorch": Published(
        Appearance(4, 67, 3), Smoothness(3, 1), "symmetric", 10, "kazuto1011/deeplab-pytorch, VOC"
    ),
    "pydensecrf": Published(
        Appearance(10, 80, 13), Smoothness(3, 3), "symmetric", 5, "lucasb-eyer/pydensecrf, example"
    ),
    "crf_rnn": Published(
        Appearance(5, 160, 3), Smoothness(3, 3), "after", 10, "torrvision/crfasrnn, initial values"
    ),
    # The paper searched all three on a grid: 61 px was best on MSRC; w1 and theta_beta, which it
    # does not print, are unverified.
    "krahenbuhl_koltun": Published(
        Appearance(10, 61, 11), Smoothness(1, 1), "after", 10, "NIPS 2011, MSRC-21"
    ),
}
"""Parameter sets by name; `DenseCRF.published(name)` builds from one."""
