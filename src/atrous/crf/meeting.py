"""A barrier for compiled code: threads meet without leaving it.

A mean-field iteration on a small image takes a few milliseconds, between ten points where all
threads have to wait for each other. Handed over by Python's locks, each of them cost 0.3 ms: a
sleeping thread has to be woken, and then needs the GIL. Here a thread that waits looks again and
again, a microsecond at most where every thread has a core of its own. Where it has not, it soon
offers its core to others, and then sleeps.

A thread that fails calls the meeting off, or the others would wait for ever.
"""

import ctypes
import platform
import sys
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]  # it has no types
import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from atrous.compiling import compiled
from atrous.ops.chunks import operation

__all__ = ["call_off", "meet", "new_meeting", "share"]

LOOKS = 2000
"""How often a waiting thread looks, 10 to 100 microseconds, before it offers its core."""
OFFERS = 50
"""How often it offers its core before it begins to sleep between."""
NAP_MICROSECONDS = 100

ARRIVED, ROUND, CALLED_OFF = 0, 8, 16
"""Places of the numbers of a meeting, on cache lines of their own."""
OFFER, NAP = "atrous_offer_core", "atrous_nap"
WORD, INTEGER = ir.IntType(64), ir.IntType(32)


def new_meeting() -> NDArray[np.int64]:
    """Return what the threads of one piece of work share in order to meet."""
    return np.zeros(24, np.int64)


def call_off(meeting: NDArray[np.int64]) -> None:
    """Send everybody home who waits or comes later: somebody will never come."""
    meeting[CALLED_OFF] = 1


@compiled
def meet(meeting: np.ndarray, size: int) -> bool:
    """Wait until `size` threads have come; what each wrote before, all can read afterwards.

    Returns:
        False if the meeting was called off: leave the work at once.
    """
    if size == 1:
        return True
    this_round = _look(meeting, ROUND)
    if _add(meeting, ARRIVED, 1) == size - 1:  # the last one lets everybody go
        _put(meeting, ARRIVED, 0)
        _put(meeting, ROUND, this_round + 1)
    looks = 0
    while _look(meeting, ROUND) == this_round:
        looks += 1
        _pause()
        if looks % LOOKS == 0:
            if _look(meeting, CALLED_OFF):
                return False
            if looks < OFFERS * LOOKS:
                _offer_core()
            else:
                _nap()
    return True


@compiled
def share(count: int, thread: int, team: int) -> Any:
    """Return the first number of a thread's share, and the one after the last, as `Team.cuts`."""
    return count * thread // team, count * (thread + 1) // team


@operation
def _look(typing: Any, meeting: Any, place: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(context, builder, signature, arguments), "acquire", 8)

    return types.int64(meeting, place), build


@operation
def _put(typing: Any, meeting: Any, place: Any, number: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _word(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], word, "release", 8)
        return context.get_dummy_value()

    return types.void(meeting, place, types.int64), build


@operation
def _add(typing: Any, meeting: Any, place: Any, number: Any) -> Any:
    """Add a number and return what stood there before."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _word(context, builder, signature, arguments)
        return builder.atomic_rmw("add", word, arguments[2], "acq_rel")

    return types.int64(meeting, place, types.int64), build


@operation
def _pause(typing: Any) -> Any:
    """Tell an x86 processor that this loop waits, so that it saves power and leaves at once."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            _call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), build


@operation
def _offer_core(typing: Any) -> Any:
    """Let the system run something else on this core, if it wants to."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, OFFER, INTEGER)
        return context.get_dummy_value()

    return types.void(), build


@operation
def _nap(typing: Any) -> Any:
    """Sleep for `NAP_MICROSECONDS`, or what the system makes of it."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, NAP, INTEGER, INTEGER(_NAP_UNITS))
        return context.get_dummy_value()

    return types.void(), build


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> None:
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    known = builder.module.globals.get(name)
    builder.call(known or ir.Function(builder.module, function, name), arguments)


def _word(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    place = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.gep(array.data, [place])


def _name_system_calls() -> None:
    """Make two calls of the system known to compiled code by names of ours, also to cached code."""
    if sys.platform == "win32":
        system = ctypes.windll.kernel32
        calls = {OFFER: system.SwitchToThread, NAP: system.Sleep}
    else:
        system = ctypes.CDLL(None)
        calls = {OFFER: system.sched_yield, NAP: system.usleep}
    for name, call in calls.items():
        address = ctypes.cast(call, ctypes.c_void_p).value
        assert address is not None
        llvmlite.binding.add_symbol(name, address)


_NAP_UNITS = 1 if sys.platform == "win32" else NAP_MICROSECONDS  # Sleep counts milliseconds
_name_system_calls()
