"""The readout of a trained network, solved anew in one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.model import Forecaster


def fit_head(model: Forecaster, task: Task, penalty: float) -> None:
    """Replace the head by the ridge regression of the targets on the layer's outputs.

    The training rows are run as one sequence begun from |0...0>, as the validation rows are in the long run, and its
    first steps are left out as they are there.

    Args:
        model: its layer stays as it is.
        task: gives the training rows.
        penalty: as of `solve_head`.
    """
    whole = task.training_run
    rows = whole.rows()
    with torch.no_grad():
        outputs = model.outputs(task.inputs(rows))[0][0, whole.washout :]
    solve_head(model.head, outputs, task.targets(rows)[0, whole.washout :], penalty)


@torch.no_grad()
def solve_head(head: nn.Linear, outputs: Tensor, targets: Tensor, penalty: float) -> None:
    """Make a head the ridge regression of targets on a layer's outputs.

    Outputs and targets are centred, so that the bias is not penalised.

    Args:
        head: its weights are replaced.
        outputs: (N, features).
        targets: (N, k).
        penalty: of the squared weights, relative to the number N of rows.
    """
    outputs, targets = outputs.double(), targets.double()
    centre, mean = outputs.mean(0), targets.mean(0)
    a = outputs - centre
    square = a.T @ a + penalty * len(a) * torch.eye(a.shape[1], dtype=a.dtype)
    weight = torch.linalg.solve(square, a.T @ (targets - mean)).T
    head.weight.copy_(weight)
    head.bias.copy_(mean - weight @ centre)
