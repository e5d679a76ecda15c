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


# Yields jobs that may run side by side, and goes on when all of them are done.
Workflow = Generator[Sequence[Job], None, Result]


def together(jobs: Sequence[Job]) -> Workflow[None]:
    """All of these jobs side by side."""
    yield jobs


class OnProgress(Protocol):
    """Told of jobs."""

    def begun(self, job: Job) -> None:
        """A job was handed to the executor."""

    def done(self, job: Job) -> None:
        """A job is done."""


def drive(workflows: Sequence[Workflow[None]], executor: Executor, progress: OnProgress) -> None:
    """Run workflows to their ends.

    Raises:
        Exception: what a job raised; those not begun are then not run.
    """
    pending: dict[Future[None], tuple[Workflow[None], Job]] = {}

    def advance(workflow: Workflow[None]) -> None:
        for jobs in workflow:
            missing = [job for job in jobs if not job.is_done()]
            for job in missing:
                progress.begun(job)
                pending[executor.submit(job.function, *job.arguments)] = workflow, job
            if missing:
                return

    for workflow in workflows:
        advance(workflow)
    while pending:
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            workflow, job = pending.pop(future)
            future.result()
            progress.done(job)
            if all(other is not workflow for other, _ in pending.values()):
                advance(workflow)
