"""Sequences of different lengths: those of equal length run together, each over its own steps only."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# (n, T, A) angles, (n, 2^m, 2^m) memory and (n,) ids to (n, T, 2^r) probabilities and (n, 2^m, 2^m) final memory.
Run = Callable[[Tensor, Tensor | None, Tensor], tuple[Tensor, Tensor | None]]

# Takes n sequences (n, T, ...) out of packed data (S, ...): indices (n, T). Or out of a batch (B, T, ...): a slice.
Steps = Tensor | slice


class Group(NamedTuple):
    """Sequences of one length T: their rows in the batch, and where their steps lie in the data."""

    rows: slice
    ids: Tensor  # (n,) what sets their random numbers apart
    steps: Steps


class Packing(NamedTuple):
    """The groups of packed data (S, ...), S being the number of steps of all sequences together."""

    groups: tuple[Group, ...]  # the longest first, as the rows of packed data are sorted
    order: Tensor  # (S,) where each step lies when the groups' outputs are laid end to end

    @classmethod
    def of(cls, batch_sizes: Tensor, sorted_indices: Tensor | None, sequence_ids: Tensor | None) -> Packing:
        """The groups of a PackedSequence with these batch sizes and this order.

        Args:
            batch_sizes: number of sequences that have each step.
            sorted_indices: where the sequences stood before they were sorted; None where they stand as they did.
            sequence_ids: (B,) of the sequences as they stood; None for their numbers.
        """
        starts = batch_sizes.cumsum(0) - batch_sizes  # where each step begins in the data
        numbers = torch.arange(int(batch_sizes[0]), device="cpu")
        lengths = (batch_sizes[:, None] > numbers).sum(0)  # descending, as the rows are
        distinct, counts = torch.unique_consecutive(lengths, return_counts=True)
        ids = numbers if sequence_ids is None else sequence_ids
        ids = ids if sorted_indices is None else ids[sorted_indices.cpu()]
        groups, order, first = [], [], 0
        for length, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            rows = slice(first, first + count)
            steps = starts[:length] + numbers[rows, None]
            groups.append(Group(rows, ids[rows], steps))
            order.append(steps.flatten())
            first += count
        return cls(tuple(groups), torch.cat(order).argsort())

    def run(self, run: Run, angles: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Probabilities (S, 2^r) and final memories (B, 2^m, 2^m) for angles (S, A) and memories (B, 2^m, 2^m)."""
        outputs = [run(angles[g.steps], None if memory is None else memory[g.rows], g.ids) for g in self.groups]
        probs = torch.cat([p.flatten(0, 1) for p, _ in outputs])[self.order]
        finals = [final for _, final in outputs if final is not None]
        return probs, torch.cat(finals) if finals else None
