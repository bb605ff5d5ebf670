"""data.yaml: every key, and one clear line for every mistake."""

import pytest

from atrous.data.data_yaml import read_data_yaml
from atrous.data.masks import pack
from atrous.errors import InputError
from atrous.labels import VOID


def refusal(folder, text) -> str:
    file = folder.yaml(text)
    with pytest.raises(InputError) as caught:
        read_data_yaml(file)
    message = str(caught.value)
    assert "\n" not in message
    return message


def declared(folder, text):
    return read_data_yaml(folder.yaml(text))[2]


@pytest.mark.parametrize(
    "text",
    [
        "names: [a, b]",
        "train: train\nval: val",
        "train: train/images\nval: val/images",
        "train: {images: train/images, masks: train/masks}\nval: val",
        "path: .\ntrain: train\nval: val\ntest:",
        "path: ../street\ntrain: train\nval: val",
    ],
)
def test_splits_can_be_written_in_three_ways_or_not_at_all(text, small):
    _, splits, _ = read_data_yaml(small.yaml(text))

    assert list(splits) == ["train", "val"]
    for name, folders in splits.items():
        assert folders.images.resolve() == small.root / name / "images"
        assert folders.masks.resolve() == small.root / name / "masks"


@pytest.mark.parametrize("key", ["nc", "num_classes"])
def test_a_number_of_classes_that_agrees_with_the_names_is_taken(key, small):
    assert declared(small, f"{key}: 2\nnames: [a, b]").names == ("a", "b")


def test_images_before_the_split_works_too(small):
    (small.root / "images").mkdir()
    (small.root / "train/images").rename(small.root / "images/train")

    _, splits, _ = read_data_yaml(small.yaml("train: images/train"))

    assert splits["train"].masks == small.root / "masks/train"


def test_an_absolute_path_is_fine(small, tmp_path):
    file = tmp_path / "other.yaml"
    file.write_text(f"path: {small.root}")

    root, splits, _ = read_data_yaml(file)

    assert root == small.root
    assert list(splits) == ["train", "val"]


@pytest.mark.parametrize("names", ["[road, car]", "{0: road, 1: car}", "{1: car, 0: road}"])
def test_names_as_list_or_dict(names, small):
    assert declared(small, f"names: {names}").names == ("road", "car")


@pytest.mark.parametrize(
    "colours",
    ["[[1, 2, 3], [255, 0, 16]]", '["#010203", "255, 0, 16"]', '{car: "#ff0010", road: "1,2,3"}'],
)
def test_colours_as_numbers_text_or_by_name(colours, small):
    found = declared(small, f"names: [road, car]\ncolours: {colours}").colours

    assert found == ((1, 2, 3), (255, 0, 16))


def test_label_map_takes_values_and_colours_to_names_numbers_and_ignore(small):
    text = """
        names: [road, car]
        label_map: {7: car, 8: 0, 9: ignore, 10: 255, "1,2,3": road, "#ff0010": void}
    """
    found = declared(small, text)

    assert found.index_map == {7: 1, 8: 0, 9: VOID, 10: VOID}
    assert found.colour_map == {pack((1, 2, 3)): 0, pack((255, 0, 16)): VOID}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colors: [[1, 2, 3]]", "data.yaml: 'colors'; did you mean colours?"),
        ("validation: valid", "data.yaml: 'validation'; did you mean val?"),
        ("classes: [a, b]", "data.yaml: 'classes'; did you mean names?"),
        ("nc: 3\nnames: [a, b]", "nc is 3, but 2 classes are named; correct one"),
        ("nc: 2", "nc is 2, but nothing names the classes; write names: [background, ...]"),
        ("label_maps: {}", "data.yaml: 'label_maps'; did you mean label_map?"),
        ("names: [a, b", "data.yaml is no YAML in line"),
        ("just words", "holds no keys"),
        ("", "holds no keys"),
        ("path: 3", "path is 3; give a folder"),
        ("path: nowhere", "which is no folder"),
        ("path: https://host/x", "is no local path; download it first"),
        ("path: /vsizip/x.zip", "is no local path"),
        ("train: s3://bucket/x", "is no local path"),
        ("train: ../elsewhere", "may lie outside"),
        ("train: /etc", "may lie outside"),
        ("train: trian", "which is no folder; correct it"),
        ("train: [a, b]", "give a folder, or images and masks"),
        ("train: {images: a, labels: b}", "has the keys images, labels; give images and masks"),
        ("names: road", "give a list"),
        ("names: [yes, no]", "the class name True is no text; put it in quotes"),
        ("names: [a, '']", "is no text"),
        ("names: {1: a, 2: b}", "number the classes 0..1 without gaps"),
        ("names: [a, b]\ncolours: [[1, 2, 3]]", "1 colours for 2 names; give one for each"),
        ("colours: [[1, 2, 3], [1, 2, 3]]", "colour [1, 2, 3] stands for two classes"),
        ("colours: [[1, 2, 300]]", "[1, 2, 300] is no colour"),
        ("colours: [[1, 2]]", "is no colour"),
        ("colours: [red]", "'red' is no colour; write [128, 64, 0]"),
        ("colours: blue", "give a list of [red, green, blue]"),
        ("names: [a, b]\ncolours: {a: '#000000', c: '#ffffff'}", "one for each of the names"),
        ("label_map: [1, 2]", "give {value or colour: class}"),
        ("names: [a, b]\nlabel_map: {3: car}", "data.yaml: 'car'; did you mean"),
        ("names: [road, b]\nlabel_map: {3: raod}", "did you mean road"),
        ("names: [a, b]\nlabel_map: {3: 2}", "label_map gives 2; give a class 0..1 or ignore"),
        ("names: [a, b]\nlabel_map: {3: 1.5}", "label_map gives 1.5"),
        ("names: [a, b]\nlabel_map: {x: a}", "'x' is no colour"),
        ("names: [a, b]\nlabel_map: {yes: a}", "True is no colour"),
        ("ignore_index: -1", "ignore_index is -1; give a number 0..65535"),
        ("names: [a, b]\nignore_index: 1", "is also the number of a class; write label_map"),
    ],
)
def test_each_mistake_gets_one_clear_line(text, expected, small):
    assert expected in refusal(small, text)


def test_bytes_that_are_no_text(small):
    file = small.yaml("")
    file.write_bytes(b"names: [\xff\xfe]")

    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_data_yaml(file)


def test_a_huge_file_is_not_parsed(small):
    assert "has over 1,048,576 bytes" in refusal(small, "# " + "x" * 2**20)


def test_nesting_without_end_is_told(small):
    assert "no YAML" in refusal(small, "[" * 5_000)


def test_no_python_is_made_from_yaml(small):
    assert "no YAML" in refusal(small, "names: !!python/object/apply:os.getcwd []")
