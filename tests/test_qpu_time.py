"""What training would take of a processor, told before: compared with what is then sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import qrnn_fast as qf
import torch
from fake_service import Device, Service, in_place
from qrnn_fast import cells
from qrnn_fast.backends import Runtime
from qrnn_fast.estimators import Estimator

STEPS, ROWS = 2, 3


@pytest.fixture(autouse=True)
def _fake_sampler() -> Iterator[None]:
    with in_place():
        yield


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("repeats", [1, 2])  # with two, parameter-shift has a circuit of its own
@pytest.mark.parametrize(
    "gradient", ["spsa", qf.SPSA(per_sequence=True), qf.SPSA(samples=3, wrt="angles"), "parameter-shift"]
)
def test_an_update_takes_what_was_told(tmp_path: Path, gradient: str | Estimator, repeats: int, one_call: bool) -> None:
    service = Service(tmp_path)
    service.usage = {}  # so that estimates stand in for it
    backend = Runtime(Device(service), shots=20, one_call_per_update=one_call)
    layer = qf.QRNN(1, cells.crx_chain(2, repeats=repeats), gradient=gradient, backend=backend)
    (told,) = qf.estimate(layer, backend, steps=STEPS, batch_size=ROWS, sequences=7, gradients=[gradient])
    assert service.submissions == 0
    layer(torch.rand(STEPS, ROWS, 1))[0].sum().backward()
    assert service.submissions == told.jobs
    assert backend.used_qpu_seconds == pytest.approx(told.update_seconds)
    assert told.epoch_seconds == 3 * told.update_seconds  # 7 sequences in batches of 3


def test_nothing_changes(tmp_path: Path) -> None:
    backend = Runtime(Device(Service(tmp_path)), shots=20)
    layer = qf.QRNN(1, cells.crx_chain(2), backend=backend, gradient="fdsa")
    state = torch.get_rng_state()
    with torch.no_grad():
        (told,) = qf.estimate(layer, backend, steps=STEPS, gradients=["spsa"])
    assert told.circuits == 5  # and two directions
    assert torch.equal(torch.get_rng_state(), state)
    assert (layer.backend, layer.gradient) == (backend, "fdsa")
    assert all(p.grad is None for p in layer.parameters())
