"""Runs that stand beside trained QRNNs: layers left as drawn, and classical ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import CHECKPOINT, EPOCHS, UPDATES
from training import assert_same_bits, ignore, train


def test_a_layer_left_as_drawn(settings: Settings, tmp_path: Path) -> None:
    """It keeps the weights of the seed, makes no updates, and its head is the one that ridge gives such a layer."""
    drawn = dataclasses.replace(settings, gradient="none", ridge=1e-6)
    trainer = train(drawn, tmp_path / "drawn")
    assert trainer.update == trainer.total_updates == trainer.evaluations == 0
    # A learning rate too small to change a weight.
    still = train(dataclasses.replace(settings, lr=1e-300, ridge=1e-6), tmp_path / "still")
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, still.model.state_dict()[name]), name
    results = runs.finish(trainer)
    assert results[runs.NETWORK] == runs.finish(still)[runs.NETWORK]
    assert runs.evaluate(trainer.folder, {})[1] == results
    other = train(dataclasses.replace(drawn, seed=1, epochs=7, updates=5, lr=1.0), tmp_path / "other")
    assert not torch.equal(other.model.head.weight, trainer.model.head.weight)


def test_the_folder_of_a_layer_left_as_drawn(settings: Settings, tmp_path: Path) -> None:
    trainer = train(dataclasses.replace(settings, gradient="none", ridge=0.0), tmp_path / "run")
    assert [read_lines(trainer.folder / name) for name in (UPDATES, EPOCHS)] == [[], []]
    before = (trainer.folder / CHECKPOINT).read_bytes()
    resumed = runs.resume(trainer.folder, {})
    resumed.run(ignore)
    assert_same_bits(resumed, trainer)
    assert (trainer.folder / CHECKPOINT).read_bytes() == before


def test_without_updates_ridge_is_needed(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"gradient 'none' makes no updates, .* give ridge"):
        dataclasses.replace(settings, gradient="none")
