"""What an update costs: seconds of this machine, and of a quantum processor."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrnn_fast.backends import Runtime
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.data import Task, make_task
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.model import SHOTS
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study.members import METHODS, Member
from qrnn_fast.experiments.study.plan import Plan
from qrnn_fast.experiments.study.tasks import alone
from qrnn_fast.experiments.study.workflow import Job
from qrnn_fast.experiments.train import UPDATES, Trainer
from qrnn_fast.files import write_json
from qrnn_fast.nn import QRNN
from qrnn_fast.qpu_time import estimate

PROCESSOR = "fake:Marrakesh"
PROCESSOR_FILE = "processor.json"


@dataclass(frozen=True)
class Seconds:
    """Time of training.

    Attributes:
        update: seconds of an update.
        epoch: seconds of an epoch.
    """

    update: float
    epoch: float


def default_processor() -> str | None:
    """A snapshot of a processor, None where the package with snapshots is not installed."""
    return PROCESSOR if importlib.util.find_spec("qiskit_ibm_runtime") else None


def check_processor(plan: Plan) -> None:
    """Refuse a processor that cannot run the circuit.

    Raises:
        ValueError: an unknown processor, or one that cannot run the circuit.
        ImportError: a package is missing.
    """
    if plan.processor is not None:
        for member in members_on_processors(plan)[:1]:
            circuit = _layer(member.settings(plan.base), make_task(plan.base)).circuit
            Runtime(plan.processor).qpu_seconds(circuit, n_steps=1, n_rows=1)


def members_on_processors(plan: Plan) -> list[Member]:
    """The methods that a processor could run."""
    return [member for member in plan.members if member.runs_on_processors]


def timed(plan: Plan) -> int:
    """Number of updates whose time is measured."""
    return min(20, plan.updates)


def timing_jobs(plan: Plan, out: Path) -> list[Job]:
    """The measurements of a member's time per update, to be made one by one, with nothing else running."""
    updates, found = timed(plan), []
    for member in _trained(plan):
        path = _timing(out, member)
        settings = member.settings(plan.base, updates=updates, epochs=updates)
        arguments = str(path), dataclasses.asdict(settings)
        found.append(Job(f"time of an update of {member.name}", time_updates, arguments, path.exists))
    return found


def read_timings(plan: Plan, out: Path) -> dict[str, Seconds]:
    """What `timing_jobs` have measured, by member."""
    return {
        member.name: Seconds(**json.loads(_timing(out, member).read_text(encoding="utf-8")))
        for member in _trained(plan)
    }


def time_updates(path: str, settings: dict[str, Any]) -> None:
    """Train for a few updates; the time of an update is the median of all but the first, which warms up.

    Args:
        path: file for the result.
        settings: all fields of `Settings`.
    """
    with alone(Path(path)), tempfile.TemporaryDirectory() as folder:
        trainer = runs.begin(Settings(**settings), Path(folder))
        trainer.run(lambda update, loss: None)
        update = statistics.median(line["seconds"] for line in read_lines(Path(folder) / UPDATES)[1:])
        write_json(Path(path), dataclasses.asdict(Seconds(update, update * trainer.updates_per_epoch)))


def processor_jobs(plan: Plan, out: Path) -> list[Job]:
    """The estimate of a processor's time; none where there is no processor or nothing for it to do."""
    names = [member.name for member in members_on_processors(plan)]
    if plan.processor is None or not names:
        return []
    path = out / PROCESSOR_FILE
    arguments = str(path), plan.processor, names, dataclasses.asdict(plan.base)
    return [Job(f"time on {plan.processor}", estimate_processor, arguments, path.exists)]


def read_processor(plan: Plan, out: Path) -> dict[str, Seconds]:
    """What `processor_jobs` have estimated, by member."""
    if not processor_jobs(plan, out):
        return {}
    found = json.loads((out / PROCESSOR_FILE).read_text(encoding="utf-8"))
    return {name: Seconds(**seconds) for name, seconds in found.items()}


def estimate_processor(path: str, processor: str, members: list[str], base: dict[str, Any]) -> None:
    """What training by each method would take of a processor, by `qf.estimate`: `Seconds` by member.

    Args:
        path: file for the result.
        processor: its name, as `qf.backends.Runtime` takes it.
        members: names of the methods.
        base: the study's settings.
    """
    settings = Settings(**base)
    with alone(Path(path)):
        task, runtime, found = make_task(settings), Runtime(processor, shots=settings.shots or SHOTS), {}
        for name in members:
            layer = _layer(METHODS[name].settings(settings), task)
            (one,) = estimate(
                layer,
                runtime,
                steps=settings.steps,
                batch_size=settings.batch_size,
                sequences=len(task.train.starts),
                gradients=[layer.gradient],
            )
            found[name] = dataclasses.asdict(Seconds(one.update_seconds, one.epoch_seconds))
        write_json(Path(path), found)


def _trained(plan: Plan) -> list[Member]:
    return [member for member in (*plan.members, *plan.rivals) if member.is_trained]


def _timing(out: Path, member: Member) -> Path:
    return out / "timing" / f"{member.name}.json"


def _layer(settings: Settings, task: Task) -> QRNN:
    layer = Trainer(settings, task, Path(), "native").model.layer
    assert isinstance(layer, QRNN)  # no other layer has these gradient methods
    return layer
