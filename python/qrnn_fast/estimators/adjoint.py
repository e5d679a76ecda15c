"""The adjoint method: exact gradients at a few times the cost of a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from qrnn_fast.backends.native import Native
from qrnn_fast.estimators.base import Estimator, Evaluation


@dataclass(frozen=True)
class Adjoint(Estimator):
    """Exact gradients by angles and by the initial memory, whatever the number of angles.

    The gradient of the outputs is pulled back through the steps in reverse order (Heisenberg picture), with the
    memory of every step kept. Needs the native backend without shots: samples have no derivative.
    """

    method: ClassVar[str] = "adjoint"

    def vjp(
        self,
        evaluation: Evaluation,
        angles: Tensor,
        memory: Tensor | None,
        grad_probs: Tensor,
        grad_memory: Tensor | None,
        seed: int,
        sequence_ids: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        self.check(evaluation)
        assert isinstance(evaluation.backend, Native)
        return evaluation.backend.vjp(evaluation.circuit, angles, memory, grad_probs, grad_memory)

    @staticmethod
    def check(evaluation: Evaluation) -> None:
        """Raises ValueError where the backend has no adjoint, or samples."""
        if not isinstance(evaluation.backend, Native):
            raise ValueError(
                f"gradient='adjoint' needs the native backend, got {evaluation.backend.name!r}; with that one use "
                "gradient='parameter-shift', 'spsa' or 'fdsa', or torch.no_grad() where no gradient is wanted"
            )
        if evaluation.is_sampled:
            raise ValueError(
                f"gradient='adjoint' differentiates exact probabilities, got shots={evaluation.shots}; use "
                "gradient='parameter-shift', 'spsa' or 'fdsa', or shots=None, or torch.no_grad() where no gradient is "
                "wanted"
            )
