"""A small call of a processor of the fake service, and what its journal holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_service import Device, Service
from problems import angles
from qrnn_fast import cells
from qrnn_fast.backends import Runtime
from torch import Tensor

CIRCUIT = cells.crx_chain(2)
ANGLES = angles(CIRCUIT, 3, 2)
SHOTS = 40


def runtime(service: Service, journal: Path | None = None, **settings: Any) -> Runtime:
    return Runtime(Device(service), shots=SHOTS, journal=journal, **settings)


def call(backend: Runtime, a: Tensor = ANGLES) -> Tensor:
    return backend.run(CIRCUIT, a, None, seed=1)[0]


def events(journal: Path) -> list[str]:
    return [json.loads(line)["event"] for line in journal.read_text().splitlines()]


def stored(journal: Path) -> list[Path]:
    return [*journal.with_name(journal.name + ".results").iterdir()]
