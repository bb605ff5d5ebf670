"""A finding is one line, whatever the file or its name holds."""

import pickle
from pathlib import Path

from atrous.data.findings import FileError, Finding, one_line


def test_a_finding_reads_as_one_sentence():
    finding = Finding("error", Path("train/images/a.jpg"), "has 0 bytes", "copy it again")

    assert str(finding) == "train/images/a.jpg has 0 bytes -> copy it again"


def test_line_breaks_and_control_characters_never_reach_the_terminal():
    finding = Finding("error", Path("a\n\x1b[31mb.png"), "is\r\nbad\x07", "copy\tit")

    assert str(finding) == "a  [31mb.png is  bad  -> copy it"


def test_a_long_sentence_is_shortened_in_the_middle():
    text = one_line("first " + "x" * 9_000 + " last")

    assert len(text) <= 300
    assert text.startswith("first x")
    assert text.endswith("x last")


def test_a_file_error_survives_the_way_out_of_a_loader_process():
    error = FileError(Path("a.png"), "is a directory", "move it away")

    again = pickle.loads(pickle.dumps(error))

    assert str(again) == str(error) == "a.png is a directory -> move it away"
    assert again.finding == error.finding
