"""Perturbed copies spread over the ranks of torch.distributed, which all hold the same batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from qrnn_fast.estimators.base import Values


def over_ranks(values: Values, n_rows: int, *held: Tensor | str | int | None) -> Values:
    """The same values, of which each rank of the default process group evaluates its share.

    Only the values (N, R) are exchanged. They are put in their places before anything is summed, so every rank goes on
    with the bits that one process would have.

    Args:
        values: maps the copies' offsets and numbers to values.
        n_rows: number R of rows.
        held: all that decides the values; every rank must hold the same, to the last bit.

    Raises:
        RuntimeError: there is no process group.
        ValueError: the ranks do not hold the same.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "over_ranks=True spreads copies over the ranks of a process group, and there is none; start the program "
            "with torchrun and call torch.distributed.init_process_group('gloo') first, or leave over_ranks out"
        )
    number, count = dist.get_rank(), dist.get_world_size()
    digests = [torch.empty(1, dtype=torch.int64, device="cpu") for _ in range(count)]
    dist.all_gather(digests, torch.tensor([_digest(held)], device="cpu"))
    if different := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
        raise ValueError(
            f"over_ranks=True needs the same batch, weights, gradient and seed on every rank, and rank {different[0]} "
            "differs from rank 0; give all ranks the whole batch and generators of one seed, and to ranks that share "
            "batches an estimator without over_ranks"
        )

    def spread(offsets: Tensor, copies: Sequence[int]) -> Tensor:
        n = len(copies)
        share = slice(n * number // count, n * (number + 1) // count)
        told = torch.zeros(n, n_rows, dtype=torch.float64, device="cpu")
        if share.stop > share.start:
            told[share] = values(offsets[share], copies[share])
        dist.all_reduce(told)  # the others' zeros change no bit
        return told

    return spread


def _digest(held: Sequence[Tensor | str | int | None]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for one in held:
        if isinstance(one, Tensor):
            digest.update(f"{one.dtype} {tuple(one.shape)}".encode())
            digest.update(one.detach().resolve_conj().contiguous().numpy().data)
        else:
            digest.update(repr(one).encode())
    return int.from_bytes(digest.digest(), "little", signed=True)
