"""Readout errors on outcome probabilities and on counts of outcomes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qrnn_fast.circuit import Circuit

# Outcome bits, and a confusion matrix (2^k, 2^k) float64 with a column for each true outcome of theirs.
Confusion = tuple[tuple[int, ...], Tensor]


def confusions(circuit: Circuit) -> list[Confusion]:
    """One for each readout error of the circuit."""
    return [
        (
            tuple(circuit.readout.index(q) for q in error.qubits),
            torch.tensor(error.confusion, dtype=torch.float64, device="cpu"),
        )
        for error in circuit.readout_errors
    ]


def confuse(probs: Tensor, errors: list[Confusion], transposed: bool = False) -> Tensor:
    """Probabilities (B, T, 2^r) of what is told, for those of what is true; or the transpose of that map."""
    if not errors:
        return probs
    n_bits = probs.shape[-1].bit_length() - 1
    for bits, confusion in errors:
        matrix = (confusion.T if transposed else confusion).to(probs)
        # The highest bit comes first, of the outcome as well as of the matrix' index.
        axes, last = [2 + n_bits - 1 - bit for bit in reversed(bits)], [*range(-len(bits), 0)]
        split = probs.reshape(*probs.shape[:2], *(2,) * n_bits).movedim(axes, last)
        mixed = (split.reshape(-1, len(matrix)) @ matrix.T).view(split.shape)
        probs = mixed.movedim(last, axes).reshape(probs.shape)
    return probs


def confuse_counts(
    counts: NDArray[np.int64], errors: list[Confusion], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Counts (T, 2^r) of what is told, drawn for those of what is true: shots and steps are confused independently."""
    for bits, confusion in errors:
        columns = confusion.numpy() / confusion.numpy().sum(0)
        place = sum(1 << bit for bit in bits)
        # By number of a told outcome of these bits: where they stand in the whole outcome.
        spread = np.array([sum((i >> k & 1) << bit for k, bit in enumerate(bits)) for i in range(len(columns))])
        told = np.zeros_like(counts)
        for t, outcome in zip(*counts.nonzero(), strict=True):
            actual = int(np.flatnonzero(spread == (outcome & place))[0])
            told[t, (outcome & ~place) | spread] += generator.multinomial(counts[t, outcome], columns[:, actual])
        counts = told
    return counts
