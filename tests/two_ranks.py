"""What two processes do together; torchrun runs it on both, and test_ranks.py reads what they found.

Every check runs on both ranks and compares with what one process alone does. In the end one of them is killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qrnn_fast as qf
import torch
from qrnn_fast import cells
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.ranks import RankLostError, Ranks
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import EPOCHS, UPDATES, DivergedError, Trainer
from torch import Tensor
from training import Stopped, assert_same_bits, ignore, stop_after, train, without_seconds

# Five windows a batch are two and three, the four left over two and two; one window is none and one.
TRAINING: dict[str, dict[str, Any]] = {
    "adjoint": {"batch_size": 5},
    "an empty share": {"batch_size": 1, "epochs": 1},
    "float32": {"batch_size": 5, "dtype": "float32"},
    "spsa": {"batch_size": 5, "gradient": "spsa"},
    "fdsa": {"batch_size": 5, "gradient": "fdsa"},
    "spsa with shots": {"batch_size": 5, "gradient": "spsa", "shots": 6, "epochs": 1},
    "parameter-shift with shots and noise": {
        "gradient": "parameter-shift",
        "shots": 6,
        "noise": "readout=0.1",
        "updates": 6,
    },
    "empty shares with shots": {"batch_size": 1, "gradient": "fdsa", "shots": 6, "updates": 6},
    "measured with shots, a ridge head": {"shots": 6, "ridge": 1e-4, "epochs": 2},
    "clipped, by Spall's gains": {"batch_size": 5, "clip": 0.1, "gradient": "spsa", "schedule": "spall"},
    "directions of every sequence": {"batch_size": 5, "gradient": "spsa", "per_sequence": True, "epochs": 1},
    "directions of no sequence": {"batch_size": 1, "gradient": "spsa", "per_sequence": True, "updates": 6},
    "l-bfgs": {"optimiser": "l-bfgs", "epochs": 3},
    "l-bfgs, the head by ridge": {"optimiser": "l-bfgs", "epochs": 3, "ridge": 1e-3},
    "stateful": {"stateful": True, "batch_size": 3},
    "an LSTM": {"stateful": True, "batch_size": 3, "cell": "lstm"},
    "a memory reset in every step": {
        "batch_size": 5,
        "reset_memory": True,
        "shots": 6,
        "gradient": "spsa",
        "epochs": 1,
    },
    "a GRU and an empty share": {"batch_size": 1, "cell": "gru", "epochs": 1},
}


def assert_close(together: Trainer, alone: Trainer) -> None:
    tolerance = 1e-12 if together.settings.dtype == "float64" else 1e-5
    assert together.update == alone.update
    assert together.evaluations == alone.evaluations
    for name, value in together.model.state_dict().items():
        torch.testing.assert_close(value, alone.model.state_dict()[name], rtol=0, atol=tolerance)
    assert torch.equal(together.directions.get_state(), alone.directions.get_state())
    if together.ranks.is_first:
        for name in (UPDATES, EPOCHS):
            lines = [without_seconds(read_lines(run.folder / name)) for run in (together, alone)]
            assert len(lines[0]) == len(lines[1])
            for found, expected in zip(*lines, strict=True):
                assert _numbers(found) == pytest.approx(_numbers(expected), rel=0, abs=tolerance)


def _numbers(record: Any) -> list[float]:
    if isinstance(record, dict):
        record = list(record.values())
    if isinstance(record, list):
        return [number for value in record for number in _numbers(value)]
    return [] if record is None else [record]  # L-BFGS has no learning rate


def training(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    alone = train(settings, own / "alone")
    together = runs.begin(settings, shared / "run", ranks=ranks)
    together.run(ignore)
    assert_close(together, alone)


def resuming(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    """Stopped in the middle of an epoch, continued together and by one process."""
    settings = dataclasses.replace(settings, stateful=True, batch_size=3, checkpoint_every=1, shots=6, gradient="spsa")
    alone = train(settings, own / "alone")
    with pytest.raises(Stopped):
        runs.begin(settings, shared / "run", ranks=ranks).run(stop_after(5))
    ranks.total(torch.zeros(1))  # the checkpoint is written
    again = runs.resume(shared / "run", {"shots": 6}, ranks=ranks)
    assert again.update == 5
    assert again.memory is not None
    assert again.memory.shape[1] == (1, 2)[ranks.number]
    if ranks.is_first:
        (own / "continued").mkdir()
        for file in again.folder.iterdir():
            (own / "continued" / file.name).write_bytes(file.read_bytes())
        single = runs.resume(own / "continued", {})
        single.run(ignore)
        assert_close(single, alone)
    again.run(ignore)
    assert_close(again, alone)
    whole = runs.begin(settings, shared / "whole", ranks=ranks)
    whole.run(ignore)
    assert_same_bits(again, whole)


def divergence(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    """A loss that is not finite on one rank stops all."""
    trainer = runs.begin(dataclasses.replace(settings, batch_size=8), shared / "run", ranks=ranks)
    if not ranks.is_first:
        with torch.no_grad():
            trainer.model.head.bias.fill_(1e200)
    with pytest.raises(DivergedError, match="lower --lr"):
        trainer.run(ignore)


def refusals(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    processor = dataclasses.replace(settings, backend="fake:ManilaV2", gradient="spsa")
    with pytest.raises(ValueError, match="as one job, which 2 ranks"):
        runs.begin(processor, shared / "run", ranks=ranks)
    with pytest.raises(ValueError, match="has no copies"):
        runs.begin(settings, shared / "run", ranks=dataclasses.replace(ranks, over_copies=True))
    if ranks.is_first:
        ranks.from_first(lambda: settings)
    else:
        with pytest.raises(ValueError, match="rank 1 was given other settings"):
            runs.begin(dataclasses.replace(settings, seed=1), shared / "run", ranks=ranks)
    assert not (shared / "run").exists()


def copies(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    """Whole batches, and shares of their perturbed copies: the bits of one process."""
    alone = train(settings, own / "alone")
    together = runs.begin(settings, shared / "run", ranks=dataclasses.replace(ranks, over_copies=True))
    together.run(ignore)
    assert_same_bits(together, alone)
    assert_close(together, alone)


def copies_of_angles(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    circuit = cells.crx_chain(4)
    angles = torch.rand(3, 4, circuit.n_angles, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    memory = torch.eye(4, dtype=torch.complex128).div(4).expand(3, -1, -1)
    evaluated = []

    class Counting(qf.backends.Native):
        def run(self, circuit: Any, angles: Tensor, *arguments: Any, **others: Any) -> Any:
            evaluated.append(len(angles))
            return super().run(circuit, angles, *arguments, **others)

    for estimator in (
        qf.SPSA(samples=5, wrt="angles"),
        qf.SPSA(samples=1, wrt="angles", memory_limit=1),  # copies for one rank alone
        qf.FDSA(wrt="angles", memory_limit=400_000),
        qf.ParameterShift(),
    ):
        for shots in (None, 8):
            found, counts = [], []
            for over_ranks in (False, True):
                x = angles.clone().requires_grad_()
                evaluated.clear()
                probs, final = qf.evolve(
                    circuit,
                    x,
                    memory,
                    gradient=dataclasses.replace(estimator, over_ranks=over_ranks),
                    shots=shots,
                    generator=torch.Generator().manual_seed(2),
                    backend=Counting(),
                    sequence_ids=None if shots is None else torch.tensor([5, 3, 8]),
                )
                (probs.square().sum() + final[:, 0, 0].abs().sum()).backward()
                found.append(x.grad)
                counts.append(sum(evaluated[1:]))
            assert torch.equal(*found)
            assert ranks.total(torch.tensor(float(counts[1]))) == counts[0]


def unequal_ranks(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    """Copies over ranks of different batches, weights or seeds."""

    def gradient(n_rows: int = 4, input_seed: int = 1, weight_seed: int = 0, **changes: Any) -> None:
        torch.manual_seed(weight_seed)
        generator = torch.Generator().manual_seed(changes.pop("seed", 3))
        model = qf.QRNN(2, cells.crx_chain(2), gradient=qf.SPSA(over_ranks=True, **changes), generator=generator)
        x = torch.rand(3, n_rows, 2, generator=torch.Generator().manual_seed(input_seed))
        model(x)[0].square().sum().backward()

    gradient()
    for name in ("n_rows", "input_seed", "weight_seed", "seed", "samples"):
        for wrt in ("weights", "angles"):
            with pytest.raises(ValueError, match="rank 1 differs from rank 0"):
                gradient(**{name: 7 + ranks.number, "wrt": wrt})


def data_parallel_by_torch(ranks: Ranks, settings: Settings, shared: Path, own: Path) -> None:
    """In a training loop of one's own: a network with a QRNN in DistributedDataParallel."""

    class Network(torch.nn.Module):
        def __init__(self, **settings: Any) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = qf.QRNN(2, cells.crx_chain(4), batch_first=True, dtype=torch.float64, **settings)
            self.head = torch.nn.Linear(4, 1, dtype=torch.float64)

        def forward(self, x: Tensor, ids: Tensor) -> Tensor:
            return self.head(self.layer(x, sequence_ids=ids)[0])

    x, ids = torch.rand(6, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), torch.arange(6)
    for changes in ({}, {"gradient": "spsa"}, {"gradient": "parameter-shift", "shots": 8}):
        whole, part = (Network(generator=torch.Generator().manual_seed(2), **changes) for _ in range(2))
        whole(x, ids).square().mean().backward()
        mine = slice(3 * ranks.number, 3 * ranks.number + 3)
        parallel = torch.nn.parallel.DistributedDataParallel(part)
        parallel(x[mine], ids[mine]).square().mean().backward()
        for a, b in zip(whole.parameters(), part.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)


