from pathlib import Path
from typing import get_args

import pytest

from atrous.errors import InputError
from atrous.evaluation.config import EvaluateConfig, ProtocolName
from atrous.evaluation.protocols import PROTOCOLS, with_protocol


def config(**options):
    return EvaluateConfig(model="m", data=Path("d"), **options)


def test_every_name_of_the_option_has_a_row():
    assert set(PROTOCOLS) == set(get_args(ProtocolName))
    assert all(row.source for row in PROTOCOLS.values())


def test_each_row_is_what_the_paper_did():
    """The table of conventions, read from papers and released code."""
    rows = {name: (row.scales, row.flip) for name, row in PROTOCOLS.items()}
    assert rows == {
        "fcn": ((1.0,), False),
        "segnet": ((1.0,), False),
        "unet": ((1.0,), False),
        "deeplab": (tuple(0.25 * x for x in range(2, 8)), True),
        "refinenet": ((0.4, 0.6, 0.8, 1.0, 1.2), False),
        "psp": ((1.0,), True),  # its "single scale" holds the mirror image
    }
    assert {name for name, row in PROTOCOLS.items() if row.tile} == {"psp", "unet"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "psp",
            ["at every scale (the code cuts the scaled image", "with the mean", "sums its logit"],
        ),
        ("psp", ["multi-scale rows: --scales 0.5,0.75,1,1.25,1.5,1.75, where images are smoothed"]),
        ("deeplab", ["smoothed before they shrink", "--scales 0.75,1,1.25", "v1: --scales 1"]),
        ("deeplab", ["--no-flip --crf deeplab", "v2 takes the maximum over 0.5, 0.75 and 1"]),
        ("refinenet", ["smoothed before they shrink", "short side is not clamped"]),
    ],
)
def test_what_a_paper_does_beyond_the_settings_is_told(name, told):
    """Also read from papers and released code."""
    assert all(words in PROTOCOLS[name].departures for words in told)


def test_a_protocol_sets_what_was_not_typed():
    chosen = with_protocol(config(protocol="psp"))
    assert (chosen.scales, chosen.flip, chosen.tile) == ((1.0,), True, 473)
    typed = config(protocol="psp", scales=(0.5, 1.0), tile=713, given=frozenset({"scales", "tile"}))
    chosen = with_protocol(typed)
    assert (chosen.scales, chosen.flip, chosen.tile) == ((0.5, 1.0), True, 713)
    plain = config()
    assert with_protocol(plain) is plain


def test_finished_masks_have_no_protocol():
    with pytest.raises(InputError, match="finished masks came; leave it out, or give the model"):
        EvaluateConfig(predictions=Path("p"), data=Path("d"), protocol="fcn")
