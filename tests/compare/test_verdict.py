"""The sentence that a user acts on: each case of the numbers has its words."""

import dataclasses
import math
from collections.abc import Callable

from atrous.compare.table import Row, Table
from atrous.compare.verdict import take

MakeRow = Callable[..., Row]
MakeTable = Callable[..., Table]


def test_one_that_is_best_in_everything_is_taken_for_everything(
    row: MakeRow, table: MakeTable
) -> None:
    found = take(table([row("good", 0.8, 10, 20), row("bad", 0.7, 40, 90)]))

    assert (found.quality, found.speed, found.memory) == ("good", "good", "good")
    assert found.sentences == (
        "Take good, for quality, speed and memory alike: mIoU 0.800 for this one training, 10 ms "
        "an image, 20 MB; "
        "bad, the next, is 0.100 below (p = 0.005).",
    )


def test_quality_against_speed_names_the_price_of_each(row: MakeRow, table: MakeTable) -> None:
    rows = [row("unet", 0.812, 156, 98), row("pspnet", 0.774, 31, 9), row("fcn", 0.75, 60, 50)]

    found = take(table(rows))

    assert (found.quality, found.speed, found.memory) == ("unet", "pspnet", "pspnet")
    assert found.sentences == (
        "For quality take unet: mIoU 0.812 for this one training; pspnet, the next, is 0.038 below "
        "(p = 0.005).",
        "For speed take pspnet: 31 ms an image instead of 156 ms, for 0.038 less mIoU (p = 0.005).",
        "For memory take pspnet: 9 MB for the model and one prediction instead of 98 MB, "
        "for 0.038 less mIoU (p = 0.005).",
    )


def test_one_that_is_as_good_and_faster_is_named_beside_the_best(
    row: MakeRow, table: MakeTable
) -> None:
    rows = [row("unet", 0.812, 156, 98), row("v3plus", 0.806, 38, 12), row("pspnet", 0.774, 31, 9)]

    found = take(table(rows, same=[{"unet", "v3plus"}]))

    assert (found.quality, found.speed, found.memory) == ("unet", "pspnet", "pspnet")
    assert found.sentences[0] == (
        "For quality take unet: mIoU 0.812 for this one training; v3plus (0.806) is as good "
        "(p = 0.21) and 4.1 times as fast."
    )


def test_where_all_are_tied_the_score_does_not_decide(row: MakeRow, table: MakeTable) -> None:
    rows = [row("a", 0.81, 90, 30), row("b", 0.80, 30, 90), row("c", 0.80, 60, 60)]

    found = take(table(rows, same=[{"a", "b"}, {"a", "c"}, {"b", "c"}]))

    assert (found.quality, found.speed, found.memory) == ("a", "b", "a")
    assert found.sentences == (
        "For quality the 3 cannot be told apart on 21 images (p = 0.21 or more after "
        "correction): the highest score, a with mIoU 0.810 for this one training, may be "
        "luck, so let speed or memory decide.",
        "For speed take b: 30 ms an image instead of 90 ms, as good as a (p = 0.21).",
        "For memory take a: 30 MB for the model and one prediction, and the highest score.",
    )


def test_of_two_about_as_fast_the_one_as_good_as_the_best_is_taken(
    row: MakeRow, table: MakeTable
) -> None:
    rows = [row("best", 0.8, 100, 50), row("twin", 0.79, 31, 55), row("worse", 0.6, 30, 52)]

    found = take(table(rows, same=[{"best", "twin"}]))

    assert found.speed == "twin"  # 31 ms and 30 ms may be the other way round tomorrow


def test_what_has_learnt_nothing_is_never_taken_however_fast(
    row: MakeRow, table: MakeTable
) -> None:
    rows = [row("slow", 0.7, 100, 90), row("idle", 0.45, 1, 1, has_learnt=False)]

    found = take(table(rows))

    assert (found.quality, found.speed, found.memory) == ("slow", "slow", "slow")
    assert found.sentences == ("Take slow: it is the only one that has learnt anything.",)


def test_where_none_has_learnt_none_is_taken(row: MakeRow, table: MakeTable) -> None:
    found = take(table([row(n, 0.48, 9, 9, has_learnt=False) for n in "ab"]))

    assert (found.quality, found.speed, found.memory) == ("", "", "")
    assert found.sentences[0].startswith(
        "Take none of them: no network is better than answering road everywhere (0.491)"
    )


