"""Training, with checkpoints from which a run continues to the same bits."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qrnn_fast.backends.base import Backend
from qrnn_fast.backends.runtime import Runtime
from qrnn_fast.estimators import FDSA, SPSA, resolve
from qrnn_fast.experiments.checkpoint import load_checkpoint, save_checkpoint
from qrnn_fast.experiments.data import Task, streams
from qrnn_fast.experiments.evaluate import model_errors, protocols
from qrnn_fast.experiments.full_batch import FullBatch
from qrnn_fast.experiments.log import LineLog, Log, keep_lines
from qrnn_fast.experiments.model import Memory, evaluations_per_sequence, make_model, map_memory
from qrnn_fast.experiments.ranks import ALONE, Ranks
from qrnn_fast.experiments.ridge import fit_head
from qrnn_fast.experiments.schedules import learning_rate, perturbation
from qrnn_fast.experiments.settings import UNTRAINED, Settings
from qrnn_fast.nn import QRNN

CHECKPOINT = "checkpoint.pt"
UPDATES = "updates.jsonl"
EPOCHS = "epochs.jsonl"

_STATE_KEYS = {
    "update",
    "evaluations",
    "order",
    "memory",
    "position",
    "order_state",
    "direction_state",
    "model",
    "optimiser",
    "task",
    "calls",
}

OnUpdate = Callable[[int, float], None]


class Update(NamedTuple):
    """What an update tells: its loss, the number of windows evaluated and, where it is clipped, the gradient's norm."""

    loss: float
    windows: int
    gradient_norm: float | None = None


class DivergedError(RuntimeError):
    """A loss or gradient that is not finite."""


