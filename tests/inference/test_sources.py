from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import InputError
from atrous.inference.sources import default_folder, find_sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Make a working folder with photos in two sub-folders, and what must not be taken for one."""
    for name in ("a/x.jpg", "b/x.jpg", "b/y.PNG", "b/deep/z.tif", "b/.hidden/x.jpg", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results(inputs, **options):
    found = find_sources(inputs, **options)
    return {source.path.as_posix(): source.mask.as_posix() for source in found}


def test_a_folder_is_searched_with_its_sub_folders_and_mirrored(tree):
    assert results(["b"]) == {
        "b/deep/z.tif": "deep/z.png",
        "b/x.jpg": "x.png",
        "b/y.PNG": "y.png",
    }


def test_equal_names_in_two_folders_stay_apart(tree):
    assert results(["a/x.jpg", "b/x.jpg"]) == {"a/x.jpg": "a/x.png", "b/x.jpg": "b/x.png"}


def test_names_that_differ_in_the_suffix_only_stay_apart(tree):
    (tree / "a" / "x.png").touch()
    assert results(["a"]) == {"a/x.jpg": "x.jpg.png", "a/x.png": "x.png.png"}


def test_patterns_are_expanded_by_us(tree):
    assert list(results(["*/x.jpg"])) == ["a/x.jpg", "b/x.jpg"]
    assert len(results(["**/*"])) == 4  # images only


def test_a_file_named_like_a_pattern_is_taken_as_it_is(tree):
    (tree / "x[1].jpg").touch()
    assert results(["x[1].jpg"]) == {"x[1].jpg": "x[1].png"}


def test_an_image_given_twice_is_done_once(tree):
    assert len(results(["a", "a/x.jpg", "./a/x.jpg", "a/*.jpg"])) == 1


def test_results_of_an_earlier_batch_are_no_inputs(tree):
    (tree / "b" / "out").mkdir()
    (tree / "b" / "out" / "x.png").touch()
    assert "b/out/x.png" not in results(["b"], exclude=Path("b/out"))


def test_results_of_any_batch_are_no_inputs_of_another(tree):
    (tree / "b" / "masks").mkdir()
    (tree / "b" / "masks" / "x.png").touch()
    (tree / "b" / "masks" / "predictions.json").write_text('{"weights": "1", "images": {}}')
    assert "b/masks/x.png" not in results(["b"])
    assert "b/masks/x.png" not in results(["b/**/*.png", "a"])
    with pytest.raises(InputError, match=r"not those with the predictions\.json of an earlier"):
        results(["b/masks"])
    (tree / "b" / "masks" / "predictions.json").write_text("[]")  # of another tool
    assert "b/masks/x.png" in results(["b"])


@pytest.mark.parametrize(
    ("given_inputs", "words"),
    [
        (["photos"], "no file or folder photos"),
        (["*.gif"], r"nothing matches \*\.gif"),
        (["b/folder.png"], r"no image in b/folder\.png"),
    ],
)
def test_inputs_without_an_image_are_told(tree, given_inputs, words):
    with pytest.raises(InputError, match=words):
        find_sources(given_inputs)


@pytest.mark.parametrize(
    ("given_inputs", "folder"),
    [
        (["b"], "b-masks"),
        (["b/"], "b-masks"),
        (["a/x.jpg"], "x-masks"),
        (["b/*.jpg"], "b-masks"),
        (["b/x.jpg", "b/y.PNG"], "b-masks"),
    ],
)
def test_the_default_folder_is_named_after_the_input(tree, given_inputs, folder):
    assert default_folder(given_inputs, find_sources(given_inputs)) == Path(folder)


names = st.text("ab.", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})


@settings(deadline=None)
@given(st.sets(st.tuples(names, names, st.sampled_from([".jpg", ".png", ".tif"])), min_size=1))
def test_no_two_images_share_a_mask(tmp_path_factory, images):
    root = tmp_path_factory.mktemp("any")
    for folder, stem, suffix in images:
        (root / f"d{folder}").mkdir(exist_ok=True)
        (root / f"d{folder}" / f"{stem}{suffix}").touch()
    found = find_sources([f"{root}/*/*"]) if not any(s[1].startswith(".") for s in images) else ()
    assert len({source.mask for source in found}) == len(found)
