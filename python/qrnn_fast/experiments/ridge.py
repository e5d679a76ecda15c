"""The readout of a trained network, solved anew in one step."""

from __future__ import annotations

import dataclasses

import torch

from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.model import Forecaster


def fit_head(model: Forecaster, task: Task, penalty: float) -> None:
    """Replace the head by the ridge regression of the targets on the layer's outputs.

    The training rows are run as one sequence begun from |0...0>, as the validation rows are in the long run, and its
    first steps are left out as they are there. Outputs and targets are centred, so that the bias is not penalised.

    Args:
        model: its layer stays as it is.
        task: gives the training rows.
        penalty: of the squared weights, relative to the number of rows.
    """
    first = task.context - 1
    start = torch.tensor([first])
    whole = dataclasses.replace(task.long_run, starts=start, steps=task.n_train - 1 - first)
    rows = whole.rows()
    with torch.no_grad():
        outputs = model.outputs(task.inputs(rows))[0][0, whole.washout :].double()
        targets = task.targets(rows)[0, whole.washout :].double()
        centre, mean = outputs.mean(0), targets.mean(0)
        a = outputs - centre
        square = a.T @ a + penalty * len(a) * torch.eye(a.shape[1], dtype=a.dtype)
        weight = torch.linalg.solve(square, a.T @ (targets - mean)).T
        model.head.weight.copy_(weight)
        model.head.bias.copy_(mean - weight @ centre)