class Trainer:
    """The state of a training run and the loop that moves it on.

    Args:
        settings: the run's settings.
        task: made from the same settings.
        folder: an existing folder for the checkpoint and the logs (one line of JSON for each update and each
            validation).
        backend: where the circuits run, as of `make_backend`.
        ranks: the processes that train together; the folder is the first one's.
    """

    def __init__(
        self, settings: Settings, task: Task, folder: Path, backend: str | Backend, ranks: Ranks = ALONE
    ) -> None:
        self.settings = settings
        self.task = task
        self.folder = folder
        self.ranks = ranks
        # Independent streams: none moves when another is drawn from.
        init_seed, order_seed, direction_seed = np.random.SeedSequence(settings.seed).generate_state(3, np.uint64)
        self.order_generator = torch.Generator().manual_seed(int(order_seed))
        self.directions = torch.Generator().manual_seed(int(direction_seed))
        self.processor = backend if isinstance(backend, Runtime) else None
        self.model = make_model(settings, task.n_inputs, task.n_targets, int(init_seed), self.directions, backend)
        if ranks.over_copies and isinstance(self.model.layer, QRNN):
            estimator = resolve(self.model.layer.gradient, "weights")
            self.model.layer.gradient = dataclasses.replace(estimator, over_ranks=True)  # type: ignore[type-var]
        self.optimiser: torch.optim.Optimizer | FullBatch
        if settings.optimiser == "l-bfgs":
            self.optimiser = FullBatch(self.model, task, settings.ridge, ranks)
        else:
            kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[settings.optimiser]
            self.optimiser = kind(self.model.parameters(), lr=settings.lr, fused=True)
        self.evaluations_per_sequence = evaluations_per_sequence(settings, self.model.layer)
        self.update = 0
        self.evaluations = 0
        self.order = torch.empty(0, dtype=torch.int64)  # the epoch's windows, by the row of step 0
        self.position = 0  # of the next batch in it
        self.memory: Memory | None = None  # behind this rank's share of the last batch, of stateful training

    @cached_property
    def updates_per_epoch(self) -> int:
        """Updates of one pass over the training windows."""
        if isinstance(self.optimiser, FullBatch):
            return 1
        if self.settings.stateful:
            return len(streams(self.task, self.settings.batch_size, 0))
        return math.ceil(len(self.task.train.starts) / self.settings.batch_size)

    @property
    def total_updates(self) -> int:
        """Updates after which the run is complete: none where the layer stays as drawn."""
        if self.settings.gradient == UNTRAINED:
            return 0
        total = self.settings.epochs * self.updates_per_epoch
        return total if self.settings.updates is None else min(total, self.settings.updates)

    def save(self) -> None:
        """Write the checkpoint."""
        memory = None if self.memory is None else map_memory(lambda m: self.ranks.gathered(m, 1), self.memory)
        if not self.ranks.is_first:
            return
        state = {
            "update": self.update,
            "evaluations": self.evaluations,
            "order": self.order,
            "memory": memory,
            "position": self.position,
            "order_state": self.order_generator.get_state(),
            "direction_state": self.directions.get_state(),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "task": _digest(self.task),
            "calls": 0 if self.processor is None else self.processor.position,
        }
        save_checkpoint(self.folder / CHECKPOINT, state)
        if self.processor is not None:
            self.processor.forget(self.processor.position)

    def read(self) -> None:
        """Go to where the checkpoint in the run's folder stands.

        Raises:
            ValueError: no whole checkpoint, or one that belongs to other data or settings.
        """
        path = self.folder / CHECKPOINT
        state = self.ranks.from_first(lambda: load_checkpoint(path, _STATE_KEYS))
        if state["task"] != _digest(self.task):
            raise ValueError(f"{path}: was written on other data than is there now; put the data back or begin anew")
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise ValueError(f"{path}: does not fit the run's settings ({error})") from error
        self.optimiser.load_state_dict(state["optimiser"])
        self.order_generator.set_state(state["order_state"])
        self.directions.set_state(state["direction_state"])
        self.update, self.evaluations = state["update"], state["evaluations"]
        self.order, self.position, memory = state["order"], state["position"], state["memory"]
        self.memory = None if memory is None else map_memory(lambda m: m[:, self.ranks.share(m.shape[1])], memory)
        if self.processor is not None:
            self.processor.position = state["calls"]

    def drop_later_lines(self) -> None:
        """Drop what the logs say of updates after the checkpoint: they will be made again."""
        if self.ranks.is_first:
            for name in (UPDATES, EPOCHS):
                keep_lines(self.folder / name, lambda line: line["update"] <= self.update)

    def run(self, on_update: OnUpdate, *others: Log) -> None:
        """Train until the run is complete.

        A checkpoint is written at the start, after every epoch, every ``checkpoint_every`` updates and at the end.

        Args:
            on_update: called after each update with its number (from 1) and its loss.
            others: logs that get the first rank's records besides the files in the folder; closed in the end.

        Raises:
            DivergedError: the loss or, where it is clipped, the gradient is not finite; the checkpoint is of an earlier
                update.
        """
        every = self.settings.checkpoint_every
        if self.update == 0:
            if self.total_updates == 0:
                self._solve_head()
            self.save()
        with ExitStack() as stack:
            logs: list[Log] = []
            if self.ranks.is_first:
                lines = LineLog(self.folder / UPDATES, self.folder / EPOCHS)
                logs = [stack.enter_context(log) for log in (lines, *others)]
            while self.update < self.total_updates:
                record = self._step()
                for log in logs:
                    log.update(record)
                epoch_ends = self.position == len(self.order)
                done = self.update == self.total_updates
                if done:
                    self._solve_head()
                if (epoch_ends or done) and self._validates(record["epoch"], done):
                    errors = self._validate(record["epoch"])
                    for log in logs:
                        log.epoch(errors)
                if epoch_ends or done or (every is not None and self.update % every == 0):
                    # The logs reach the disk first, so that they never lack an update the checkpoint has.
                    for log in logs:
                        log.sync()
                    self.save()
                on_update(self.update, record["loss"])

    def _solve_head(self) -> None:
        ridge = self.settings.ridge
        if ridge is not None:
            windows = self.task.train if self.settings.ridge_on == "windows" else self.task.training_run
            fit_head(self.model, self.task, ridge, windows)

    def _step(self) -> dict[str, Any]:
        began = time.perf_counter()
        lr = learning_rate(self.settings, self.update, self.total_updates)
        update = (
            self._search(self.optimiser)
            if isinstance(self.optimiser, FullBatch)
            else self._next_batch(self.optimiser, lr)
        )
        self.update += 1
        self.evaluations += update.windows * self.evaluations_per_sequence
        record = {
            "update": self.update,
            "epoch": (self.update - 1) // self.updates_per_epoch + 1,
            "loss": update.loss,
            "seconds": time.perf_counter() - began,
            "evaluations": self.evaluations,
            "lr": None if isinstance(self.optimiser, FullBatch) else lr,
        }
        if update.gradient_norm is not None:
            record["gradient_norm"] = update.gradient_norm
        if self.processor is not None:
            record["qpu_seconds"] = self.processor.used_qpu_seconds
        return record

    def _next_batch(self, optimiser: torch.optim.Optimizer, lr: float) -> Update:
        """One update by the next batch."""
        if self.position == len(self.order):
            self.order, self.position, self.memory = self._new_order(), 0, None
        batch = self.order[self.position : self.position + self.settings.batch_size]
        for group in optimiser.param_groups:
            group["lr"] = lr
        self._set_perturbation(perturbation(self.settings, self.update))
        loss = self.loss(batch)
        value = self.ranks.total(loss.detach().clone()).item()
        self._check_finite("loss", value)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.add_gradients(self.model.parameters())
        norm = None
        if self.settings.clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip).item()
            self._check_finite("norm of the gradient", norm)
        optimiser.step()
        self.position += len(batch)
        return Update(value, len(batch), norm)

    def _set_perturbation(self, c: float) -> None:
        layer = self.model.layer
        if isinstance(layer, QRNN) and isinstance(layer.gradient, SPSA | FDSA) and layer.gradient.c != c:
            layer.gradient = dataclasses.replace(layer.gradient, c=c)

    def _search(self, optimiser: FullBatch) -> Update:
        """One update by all windows; the loss is that behind it."""
        before = optimiser.evaluations
        value = optimiser.step()
        self._check_finite("loss", value)
        return Update(value, (optimiser.evaluations - before) * len(self.task.train.starts))

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"the {name} of update {self.update + 1} is {value}: training has diverged; lower --lr. The checkpoint "
                f"in {self.folder} is of an earlier update"
            )

    def _new_order(self) -> Tensor:
        starts = self.task.train.starts
        if self.settings.stateful:
            offset = int(torch.randint(self.settings.steps, (), generator=self.order_generator))
            return streams(self.task, self.settings.batch_size, offset).flatten()
        return starts[torch.randperm(len(starts), generator=self.order_generator)]

    def loss(self, starts: Tensor) -> Tensor:
        """This rank's part of the loss of the windows whose step 0 is in the rows `starts` (B,), int64.

        Stateful training goes on from the memory behind the last batch.
        """
        mine = self.ranks.share(len(starts))
        rows = dataclasses.replace(self.task.train, starts=starts[mine]).rows()
        numbers = torch.arange(len(starts))[mine]
        outputs, memory = self.model.outputs(self.task.inputs(rows), self.memory, numbers)
        washout = self.settings.washout if self.memory is None else 0
        if self.settings.stateful and memory is not None:
            self.memory = map_memory(Tensor.detach, memory)
        predicted = self.model.head(outputs)[:, washout:]
        targets = self.task.targets(rows)[:, washout:]
        errors = torch.nn.functional.mse_loss(predicted, targets, reduction="sum")
        return errors / (len(starts) * targets.shape[1:].numel())

    def _validates(self, epoch: int, done: bool) -> bool:
        every = self.settings.validate_every
        return every > 0 and (done or epoch % every == 0)

    def _validate(self, epoch: int) -> dict[str, Any]:
        drawn = self.directions.get_state()
        errors = model_errors(self.model, self.task, protocols(self.task, train=False))
        self.directions.set_state(drawn)  # the shots of a measurement move no later direction or shot of training
        return {
            "update": self.update,
            "epoch": epoch,
            **{name: e.as_json() for name, e in errors.items()},
        }


def _digest(task: Task) -> str:
    """Tells whether two tasks hold the same data."""
    digest = hashlib.sha256()
    for tensor in (task.observed, task.predicted, task.train.starts, task.windowed.starts, task.long_run.starts):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
