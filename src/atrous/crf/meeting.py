"""A barrier for compiled code: threads meet without leaving it.

A mean-field iteration on a small image takes a few milliseconds, between ten points where all
threads have to wait for each other. Handed over by Python's locks, each of them cost 0.3 ms: a
sleeping thread has to be woken, and then needs the GIL. Here a thread that waits looks again and
again, a microsecond at most where every thread has a core of its own, and offers its core to
others from time to time where it has not.
"""

import ctypes
import platform
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from atrous.crf.compiling import compiled

__all__ = ["meet", "new_meeting"]

LOOKS = 2000
"""How often a waiting thread looks, some ten microseconds, before it offers its core."""
ARRIVED, ROUND = 0, 8
"""Places of the numbers of a meeting, on cache lines of their own."""
OFFER = "atrous_offer_core"
WORD = ir.IntType(64)


def new_meeting() -> NDArray[np.int64]:
    """Return what the threads of one piece of work share in order to meet."""
    return np.zeros(16, np.int64)


@compiled
def meet(meeting: np.ndarray, size: int) -> None:
    """Wait until `size` threads have come; what each wrote before, all can read afterwards."""
    if size == 1:
        return
    this_round = _look(meeting, ROUND)
    if _add(meeting, ARRIVED, 1) == size - 1:  # the last one lets everybody go
        _put(meeting, ARRIVED, 0)
        _put(meeting, ROUND, this_round + 1)
        return
    looks = 0
    while _look(meeting, ROUND) == this_round:
        looks += 1
        _pause()
        if looks % LOOKS == 0:
            _offer_core()


def _operation(build: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operation of compiled code out of what writes its instructions."""
    operation: Callable[..., Any] = intrinsic(build)
    return operation


@_operation
def _look(typing: Any, meeting: Any, place: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(context, builder, signature, arguments), "acquire", 8)

    return types.int64(meeting, place), build


@_operation
def _put(typing: Any, meeting: Any, place: Any, number: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _word(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], word, "release", 8)
        return context.get_dummy_value()

    return types.void(meeting, place, types.int64), build


@_operation
def _add(typing: Any, meeting: Any, place: Any, number: Any) -> Any:
    """Add a number and return what stood there before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _word(context, builder, signature, arguments)
        return builder.atomic_rmw("add", word, arguments[2], "acq_rel")

    return types.int64(meeting, place, types.int64), build


@_operation
def _pause(typing: Any) -> Any:
    """Tell an x86 processor that this loop waits, so that it saves power and leaves at once."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            _call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), build


@_operation
def _offer_core(typing: Any) -> Any:
    """Let the system run something else on this core, if it wants to."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, OFFER, ir.IntType(32))
        return context.get_dummy_value()

    return types.void(), build


def _call(builder: Any, name: str, result: Any) -> None:
    function = ir.FunctionType(result, ())
    known = builder.module.globals.get(name)
    builder.call(known or ir.Function(builder.module, function, name), ())


def _word(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    place = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.gep(array.data, [place])


def _name_system_call() -> None:
    """Make the system's call known to compiled code by a name of ours, also to cached code."""
    offer = (
        ctypes.windll.kernel32.SwitchToThread
        if sys.platform == "win32"
        else ctypes.CDLL(None).sched_yield
    )
    address = ctypes.cast(offer, ctypes.c_void_p).value
    assert address is not None
    llvmlite.binding.add_symbol(OFFER, address)


_name_system_call()
