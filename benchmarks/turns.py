"""Processes that train step by step in turn, so that all of them meet the same machine.

The parent makes a `Side` for each and calls `step()` on one after the other: a line to the process,
and its seconds back. The process hands its training loop `Turns` as the data set, which waits for
that line before it gives a batch. A side that waits holds its memory and no core.
"""

import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

__all__ = ["Side", "Turns", "ratios_to"]

PAUSE = 0.05
"""Seconds before a turn: OpenMP's idle threads spin for some milliseconds, then sleep."""


class Side:
    """A side's process: ready when made, and waiting for its turn; it ends with `running`."""

    def __init__(self, name: str, command: list[str], running: ExitStack) -> None:
        self.name, self.seconds, self.peak_mb = name, [], 0.0
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.callback(self._end)
        self.parameters = self._answer()["parameters"]

    def step(self) -> None:
        """Let it take one step, alone."""
        time.sleep(PAUSE)
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.seconds.append(answer["seconds"])
        self.peak_mb = answer["peak_mb"]

    def _answer(self) -> dict[str, float]:
        told = self.process.stdout.readline()
        if not told:
            raise SystemExit(f"{self.name} ended early, exit code {self.process.wait()}")
        return json.loads(told)

    def _end(self) -> None:
        self.process.stdin.close()  # its last request for a batch finds nobody
        self.process.wait()
        self.process.stdout.close()


class Turns:
    """A data set of one batch over and over, which is handed out when it is this side's turn.

    To ask for the next batch ends a step.
    """

    def __init__(self, most: int) -> None:
        self.most, self.begin = most, None
        self.answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print

    def of(self, model: object, images: object, labels: object) -> "Turns":
        """Say that the model is ready for these."""
        self.batch = images, labels
        self._answer(parameters=sum(p.numel() for p in model.parameters()))
        return self

    def __len__(self) -> int:
        return self.most  # known, or Lightning asks one batch ahead

    def __getitem__(self, _: int) -> tuple[object, object]:
        if self.begin is not None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self._answer(seconds=time.perf_counter() - self.begin, peak_mb=peak)
        if not sys.stdin.readline():
            raise SystemExit  # nobody wants another step
        self.begin = time.perf_counter()
        return self.batch

    def _answer(self, **figures: float) -> None:
        print(json.dumps(figures), file=self.answers, flush=True)


def ratios_to(ours: list[float], theirs: list[float]) -> list[float]:
    """Divide each of their steps by the mean of ours before and after it."""
    around = itertools.pairwise(ours)
    return [their / statistics.mean(pair) for their, pair in zip(theirs, around, strict=True)]
