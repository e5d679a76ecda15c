"""What two processes do together; torchrun runs it on both, and test_ranks.py reads what they found.

Every check runs on both ranks and compares with what one process alone does.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.ranks import Ranks
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import EPOCHS, UPDATES, DivergedError, Trainer
from training import Stopped, ignore, stop_after, train, without_seconds

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
    "stateful": {"stateful": True, "batch_size": 3},
    "an LSTM": {"stateful": True, "batch_size": 3, "cell": "lstm"},
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
        return [number for value in record.values() for number in _numbers(value)]
    return [number for value in record for number in _numbers(value)] if isinstance(record, list) else [record]


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
    if ranks.is_first:
        ranks.from_first(lambda: settings)
    else:
        with pytest.raises(ValueError, match="rank 1 was given other settings"):
            runs.begin(dataclasses.replace(settings, seed=1), shared / "run", ranks=ranks)
    assert not (shared / "run").exists()


CHECKS: dict[str, Callable[[Ranks, Settings, Path, Path], None]] = {
    **{
        name: lambda ranks, settings, shared, own, changes=changes: training(
            ranks, dataclasses.replace(settings, **changes), shared, own
        )
        for name, changes in TRAINING.items()
    },
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
