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


def luminance(colour):
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_foreground_of_two_classes_stands_out_from_black():
    black, bright = LabelSet(("background", "crack")).colours
    assert black == (0, 0, 0)
    contrast = (luminance(bright) + 0.05) / (luminance(black) + 0.05)
    assert contrast > 12  # VOC's dark red: 1.9; WCAG asks for 3 for graphics


@pytest.mark.parametrize(
    ("label", "colour"),
    [
        (1, (128, 0, 0)),
        (3, (128, 128, 0)),
        (7, (128, 128, 128)),
        (8, (64, 0, 0)),
        (20, (0, 64, 128)),
    ],
)
def test_more_classes_have_the_colours_of_voc(label, colour):
    """Aeroplane, bird, car, cat and television, as the data set's own masks show them."""
    assert default_colours(21)[label] == colour


def test_colours_that_were_given_are_kept():
    given = ((9, 9, 9), (128, 0, 0))
    assert LabelSet(("a", "b"), given).colours == given
