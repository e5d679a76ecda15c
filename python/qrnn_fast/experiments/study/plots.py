"""The plots of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.plots import moving_mean
from qrnn_fast.experiments.study.groups import Trained
from qrnn_fast.experiments.study.quality import Quality
from qrnn_fast.experiments.train import UPDATES

_POINTS_SHOWN = 400


def curves(members: Sequence[Trained], path: Path) -> None:
    """Training error over updates and over circuit evaluations: mean and range over the seeds.

    Args:
        members: those without updates, and runs that diverged, are left out.
        path: the picture.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    by_update, by_evaluation = figure.subplots(1, 2, sharey=True)
    for one in members:
        logs = [read_lines(run.folder / UPDATES) for run in one.runs if run.message is None]
        if not logs or not one.group.updates:
            continue
        width = max(1, one.group.updates // 50)
        smooth = np.sqrt(moving_mean(np.array([[line["loss"] for line in log] for log in logs]), width))
        shown = np.unique(np.geomspace(1, smooth.shape[1], _POINTS_SHOWN).astype(int)) - 1
        updates = shown + width
        evaluations = np.array([line["evaluations"] for line in logs[0]])[updates - 1]
        _band(by_update, updates, smooth[:, shown], one.group.member.name)
        if evaluations.any():
            _band(by_evaluation, evaluations, smooth[:, shown], one.group.member.name)
    by_update.set(xlabel="update", ylabel="training RMSE (moving mean)", xscale="log", yscale="log")
    by_evaluation.set(xlabel="circuit evaluations (adjoint: forward passes only)", xscale="log")
    by_update.legend()
    figure.savefig(path, dpi=120)


def gradients(qualities: Sequence[Quality], path: Path) -> None:
    """Cosine with the exact gradient and relative variance of every method, at all weights, exact and with shots."""
    cases = list(dict.fromkeys((q.weights, q.shots) for q in qualities))
    members = list(dict.fromkeys(q.member for q in qualities))
    figure = Figure(figsize=(11, 1.5 + 0.6 * len(members)), layout="constrained")
    cosine, variance = figure.subplots(1, 2, sharey=True)
    height = 0.8 / len(cases)
    for i, case in enumerate(cases):
        chosen = [q for q in qualities if (q.weights, q.shots) == case]
        places = [members.index(q.member) + (i - (len(cases) - 1) / 2) * height for q in chosen]
        label = f"{case[0]}, {'exact' if case[1] is None else f'{case[1]:,} shots'}"
        means, errors = zip(*(q.cosine for q in chosen), strict=True)
        cosine.barh(places, means, height, xerr=errors, label=label)
        variance.plot([q.variance for q in chosen], places, "o")
    cosine.set(xlabel="cosine with the exact gradient", yticks=range(len(members)), yticklabels=members)
    variance.set(xlabel="variance, relative to the exact gradient's square")
    variance.set_xscale("symlog", linthresh=1e-3)  # exact ones have none
    variance.set_xlim(left=-1e-4)
    cosine.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)


def _band(axes: Axes, x: np.ndarray, y: np.ndarray, label: str) -> None:
    (line,) = axes.plot(x, y.mean(0), label=label)
    axes.fill_between(x, y.min(0), y.max(0), alpha=0.2, color=line.get_color(), linewidth=0)
