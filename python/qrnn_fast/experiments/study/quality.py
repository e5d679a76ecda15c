"""How good a method's gradient is: draws of it at fixed weights, held against the exact one."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qrnn_fast.estimators import FDSA, SPSA, resolve
from qrnn_fast.experiments.data import make_task
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study.members import ADJOINT, METHODS
from qrnn_fast.experiments.study.plan import Plan
from qrnn_fast.experiments.study.tasks import alone
from qrnn_fast.experiments.study.workflow import Job
from qrnn_fast.experiments.train import Trainer
from qrnn_fast.files import write_json
from qrnn_fast.nn import QRNN

BATCH = 2  # windows
SHOTS = 1024
# Draws of a gradient: what these evaluations allow, within limits. Parameter-shift with shots takes seconds a draw.
EVALUATIONS = 5_000
LEAST_DRAWS, MOST_DRAWS = 3, 200
INITIAL, TRAINED = "initial weights", "weights trained by the adjoint"


@dataclass(frozen=True)
class Quality:
    """What a method's gradient by the encoder's weights is worth. Lengths are in units of the exact gradient's.

    Attributes:
        member: name of the method.
        weights: `INITIAL` or `TRAINED`.
        shots: of each evaluation; None where they are exact.
        cosines: of each draw with the exact gradient.
        bias: length of the difference between the mean of the draws and the exact gradient.
        bias_by_chance: the length that is to be expected of an unbiased method of that variance and number of draws.
        variance: mean square distance of a draw from the mean of the draws, n - 1 in the denominator.
    """

    member: str
    weights: str
    shots: int | None
    cosines: list[float]
    bias: float
    bias_by_chance: float
    variance: float

    @property
    def cosine(self) -> tuple[float, float]:
        """Mean of the cosines, and its standard error: zero of one draw, which all others would repeat."""
        n = len(self.cosines)
        return statistics.fmean(self.cosines), statistics.stdev(self.cosines) / math.sqrt(n) if n > 1 else 0.0

    @classmethod
    def of(cls, draws: Tensor, exact: Tensor, **names: Any) -> Quality:
        """The quality of draws (K, P), for the exact gradient (P,)."""
        length, mean, n = exact.norm(), draws.mean(0), len(draws)
        variance = float((draws - mean).square().sum() / max(1, n - 1) / length**2)
        return cls(
            cosines=torch.cosine_similarity(draws, exact, dim=1).tolist(),
            bias=float((mean - exact).norm() / length),
            bias_by_chance=math.sqrt(variance / n),
            variance=variance,
            **names,
        )

    @classmethod
    def read(cls, path: Path) -> Quality:
        """Read what `measure` has written."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def jobs(plan: Plan, out: Path, weights: str, adjoint: Path | None) -> dict[Path, Job]:
    """The measurements at some weights, by the file that they write: each gradient, exact and with shots.

    Of methods with the same gradient, the first one stands for all.

    Args:
        plan: the study's.
        out: the study's folder.
        weights: `INITIAL` or `TRAINED`.
        adjoint: folder of the run by the adjoint whose weights are meant; None for the initial ones.
    """
    found = {}
    members = [member for member in plan.members if member.runs_on_processors]
    for i, member in enumerate(members):
        if any(member.estimator == other.estimator for other in members[:i]):
            continue
        for shots in (None, plan.base.shots or SHOTS):
            kind = "exact" if shots is None else f"{shots}-shots"
            path = out / "quality" / weights.replace(" ", "-") / f"{member.name}-{kind}.json"
            run = None if adjoint is None else str(adjoint)
            arguments = (str(path), member.name, weights, shots, dataclasses.asdict(plan.base), run)
            found[path] = Job(f"gradient of {member.name}, {weights}, {kind}", measure, arguments, path.exists)
    return found


def measure(path: str, member: str, weights: str, shots: int | None, base: dict[str, Any], adjoint: str | None) -> None:
    """Draw gradients by the encoder's weights on one batch, and hold them against the adjoint's; see `Quality`.

    With shots, both ends of a difference draw numbers of their own, as they do on hardware.

    Args:
        path: file for the result.
        member: name of the method.
        weights: what to call the weights.
        shots: of each evaluation; None for exact probabilities.
        base: the study's settings.
        adjoint: folder of the run whose weights are taken; None for the initial ones.
    """
    with alone(Path(path)):
        if Path(path).exists():
            return
        settings = dataclasses.replace(Settings(**base), stateful=False)
        torch.set_num_threads(settings.threads or 1)
        task = make_task(settings)
        exact = Trainer(ADJOINT.settings(settings), task, Path(adjoint or ""), "native")
        if adjoint is not None:
            exact.read()
            exact.memory = None  # the batch begins anew, whatever windows a stateful run was at
        method = Trainer(METHODS[member].settings(settings, shots=shots), task, Path(), "native")
        method.model.load_state_dict(exact.model.state_dict())
        layer = method.model.layer
        assert isinstance(layer, QRNN)
        estimator = resolve(layer.gradient, "weights")
        if isinstance(estimator, SPSA | FDSA):
            layer.gradient = dataclasses.replace(estimator, common_random_numbers=False)
        starts = task.train.starts
        batch = starts[torch.randperm(len(starts), generator=torch.Generator().manual_seed(settings.seed))[:BATCH]]
        n = 1
        if shots is not None or estimator.draws:
            affordable = EVALUATIONS // (len(batch) * method.evaluations_per_sequence)
            n = min(MOST_DRAWS, max(LEAST_DRAWS, affordable))
        draws = torch.stack([_gradient(method, batch) for _ in range(n)])
        quality = Quality.of(draws, _gradient(exact, batch), member=member, weights=weights, shots=shots)
        write_json(Path(path), dataclasses.asdict(quality))


def _gradient(trainer: Trainer, batch: Tensor) -> Tensor:
    layer = trainer.model.layer
    assert isinstance(layer, QRNN)
    trainer.model.zero_grad()
    trainer.loss(batch).backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten().double() for p in layer.encoder.parameters() if p.grad is not None])
