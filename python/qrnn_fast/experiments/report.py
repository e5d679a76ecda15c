"""The tables and the report folder of a comparison."""

from __future__ import annotations

import csv
import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrnn_fast.experiments import plots, runs
from qrnn_fast.experiments.baselines import left_out
from qrnn_fast.experiments.data import Task
from qrnn_fast.experiments.errors import Errors
from qrnn_fast.experiments.outcomes import Check, Outcome
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.table import TextTable
from qrnn_fast.files import write_json

_LOGGED = ("update", "epoch", "loss", "seconds", "evaluations", "lr")
_COLUMNS_SHOWN = 4  # of a table's cell; of more columns, the worst one


def errors_table(results: dict[str, dict[str, Errors]], task: Task) -> TextTable:
    """Errors of a network and of the baselines: one row for each model, one column for each protocol."""
    names = task.predicted_names
    shown = ", ".join(names) if len(names) <= _COLUMNS_SHOWN else f"worst of {len(names)} columns"
    protocols = list(next(iter(results.values())))
    table = TextTable(f"RMSE of the scaled columns, mean ({shown})", ["model", *protocols], notes=left_out(task))
    table.sections.append([[model, *(_detailed(e[p]) for p in protocols)] for model, e in results.items()])
    return table


def comparison_table(outcomes: Sequence[Outcome]) -> TextTable:
    """All entries with their costs and errors; those of the same task are followed by the task's baselines."""
    protocols = list(outcomes[0].first.errors[runs.NETWORK])
    table = TextTable(
        "Lorenz-63: observe X(t), predict Y(t+1) and Z(t+1); RMSE of the scaled columns, mean of Y and Z",
        ["method", "updates", "circuit evaluations", "s / update", "s / epoch", "loss drop", *protocols],
    )
    groups: dict[tuple[int, int, int], list[Outcome]] = {}
    for outcome in outcomes:
        s = outcome.settings
        groups.setdefault((s.context, s.steps, s.washout), []).append(outcome)
    for (context, steps, washout), members in groups.items():
        rows: list[Sequence[str]] = [_row(f"context {context}, T = {steps}, washout {washout}", 5 + len(protocols))]
        for outcome in members:
            rows += _outcome_rows(outcome, protocols)
        rows += [
            _row(f"  {name}", 5, *(f"{errors[p].mean:.4f}" for p in protocols))
            for name, errors in members[0].first.errors.items()
            if name != runs.NETWORK
        ]
        table.sections.append(rows)
    return table


def _row(name: str, empty: int, *cells: str) -> list[str]:
    return [name, *[""] * empty, *cells]


def _outcome_rows(outcome: Outcome, protocols: Sequence[str]) -> list[list[str]]:
    run = outcome.first
    seconds = run.seconds_per_update
    first = [
        f"  {outcome.settings.gradient} (batch {outcome.settings.batch_size})",
        f"{run.trainer.update:,}",
        f"{run.trainer.evaluations:,}",
        f"{seconds:.5f}",
        f"{seconds * run.trainer.updates_per_epoch:.3f}",
        f"{outcome.loss_drop:.1f}",
        *(f"{statistics.fmean(outcome.rmse(p)):.4f}" for p in protocols),
    ]
    if len(outcome.runs) == 1:
        return [first]
    worst = _row(f"    worst of {len(outcome.runs)} seeds", 5, *(f"{max(outcome.rmse(p)):.4f}" for p in protocols))
    return [first, worst]


def comparison_json(outcomes: Sequence[Outcome], checks: Sequence[Check]) -> dict[str, Any]:
    """The figures of `comparison_table`, run by run, with settings, checks and versions."""
    protocols = list(outcomes[0].first.errors[runs.NETWORK])
    return {
        "runs": [
            {
                "label": outcome.label,
                "settings": dataclasses.asdict(outcome.settings),
                "seeds": [run.trainer.settings.seed for run in outcome.runs],
                "updates": outcome.first.trainer.update,
                "evaluations": outcome.first.trainer.evaluations,
                "seconds_per_update": [run.seconds_per_update for run in outcome.runs],
                "loss_drop": [run.loss_drop for run in outcome.runs],
                "rmse": {
                    p: {"mean": statistics.fmean(e), "worst": max(e), "seeds": list(e)}
                    for p in protocols
                    for e in [outcome.rmse(p)]
                },
                "baselines": {
                    name: {p: errors[p].mean for p in protocols}
                    for name, errors in outcome.first.errors.items()
                    if name != runs.NETWORK
                },
            }
            for outcome in outcomes
        ],
        "checks": [dataclasses.asdict(check) for check in checks],
        "versions": runs.versions(),
    }


def _sampling(settings: Settings) -> str:
    """What is to be known of shots and noise."""
    shots = (
        "Probabilities are exact."
        if settings.shots is None
        else f"Every evaluation takes {settings.shots:,} shots, but those that the adjoint trains on, which are exact."
    )
    return shots if settings.noise is None else f"{shots} Noise: `{settings.noise}`."


def _detailed(errors: Errors) -> str:
    shown = errors.columns if len(errors.columns) <= _COLUMNS_SHOWN else [max(errors.columns)]
    return f"{errors.mean:.4f} ({', '.join(f'{e:.4f}' for e in shown)})"


def write_report(out: Path, outcomes: Sequence[Outcome], checks: Sequence[Check]) -> None:
    """Write updates.csv, the plots, report.json and report.md to the folder that holds the runs."""
    write_json(out / "report.json", comparison_json(outcomes, checks))
    with (out / "updates.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "seed", *_LOGGED])
        for outcome in outcomes:
            for run in outcome.runs:
                seed = run.trainer.settings.seed
                writer.writerows([outcome.label, seed, *(line[key] for key in _LOGGED)] for line in run.updates)
    plots.training_curves(outcomes, out / "training.png")
    exact = [o for o in outcomes if o.settings.gradient == "adjoint"]
    plots.predictions({o.label: o.first.trainer for o in exact or outcomes}, out / "predictions.png")
    plots.seconds_per_update(outcomes, out / "seconds.png")
    verdict = "\n".join(f"- {'pass' if c.passed else '**FAIL**'}: {c.statement}" for c in checks)
    ran = "\n".join(f"- {name}: {value}" for name, value in runs.versions().items())
    settings = "\n".join(f"- {o.label}: `{o.settings}`" for o in outcomes)
    text = f"""# Gradient methods compared on the Lorenz task

{comparison_table(outcomes).markdown()}
The first 70 % of the rows train; scaling and baselines are fitted to them alone, and each baseline is measured on the
very targets of the runs above it. Windowed: validation windows begun from |0...0>, after the washout. Long run: the
whole validation part as one sequence begun from |0...0>, after {outcomes[0].settings.long_washout} steps and from the
first step on. Circuit evaluations are whole sequences of T steps, as a quantum computer would run them; the exact
adjoint works in simulation alone, and only its forward passes are counted. Loss drop: how far the mean loss of the last
tenth of updates lies below the first tenth's, in standard errors, the least of the seeds. Costs are the first seed's,
errors the mean of all seeds. {_sampling(outcomes[0].settings)}

## Checks

{verdict}

## Plots

![loss of every update](training.png)

![predicted against true values](predictions.png)

![time of an update](seconds.png)

Every update is in updates.csv; settings, logs, checkpoints and results of each run are in runs/.

## Settings

{settings}

## Ran on

{ran}
"""
    (out / "report.md").write_text(text, encoding="utf-8")