COPIES: dict[str, dict[str, Any]] = {
    "copies, fdsa": {"gradient": "fdsa"},
    "copies, spsa": {"gradient": "spsa", "samples": 3, "shots": 6, "per_sequence": True, "stateful": True},
    "copies, parameter-shift": {"gradient": "parameter-shift", "shots": 6, "updates": 6},
}


def killed(ranks: Ranks, settings: Settings, folder: Path) -> None:
    """Rank 1 is killed in the middle of a run; rank 0 says what happens to it, and ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, which comes at once

    def on_update(update: int, loss: float) -> None:
        if update == 7 and not ranks.is_first:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer = runs.begin(settings, folder, ranks=ranks)
    with pytest.raises(RankLostError, match="another rank has ended or cannot be reached") as lost:
        trainer.run(on_update)
    (folder / "lost").write_text(str(lost.value))


CHECKS: dict[str, Callable[[Ranks, Settings, Path, Path], None]] = {
    **{
        name: lambda ranks, settings, shared, own, changes=changes: training(
            ranks, dataclasses.replace(settings, **changes), shared, own
        )
        for name, changes in TRAINING.items()
    },
    **{
        name: lambda ranks, settings, shared, own, changes=changes: copies(
            ranks, dataclasses.replace(settings, **changes), shared, own
        )
        for name, changes in COPIES.items()
    },
    "copies of angles": copies_of_angles,
    "unequal ranks": unequal_ranks,
    "data-parallel by torch": data_parallel_by_torch,
    "resuming": resuming,
    "divergence": divergence,
    "refusals": refusals,
}


def main(folder: Path) -> None:
    settings = Settings.load(folder / "settings.json")
    with Ranks.of_torchrun() as ranks:
        found = {}
        for number, (name, check) in enumerate(CHECKS.items()):
            shared, own = folder / f"{number}", folder / f"{number} rank {ranks.number}"
            own.mkdir()
            try:
                check(ranks, settings, shared, own)
                found[name] = ""
            except AssertionError:
                found[name] = traceback.format_exc()
        (folder / f"rank {ranks.number}.json").write_text(json.dumps(found))
        killed(ranks, settings, folder / "killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
