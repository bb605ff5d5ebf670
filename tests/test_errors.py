"""Names that nobody knows are answered with what resembles them, and with nothing else."""

from pathlib import Path

from atrous.errors import closest_path, unknown


def test_what_resembles_nothing_is_offered_nothing():
    assert str(unknown("model", "zzz", ["unet", "fcn8s"], see="atrous models")) == (
        "unknown model 'zzz' (all: atrous models)"
    )


def test_a_few_names_are_listed_where_there_is_no_other_place_to_look():
    assert (
        str(unknown("split", "zzz", ["val", "train"])) == "unknown split 'zzz'; known: train, val"
    )
    assert str(unknown("x", "zzz", map(str, range(10)))).endswith(
        "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    )
    assert str(unknown("split", "zzz", [])) == "unknown split 'zzz'; known: none"


def test_a_path_is_mended_part_by_part(tmp_path: Path):
    (tmp_path / "runs/street").mkdir(parents=True)

    assert closest_path(tmp_path / "rums/stret") == tmp_path / "runs/street"
    assert closest_path(tmp_path / "zzz/street") is None
    assert closest_path(tmp_path / "runs/street/deeper") is None
