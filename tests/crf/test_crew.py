"""How many threads splat: fewer where the vertices would take gigabytes, with the same result."""

import numpy as np
import pytest
import torch

from atrous import DenseCRF
from atrous.crf import engine
from atrous.crf.threads import Team


def scene(side=160, labels=5):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)  # noise: many vertices
    maps = rng.random((labels, side, side), dtype=np.float32)
    return image, maps / maps.sum(0)


class Counted:
    """What a lattice says of itself to `crew_for`."""

    def __init__(self, pixels, num_vertices):
        self.vertices, self.num_vertices = np.zeros((pixels, 3), np.int32), num_vertices


@pytest.mark.parametrize(
    ("vertices", "crew"), [([10], 4), ([200], 4), ([201], 3), ([300, 100], 2), ([900], 1), ([], 1)]
)
def test_the_rows_of_all_threads_stay_within_eight_for_each_pixel(vertices, crew):
    lattices = [Counted(100, number) for number in vertices]
    with Team(4) as team:
        assert engine.crew_for(lattices, team) == crew
        assert crew * sum(vertices) <= 800 or crew == 1


def test_one_thread_splats_for_all_to_the_same_probabilities(monkeypatch):
    image, maps = scene()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    crews = []
    for most in (100, 0):
        monkeypatch.setattr(engine, "MOST_VALUES", most)
        crews.append(DenseCRF(iterations=3)(image, maps))
    np.testing.assert_allclose(crews[0], crews[1], atol=2e-6)  # float32 sums in another order
    assert np.abs(crews[0] - maps).max() > 0.1
