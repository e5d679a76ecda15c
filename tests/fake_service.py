"""A service of quantum processors that keeps its jobs in a folder, so that they outlive the process that sent them.

A job's outcomes are drawn, without noise, when it is submitted; what the service tells of it is set by a fate:

    done       finished at once
    late       running for the first few looks
    running    running until `release`
    error      failed
    cancelled  cancelled
    short      finished with one shot less than asked for
    partial    finished without the last step's register
    empty      finished without any results
    offline    finished; its results cannot be had at the first attempt
    crash      the process is killed when the service has the job and before the client hears of it
    killed     the process is killed when it first looks at the job
    interrupt  it is interrupted then, as by Ctrl-C; the job runs on
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from qiskit.exceptions import QiskitError
from qiskit.primitives import BackendSamplerV2, BitArray, DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qrnn_fast.backends.runtime import devices

SECONDS = 1.5  # that the service charges for a job
TOKEN = "a-secret-that-nobody-must-see"


class Job:
    """One job of the folder."""

    def __init__(self, service: Service, job_id: str) -> None:
        self._service = service
        self._id = job_id

    def _record(self) -> dict[str, Any]:
        return self._service.read(self._id)

    def job_id(self) -> str:
        return self._id

    def status(self) -> str:
        record = self._record()
        match record["fate"]:
            case "killed":
                self._service.write(self._id, record | {"fate": "done"})
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupt":
                self._service.write(self._id, record | {"fate": "running"})
                signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, a shell has it ignored
                signal.raise_signal(signal.SIGINT)
            case "late":
                record["looks"] += 1
                self._service.write(self._id, record)
                return "RUNNING" if record["looks"] < 3 else "DONE"
            case "running":
                return "RUNNING"
            case "error":
                return "ERROR"
            case "cancelled":
                return "CANCELLED"
        return "DONE"

    def in_final_state(self) -> bool:
        return self.status() in ("DONE", "ERROR", "CANCELLED")

    def done(self) -> bool:
        return self.status() == "DONE"

    def cancelled(self) -> bool:
        return self.status() == "CANCELLED"

    def result(self) -> list[Any]:
        record = self._record()
        fate = record["fate"]
        if fate == "error":
            raise QiskitError("Error code 8045; too many measurements")
        if fate == "offline":
            self._service.write(self._id, record | {"fate": "done"})
            raise QiskitError("the network is down")
        if fate == "empty":
            return []
        with np.load(self._service.folder / f"{self._id}.npz") as stored:
            arrays = dict(stored)
        if fate == "partial":
            arrays.pop(f"step_{len(arrays) - 1}")
        if fate == "short":
            arrays = {name: array[..., 1:, :] for name, array in arrays.items()}
        bits = record["bits"]
        data = DataBin(**{name: BitArray(array, bits) for name, array in arrays.items()})
        return [mock.Mock(data=data, spec=["data"])]

    def metrics(self) -> dict[str, Any]:
        return {"usage": self._record()["usage"]}


class Service:
    """The jobs of a folder; `fates` are those of the next submissions, "done" when there are no more."""

    def __init__(self, folder: Path, fates: Iterable[str] = ()) -> None:
        self.folder = folder
        self.fates = [*fates]
        self.token = TOKEN
        self.usage: dict[str, Any] = {"qpu_charge_time_seconds": SECONDS, "status": "complete"}
        self.knows_jobs = True

    def __repr__(self) -> str:
        return f"Service(token={self.token})"

    def read(self, job_id: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{job_id}.json").read_text())

    def write(self, job_id: str, record: dict[str, Any]) -> None:
        (self.folder / f"{job_id}.json").write_text(json.dumps(record))

    @property
    def job_ids(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.json"))

    @property
    def submissions(self) -> int:
        return len(self.job_ids)

    def set_fate(self, job_id: str, fate: str) -> None:
        self.write(job_id, self.read(job_id) | {"fate": fate})

    def job(self, job_id: str) -> Job:
        if not self.knows_jobs or job_id not in self.job_ids:
            raise QiskitError(f"Job not found: {job_id}")
        return Job(self, job_id)

    def jobs(self, *, job_tags: list[str]) -> list[Job]:
        return [Job(self, i) for i in self.job_ids if set(job_tags) <= set(self.read(i)["tags"])]

    def submit(self, pub: SamplerPub, seed: int, tags: list[str]) -> Job:
        job_id, fate = f"job-{self.submissions}", self.fates.pop(0) if self.fates else "done"
        sampler = BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": seed})
        data = sampler.run([pub]).result()[0].data
        np.savez(self.folder / f"{job_id}.npz", **{name: data[name].array for name in data})
        record = {"tags": tags, "bits": data.step_0.num_bits, "looks": 0, "usage": self.usage}
        self.write(job_id, record | {"fate": "done" if fate == "crash" else fate})
        if fate == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return Job(self, job_id)


class Device(FakeManilaV2):
    """A processor of that service."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service


@dataclass
class Options:
    """The sampler's, of which there are none."""


class Sampler:
    """A sampler that sends to the service."""

    options = Options()

    def __init__(self, service: Service, seed: int, tags: list[str]) -> None:
        self._service, self._seed, self._tags = service, seed, tags

    def run(self, pubs: list[Any], *, shots: int) -> Job:
        (pub,) = pubs
        return self._service.submit(SamplerPub.coerce(pub, shots), self._seed, self._tags)


def make_sampler(device: Any, mode: Any, options: Any, seed: int, tags: list[str]) -> Any:
    """What stands in for the function of this name that chooses the sampler."""
    if isinstance(device, Device):
        return Sampler(device.service, seed, tags)
    return devices.make_sampler(device, mode, options, seed, tags)


def in_place() -> Any:
    """A context in which Runtime sends to the service of a `Device`."""
    return mock.patch("qrnn_fast.backends.runtime.dispatch.make_sampler", make_sampler)
