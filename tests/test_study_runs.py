"""Where the study behind `compare` runs, how it ends, and what the command refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import executor, study
from qrnn_fast.experiments.study.plan import Plan
from studies import figures, make, run, small
from typer.testing import CliRunner, Result

SMALL = ["--qubits", "2", "--rows", "200", "--steps", "6", "--washout", "2", "--long-washout", "3", "--stride", "4"]
OPTIONS = [*SMALL, "--methods", "adjoint,spsa-2", "--networks=", "--seeds", "2", "--updates", "3"]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *(str(a) for a in arguments)])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_study_that_is_killed_resumes_to_the_same_figures(settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "study"
    plan = small(settings, evaluations=400)
    study.begin(plan, out)
    process = subprocess.Popen(
        [sys.executable, "-m", "qrnn_fast", "compare", "--out", str(out), "--processes", "2", "--resume"],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: process.poll() is not None or len(list(out.rglob("results.json"))) >= 2)
        assert process.poll() is None
        workers = children(process.pid)
    finally:
        process.kill()
        process.wait()
    assert len(workers) >= 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert figures(run(plan, out)) == figures(make(plan, tmp_path / "whole"))


def test_an_interrupt_ends_the_processes_at_once(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with pytest.raises(KeyboardInterrupt), executor.processes(1) as workers:  # noqa: PT012
        workers.submit(began.touch)
        running = workers.submit(time.sleep, 1e6)
        wait_for(lambda: began.exists() and running.running())
        (worker,) = (pid for pid in children(os.getpid()) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(worker, signal.SIGINT)  # which it leaves to this process
        with pytest.raises(TimeoutError):
            running.result(timeout=0.5)
        raise KeyboardInterrupt
    assert not Path(f"/proc/{worker}").exists()


def test_an_interrupted_command_tells_how_to_go_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    study.begin(small(settings), tmp_path / "study")
    monkeypatch.setattr(study, "run", interrupted)
    ended = call("--out", tmp_path / "study", "--resume")
    assert ended.exit_code == 130
    assert ended.stderr.strip() == (f"interrupted; what is done lies in {tmp_path / 'study'}, continue with --resume")


def test_a_process_that_dies_ends_the_study() -> None:
    with pytest.raises(RuntimeError, match="continue with --resume"), executor.processes(1) as workers:
        workers.submit(os._exit, 9).result(timeout=240)


def test_a_cluster(settings: Settings, tmp_path: Path) -> None:
    from distributed import LocalCluster

    plan = small(settings, methods=("adjoint",))
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        executor.cluster(cluster.scheduler_address) as workers,
    ):
        found = make(plan, tmp_path / "cluster", workers)
    assert figures(found) == figures(make(plan, tmp_path / "here"))


def test_workers_of_a_cluster_must_have_one_thread() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        pytest.raises(ValueError, match=r"one thread each.*got \[2\].*--nthreads 1"),
        executor.cluster(cluster.scheduler_address),
    ):
        pass


def test_learning_rates_by_optuna(settings: Settings, tmp_path: Path) -> None:
    plan = small(settings, methods=("adjoint",), tuner="optuna", trials=3)
    made = make(plan, tmp_path / "study")
    rates = [trial.lr for trial in made.parts.updates[0].trials]
    assert len(set(rates)) == 3
    assert all(1e-4 <= lr <= 1 for lr in rates)
    assert figures(make(plan, tmp_path / "again")) == figures(made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "spsa-2,guess"], "methods must be some of adjoint, parameter-shift"),
        (["--methods", "spsa-2,spsa-2"], "each once"),
        (["--methods", ""], "methods must be some of"),
        (["--networks", "transformer"], "networks must be some of gru, lstm"),
        (["--seeds", "1"], "seeds must be at least 2"),
        (["--seed", "999999"], "the seeds must stay below 1000000"),
        (["--updates", "1"], "updates must be at least 2"),
        (["--evaluations", "0"], "evaluations must be at least 1"),
        (["--evaluations", "900"], "evaluations must be at least 1352, those of one update by parameter-shift"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--trials", "3"], "add --tuner optuna"),
        (["--optimiser", "l-bfgs", "--methods", "adjoint"], "use adam or sgd"),
        (["--tuner", "guess"], "tuner must be one of grid, optuna"),
        (["--processes", "0"], "processes must be at least 1"),
        (["--processes", "2", "--cluster", "tcp://somewhere:1"], "leave one of them out"),
        (["--processor", "fake:Nowhere"], "Nowhere"),
        (["--shots", "0"], "shots must be at least 1"),
        (["--rows", "20"], "too few rows"),
        (["--resume"], "leave --resume out"),
        (["nowhere"], "system must be one of lorenz"),
    ],
)
def test_compare_refuses_bad_options(tmp_path: Path, options: list[str], message: str) -> None:
    refused = call("--out", tmp_path / "study", *SMALL, *options)
    assert refused.exit_code == 2, refused.output
    assert message in refused.stderr
    assert not (tmp_path / "study").exists()


def test_other_options_are_refused_where_a_study_is_resumed(settings: Settings, tmp_path: Path) -> None:
    plan, out = small(settings), tmp_path / "study"
    study.begin(plan, out)
    assert Plan.load(out) == plan
    for options, message in (
        (["--seeds", "3"], "seeds: the study has 2, given was 3"),
        (["--qubits", "4"], "qubits: the run has 2, given was 4"),
        (["--methods", "fdsa"], "methods: the study has ('adjoint', 'spsa-2'), given was ('fdsa',)"),
    ):
        refused = call("--out", out, "--resume", *options)
        assert refused.exit_code == 2
        assert message in refused.stderr
    again = call("--out", out)
    assert again.exit_code == 2
    assert "not empty" in again.stderr
    for content in ("{", "[]", json.dumps({"seeds": 2}), json.dumps(dataclasses.asdict(plan) | {"other": 1})):
        (out / "study.json").write_text(content)
        broken = call("--out", out, "--resume")
        assert broken.exit_code == 2
        assert "cannot be read as the plan of a study" in broken.stderr


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [("optuna", ["--tuner", "optuna"], "optuna"), ("distributed", ["--cluster", "tcp://localhost:1"], "cluster")],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, options: list[str], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    refused = call("--out", tmp_path / "study", *OPTIONS, *options)
    assert refused.exit_code == 2
    assert f"pip install 'qrnn_fast[{extra}]'" in refused.stderr
    assert not (tmp_path / "study").exists()
