"""Values that number no classes are an error that says what to write, not 255 classes."""

from pathlib import Path

import pytest

from atrous.data.declared_classes import Declared
from atrous.data.file_facts import FileFacts
from atrous.data.grey_masks import are_grey, as_indices, grey_table
from atrous.data.masks import pack
from atrous.data.numbering import numbering_faults
from atrous.labels import VOID

ROOT = Path("street")


def mask(*values: int, palette: dict[int, int] | None = None) -> FileFacts:
    return FileFacts(8, 8, counts=dict.fromkeys(values, 10), palette=palette or {})


def faults(*masks: FileFacts, declared: Declared | None = None):
    return numbering_faults(ROOT, declared or Declared(), masks)


@pytest.mark.parametrize(
    ("value", "named"), [(128, 129), (100, 101), (254, 255), (65_535, 65_536), (4, 5)]
)
def test_two_values_far_apart_are_answered_with_their_label_map(value, named):
    (finding,) = faults(mask(0, value), mask(0))

    assert finding.severity == "error"
    assert f"({value:,} is in 1 of 2 masks)" in finding.what
    assert f"label_map: {{0: 0, {value}: 1}} in a data.yaml" in finding.remedy
    assert f"names for all {named:,}" in finding.remedy


def test_a_value_in_few_masks_is_named_with_the_first_of_them():
    paths = [Path(f"{number}.png") for number in range(20)]
    masks = [mask(0, 1, 2)] * 7 + [mask(0, 1, 2, 77)] + [mask(0, 1)] * 12

    (finding,) = numbering_faults(ROOT, Declared(), masks, paths)

    assert "(77 is in 1 of 20 masks, such as 7.png)" in finding.what
    assert finding.remedy.startswith("correct the 1 mask with 77, or write label_map: {0: 0, ")


def test_several_values_far_apart_are_too_and_many_are_not_listed():
    (finding,) = faults(mask(0, 85, 170, VOID))
    assert "label_map: {0: 0, 85: 1, 170: 2}" in finding.remedy

    (finding,) = faults(mask(*range(0, 250, 20)))
    assert "0, 20, 40, 60, 80, 100, 120, 140, ...: 241 classes" in finding.what
    assert "one for each class 0..240" in finding.remedy


@pytest.mark.parametrize("values", [(0, 1), (0, 2), (0, 1, 2, VOID), (0, 2, 5), (VOID,), (1,)])
def test_values_that_number_classes_pass(values):
    assert faults(mask(*values)) == []


def test_smoothed_edges_are_told_as_such():
    edges = FileFacts(8, 8, counts={0: 900, 40: 3, 80: 4, 120: 3, 200: 2, VOID: 300})

    (finding,) = faults(edges, mask(0, VOID))

    assert "masks of 0 and 255 with 4 values between at their edges" in finding.what
    assert "without smoothing" in finding.remedy


def test_who_names_the_classes_or_colours_them_is_believed():
    assert faults(mask(0, 15), declared=Declared(names=tuple(map(str, range(21))))) == []
    assert faults(mask(0, 128), declared=Declared(index_map={0: 0, 128: 1})) == []
    assert faults(mask(0, 15, palette={0: 0, 15: pack((192, 128, 128))})) == []


def test_grey_colours_are_numbers_in_three_copies():
    def coloured(*colours: int) -> FileFacts:
        return FileFacts(8, 8, coloured=True, counts=dict.fromkeys(colours, 10))

    grey = coloured(0, pack((7, 7, 7)))
    assert are_grey([grey, mask(0)])
    assert not are_grey([grey, coloured(pack((7, 7, 8)))])
    assert not are_grey([mask(0)])
    assert as_indices(grey).counts == {0: 10, 7: 10}
    assert grey_table({0: 0, 7: 1, 300: 2}) == {0: 0, pack((7, 7, 7)): 1}
