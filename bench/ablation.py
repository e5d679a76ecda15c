"""What brings the error of the long run down: the best setting known with one thing changed at a time.

    python bench/ablation.py --out FOLDER [--seeds N] [--processes N] [--only TEXT]

Every run is a folder in FOLDER, as of `qrnn-fast train`; started again, it makes what is missing. Writes ablation.md
and ablation.json there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import machine
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.log import read_lines
from qrnn_fast.experiments.progress import make_console
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study import tasks
from qrnn_fast.experiments.study.executor import processes
from qrnn_fast.experiments.study.progress import StudyProgress
from qrnn_fast.experiments.study.workflow import Job, drive, together
from qrnn_fast.experiments.train import UPDATES
from qrnn_fast.files import write_json

# Windows that overlap by their washout, so that every training row but the first 60 is a target once.
BEST = Settings(
    repeats=2,
    steps=276,
    stride=216,
    washout=60,
    optimiser="l-bfgs",
    ridge=1e-8,
    epochs=150,
    validate_every=0,
    threads=1,
)
# 640 updates of 8 windows: about as many evaluations as 150 of L-BFGS, line searches included.
ADAM: dict[str, Any] = {
    "optimiser": "adam",
    "schedule": "one-cycle",
    "lr": 0.03,
    "batch_size": 8,
    "epochs": 160,
    "dtype": "float32",
}
MORE_ADAM = {**ADAM, "epochs": 800}
PUBLISHED: dict[str, Any] = {
    "repeats": 1,
    "steps": 20,
    "stride": 5,
    "washout": 5,
    "optimiser": "adam",
    "ridge": None,
    "lr": 0.007,
    "batch_size": 1,
    "epochs": 10,
}
ROWS: dict[str, dict[str, Any]] = {
    "published setting, exact gradients": PUBLISHED,
    "best": {},
    "one repeat": {"repeats": 1},
    "three repeats": {"repeats": 3},
    "memory reset in every step": {"reset_memory": True},
    "windows of 20 steps, washout 5": {"steps": 20, "stride": 15, "washout": 5},
    "windows of 100 steps, washout 30": {"steps": 100, "stride": 70, "washout": 30},
    "windows of 1,000 steps, washout 100": {"steps": 1000, "stride": 900, "washout": 100},
    "no washout in training": {"washout": 0, "stride": 276},
    "head by L-BFGS, too": {"ridge": None},
    "Adam, as many evaluations": ADAM,
    "Adam, five times as many": MORE_ADAM,
    "Adam, clipped at 0.01": {**ADAM, "clip": 0.01},
    "Adam, no ridge": {**ADAM, "ridge": None},
    "Adam, stateful": {**ADAM, "stateful": True},
    "one repeat, Adam, five times as many": {**MORE_ADAM, "repeats": 1},
    "context 3": {"context": 3},
    "context 3, memory reset": {"context": 3, "reset_memory": True},
    "context 3, one repeat": {"context": 3, "repeats": 1},
    "context 3, one repeat, memory reset": {"context": 3, "repeats": 1, "reset_memory": True},
    "context 24, one repeat": {"context": 24, "repeats": 1},
    "context 24, one repeat, memory reset": {"context": 24, "repeats": 1, "reset_memory": True},
    # The penalty of a head is what shot noise of its variance would do: p (1 - p) / shots, about 1 / (16 shots).
    "measured with 1,024 shots, ridge 6e-5": {"shots": 1024, "ridge": 6e-5},
    "GRU of as many parameters": {"cell": "gru"},
    "LSTM of as many parameters": {"cell": "lstm"},
    "rx_rz_chain, two repeats": {"cell": "rx_rz_chain"},
    "reuploading, one repeat": {"cell": "reuploading", "repeats": 1},
}
PROTOCOLS = ("train", "windowed", "long run", "long run, no washout")


def settings_of(row: str, seed: int) -> Settings:
    """The settings of a run."""
    return dataclasses.replace(BEST, **{**ROWS[row], "seed": seed})


def folder_of(out: Path, row: str, seed: int) -> Path:
    """Where a run lies."""
    return out / re.sub(r"[^a-z0-9]+", "-", row.lower()) / f"seed-{seed}"


def train(out: Path, rows: list[str], seeds: int, n_processes: int) -> None:
    """Make the runs that are missing."""
    jobs = []
    for row in rows:
        for seed in range(seeds):
            folder = folder_of(out, row, seed)
            arguments = str(folder), dataclasses.asdict(settings_of(row, seed))
            jobs.append(Job(f"{row}, seed {seed}", tasks.train, arguments, partial(tasks.is_finished, folder)))
    with processes(n_processes) as executor, StudyProgress(make_console()) as progress:
        drive([together(jobs)], executor, progress)


def collect(out: Path) -> dict[str, Any]:
    """The figures of all finished runs."""
    figures = []
    for row, changes in ROWS.items():
        found = [f for f in sorted(out.glob(f"{folder_of(out, row, 0).parent.name}/seed-*")) if tasks.is_finished(f)]
        whole = [f for f in found if (f / runs.RESULTS).exists()]
        if not found:
            continue
        errors = [json.loads((f / runs.RESULTS).read_text())["rmse"] for f in whole]
        logs = [read_lines(f / UPDATES) for f in whole]
        figures.append(
            {
                "row": row,
                "changes": changes,
                "seeds": len(whole),
                "diverged": len(found) - len(whole),
                "rmse": {p: [e[runs.NETWORK][p]["mean"] for e in errors] for p in PROTOCOLS},
                "evaluations": [log[-1]["evaluations"] for log in logs],
                "seconds": [sum(line["seconds"] for line in log) for log in logs],
            }
        )
    return {"machine": machine.describe(), "best": dataclasses.asdict(BEST), "rows": figures}


def markdown(result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# What brings the long run's error down",
        "",
        "RMSE of the scaled columns, mean of Y and Z, on the default Lorenz record: mean over the seeds (least to",
        "largest). 8 qubits. Long run: the whole validation part as one sequence, after 100 steps. The first row is",
        "the published setting; 'best' is the setting below the table, and every other row differs from it as it",
        "says. Evaluations are whole windows. Seconds: mean of one run on one thread, beside others on the machine.",
        "",
        "| setting | seeds | train | windowed | long run | long run, no washout | evaluations | seconds |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        cells = [_spread(row["rmse"][p]) for p in PROTOCOLS]
        diverged = f" ({row['diverged']} diverged)" if row["diverged"] else ""
        costs = [f"{statistics.fmean(row['evaluations']):,.0f}", f"{statistics.fmean(row['seconds']):.0f}"]
        lines.append("| " + " | ".join([row["row"], f"{row['seeds']}{diverged}", *cells, *costs]) + " |")
    told = ", ".join(f"{name} {value}" for name, value in result["machine"].items() if name != "date")
    return "\n".join([*lines, "", f"Best: `{Settings(**result['best'])}`", "", f"Ran on: {told}", ""])


def _spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the table")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    given = parser.parse_args()
    rows = [row for row in ROWS if given.only in row]
    train(given.out, rows, given.seeds, given.processes)
    result = collect(given.out)
    write_json(given.out / "ablation.json", result)
    (given.out / "ablation.md").write_text(markdown(result), encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
