"""Leaving out labels without mass, on what a real network says about real photographs."""

import dataclasses

import numpy as np
import pytest

import atrous
from atrous import DenseCRF
from atrous.crf.solve import labels_with_mass

PRUNE = 1e-3


@pytest.mark.shared
@pytest.mark.parametrize("name", ["deeplab", "pydensecrf"])
def test_labels_without_mass_hardly_matter(shared, name):
    path = shared / "weights" / "deeplabv3_mobilenet_v2_voc.safetensors"
    photos = sorted((shared / "data" / "voc_samples" / "JPEGImages").glob("*.jpg"))
    photos += sorted((shared / "data" / "photos").glob("*.png"))
    if not path.is_file() or not photos:
        pytest.skip(f"{path} or the photographs are not here")
    predictor = atrous.Predictor(atrous.load(path))
    crf = DenseCRF.published(name)
    pruned = dataclasses.replace(crf, prune=PRUNE)
    kept = []

    for photo in photos:
        seen = predictor(photo, probabilities=True)
        labels = crf.map(seen.image, seen.probabilities)
        kept.append(len(labels_with_mass(seen.probabilities, PRUNE)))

        same = (pruned.map(seen.image, seen.probabilities) == labels).mean()
        assert same >= 0.999, (photo.name, same)
    assert np.mean(kept) < 21, "nothing was left out, so nothing was tested"
