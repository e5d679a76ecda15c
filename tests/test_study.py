"""The study behind `compare`: which runs it makes, that it resumes to the same figures, and what its tables say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import executor, report, study
from qrnn_fast.experiments.study.plan import TUNING_SEED, Plan
from qrnn_fast.experiments.study.study import Study
from qrnn_fast.experiments.train import UPDATES
from rich.console import Console


class Stopped(Exception):  # noqa: N818
    """Stands in for whatever ends a study."""


class InPlace(Executor):
    """Does each task at once, in this process, and raises `Stopped` in place of one of them."""

    def __init__(self, stop_before: int | None = None) -> None:
        self.done = 0
        self.stop_before = stop_before

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        if self.done == self.stop_before:
            raise Stopped
        self.done += 1
        future: Future[Any] = Future()
        future.set_result(task(*arguments))
        return future


@pytest.fixture
def plan(settings: Settings) -> Plan:
    base = dataclasses.replace(settings, schedule="constant", threads=1, validate_every=0)
    return Plan(base=base, methods=("adjoint", "spsa-2"), seeds=2, updates=3, evaluations=90)


def make(plan: Plan, out: Path, workers: Executor | None = None) -> Study:
    study.begin(plan, out)
    return study.run(plan, out, nullcontext(workers or InPlace()), Console(quiet=True))


def test_members_have_equal_updates_and_equal_evaluations(plan: Plan, tmp_path: Path) -> None:
    made = make(plan, tmp_path / "study")
    assert [one.group.member.name for one in made.equal_updates] == ["adjoint", "spsa-2"]
    assert [one.group.member.name for one in made.equal_evaluations] == ["spsa-2"]  # what a processor could train
    for one in made.equal_updates + made.equal_evaluations:
        assert [run.seed for run in one.runs] == list(plan.all_seeds)
        for run in one.runs:
            last = read_lines(run.folder / UPDATES)[-1]
            assert last["update"] == one.group.updates
            assert last["lr"] == one.lr
            assert (
                run.errors["windowed"]
                == (json.loads((run.folder / "results.json").read_text())["rmse"]["QRNN"]["windowed"]["mean"])
            )
            if one in made.equal_evaluations:
                assert 90 - 5 * 4 < last["evaluations"] <= 90
            else:
                assert last["update"] == 3
        assert TUNING_SEED not in plan.all_seeds
        assert min(one.trials, key=lambda trial: trial.error).lr == one.lr


def test_a_stopped_study_resumes_to_the_same_tables(plan: Plan, tmp_path: Path) -> None:
    whole = make(plan, tmp_path / "whole")
    tables = [table.markdown() for table in report.tables(whole)]
    with pytest.raises(Stopped):
        make(plan, tmp_path / "cut", InPlace(stop_before=7))
    resumed = study.resume(tmp_path / "cut", {"seeds": 2}, {"qubits": 2})
    assert resumed == plan
    rest = InPlace()
    again = study.run(resumed, tmp_path / "cut", nullcontext(rest), Console(quiet=True))
    assert rest.done > 0
    assert [table.markdown() for table in report.tables(again)] == tables
    nothing = InPlace()
    study.run(resumed, tmp_path / "cut", nullcontext(nothing), Console(quiet=True))
    assert nothing.done == 0


def test_two_processes(plan: Plan, tmp_path: Path) -> None:
    made = make(plan, tmp_path / "one")
    study.begin(plan, tmp_path / "two")
    other = study.run(plan, tmp_path / "two", executor.processes(2), Console(quiet=True))
    assert [t.markdown() for t in report.tables(other)] == [t.markdown() for t in report.tables(made)]
