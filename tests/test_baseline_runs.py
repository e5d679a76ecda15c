"""Runs that stand beside trained QRNNs: layers left as drawn, and classical ones."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from qrnn_fast import QRNN
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.layers import CLASSICAL, QUANTUM, DataQubits
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.model import evaluations_per_sequence, make_model
from qrnn_fast.experiments.outcomes import loss_drop
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import CHECKPOINT, EPOCHS, UPDATES
from torch import nn
from training import Stopped, assert_same_bits, ignore, stop_after, train


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


def test_the_head_is_solved_on_the_run_or_on_the_windows(settings: Settings, tmp_path: Path) -> None:
    """What least squares gives on the training windows after their washout, each begun anew."""
    settings = dataclasses.replace(settings, gradient="none", ridge=0.0, stride=1)
    run, windows = (train(dataclasses.replace(settings, ridge_on=on), tmp_path / on) for on in ("run", "windows"))
    assert torch.equal(run.model.layer.encoder.weight, windows.model.layer.encoder.weight)
    task = windows.task
    rows = task.train.rows()
    with torch.no_grad():
        outputs = windows.model.outputs(task.inputs(rows))[0][:, settings.washout :].flatten(0, 1)
        predicted = windows.model.head(outputs)
    targets = task.targets(rows)[:, settings.washout :].flatten(0, 1)
    expected = outputs @ torch.linalg.lstsq(outputs, targets, driver="gelsd").solution  # outputs add up to one: a bias
    torch.testing.assert_close(predicted, expected, atol=1e-6, rtol=0)
    errors = {trainer.settings.ridge_on: runs.finish(trainer)[runs.NETWORK] for trainer in (run, windows)}
    assert errors["windows"]["train"].mean < errors["run"]["train"].mean


def model(settings: Settings, n_targets: int = 2, seed: int = 0) -> nn.Module:
    return make_model(settings, settings.context, n_targets, seed, torch.Generator(), "native")


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Classical layers


@pytest.mark.parametrize("context", [1, 3, 12])
@pytest.mark.parametrize(("cell", "hidden"), [("gru", {1: 5, 3: 7, 12: 10}), ("lstm", {1: 4, 3: 6, 12: 8})])
def test_classical_layers_have_as_many_parameters(cell: str, hidden: dict[int, int], context: int) -> None:
    """The size is the one closest to the QRNN's number, by PyTorch's own count."""
    quantum = n_parameters(model(Settings(context=context)))
    assert quantum == 55 * (context + 1) + 2 * 17
    classical = model(Settings(cell=cell, context=context))
    size = classical.layer.hidden_size
    assert size == hidden[context]

    def distance(hidden_size: int) -> int:
        layer = CLASSICAL[cell].layer(context, hidden_size)
        return abs(n_parameters(layer) + n_parameters(nn.Linear(hidden_size, 2)) - quantum)

    assert distance(size) == abs(n_parameters(classical) - quantum)
    assert distance(size) <= min(distance(size - 1), distance(size + 1))


@pytest.mark.parametrize(
    ("cell", "stateful", "dtype"), [("gru", False, "float32"), ("gru", True, "float64"), ("lstm", True, "float32")]
)
def test_classical_layers_train_and_resume(
    settings: Settings, tmp_path: Path, cell: str, stateful: bool, dtype: str
) -> None:
    settings = dataclasses.replace(
        settings, cell=cell, stateful=stateful, dtype=dtype, batch_size=4, epochs=20, lr=0.1, validate_every=10
    )
    whole = train(settings, tmp_path / "whole")
    assert loss_drop([line["loss"] for line in read_lines(whole.folder / UPDATES)]) > 2
    assert whole.evaluations == 0
    assert next(whole.model.parameters()).dtype == getattr(torch, dtype)
    with pytest.raises(Stopped):  # in the middle of the second epoch
        runs.begin(settings, tmp_path / "cut").run(stop_after(whole.updates_per_epoch + 3))
    resumed = runs.resume(tmp_path / "cut", {})
    resumed.run(ignore)
    assert_same_bits(resumed, whole)
    assert runs.evaluate(whole.folder, {})[1] == runs.finish(whole)


@pytest.mark.parametrize("cell", CLASSICAL)
def test_stateful_classical_layers_carry_their_memory(settings: Settings, tmp_path: Path, cell: str) -> None:
    """With steps too small to change a weight, the losses of an epoch are those of its streams in one piece."""
    still = dataclasses.replace(settings, cell=cell, stateful=True, batch_size=2, epochs=1, lr=1e-300)
    trainer = train(still, tmp_path / "run")
    starts = trainer.order.view(-1, 2)
    rows = starts[0, :, None] + torch.arange(len(starts) * still.steps)
    with torch.no_grad():
        errors = (trainer.model(trainer.task.inputs(rows)) - trainer.task.targets(rows)).square()
    pieces = errors.split(still.steps, dim=1)
    expected = [pieces[0][:, still.washout :].mean().item(), *(piece.mean().item() for piece in pieces[1:])]
    losses = [line["loss"] for line in read_lines(trainer.folder / UPDATES)]
    assert losses == pytest.approx(expected, abs=1e-12)


def test_a_classical_layer_is_no_circuit() -> None:
    for wrong in ({"gradient": "spsa"}, {"gradient": "parameter-shift"}):
        with pytest.raises(ValueError, match=r"cell 'gru' .* trains by backpropagation"):
            Settings(cell="gru", **wrong)
    for wrong in ({"shots": 10}, {"noise": "rx:bit_flip=0.1"}, {"measure_on": "backend"}):
        with pytest.raises(ValueError, match=r"cell 'lstm' .* leave out shots, noise"):
            Settings(cell="lstm", **wrong)
    with pytest.raises(ValueError, match="cell 'gru' is no circuit; leave out"):
        Settings(cell="gru", gradient="none", ridge=1e-6, backend="aer")


# Ready-made cells


@pytest.mark.parametrize("cell", QUANTUM)
@pytest.mark.parametrize("gradient", ["adjoint", "fdsa", "none"])
def test_every_cell_trains(settings: Settings, tmp_path: Path, cell: str, gradient: str) -> None:
    """Its weights get gradients or stay as drawn, and the run is measured again from its folder."""
    settings = dataclasses.replace(settings, cell=cell, gradient=gradient, qubits=4, updates=1, ridge=1e-6)
    trainer = train(settings, tmp_path / "run")
    trained = trainer.model.layer.state_dict()
    drawn = runs.begin(settings, tmp_path / "begun").model.layer.state_dict()
    changed = [not torch.equal(value, drawn[name]) for name, value in trained.items()]
    assert changed
    assert all(changed) == any(changed) == (gradient != "none")
    if gradient == "none":  # what the circuit draws is drawn again
        assert runs.evaluate(trainer.folder, {})[1] == runs.finish(trainer)
    if gradient == "fdsa":
        assert evaluations_per_sequence(settings, trainer.model.layer) == 1 + 2 * n_parameters(trainer.model.layer)


def test_echo_state_networks_are_drawn_as_published() -> None:
    """W_in and W_bias of 16 qubits and 30 seeds: within four standard errors of mean and deviation."""
    settings = Settings(cell="echo_state", qubits=16, context=3, repeats=2, gradient="none", ridge=1e-6)
    layers = [model(settings, seed=seed).layer for seed in range(30)]
    for name, part in (("weight", 8), ("bias", 12)):
        drawn = torch.stack([getattr(layer.encoder, name).detach() for layer in layers])
        mean, deviation = math.pi / (part * 3 * 2), math.pi / (3 * part * 3 * 2)
        assert drawn.mean().item() == pytest.approx(mean, abs=4 * deviation / math.sqrt(drawn.numel()))
        assert drawn.std().item() == pytest.approx(deviation, rel=4 / math.sqrt(2 * drawn.numel()))
    assert layers[0].circuit != layers[1].circuit
    assert layers[0].circuit == model(settings).layer.circuit


def test_two_registers_take_the_input_on_half_of_the_qubits() -> None:
    x = torch.tensor([[0.25, -0.5, 1.5]], dtype=torch.float64)
    spread = DataQubits(3, 5, arccos=False)(x)
    assert spread.tolist() == [[0.25, -0.5, 1.5, 0.25, -0.5]]
    cut = DataQubits(3, 4, arccos=True)(x)
    assert cut[0].tolist() == pytest.approx([math.acos(0.25), math.acos(-0.5), 0.0, math.acos(0.25)])
    for cell, arccos in (("emcz2", False), ("emcz3", False), ("recurrent_block", True)):
        layer = model(Settings(cell=cell, qubits=8, context=3)).layer
        assert isinstance(layer, QRNN)
        assert (layer.circuit.readout, layer.circuit.memory) == ((0, 1, 2, 3), (4, 5, 6, 7))
        inputs = DataQubits(3, 4, arccos=arccos)(x)
        assert torch.equal(layer.encoder(x)[:, :4], inputs)
    with pytest.raises(ValueError, match="use at least 6 qubits, a smaller context"):
        model(Settings(cell="emcz2", qubits=4, context=3))
    with pytest.raises(ValueError, match="repeats must be 1 for the cell recurrent_block"):
        Settings(cell="recurrent_block", repeats=2)
