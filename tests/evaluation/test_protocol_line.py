import pytest

from atrous.evaluation.protocol_line import protocol_line

VIEWS = {"scales": [1.0], "flip": False, "tile": None, "crf": None}


@pytest.mark.parametrize(
    ("stamp", "line"),
    [
        (VIEWS, "protocol: scales 1"),
        (VIEWS | {"protocol": "fcn"}, "protocol fcn: scales 1"),
        (VIEWS | {"scales": [0.5, 1.0, 1.25], "flip": True}, "protocol: scales 0.5, 1, 1.25, flip"),
        (VIEWS | {"tile": [473, 473]}, "protocol: scales 1, tile 473"),
        (VIEWS | {"tile": [256, 512]}, "protocol: scales 1, tile 256x512"),
        (VIEWS | {"crf": {"name": "deeplab"}}, "protocol: scales 1, CRF"),
        (VIEWS | {"engine": "eager", "precision": "bf16"}, "protocol: scales 1, eager, bf16"),
        (
            VIEWS | {"data_hash": "0123456789ab", "split": "test"},
            "protocol: scales 1; data 01234567, test",
        ),
        (
            {"predictions": "found", "coding": "data"},
            "protocol: finished masks, read as the labels' own numbers",
        ),
        (VIEWS | {"tile": "differs"}, "protocol: scales 1, tile differs"),
    ],
)
def test_a_stamp_is_one_line(stamp, line):
    assert protocol_line(stamp) == line
