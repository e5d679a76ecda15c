"""Gradient estimators: adjoint, parameter-shift, SPSA and FDSA."""

from __future__ import annotations

import json
from functools import lru_cache

from qrnn_fast.estimators.adjoint import Adjoint
from qrnn_fast.estimators.base import Estimator, Evaluation, Perturbation, Wrt
from qrnn_fast.estimators.fdsa import FDSA
from qrnn_fast.estimators.parameter_shift import ParameterShift
from qrnn_fast.estimators.spsa import SPSA

__all__ = ["FDSA", "SPSA", "Adjoint", "Estimator", "Evaluation", "ParameterShift", "Perturbation", "parse", "resolve"]

_CLASSES: dict[str, type[Estimator]] = {c.method: c for c in (Adjoint, ParameterShift, SPSA, FDSA)}

# Estimators by name, for the two places that take one: evolve perturbs angles, QRNN weights.
_BY_NAME: dict[Wrt, dict[str, Estimator]] = {
    wrt: {"adjoint": Adjoint(), "parameter-shift": ParameterShift(), "spsa": SPSA(wrt=wrt), "fdsa": FDSA(wrt=wrt)}
    for wrt in ("weights", "angles")
}


def resolve(gradient: str | Estimator, wrt: Wrt) -> Estimator:
    """The estimator that `gradient` names or is.

    Args:
        gradient: "adjoint", "parameter-shift", "spsa", "fdsa", or an estimator.
        wrt: what "spsa" and "fdsa" perturb when given by name.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor an estimator.
    """
    if isinstance(gradient, Estimator):
        return gradient
    if not isinstance(gradient, str):
        raise TypeError(f"gradient must be one of {_accepted()}, got {gradient!r}")
    if gradient not in _BY_NAME[wrt]:
        raise ValueError(f"unknown gradient {gradient!r}; accepted: {_accepted()}")
    return _BY_NAME[wrt][gradient]


@lru_cache(maxsize=256)
def parse(text: str) -> Estimator:
    """The estimator whose `text` this is."""
    settings = json.loads(text)
    return _CLASSES[settings.pop("method")](**settings)


def _accepted() -> str:
    names = ", ".join(repr(name) for name in _CLASSES)
    return f"{names}, or an estimator such as qf.SPSA(c=0.1, samples=2, wrt='angles')"
