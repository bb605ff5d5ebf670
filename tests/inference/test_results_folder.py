import pytest

from atrous.errors import InputError
from atrous.inference.results_folder import check_folder, write_note


def test_new_and_empty_folders_are_fine(tmp_path):
    check_folder(tmp_path / "new", resume=False)
    check_folder(tmp_path, resume=False)
    check_folder(tmp_path, resume=True)


def test_a_used_folder_needs_resume_or_another_name(tmp_path):
    write_note(tmp_path, (), {})
    check_folder(tmp_path, resume=False)  # killed before the first result
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"not empty; --resume .*, --out"):
        check_folder(tmp_path, resume=False)
    check_folder(tmp_path, resume=True)


@pytest.mark.parametrize("note", [None, "{", "[]", '{"images": 3}', "\xff"])
def test_resume_refuses_a_folder_that_no_batch_wrote(tmp_path, note):
    (tmp_path / "holiday.jpg").touch()
    if note is not None:
        (tmp_path / "predictions.json").write_bytes(note.encode("latin-1"))
    with pytest.raises(InputError, match=r"no readable predictions\.json"):
        check_folder(tmp_path, resume=True)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is a file"):
        check_folder(tmp_path / "out", resume=False)
