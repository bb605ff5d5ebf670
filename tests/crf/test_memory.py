"""What a call takes beside its arguments: at most three maps of the labels, and the lattice.

The lattice is counted as: the arrays that `build_lattice` returns; of every pixel and kernel the
two factors of the normalisation; and the rows of values at its vertices, two for each, padded to 2,
4 or a multiple of 8 numbers as they lie. `exclude_self` adds each pixel's own share, and, before
there are values, a table of the neighbours forward and backward along each axis of the larger
lattice (pydensecrf keeps one all the time). Everything else counts against the three maps, above
all the padding of the pixels' rows.

tracemalloc sees what numpy allocates: all but the hash table that compiled code holds while it
builds a lattice.
"""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.lattice import build_lattice
from atrous.crf.threads import team_for

from .conftest import made_image, smooth_probabilities

SIZE = 250, 300
KEPT = {"damping": 0.3, "tolerance": 1e-9, "exclude_self": True}  # what needs the last marginals


def bytes_of_lattices(crf, image, num_labels):
    pixels = image.shape[0] * image.shape[1]
    nothing = np.zeros((0, *SIZE), np.float32)
    width = 2 if num_labels <= 2 else 4 if num_labels <= 4 else -(-num_labels // 8) * 8
    total = values = neighbours = 0
    for seen, stds in (
        (image, [crf.appearance.xy_std] * 2 + [crf.appearance.rgb_std] * 3),
        (image[..., :0], [crf.smoothness.xy_std] * 2),
    ):
        with team_for(pixels) as team:
            lattice = build_lattice(seen, nothing, np.array(stds, np.float32), team)
        total += sum(part.nbytes for part in lattice if isinstance(part, np.ndarray))
        total += (2 + crf.exclude_self) * pixels * 4
        values += 2 * lattice.num_rows * width * 4
        table = 2 * len(lattice.corners) * lattice.num_rows * 4
        neighbours = max(neighbours, table * crf.exclude_self)
    return total + max(values, neighbours)


@pytest.mark.parametrize("num_labels", [2, 3, 5, 9, 21])
@pytest.mark.parametrize("mode", ["everyday", "matrix", *KEPT, "all at once"])
def test_memory_beside_the_lattice_is_at_most_three_maps(mode, num_labels):
    image, unary = made_image(*SIZE), smooth_probabilities(num_labels, *SIZE)
    matrix = {"compatibility": 1 - np.eye(num_labels)}
    changes = {"everyday": {}, "matrix": matrix, "all at once": KEPT | matrix}
    crf = DenseCRF(Appearance(10, 80, 13), Smoothness(3, 3), iterations=2)
    crf = dataclasses.replace(crf, **changes.get(mode, {mode: KEPT.get(mode)}))
    lattices = bytes_of_lattices(crf, image, num_labels)
    crf(image, unary)  # loads and compiles

    tracemalloc.start()
    q = crf(image, unary)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    maps = (peak - lattices) / unary.nbytes
    print(
        f"{num_labels} labels, {mode}: {maps:.2f} maps beside {lattices / 1e6:.1f} MB of lattices"
    )
    assert peak > q.nbytes  # it was seen at all
    assert maps <= 3
