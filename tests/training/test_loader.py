"""What a loader process finds wrong reaches the user."""

from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from atrous.data.findings import FileError
from atrous.errors import InputError
from atrous.training.loader import file_named


class Gone(Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int) -> int:
        raise FileError(Path("a.png"), "has gone", "restore it")


def test_a_file_that_vanishes_under_a_loader_process_is_named_in_one_line() -> None:
    with (
        pytest.raises(InputError, match=r"^a\.png has gone -> restore it; then go on"),
        file_named(),
    ):
        next(iter(DataLoader(Gone(), num_workers=1)))


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^shape mismatch$"), file_named():
        raise RuntimeError("shape mismatch")
