"""One call of the backend for a forward pass and the gradient that will follow.

The perturbed copies that an estimator evaluates do not depend on the outputs. So its gradient is computed twice: first,
in the forward pass, on a backend that writes down what it is asked and answers zeros; later on one that gives the real
answers, which came in one call together with the forward pass's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators.base import Evaluation


class _Asked(NamedTuple):
    circuit: Circuit
    angles: Tensor  # (B, T, A)


class _Recorder:
    """A backend that writes down what it is asked and answers zeros, without a memory.

    Attributes:
        asked: circuits and angles (B, T, A), in the order in which they were asked for.
    """

    def __init__(self, backend: Backend) -> None:
        self.name, self.shots = backend.name, getattr(backend, "shots", None)
        self.asked: list[_Asked] = []

    def run(self, circuit: Circuit, angles: Tensor, memory: Tensor | None, **_: Any) -> tuple[Tensor, None]:
        self.asked.append(_Asked(circuit, angles))
        return angles.new_zeros(*angles.shape[:2], 2 ** len(circuit.readout)), None


class _Replay:
    """A backend that gives answers in the order in which they were asked for, and then again from the first."""

    def __init__(self, backend: Backend, asked: list[_Asked], answers: list[Tensor]) -> None:
        self.name, self.shots = backend.name, getattr(backend, "shots", None)
        self._asked, self._answers, self._next = asked, answers, 0

    def run(self, circuit: Circuit, angles: Tensor, memory: Tensor | None, **_: Any) -> tuple[Tensor, None]:
        place = self._next % len(self._asked)
        asked, self._next = self._asked[place], self._next + 1
        if asked.circuit != circuit or not torch.equal(asked.angles, angles):
            raise RuntimeError(
                "the gradient asks for other circuits than were run in the forward pass: the encoder gave other angles "
                "for the same weights and input; it must not draw random numbers of its own, nor hold buffers that "
                "forward passes change and angles depend on"
            )
        return self._answers[place], None


def runs_ahead(backend: Backend) -> bool:
    """Whether the backend wants one call for an update."""
    return getattr(backend, "one_call_per_update", False)


def run_ahead(
    evaluation: Evaluation, seed: int, computations: list[Callable[[Evaluation], object]]
) -> list[Evaluation]:
    """Run all that several computations will ask a sampling backend for, in one call.

    Args:
        evaluation: circuit, backend and shots; there is no initial memory.
        seed: where the call's random numbers start.
        computations: each runs its circuits on the evaluation that it is given; what it asks for must not depend on
            the answers.

    Returns:
        An evaluation for each of them, to be given in place of the first: that one itself where they ask for several
        circuits or lengths, which cannot be one call. (Parameter-shift has its own circuit where an angle serves
        several gates.)
    """
    circuit, backend, shots = evaluation
    recorders = [_Recorder(backend) for _ in computations]
    for recorder, computation in zip(recorders, computations, strict=True):
        computation(Evaluation(circuit, recorder, shots))
    asked = [one for recorder in recorders for one in recorder.asked]
    if len({(one.circuit, one.angles.shape[1]) for one in asked}) != 1:
        return [evaluation] * len(computations)
    probs, _ = Evaluation(asked[0].circuit, backend, shots).run(torch.cat([one.angles for one in asked]), None, seed)
    answers = iter(torch.split(probs, [len(one.angles) for one in asked]))
    return [
        Evaluation(circuit, _Replay(backend, recorder.asked, [next(answers) for _ in recorder.asked]), shots)
        for recorder in recorders
    ]
