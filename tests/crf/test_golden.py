"""The worked example of the specification: three pixels, two labels, computed by hand."""

import numpy as np
import pytest

from atrous import DenseCRF

IMAGE = np.repeat(np.array([[10, 14, 60]], np.uint8)[..., None], 3, axis=2)
FOREGROUND = np.array([[0.9, 0.6, 0.2]])
PROBABILITIES = np.stack([FOREGROUND, 1 - FOREGROUND])

GOLDEN = {  # mode: (Q of label 0 after one iteration, after ten)
    "after": ((0.998583, 0.881224, 0.015746), (0.999786, 0.998393, 0.003966)),
    "symmetric": ((0.998576, 0.881759, 0.015664), (0.999780, 0.998393, 0.003858)),
    "before": ((0.998569, 0.882306, 0.015586), (0.999774, 0.998393, 0.003757)),
    "constant": ((0.998685, 0.885391, 0.017865), (0.999804, 0.998618, 0.004922)),
    "none": ((0.999588, 0.945366, 0.024199), (0.999985, 0.999860, 0.021979)),
}
PAPER = ((0.801062, 0.777459, 0.750831), (0.999535, 0.998179, 0.978984))


@pytest.mark.parametrize(("iterations", "column"), [(1, 0), (10, 1)])
@pytest.mark.parametrize("mode", GOLDEN)
def test_golden_example(mode, iterations, column):
    crf = DenseCRF(normalization=mode, iterations=iterations, filter="exact")

    q = crf(IMAGE, PROBABILITIES)

    np.testing.assert_allclose(q[0, 0], GOLDEN[mode][column], atol=1.5e-6)
    np.testing.assert_allclose(q.sum(0), 1, atol=1e-12)


@pytest.mark.parametrize(("iterations", "column"), [(1, 0), (10, 1)])
def test_golden_example_without_the_pixel_itself_flips_the_third_pixel(iterations, column):
    crf = DenseCRF(normalization="none", iterations=iterations, exclude_self=True, filter="exact")

    q = crf(IMAGE, PROBABILITIES)

    np.testing.assert_allclose(q[0, 0], PAPER[column], atol=1.5e-6)
