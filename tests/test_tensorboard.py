"""What `train --tensorboard` writes, read back by TensorBoard."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.board import Board
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import EPOCHS, UPDATES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import Stopped, ignore, stop_after
from typer.testing import CliRunner


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def test_a_resumed_run_goes_on_without_doubled_steps(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, clip=1.0)
    run = tmp_path / "run"
    with pytest.raises(Stopped):  # the checkpoint is of update 12
        runs.begin(settings, run).run(stop_after(14), Board(run, 1))
    assert len(scalars(run)["training/loss"]) == 14
    resumed = runs.resume(run, {})
    resumed.run(ignore, Board(run, resumed.update + 1))
    found, updates, epochs = scalars(run), read_lines(run / UPDATES), read_lines(run / EPOCHS)
    assert [line["update"] for line in updates] == list(range(1, 21))
    for name in ("loss", "lr", "gradient_norm"):
        assert found.pop(f"training/{name}") == [
            (line["update"], pytest.approx(line[name], rel=1e-6)) for line in updates
        ]
    assert len(epochs) == 2
    for protocol in ("windowed", "long run", "long run, no washout"):
        assert found.pop(f"RMSE/{protocol}") == [
            (line["update"], pytest.approx(line[protocol]["mean"], rel=1e-6)) for line in epochs
        ]
    assert found == {}


def test_what_a_quantum_processor_takes(tmp_path: Path) -> None:
    with Board(tmp_path, 1) as board:
        for update in (1, 2):
            board.update({"update": update, "loss": 0.5, "lr": None, "qpu_seconds": 2.0 * update})
    assert scalars(tmp_path) == {"training/loss": [(1, 0.5), (2, 0.5)], "training/qpu_seconds": [(1, 2.0), (2, 4.0)]}


def test_the_option_writes_and_names_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "--qubits 2 --rows 120 --steps 6 --washout 2 --long-washout 3 --updates 3"
    options = ["train", *small.split(), "--tensorboard", "--out"]
    trained = CliRunner().invoke(app, [*options, str(tmp_path / "run")])
    assert trained.exit_code == 0, trained.output
    assert [step for step, _ in scalars(tmp_path / "run")["training/loss"]] == [1, 2, 3]
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard")
    monkeypatch.delattr(torch.utils, "tensorboard")
    refused = CliRunner().invoke(app, [*options, str(tmp_path / "other")])
    assert refused.exit_code == 2
    assert "pip install 'qrnn_fast[tensorboard]'" in refused.stderr
    assert not (tmp_path / "other").exists()
