"""The default colours: PASCAL VOC's, and for two classes a pair that shows thin things."""

import pytest

from atrous.labels import LabelSet, default_colours


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
