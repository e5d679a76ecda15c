"""Many sequences of tasks, side by side on one executor."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """A task to be done.

    Attributes:
        label: what to call it while it runs.
        function: of `tasks` or `quality`, which leaves its result in files.
        arguments: plain data.
        is_done: whether the result is there already.
    """

    label: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    is_done: Callable[[], bool]


# Yields jobs that may run side by side, goes on when all of them are done, and returns its result.
Workflow = Generator[Sequence[Job], None, Result]


class OnProgress(Protocol):
    """Told of jobs."""

    def begun(self, job: Job) -> None:
        """A job was handed to the executor."""

    def done(self, job: Job) -> None:
        """A job is done."""


def drive(workflows: Sequence[Workflow[Result]], executor: Executor, progress: OnProgress) -> list[Result]:
    """Run workflows to their ends.

    Returns:
        Their results.

    Raises:
        Exception: what a job raised; those not begun are then not run.
    """
    results: dict[int, Result] = {}
    pending: dict[Future[None], tuple[int, Job]] = {}

    def advance(i: int) -> None:
        while True:
            try:
                jobs = [job for job in next(workflows[i]) if not job.is_done()]
            except StopIteration as end:
                results[i] = end.value
                return
            for job in jobs:
                progress.begun(job)
                pending[executor.submit(job.function, *job.arguments)] = i, job
            if jobs:
                return

    for i in range(len(workflows)):
        advance(i)
    while pending:
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            i, job = pending.pop(future)
            future.result()
            progress.done(job)
            if all(other != i for other, _ in pending.values()):
                advance(i)
    return [results[i] for i in range(len(workflows))]
