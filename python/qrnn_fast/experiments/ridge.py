"""The readout of a trained network, solved anew in one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qrnn_fast.experiments.data import Task, Windows
from qrnn_fast.experiments.evaluate import WINDOWS_AT_ONCE
from qrnn_fast.experiments.model import Forecaster


def fit_head(model: Forecaster, task: Task, penalty: float, windows: Windows) -> None:
    """Replace the head by the ridge regression of the targets on the layer's outputs.

    Args:
        model: its layer stays as it is.
        task: gives the rows.
        penalty: as of `solve_head`.
        windows: the sequences, each begun from the initial memory; their washout is left out.
    """
    with torch.no_grad():
        parts = [
            model.outputs(task.inputs(rows))[0][:, windows.washout :].flatten(0, 1)
            for rows in torch.split(windows.rows(), WINDOWS_AT_ONCE)
        ]
    targets = task.targets(windows.rows())[:, windows.washout :].flatten(0, 1)
    solve_head(model.head, torch.cat(parts), targets, penalty)


@torch.no_grad()
def solve_head(head: nn.Linear, outputs: Tensor, targets: Tensor, penalty: float) -> None:
    """Make a head the ridge regression of targets on a layer's outputs.

    Outputs and targets are centred, so that the bias is not penalised. Without a penalty the weights are the smallest
    of all that fit best: there are many, since probabilities add up to one.

    Args:
        head: its weights are replaced.
        outputs: (N, features).
        targets: (N, k).
        penalty: of the squared weights, relative to the number N of rows.
    """
    outputs, targets = outputs.double(), targets.double()
    centre, mean = outputs.mean(0), targets.mean(0)
    a = outputs - centre
    if penalty == 0:
        weight = torch.linalg.lstsq(a, targets - mean, driver="gelsd").solution.T
    else:
        square = a.T @ a + penalty * len(a) * torch.eye(a.shape[1], dtype=a.dtype)
        weight = torch.linalg.solve(square, a.T @ (targets - mean)).T
    head.weight.copy_(weight)
    head.bias.copy_(mean - weight @ centre)