def test_a_single_network_is_taken_for_want_of_another(row: MakeRow, table: MakeTable) -> None:
    assert take(table([row("a", 0.7, 9, 9)])).sentences == ("Take a: it is the only one.",)


def test_where_all_failed_nothing_is_said(table: MakeTable) -> None:
    found = take(table([], failed={"a": "out of memory"}))

    assert found.sentences == ("Nothing can be said: every network failed.",)


def test_a_difference_that_nobody_would_see_is_no_win_however_sure(
    row: MakeRow, table: MakeTable
) -> None:
    rows = [row("a", 0.812, 90, 30, seeds=(0, 1, 2)), row("b", 0.810, 30, 90, seeds=(0, 1, 2))]

    found = table(rows)

    assert found.between("a", "b").is_significant
    assert take(found).sentences[:2] == (
        "For quality the two cannot be told apart on 21 images (0.002 or less apart): the "
        "highest score, a with mIoU 0.812, may be luck, so let speed or memory decide.",
        "For speed take b: 30 ms an image instead of 90 ms, as good as a (0.002 apart).",
    )


def test_without_a_p_value_nothing_is_told_apart(row: MakeRow, table: MakeTable) -> None:
    found = table([row("a", 0.8, 90, 30), row("b", 0.6, 30, 90)], images=3)
    nothing = dataclasses.replace(found.differences[0], p=math.nan, corrected_p=math.nan)

    said = take(dataclasses.replace(found, differences=(nothing,))).sentences

    assert "cannot be told apart on 3 images (too few to give a p-value)" in said[0]
    assert "as good as a (too few images to tell)" in said[1]
    assert "nan" not in " ".join(said)


def test_the_fastest_is_not_taken_if_more_than_half_of_the_score_is_lost(
    row: MakeRow, table: MakeTable
) -> None:
    rows = [row("best", 0.8, 100, 90), row("half", 0.4, 30, 50), row("poor", 0.39, 3, 2)]

    found = take(table(rows))

    assert (found.quality, found.speed, found.memory) == ("best", "half", "half")
    assert found.sentences[-1] == (
        "Cheaper, but not worth it with less than half of the score: poor (mIoU 0.390, 3.0 ms, "
        "2 MB)."
    )


def untimed(row: MakeRow, *figures: tuple[str, float, float]) -> list[Row]:
    return [row(name, score, 0, size, latency=None) for name, score, size in figures]


def test_speed_that_was_not_measured_is_said_to_be_so(row: MakeRow, table: MakeTable) -> None:
    rows = untimed(row, ("unet", 0.812, 98), ("v3plus", 0.806, 12), ("poor", 0.3, 1))

    found = take(table(rows, same=[{"unet", "v3plus"}]))

    assert (found.quality, found.speed, found.memory) == ("unet", "", "v3plus")
    assert found.sentences == (
        "For quality take unet: mIoU 0.812 for this one training; v3plus (0.806) is as good "
        "(p = 0.21).",
        "For speed nothing can be said: it was not measured.",
        "For memory take v3plus: 12 MB for the model and one prediction instead of 98 MB, as good "
        "as unet (p = 0.21).",
        "Cheaper, but not worth it with less than half of the score: poor (mIoU 0.300, 1 MB).",
    )


def test_tied_networks_without_speeds_are_left_to_memory(row: MakeRow, table: MakeTable) -> None:
    rows = untimed(row, ("a", 0.81, 30), ("b", 0.80, 90))

    said = take(table(rows, same=[{"a", "b"}])).sentences

    assert said[0].endswith("may be luck, so let memory decide.")
    assert said[1] == "For speed nothing can be said: it was not measured."


def test_the_best_in_all_that_was_measured_is_not_called_the_fastest(
    row: MakeRow, table: MakeTable
) -> None:
    found = take(table(untimed(row, ("good", 0.8, 20), ("bad", 0.7, 90))))

    assert (found.quality, found.speed, found.memory) == ("good", "", "good")
    assert "speed and memory alike" not in " ".join(found.sentences)
    assert "nan" not in " ".join(found.sentences)
