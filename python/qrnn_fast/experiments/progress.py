"""Progress of a training run: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0
_WIDTH_WITHOUT_TERMINAL = 160


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console that does not fold tables where there is no terminal to ask for its width."""
    console = Console(stderr=stderr, quiet=quiet)
    return console if console.is_terminal else Console(stderr=stderr, quiet=quiet, width=_WIDTH_WITHOUT_TERMINAL)


class Bar:
    """A context that shows a bar."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class TrainingProgress(Bar):
    """Shows how far a run is and its loss, smoothed over about 20 updates; call it after each update.

    Args:
        console: where to show it.
        label: the run's name.
        total: updates of the whole run.
        done: updates done before.
    """

    def __init__(self, console: Console, label: str, total: int, done: int = 0) -> None:
        self._console = console
        self._label = label
        self._total = total
        self._loss: float | None = None
        self._printed = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, completed=done, loss="-")

    def __call__(self, update: int, loss: float) -> None:
        """Show update number `update` (from 1) and its loss."""
        self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        text = f"{self._loss:.5f}"
        self._bar.update(self._task, completed=update, loss=text)
        now = time.monotonic()
        if not self._console.is_terminal and (update == self._total or now - self._printed > _SECONDS_BETWEEN_LINES):
            self._printed = now
            self._console.print(f"{self._label}: update {update} of {self._total}, loss {text}")
