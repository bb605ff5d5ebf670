"""What a label set refuses, and the palette that everything is drawn in."""

import numpy as np
import pytest

from atrous.errors import InputError
from atrous.labels import VOID, LabelSet, default_colours


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"names": ("road",)}, "1 class(es) named, but a mask needs 2 to 255"),
        ({"names": tuple(map(str, range(256)))}, "256 class(es) named"),
        ({"names": ("road", "car", "road")}, "class name 'road' occurs twice; rename one"),
        ({"names": ("a", "b"), "colours": ((0, 0, 0),)}, "1 colours for 2 classes; give one"),
        (
            {"names": ("a", "b"), "colours": ((0, 0, 0), (0, 0, 256))},
            "colour of 'b' is",
        ),
        ({"names": ("a", "b"), "ignore_index": 0}, "ignore_index is 0, but void is 255"),
        ({"names": ("a", "b"), "ignore_index": 254}, "say so with ignore_index in their data.yaml"),
    ],
)
def test_what_cannot_be_labels_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        LabelSet(**fields)  # type: ignore[arg-type] - wrong on purpose
    assert told in str(caught.value)


def test_a_label_set_survives_json() -> None:
    labels = LabelSet(("road", "car"), ((1, 2, 3), (4, 5, 6)))
    assert LabelSet.from_json(labels.to_json()) == labels
    assert labels.to_json()["ignore_index"] == VOID
    with pytest.raises(InputError, match="void is 255"):
        LabelSet.from_json({**labels.to_json(), "ignore_index": 0})


def test_the_palette_shows_the_classes_and_black_elsewhere() -> None:
    palette = LabelSet.numbered(3).palette()
    np.testing.assert_array_equal(palette[:3], default_colours(3))
    assert not palette[3:].any()


def test_default_colours_are_those_of_pascal_voc() -> None:
    # aeroplane, bicycle, person, tvmonitor: VOCdevkit's colour map
    colours = default_colours(21)
    assert [colours[label] for label in (1, 2, 15, 20)] == [
        (128, 0, 0), (0, 128, 0), (192, 128, 128), (0, 64, 128),
    ]  # fmt: skip
