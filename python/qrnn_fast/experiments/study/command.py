"""The command `compare`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from qrnn_fast.experiments.options import plain_errors, settings_as_options
from qrnn_fast.experiments.progress import make_console
from qrnn_fast.experiments.study import costs, executor, report, study
from qrnn_fast.experiments.study.members import DECIDED, METHODS, NETWORKS
from qrnn_fast.experiments.study.plan import BASE, TUNERS, Plan
from qrnn_fast.systems import NAMES


@settings_as_options(defaults=BASE, without=DECIDED)
@plain_errors
def compare(
    system: Annotated[
        str | None, typer.Argument(help=f"The system to learn: {NAMES}.", show_default=BASE.system)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the study: plan, runs, report.")] = Path("study"),
    resume: Annotated[bool, typer.Option("--resume", help="Make what the study in that folder lacks.")] = False,
    methods: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(METHODS)}, with commas in between. Without it: all.")
    ] = None,
    networks: Annotated[
        str | None,
        typer.Option(help=f"Networks beside: some of {','.join(NETWORKS)}, or '' for none. Without it: all."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.", show_default="0")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.", show_default=str(Plan.seeds))] = None,
    updates: Annotated[
        int | None, typer.Option(help="Updates where methods have equal numbers.", show_default=str(Plan.updates))
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            help="Circuit evaluations where methods have equal numbers: whole sequences.",
            show_default=str(Plan.evaluations),
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs where networks have equal numbers.", show_default=str(Plan.epochs))
    ] = None,
    tuner: Annotated[
        str | None, typer.Option(help=f"Search for learning rates: {', '.join(TUNERS)}.", show_default=Plan.tuner)
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Learning rates that optuna tries.", show_default=str(Plan.trials))
    ] = None,
    processor: Annotated[
        str | None,
        typer.Option(
            help="Whose time an update would take: runtime:NAME of one of IBM's or fake:NAME, its snapshot.",
            show_default=costs.PROCESSOR,
        ),
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Processes. Without it: one for each core.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask cluster to run on, in place of processes of this machine.")
    ] = None,
    **given: Any,
) -> None:
    """Train by each method from several seeds, side by side, and write a report; 10 to 20 minutes on two cores."""
    console = make_console()
    asked: dict[str, Any] = {
        "methods": None if methods is None else _names(methods),
        "networks": None if networks is None else _names(networks),
        "seeds": seeds,
        "updates": updates,
        "evaluations": evaluations,
        "epochs": epochs,
        "processor": None if processor is None else processor.removeprefix("runtime:"),
        "tuner": tuner,
        "trials": trials,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    given |= {name: value for name, value in (("system", system), ("seed", seed)) if value is not None}
    if "data" in given:
        given["data"] = str(Path(given["data"]).resolve())
    if trials is not None and tuner != "optuna" and not resume:
        raise ValueError("trials are Optuna's; add --tuner optuna, or leave them out")
    if processes is not None and cluster is not None:
        raise ValueError("processes are of this machine, and cluster has workers of its own; leave one of them out")
    workers = (
        executor.processes(processes if processes is not None else os.cpu_count() or 1)
        if cluster is None
        else executor.cluster(cluster)
    )
    try:
        with workers as opened:
            if resume:
                plan = study.resume(out, asked, given)
            else:
                asked.setdefault("processor", costs.default_processor())
                plan = Plan(base=dataclasses.replace(BASE, **given), **asked)
                study.begin(plan, out)
            found = study.run(plan, out, opened, console)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; what is done lies in {out}, continue with --resume") from None
    tables = report.tables(found)
    for name in ("updates", "evaluations", "networks", "costs"):
        console.print(tables[name].rich())
    for sentence in report.verdict(found):
        console.print(sentence, highlight=False)
    console.print(f"report: {report.write(found)}", highlight=False)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
