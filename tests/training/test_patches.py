"""FCN's patchwise sampling of the loss."""

import numpy as np
import pytest

from atrous.training.patches import SIDE, keep_patches

LABELS = np.random.default_rng(0).integers(0, 5, (200, 330)).astype(np.uint8)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_each_pixel_is_kept_with_the_probability_asked_for(share: float) -> None:
    kept = np.mean(
        [keep_patches(LABELS, share, np.random.default_rng(seed)) != 255 for seed in range(400)],
        axis=0,
    )

    assert kept.mean() == pytest.approx(share, abs=0.01)
    assert np.abs(kept - share).max() < 0.15  # 5.5 standard deviations or more


def test_what_is_kept_is_whole_patches_on_a_grid_that_lies_at_random() -> None:
    starts = set()
    for seed in range(60):
        is_kept = keep_patches(LABELS, 0.5, np.random.default_rng(seed)) != 255
        rows = np.flatnonzero((is_kept[1:] != is_kept[:-1]).any(1)) + 1
        columns = np.flatnonzero((is_kept[:, 1:] != is_kept[:, :-1]).any(0)) + 1
        assert len(set(rows % SIDE)) == 1
        assert len(set(columns % SIDE)) == 1
        starts.add((rows[0] % SIDE, columns[0] % SIDE))
    assert len(starts) > 40


def test_what_is_kept_is_as_it_was() -> None:
    before = LABELS.copy()
    kept = keep_patches(LABELS, 0.5, np.random.default_rng(1))

    assert kept.dtype == np.uint8
    assert (kept[kept != 255] == LABELS[kept != 255]).all()
    assert (before == LABELS).all()
    assert (keep_patches(LABELS, 1.0, np.random.default_rng(1)) == LABELS).all()
