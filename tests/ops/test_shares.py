import threading

import pytest
import torch

from atrous.ops.shares import in_shares


@pytest.fixture(params=[1, 2, 3, 7])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_every_row_is_done_once(threads, rows):
    done, lock = [], threading.Lock()

    def work(begin, end):
        with lock:
            done.append(range(begin, end))

    in_shares(work, rows)
    assert len(done) == min(threads, rows)
    assert sorted(row for share in done for row in share) == list(range(rows))


@pytest.mark.parametrize("bad", [0, 99])
def test_what_a_share_raises_arrives(threads, bad):
    def work(begin, end):
        if begin <= bad < end:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_shares(work, 100)
