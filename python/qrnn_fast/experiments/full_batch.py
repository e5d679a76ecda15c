"""Training by L-BFGS on all windows at once, which takes exact gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.model import Forecaster
from qrnn_fast.experiments.ranks import ALONE, Ranks
from qrnn_fast.experiments.ridge import solve_head

HISTORY = 50  # pairs of steps and gradients that the curvature is taken from
_EVALUATIONS = 25  # of one line search, at most


class FullBatch:
    """L-BFGS with a strong Wolfe line search (Nocedal and Wright, Numerical Optimization, algorithms 7.5 and 3.5).

    With a ridge penalty the head is solved anew at every evaluation and the layer's weights alone are searched, by
    the gradient at fixed head, which is the whole one there (variable projection; Golub and Pereyra, SIAM J. Numer.
    Anal. 10, 413, 1973). Without it, all weights are searched together.

    Args:
        model: the network.
        task: gives the training windows.
        ridge: penalty of `solve_head`, or None.
        ranks: the processes that share the windows.

    Attributes:
        evaluations: evaluations of all windows, with gradient, since construction.
    """

    def __init__(self, model: Forecaster, task: Task, ridge: float | None, ranks: Ranks = ALONE) -> None:
        self.model, self.ridge, self.ranks = model, ridge, ranks
        self.evaluations = 0
        self._counts = True
        rows = task.train.rows()
        self._washout = task.train.washout
        mine = ranks.share(len(rows))
        self._inputs = task.inputs(rows[mine])
        targets = task.targets(rows)[:, self._washout :]
        self._targets, self._all_targets = targets[mine].flatten(0, 1), targets.flatten(0, 1)
        self._weights = list((model.layer if ridge is not None else model).parameters())
        self._at: Tensor | None = None  # where the gradients in .grad belong
        self._loss = torch.tensor(torch.nan)
        self._optimiser = torch.optim.LBFGS(
            self._weights,
            max_iter=1,
            max_eval=_EVALUATIONS,
            tolerance_grad=0,
            tolerance_change=0,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

    def state_dict(self) -> dict[str, Any]:
        """What, with the model's, continues the search to the same bits."""
        return self._optimiser.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where `state_dict` was taken, once the model is there."""
        self._optimiser.load_state_dict(state)
        self._counts = False  # the next evaluation repeats the last one before

    def step(self) -> float:
        """Make one step of the search.

        Returns:
            The mean squared error behind it, with a ridge its penalty included.
        """
        self._optimiser.step(self._evaluate)  # type: ignore[no-untyped-call]
        # The line search may have ended elsewhere than where it looked last: weights and head belong together.
        with torch.enable_grad():
            return self._evaluate().item() / self._all_targets.numel()

    def _evaluate(self) -> Tensor:
        """The sum of squared errors, with its gradients left in .grad.

        The sum, not the mean: PyTorch keeps curvature above 1e-10 only, and that of a mean lies below it.
        """
        here = parameters_to_vector(self._weights).detach()
        if self._at is not None and torch.equal(here, self._at):
            return self._loss
        self.evaluations += self._counts
        self._counts = True
        for weight in self._weights:
            weight.grad = None
        outputs = self.model.outputs(self._inputs)[0][:, self._washout :].flatten(0, 1)
        head = self.model.head
        penalty = 0.0
        if self.ridge is not None:
            solve_head(head, self.ranks.gathered(outputs.detach(), 0), self._all_targets, self.ridge)
            penalty = self.ridge * len(self._all_targets) * float(head.weight.detach().double().square().sum())
        loss = (head(outputs) - self._targets).square().sum()
        loss.backward()
        self.ranks.add_gradients(self._weights)
        self._at, self._loss = here, self.ranks.total(loss.detach()) + penalty
        return self._loss
