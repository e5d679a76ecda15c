"""How a run trains: directions, schedules, optimisers, clipping, and the memory reset at every step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.evaluate import predict
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.schedules import learning_rate, perturbation
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import UPDATES, DivergedError
from torch.nn.utils import parameters_to_vector
from training import Stopped, assert_same_bits, ignore, stop_after, train, without_seconds

WAYS: list[dict[str, Any]] = [
    {"gradient": "spsa", "per_sequence": True},
    {"gradient": "spsa", "schedule": "spall", "optimiser": "sgd", "lr": 0.5},
    {"gradient": "fdsa", "schedule": "spall"},
    {"optimiser": "sgd", "clip": 0.3},
    {"gradient": "spsa", "reset_memory": True, "ridge": 1e-6},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_resume_continues_to_the_same_bits(settings: Settings, tmp_path: Path, way: dict[str, Any]) -> None:
    settings = dataclasses.replace(settings, epochs=1, **way)
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        runs.begin(settings, tmp_path / "cut").run(stop_after(6))
    resumed = runs.resume(tmp_path / "cut", {})
    assert resumed.update == 4
    resumed.run(ignore)
    assert_same_bits(whole, resumed)
    logs = [without_seconds(read_lines(tmp_path / name / UPDATES)) for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_directions_per_sequence_take_no_further_evaluations(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, gradient="spsa", updates=2)
    shared = train(settings, tmp_path / "shared")
    own = train(dataclasses.replace(settings, per_sequence=True), tmp_path / "own")
    assert own.evaluations == shared.evaluations == 2 * 4 * 5
    assert (own.model.layer.encoder.weight != shared.model.layer.encoder.weight).any()
    for gradient in ("adjoint", "fdsa"):
        with pytest.raises(ValueError, match="per_sequence is for gradient 'spsa'"):
            dataclasses.replace(settings, gradient=gradient, per_sequence=True)


def test_gains_fall_as_spalls() -> None:
    settings = Settings(lr=0.2, perturbation=0.3, schedule="spall")
    # a / (k + 1 + A)^0.602 and c / (k + 1)^0.101, with A = 100 of 1000 updates
    for update in (0, 1, 9, 999):
        assert learning_rate(settings, update, 1000) == pytest.approx(0.2 * 101**0.602 / (update + 101) ** 0.602)
        assert perturbation(settings, update) == pytest.approx(0.3 / (update + 1) ** 0.101)
    assert learning_rate(settings, 0, 1000) == 0.2
    assert perturbation(settings, 0) == 0.3
    for schedule in ("constant", "one-cycle"):
        assert perturbation(Settings(perturbation=0.3, schedule=schedule), 700) == 0.3


@pytest.mark.parametrize("gradient", ["spsa", "fdsa"])
def test_perturbations_follow_the_schedule(settings: Settings, tmp_path: Path, gradient: str) -> None:
    settings = dataclasses.replace(settings, gradient=gradient, schedule="spall", updates=4)
    trainer, seen = runs.begin(settings, tmp_path / "run"), []
    trainer.run(lambda update, loss: seen.append(trainer.model.layer.gradient.c))
    assert seen == [perturbation(settings, update) for update in range(4)]
    rates = [line["lr"] for line in read_lines(tmp_path / "run" / UPDATES)]
    assert rates == [learning_rate(settings, update, 4) for update in range(4)]


def displacement(settings: Settings, folder: Path) -> torch.Tensor:
    """What one update does to all weights."""
    trainer = runs.begin(dataclasses.replace(settings, updates=1), folder)
    before = parameters_to_vector(trainer.model.parameters()).detach().clone()
    trainer.run(ignore)
    return parameters_to_vector(trainer.model.parameters()).detach() - before


def test_sgd_goes_along_the_gradient_and_clip_cuts_it_down(settings: Settings, tmp_path: Path) -> None:
    plain = dataclasses.replace(settings, optimiser="sgd", lr=0.5, schedule="constant", validate_every=0)
    step = displacement(plain, tmp_path / "plain")
    norm = step.norm() / plain.lr  # of the gradient
    twice = displacement(dataclasses.replace(plain, lr=1.0), tmp_path / "twice")
    torch.testing.assert_close(twice, 2 * step)
    clipped = displacement(dataclasses.replace(plain, clip=0.1 * norm.item()), tmp_path / "clipped")
    torch.testing.assert_close(clipped, 0.1 * step, rtol=1e-5, atol=0)
    untouched = displacement(dataclasses.replace(plain, clip=10 * norm.item()), tmp_path / "untouched")
    torch.testing.assert_close(untouched, step)
    for name in ("clipped", "untouched"):
        assert read_lines(tmp_path / name / UPDATES)[0]["gradient_norm"] == pytest.approx(norm.item())
    assert "gradient_norm" not in read_lines(tmp_path / "plain" / UPDATES)[0]


def test_a_gradient_that_is_not_finite_ends_a_clipped_run(settings: Settings, tmp_path: Path) -> None:
    trainer = runs.begin(dataclasses.replace(settings, clip=1.0), tmp_path / "run")
    trainer.model.head.bias.register_hook(lambda gradient: gradient * float("nan"))
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with pytest.raises(DivergedError, match=r"the norm of the gradient of update 1 is nan"):
        trainer.run(ignore)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_lbfgs_takes_no_limit_to_its_steps() -> None:
    with pytest.raises(ValueError, match="line search; leave clip out"):
        Settings(optimiser="l-bfgs", clip=1.0)


def test_a_reset_memory_is_that_of_steps_on_their_own(settings: Settings, tmp_path: Path) -> None:
    """Outputs and gradients are those of the network that remembers, given each step as a sequence of its own."""
    reset = train(dataclasses.replace(settings, reset_memory=True, updates=3), tmp_path / "reset")
    other = runs.begin(settings, tmp_path / "other")
    other.model.load_state_dict(reset.model.state_dict())
    x = reset.task.inputs(reset.task.train.rows())
    mine, folded, remembered = (
        reset.model(x),
        other.model(x.flatten(0, 1).unsqueeze(1)).view(*x.shape[:2], -1),
        other.model(x),
    )
    torch.testing.assert_close(mine, folded, rtol=0, atol=1e-12)
    torch.testing.assert_close(mine[:, 0], remembered[:, 0], rtol=0, atol=1e-12)
    assert (mine - remembered).abs()[:, 1:].max() > 1e-2
    gradients = [
        torch.autograd.grad(predicted.square().sum(), list(model.parameters()))
        for predicted, model in ((mine, reset.model), (folded, other.model))
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_where_the_memory_is_reset_the_long_run_is_the_windows(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, reset_memory=True, ridge=1e-6, updates=3)
    trainer = train(settings, tmp_path / "run")
    task = trainer.task
    long_run = predict(trainer.model, task, task.long_run)[0]
    at = task.windowed.rows() - task.long_run.starts
    torch.testing.assert_close(predict(trainer.model, task, task.windowed), long_run[at], rtol=0, atol=1e-12)
    errors = runs.finish(trainer)[runs.NETWORK]
    assert runs.evaluate(tmp_path / "run", {})[1][runs.NETWORK] == errors
    assert errors["long run, no washout"].mean != errors["long run"].mean


@pytest.mark.parametrize(
    ("other", "match"), [({"stateful": True}, "carries the memory over"), ({"cell": "gru"}, "is no circuit")]
)
def test_what_a_reset_memory_does_not_go_with(other: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Settings(reset_memory=True, **other)


def test_measuring_changes_no_training(settings: Settings, tmp_path: Path) -> None:
    """Directions and shots are the same however often errors are measured, by shots, too, in between."""
    settings = dataclasses.replace(settings, gradient="spsa", shots=6)
    often, never = (
        train(dataclasses.replace(settings, validate_every=every), tmp_path / f"{every}") for every in (1, 0)
    )
    assert_same_bits(often, never)
    assert runs.finish(often, baselines=False) == runs.finish(never, baselines=False)
