"""Training for long runs: memory carried from window to window, and the head solved anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import make_task, streams
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.ridge import solve_head
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import UPDATES
from training import Stopped, assert_same_bits, ignore, stop_after, train


def test_a_head_by_ridge_regression(settings: Settings, tmp_path: Path) -> None:
    """It is what least squares gives on the training rows as one sequence, and a resumed run ends with the same."""
    ridged = dataclasses.replace(settings, ridge=0.0)
    trainer, plain = train(ridged, tmp_path / "ridged"), train(settings, tmp_path / "plain")
    for mine, its in zip(trainer.model.layer.parameters(), plain.model.layer.parameters(), strict=True):
        assert torch.equal(mine, its)
    task = trainer.task
    rows = torch.arange(task.context - 1, task.n_train - 1)[None]
    with torch.no_grad():
        outputs = trainer.model.outputs(task.inputs(rows))[0][0, settings.long_washout :]
        predicted = trainer.model.head(outputs)
    targets = task.targets(rows)[0, settings.long_washout :]
    expected = outputs @ torch.linalg.lstsq(outputs, targets, driver="gelsd").solution  # outputs add up to one: a bias
    torch.testing.assert_close(predicted, expected, atol=1e-6, rtol=0)
    shrunk = train(dataclasses.replace(settings, ridge=1e6), tmp_path / "shrunk")
    assert shrunk.model.head.weight.abs().max() < 1e-3
    torch.testing.assert_close(shrunk.model.head.bias, targets.mean(0), atol=1e-3, rtol=0)
    again = runs.resume(tmp_path / "ridged", {})
    assert torch.equal(again.model.head.weight, trainer.model.head.weight)


def test_least_squares_where_outputs_depend_on_each_other() -> None:
    """Two that add up to one and one that never occurs: many weights fit, of which the head has the smallest."""
    p = torch.linspace(0, 1, 20, dtype=torch.float64)
    head = torch.nn.Linear(3, 1, dtype=torch.float64)
    solve_head(head, torch.stack([p, 1 - p, 0 * p], dim=1), 3 * p[:, None] + 1, 0.0)
    torch.testing.assert_close(head.weight.detach(), torch.tensor([[1.5, -1.5, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(head.bias.detach(), torch.tensor([2.5], dtype=torch.float64))


def test_streams_lie_side_by_side(settings: Settings) -> None:
    task = make_task(dataclasses.replace(settings, context=3, steps=7))
    for offset in (0, 6):
        starts = streams(task, 4, offset)
        rows = starts[..., None] + torch.arange(7)
        assert starts.shape[1] == 4
        assert torch.equal(starts.diff(dim=0), torch.full_like(starts[1:], 7))  # one window behind the other
        assert rows.flatten().unique().numel() == rows.numel()  # no row twice
        assert rows.min() == 2 + offset
        assert rows.max() + 1 < task.n_train  # targets included
    assert len(streams(task, 1, 0)) >= 4 * len(streams(task, 4, 0))
    with pytest.raises(ValueError, match="use a smaller batch_size or fewer steps"):
        streams(task, 1000, 0)


def test_stateful_training_carries_the_memory(settings: Settings, tmp_path: Path) -> None:
    """With steps too small to change a weight, the losses of an epoch are those of its streams in one piece."""
    still = dataclasses.replace(settings, stateful=True, batch_size=2, epochs=1, lr=1e-300)
    trainer = train(still, tmp_path / "run")
    starts = trainer.order.view(-1, 2)
    n_windows, steps = len(starts), still.steps
    assert trainer.update == n_windows > 2
    rows = starts[0, :, None] + torch.arange(n_windows * steps)
    with torch.no_grad():
        errors = (trainer.model(trainer.task.inputs(rows)) - trainer.task.targets(rows)).square()
    pieces = [errors[:, i * steps : (i + 1) * steps] for i in range(n_windows)]
    pieces[0] = pieces[0][:, still.washout :]
    losses = [line["loss"] for line in read_lines(trainer.folder / UPDATES)]
    assert losses == pytest.approx([piece.mean().item() for piece in pieces], abs=1e-12)


def test_stateful_training_resumes_to_the_same_bits(settings: Settings, tmp_path: Path) -> None:
    stateful = dataclasses.replace(settings, stateful=True, batch_size=2, checkpoint_every=1)
    whole = train(stateful, tmp_path / "whole")

    with pytest.raises(Stopped):  # in the middle of the second epoch
        runs.begin(stateful, tmp_path / "stopped").run(stop_after(whole.updates_per_epoch + 2))
    resumed = runs.resume(tmp_path / "stopped", {})
    resumed.run(ignore)
    assert_same_bits(resumed, whole)
