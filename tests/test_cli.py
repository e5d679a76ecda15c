"""The command line: what it accepts, prints, writes and returns."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from qrnn_fast import _core, cli
from qrnn_fast.experiments import demo
from qrnn_fast.experiments.baselines import CUBIC
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.demo import Entry, plan
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import GRADIENTS, Settings
from rich.console import Console
from typer.testing import CliRunner, Result

ON_A_FILE = ["--qubits", "2", "--steps", "6", "--washout", "2", "--long-washout", "3", "--batch-size", "8"]
SMALL = [*ON_A_FILE, "--rows", "120"]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_train_evaluate_and_resume(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = call("train", "--out", run, *SMALL, "--epochs", "2", "--gradient", "spsa", "--seed", "7")
    assert trained.exit_code == 0, trained.output
    stored = json.loads((run / "results.json").read_text())["rmse"]
    for model, protocols in stored.items():
        assert model in trained.output
        for errors in protocols.values():
            assert f"{errors['mean']:.4f}" in trained.output
    settings = Settings.load(run / "settings.json")
    assert (settings.qubits, settings.gradient, settings.seed, settings.epochs) == (2, "spsa", 7, 2)

    before = {path: path.read_bytes() for path in run.iterdir()}
    evaluated = call("evaluate", run)
    assert evaluated.exit_code == 0
    assert f"{stored['QRNN']['windowed']['mean']:.4f}" in evaluated.output
    other = call("evaluate", run, "--steps", "12", "--washout", "6", "--stride", "1", "--long-washout", "1")
    assert other.exit_code == 0
    assert other.output != evaluated.output
    assert {path: path.read_bytes() for path in run.iterdir()} == before

    resumed = call("train", "--out", run, "--resume", "--seed", "7")
    assert resumed.exit_code == 0
    assert "at update 4 of 4" in resumed.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gradient", "guess"], "gradient must be one of adjoint, parameter-shift, spsa, fdsa"),
        (["--lr", "0"], "lr must be"),
        (["--rows", "30"], "too few rows"),
        (["--qubits", "3"], "3"),
        (["--data", "absent.npy"], "no such file"),
        (["--resume"], "no such file"),
        (["--copies-over-ranks"], "for the processes that torchrun starts"),
    ],
)
def test_train_refuses_bad_settings(tmp_path: Path, options: list[str], message: str) -> None:
    refused = call("train", "--out", tmp_path / "run", *options)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: ")
    assert message in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["evaluate", "run"], ["forecast", "run"], ["demo"], ["compare", "--out", "st"]])
def test_torchrun_is_for_train_alone(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    refused = call(*command)
    assert refused.exit_code == 2
    assert f"qrnn-fast {command[0]} is for one process" in refused.stderr


def test_train_refuses_bad_data(tmp_path: Path) -> None:
    record = np.random.default_rng(0).normal(size=(120, 3))
    record[40, 2] = np.nan
    np.save(tmp_path / "record.npy", record)
    refused = call("train", "--out", tmp_path / "run", "--data", tmp_path / "record.npy", *ON_A_FILE)
    assert refused.exit_code == 2
    assert "row 40, column 2" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_folder_in_use_and_other_settings(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert call("train", "--out", run, *SMALL, "--updates", "1").exit_code == 0
    again = call("train", "--out", run, *SMALL, "--updates", "1")
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    other = call("train", "--out", run, "--resume", "--lr", "0.5")
    assert other.exit_code == 2
    assert "lr: the run has 0.01, given was 0.5" in other.stderr


@pytest.mark.parametrize("command", ["train", "evaluate", "forecast", "compare", "demo", "info"])
def test_help_shows_the_defaults_that_there_are(command: str) -> None:
    shown = call(command, "--help")
    assert shown.exit_code == 0
    assert "None)" not in shown.stdout
    assert "False)" not in shown.stdout
    if command == "train":
        assert "(crx_chain)" in shown.stdout
        headings = [shown.stdout.index(f"─ {name} ─") for name in ("Options", "Data", "Network", "Optimisation", "Run")]
        assert headings == sorted(headings)
        assert "(0)" in shown.stdout  # of the seed


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("notes")
    refused = call("train", "--out", tmp_path / "run", *SMALL)
    assert refused.exit_code == 2
    assert "is a file; name a new or empty folder" in refused.stderr


def test_info_refuses_before_it_prints() -> None:
    refused = call("info", "--cell", "crx_chian")
    assert refused.exit_code == 2
    assert not refused.stdout


def test_data_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "record.npy", np.random.default_rng(0).normal(size=(120, 4)))
    monkeypatch.chdir(tmp_path)
    trained = call("train", "--out", "run", "--data", "record.npy", *ON_A_FILE, "--updates", "1")
    assert trained.exit_code == 0, trained.output
    assert "column 1, column 2, column 3" in trained.output
    monkeypatch.chdir("/")
    assert call("evaluate", tmp_path / "run").exit_code == 0


def test_every_setting_is_an_option() -> None:
    text = call("train", "--help").output
    for field in Settings.__dataclass_fields__:
        assert "--" + field.replace("_", "-") in text


def test_info_tells_versions_and_costs() -> None:
    told = call("info", "--qubits", "8")
    assert told.exit_code == 0
    assert torch.__version__ in told.output
    lines = dict(line.split(maxsplit=1) for line in told.output.split("\n\n")[0].splitlines())
    assert lines["vectors"] == _core.instruction_set()
    assert lines["threads"] == str(torch.get_num_threads())
    assert "libgomp" in lines["openmp"]
    assert lines["cuda"] == "PyTorch sees no GPU" or torch.cuda.is_available()
    assert lines["runtime"].startswith("qiskit_ibm_runtime")
    for name in ("qrnn_fast", "qiskit_aer"):
        assert lines[name] == importlib.metadata.version(name)
    for gradient in GRADIENTS:
        assert gradient in told.output
    assert "55 angles" in told.output
    assert "2481 circuit evaluations" in told.output  # 1 + 20 (48 x 2 + 7 x 4)
    assert call("info", "--cell", "rnn").exit_code == 2
    assert "GRU(1, 5" in call("info", "--cell", "gru").output


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "qrnn_fast", "train", "--out", str(run), *SMALL, "--epochs", "100000"]
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    with subprocess.Popen(
        [*command, "--checkpoint-every", "3"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            deadline = time.monotonic() + 150  # a busy machine takes most of a minute to import PyTorch
            # The log reaches the disk before each checkpoint: six updates in it, and the one of the third stands.
            while not (run / "updates.jsonl").exists() or (run / "updates.jsonl").read_text().count("\n") < 6:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert stderr.strip() == f"interrupted; the checkpoint in {run} is whole, continue with --resume"
    checkpoint = torch.load(run / "checkpoint.pt", weights_only=True)
    assert checkpoint["update"] >= 3
    assert len(read_lines(run / "updates.jsonl")) >= checkpoint["update"]
    assert call("evaluate", run).exit_code == 0


def test_demo_reports_failed_checks(tmp_path: Path) -> None:
    out = tmp_path / "report"
    compared = call("demo", "--out", out, "--updates", "2", "--seeds", "1", "--threads", "1")
    assert compared.exit_code == 1, compared.output  # two updates do not beat the baselines
    assert "FAIL" in compared.output
    assert {"report.md", "report.json", "updates.csv", "training.png", "predictions.png", "seconds.png", "runs"} == {
        path.name for path in out.iterdir()
    }
    with (out / "updates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["seed"], row["update"]) for row in rows] == [
        (entry.label, str(seed), str(update))
        for entry in plan(seeds=1)
        for seed in range(entry.seeds)
        for update in (1, 2)
    ]
    for picture in out.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    report = (out / "report.md").read_text()
    for text in (*GRADIENTS, "quadratic in 3 lags", "**FAIL**"):
        assert text in report
    again = call("demo", "--out", out)
    assert again.exit_code == 2
    assert "not empty" in again.stderr
    assert "--resume" not in again.stderr  # demo has no such option


def test_demo_with_shots(tmp_path: Path) -> None:
    out = tmp_path / "report"
    narrowed = ["--methods", "spsa, adjoint", "--shots", "5", "--updates", "4", "--seeds", "2", "--threads", "1"]
    compared = call("demo", "--out", out, *narrowed)
    assert compared.exit_code in (0, 1), compared.output
    stored = json.loads((out / "report.json").read_text())
    adjoint, spsa = stored["runs"]
    assert (adjoint["label"], spsa["label"]) == ("adjoint", "spsa")
    report = (out / "report.md").read_text()
    assert "takes 5 shots" in report
    for run, evaluations in ((adjoint, 1), (spsa, 5)):
        assert run["settings"]["shots"] == 5
        assert (run["updates"], run["evaluations"], run["seeds"]) == (4, 4 * 32 * evaluations, [0, 1])
        assert len(run["seconds_per_update"]) == len(run["loss_drop"]) == 2
        for protocol in ("windowed", "long run"):
            errors = run["rmse"][protocol]
            assert errors["worst"] == max(errors["seeds"]) > errors["mean"] > min(errors["seeds"])
            for text in (compared.output, report):
                assert f"{errors['mean']:.4f}" in text
                assert f"{errors['worst']:.4f}" in text
        assert f"{min(run['loss_drop']):.1f}" in compared.output
    assert len(stored["checks"]) == 2  # sampled errors are held against no baseline


def test_all_methods_exactly_come_with_more_than_the_methods() -> None:
    assert [(e.label, e.seeds, e.bar is not None) for e in plan()] == [
        ("adjoint", 5, True),
        ("spsa", 1, False),
        ("fdsa", 1, False),
        ("parameter-shift", 1, False),
        ("adjoint, context 3", 5, True),
        ("adjoint, context 3, long windows", 1, False),
    ]
    for narrowed in ({"shots": 5}, {"noise": "readout=0.1"}, {"methods": GRADIENTS}):
        entries = plan(seeds=3, **narrowed)
        assert sorted(e.label for e in entries) == sorted(GRADIENTS)
        assert {(e.seeds, e.bar) for e in entries} == {(3, None)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "spsa,guess"], "methods must be some of adjoint, parameter-shift, spsa, fdsa"),
        (["--methods", "spsa,spsa"], "each once"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--shots", "0"], "shots must be at least 1"),
        (["--updates", "1"], "updates must be at least 2"),
        (["--noise", "crx=0.1"], "GATE:CHANNEL=P"),
    ],
)
def test_demo_refuses_bad_options(tmp_path: Path, options: list[str], message: str) -> None:
    refused = call("demo", "--out", tmp_path / "report", *options)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not (tmp_path / "report").exists()


def test_demo_passes_where_all_checks_hold(tmp_path: Path) -> None:
    # Without a nonlinear memory the cubic cannot tell where a sine goes next; two qubits can.
    t = np.arange(300)
    np.save(tmp_path / "record.npy", np.stack([np.sin(0.3 * t), np.cos(0.3 * t)], axis=1))
    settings = Settings(
        data=str(tmp_path / "record.npy"),
        qubits=2,
        epochs=60,
        lr=0.05,
        stride=2,
        long_washout=9,
        threads=1,
        validate_every=0,
    )
    console = Console(width=150, record=True, quiet=True)
    assert demo.compare([Entry("adjoint", settings, CUBIC)], tmp_path / "report", console)
    assert "FAIL" not in (tmp_path / "report" / "report.md").read_text()


def test_main_names_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("typer", "qrnn_fast.experiments.commands"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r"needs typer.*qrnn_fast\[experiments\]"):
        cli.main()
