import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from atrous.ops import shares
from atrous.ops.shares import MOST, SHARES, in_shares


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
    assert len(done) == (1 if threads == 1 else min(SHARES * threads, MOST, rows))
    assert sorted(row for share in done for row in share) == list(range(rows))


@pytest.mark.parametrize("bad", [0, 99])
def test_what_a_share_raises_arrives(threads, bad):
    def work(begin, end):
        if begin <= bad < end:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_shares(work, 100)


def test_a_thread_that_comes_late_is_not_waited_for(monkeypatch):
    busy = threading.Event()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(shares, "_helpers", lambda: pool)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait, 30)  # as if its core were taken
        done = []
        in_shares(lambda begin, end: done.extend(range(begin, end)), 40)
        is_waiting = not busy.is_set()
        busy.set()
    assert done == list(range(40))
    assert is_waiting


def test_after_an_error_no_share_begins(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    begun = []

    def work(begin, end):
        begun.append(begin)
        time.sleep(0.05)  # the other thread has begun, too
        if begin == 0:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_shares(work, 100)
    assert 2 <= len(begun) <= 4 < SHARES * 2


def names_of_threads():
    """Return the threads that shares of some milliseconds were done by."""
    names = set()

    def work(begin, end):
        names.add(threading.current_thread().name)
        time.sleep(0.02)

    in_shares(work, 100)
    return names


def tell_threads(queue):
    queue.put(len(names_of_threads()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert len(names_of_threads()) == 2
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=tell_threads, args=(queue,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == 2
