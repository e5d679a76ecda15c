"""How a run trains: directions, schedules, optimisers, clipping, and the memory reset at every step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.train import UPDATES
from training import Stopped, assert_same_bits, ignore, stop_after, train, without_seconds

WAYS: list[dict[str, Any]] = [
    {"gradient": "spsa", "per_sequence": True},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_resume_continues_to_the_same_bits(settings: Settings, tmp_path: Path, way: dict[str, Any]) -> None:
    settings = dataclasses.replace(settings, epochs=1, **way)
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        runs.begin(settings, tmp_path / "cut").run(stop_after(6))
    resumed = runs.resume(tmp_path / "cut", {})
    assert resumed.update == 4
    resumed.run(ignore)
    assert_same_bits(whole, resumed)
    logs = [without_seconds(read_lines(tmp_path / name / UPDATES)) for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_directions_per_sequence_take_no_further_evaluations(settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, gradient="spsa", updates=2)
    shared = train(settings, tmp_path / "shared")
    own = train(dataclasses.replace(settings, per_sequence=True), tmp_path / "own")
    assert own.evaluations == shared.evaluations == 2 * 4 * 5
    assert (own.model.layer.encoder.weight != shared.model.layer.encoder.weight).any()
    for gradient in ("adjoint", "fdsa"):
        with pytest.raises(ValueError, match="per_sequence is for gradient 'spsa'"):
            dataclasses.replace(settings, gradient=gradient, per_sequence=True)
