"""Gains over the updates of a run: the learning rate, and the perturbation of SPSA and FDSA."""

from __future__ import annotations

import math

from qrnn_fast.experiments.settings import Settings


def learning_rate(settings: Settings, update: int, total: int) -> float:
    """The learning rate of update number `update` (from 0) of `total`.

    "one-cycle" rises along a cosine from lr / 25 to lr over the first three tenths and falls along another to
    lr / 1000 (after L. N. Smith and N. Topin, arXiv:1708.07120). "spall" falls as a_k = a / (k + 1 + A)^0.602 with A a
    tenth of the updates, and a such that the first one has lr (Spall, IEEE Trans. Aerosp. Electron. Syst. 34, 817,
    1998, section III).
    """
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "spall":
        stability = total / 10
        return settings.lr * math.pow((stability + 1) / (update + 1 + stability), 0.602)
    rise = 0.3 * total
    begin, end, part = (
        (1 / 25, 1.0, update / rise) if update < rise else (1.0, 1 / 1000, (update - rise) / (total - rise))
    )
    return settings.lr * (end + (begin - end) * (1 + math.cos(math.pi * part)) / 2)


def perturbation(settings: Settings, update: int) -> float:
    """The perturbation of update number `update` (from 0).

    "spall" lets it fall as c_k = c / (k + 1)^0.101 (the same source), the others leave it as it is.
    """
    return settings.perturbation * (math.pow(update + 1, -0.101) if settings.schedule == "spall" else 1.0)
