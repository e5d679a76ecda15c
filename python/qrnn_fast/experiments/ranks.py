"""The processes that train one network together, as torchrun starts them: torch.distributed over gloo, on CPUs.

Every rank holds the same weights, the same random states and the same order of the windows. Each takes its share of a
batch, losses and gradients are added up, and so all of them make the update that one process would make. Or each takes
the whole batch, and its share of the estimator's perturbed copies. Reading and writing files is the first rank's
business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

_T = TypeVar("_T")
_Collective = Callable[..., object]


class EndedError(RuntimeError):
    """This rank ends with the others; what ended them is told by another one."""


class RankLostError(RuntimeError):
    """Another rank has ended or cannot be reached."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of a run, seen from one of them.

    As a context they part in the end. Of the errors and interrupts that end the ranks, the first
    is raised as it is, so that it is told once; the others become an EndedError.

    Attributes:
        number: of this rank, from 0.
        count: number of ranks.
        store: what the ranks share; None where there is one alone.
        over_copies: whether they share the perturbed copies of every batch, which the estimator sees to, in place of
            the batches.
    """

    number: int = 0
    count: int = 1
    store: Any = None  # a torch.distributed.Store, which has no type stub
    over_copies: bool = False

    @classmethod
    def of_torchrun(cls, *, over_copies: bool = False) -> Ranks:
        """The ranks that torchrun has started, joined to a process group; one alone without it.

        Raises:
            ValueError: copies are to be shared, and there is no torchrun.
        """
        if not dist.is_torchelastic_launched():
            if over_copies:
                raise ValueError("--copies-over-ranks is for the processes that torchrun starts; leave it out")
            return ALONE
        store, number, count = next(rendezvous("env://"))
        if count == 1:
            return ALONE
        dist.init_process_group("gloo", store=store, rank=number, world_size=count)
        return cls(number, count, store, over_copies)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.store is None:
            return
        if error is None:
            dist.destroy_process_group()
            return
        # The group is left to the end of the process, by when this rank has told what happened: the others notice that
        # it is gone, end, too, and are the sign for torchrun to end all.
        try:
            is_told = self.store.add("failures", 1) > 1
        except RuntimeError:  # the store has gone, together with torchrun
            is_told = False
        if is_told:
            raise EndedError("another rank has failed") from error

    @property
    def is_first(self) -> bool:
        """Whether this rank reads and writes files and prints."""
        return self.number == 0

    @property
    def shares_batches(self) -> bool:
        """Whether a batch is cut to pieces."""
        return self.count > 1 and not self.over_copies

    def share(self, n: int) -> slice:
        """This rank's part of the n rows of a batch: the parts follow each other and differ by one row at most."""
        if self.over_copies:
            return slice(n)
        return slice(n * self.number // self.count, n * (self.number + 1) // self.count)

    def from_first(self, make: Callable[[], _T]) -> _T:
        """What the first rank makes, on every rank.

        Raises:
            RankLostError: the first rank could not make it; that one raises why.
        """
        made: list[_T] = [make()] if self.is_first else []
        if self.count == 1:
            return made[0]
        box: list[_T | None] = [made[0] if made else None]
        _together(dist.broadcast_object_list, box)
        return box[0]  # type: ignore[return-value]

    def total(self, part: Tensor) -> Tensor:
        """The sum over all shares of a batch, in place of this rank's part."""
        if self.shares_batches:
            _together(dist.all_reduce, part)
        return part

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over all shares of a batch.

        All in one vector: a network has a few hundred weights. DistributedDataParallel was no faster, and would want
        every pass to go through a forward of its own, means in place of sums, and no empty share.
        """
        if not self.shares_batches:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.total(torch.cat([g.flatten() for g in gradients]))
        for gradient, summed in zip(gradients, flat.split_with_sizes([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def gathered(self, part: Tensor, dim: int) -> Tensor:
        """All shares of a batch, which is dimension `dim`, put together."""
        if not self.shares_batches:
            return part
        parts = [part] * self.count
        _together(dist.all_gather_object, parts, part)
        return torch.cat(parts, dim)


ALONE = Ranks()


def refuse_torchrun(command: str) -> None:
    """Raise ValueError where torchrun has started several processes for a command that is for one."""
    if dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1:
        raise ValueError(f"{command} is for one process, and torchrun has started several; call it without torchrun")


def _together(collective: _Collective, *arguments: object) -> None:
    try:
        collective(*arguments)
    except RuntimeError as error:
        reason = str(error).split(". ")[0]  # what follows is advice
        raise RankLostError(f"another rank has ended or cannot be reached ({reason})") from error
