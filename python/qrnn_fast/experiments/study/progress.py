"""Progress of a study: a bar over all tasks on a terminal, a line for each task elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from qrnn_fast.experiments.progress import Bar
from qrnn_fast.experiments.study.workflow import Job

_SHOWN = 3


class StudyProgress(Bar):
    """Shows how many of the tasks known so far are done, and which are on their way.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._on_their_way: list[str] = []
        self._known = self._done = 0
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            expand=True,
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def begun(self, job: Job) -> None:
        """A job was handed to the executor."""
        self._known += 1
        self._on_their_way.append(job.label)
        self._show()

    def done(self, job: Job) -> None:
        """A job is done."""
        self._done += 1
        self._on_their_way.remove(job.label)
        self._show()
        if not self._console.is_terminal:
            self._console.print(f"{self._done} of {self._known} done: {job.label}", highlight=False)

    def _show(self) -> None:
        first = "; ".join(self._on_their_way[:_SHOWN])
        more = len(self._on_their_way) - _SHOWN
        text = f"{first} and {more} more" if more > 0 else first
        self._bar.update(self._task, total=self._known, completed=self._done, description=text)
