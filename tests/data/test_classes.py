"""What the masks hold and what the user says decide the classes; the rest is a note or an error."""

from pathlib import Path

import pytest

from atrous.data.classes import decide_classes
from atrous.data.declared_classes import Declared
from atrous.data.file_facts import FileFacts
from atrous.data.masks import pack
from atrous.labels import VOID, default_colours

ROOT = Path("street")
RED, BLUE, GREY = pack((255, 0, 0)), pack((0, 0, 255)), pack((9, 9, 9))


def plain(*values: int, palette: dict[int, int] | None = None) -> FileFacts:
    return FileFacts(8, 8, counts=dict.fromkeys(values, 10), palette=palette or {})


def coloured(*colours: int) -> FileFacts:
    return FileFacts(8, 8, coloured=True, counts=dict.fromkeys(colours, 10))


def test_without_names_the_largest_label_tells_the_number_of_classes():
    classes = decide_classes(ROOT, Declared(), [plain(0, 2), plain(0, 5, VOID)])

    assert classes.label_set.names == tuple(f"class_{label}" for label in range(6))
    assert classes.coding.indices == {**{label: label for label in range(6)}, VOID: VOID}
    assert classes.notes == ("6 classes, named by number; write names in a data.yaml to name them",)
    assert classes.usable


@pytest.mark.parametrize("masks", [[plain(0)], [plain(VOID)], [plain(0, VOID), plain(1)]])
def test_there_are_at_least_two_classes(masks):
    classes = decide_classes(ROOT, Declared(), masks)

    assert len(classes.label_set) == 2
    assert classes.coding.indices[VOID] == VOID


@pytest.mark.parametrize("declared", [Declared(), Declared(names=("wall", "cell"))])
def test_masks_of_0_and_255_are_two_classes_and_that_is_said(declared):
    classes = decide_classes(ROOT, declared, [plain(0, VOID), plain(0)])

    assert classes.coding.indices == {0: 0, VOID: 1}
    assert classes.notes[0] == (
        "masks hold only 0 and 255: 255 is read as class 1, not void; "
        "write label_map in a data.yaml to choose otherwise"
    )


def test_masks_of_0_and_255_with_more_classes_are_an_error():
    classes = decide_classes(ROOT, Declared(names=("a", "b", "c")), [plain(0, VOID)] * 94)

    (finding,) = classes.findings
    assert not classes.usable
    assert "94 masks that hold only 0 and 255, but declares 3 classes" in finding.what
    assert "label_map" in finding.remedy


@pytest.mark.parametrize(
    "declared",
    [
        Declared(names=("a", "b"), ignore_index=VOID),
        Declared(names=("a", "b"), index_map={VOID: VOID}),
    ],
)
def test_who_says_that_255_is_void_is_believed(declared):
    classes = decide_classes(ROOT, declared, [plain(0, VOID)])

    assert classes.coding.indices[VOID] == VOID
    assert classes.usable
    assert not classes.notes


def test_masks_of_0_and_255_among_masks_of_0_and_1_may_mean_either():
    masks = [plain(0, VOID), plain(0, VOID), plain(0, 1)]

    (finding,) = decide_classes(ROOT, Declared(), masks).findings

    assert finding.severity == "error"
    assert "2 of 3 masks with only 0 and 255, the others have 1: 255 may be class" in finding.what
    assert "ignore_index: 255" in finding.remedy


def test_who_says_what_255_is_among_masks_of_0_and_1_is_believed():
    masks = [plain(0, VOID), plain(0, 1)]

    assert decide_classes(ROOT, Declared(ignore_index=VOID), masks).findings == ()


def test_masks_of_0_and_255_among_masks_with_void_are_doubted():
    masks = [plain(0, VOID), plain(0, VOID), plain(0, 1, VOID)]

    (finding,) = decide_classes(ROOT, Declared(), masks).findings

    assert finding.severity == "warning"
    assert "2 of 3 masks with only 0 and 255" in finding.what


def test_label_map_moves_values_and_leaves_the_others():
    declared = Declared(names=("road", "car"), index_map={VOID: 1})

    assert decide_classes(ROOT, declared, [plain(0, VOID)]).coding.indices == {0: 0, VOID: 1}


def test_a_class_that_is_mapped_to_has_no_other_value():
    """In {1: 0, 2: 1} nothing says what a raw 0 is; it must not become class 0 in silence."""
    declared = Declared(names=("road", "car"), index_map={1: 0, 2: 1})

    assert decide_classes(ROOT, declared, [plain(0, 1, 2)]).coding.indices == {
        1: 0,
        2: 1,
        VOID: VOID,
    }


def test_ignore_index_is_a_value_of_the_masks():
    declared = Declared(names=("road", "car"), ignore_index=11)

    assert decide_classes(ROOT, declared, [plain(0, 1, 11)]).coding.indices[11] == VOID


def test_ignore_index_is_no_class():
    assert len(decide_classes(ROOT, Declared(ignore_index=11), [plain(0, 1, 11)]).label_set) == 2


def test_colours_of_a_palette_become_those_of_the_classes():
    masks = [plain(0, palette={0: RED}), plain(2, palette={2: BLUE})]

    colours = decide_classes(ROOT, Declared(), masks).label_set.colours

    assert colours == ((255, 0, 0), default_colours(3)[1], (0, 0, 255))


@pytest.mark.parametrize(
    "palette", [{}, {0: RED, 1: RED, 2: BLUE}, {0: 0, 1: pack((1, 1, 1)), 2: pack((2, 2, 2))}]
)
def test_a_palette_that_tells_nothing_apart_is_not_used(palette):
    colours = decide_classes(ROOT, Declared(), [plain(0, 1, 2, palette=palette)]).label_set.colours

    assert colours == default_colours(3)


def test_declared_colours_are_kept_and_a_palette_that_contradicts_them_is_doubted():
    declared = Declared(names=("road", "car"), colours=((255, 0, 0), (0, 0, 255)))
    masks = [plain(0, 1, palette={0: BLUE, 1: RED})]

    classes = decide_classes(ROOT, declared, masks)

    assert classes.label_set.colours == declared.colours
    (finding,) = classes.findings
    assert finding.severity == "warning"
    assert "index 0 (road) has the colour [0, 0, 255] declared for car" in finding.what


def test_colour_masks_are_read_by_declared_colours():
    declared = Declared(
        names=("road", "car"), colours=((255, 0, 0), (0, 0, 255)), colour_map={GREY: VOID}
    )

    classes = decide_classes(ROOT, declared, [coloured(RED, BLUE, GREY)])

    assert classes.coding.colours == {RED: 0, BLUE: 1, GREY: VOID}
    assert classes.usable


def test_colour_masks_without_colours_are_an_error_that_lists_them():
    masks = [coloured(RED, BLUE, GREY, 1, 2), coloured(RED)]

    (finding,) = decide_classes(ROOT, Declared(), masks).findings

    assert finding.severity == "error"
    assert "has 2 masks in colour (5 colours: [255, 0, 0], " in finding.what
    assert "..." in finding.what
    assert "write names and colours" in finding.remedy
