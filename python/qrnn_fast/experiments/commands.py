"""The commands of the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from qrnn_fast.experiments import demo as demonstration
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.board import Board, require_tensorboard
from qrnn_fast.experiments.forecast import LYAPUNOV_TIMES, STEPS, forecast_json, forecast_table
from qrnn_fast.experiments.forecast_plots import forecast_plot
from qrnn_fast.experiments.layers import CELLS
from qrnn_fast.experiments.libraries import libraries
from qrnn_fast.experiments.model import evaluations_per_sequence, make_model
from qrnn_fast.experiments.noise import GRAMMAR
from qrnn_fast.experiments.options import plain_errors, settings_as_options
from qrnn_fast.experiments.progress import TrainingProgress, make_console
from qrnn_fast.experiments.ranks import Ranks, refuse_torchrun
from qrnn_fast.experiments.report import errors_table
from qrnn_fast.experiments.settings import GRADIENTS, Settings
from qrnn_fast.experiments.study.command import compare
from qrnn_fast.experiments.train import Trainer
from qrnn_fast.files import write_json
from qrnn_fast.nn import QRNN
from qrnn_fast.systems import Lorenz

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="qrnn_fast: train and measure quantum recurrent neural networks.",
)
app.command()(compare)


@app.callback()
@plain_errors
def run_once(context: typer.Context) -> None:
    """Refuse torchrun's several processes where each would do all the work, and write to the others' files."""
    if context.invoked_subcommand != "train":
        refuse_torchrun(f"qrnn-fast {context.invoked_subcommand}")


def _train(trainer: Trainer, console: Console, *, tensorboard: bool) -> None:
    boards = [Board(trainer.folder, trainer.update + 1)] if tensorboard and trainer.ranks.is_first else []
    with TrainingProgress(console, trainer.settings.gradient, trainer.total_updates, trainer.update) as progress:
        trainer.run(progress, *boards)


@app.command()
@settings_as_options
@plain_errors
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run: settings, log, checkpoint, results.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in that folder to the same bits.")] = False,
    max_qpu_seconds: Annotated[
        float | None,
        typer.Option(help="Stop before a quantum processor's time, over all starts of the run, exceeds this."),
    ] = None,
    copies_over_ranks: Annotated[
        bool,
        typer.Option(
            "--copies-over-ranks",
            help="Under torchrun, share the perturbed copies of whole batches among the processes, not the batches.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write losses and errors for TensorBoard into the folder, too.")
    ] = False,
    **given: Any,
) -> None:
    """Train one network and report its errors beside the baselines'; under torchrun, by all its processes."""
    if tensorboard:
        require_tensorboard()
    if "data" in given:
        given["data"] = str(Path(given["data"]).resolve())
    with Ranks.of_torchrun(over_copies=copies_over_ranks) as ranks:
        console = make_console(quiet=not ranks.is_first)
        if resume:
            trainer = runs.resume(out, given, max_qpu_seconds, ranks)
            console.print(f"{out}: at update {trainer.update} of {trainer.total_updates}")
        else:
            trainer = runs.begin(Settings(**given), out, max_qpu_seconds, ranks)
        if trainer.processor is not None:
            console.print(f"{trainer.processor!r}\n{runs.qpu_estimate(trainer)}", highlight=False)
        try:
            _train(trainer, console, tensorboard=tensorboard)
        except KeyboardInterrupt:
            jobs = " and collect its jobs" if trainer.processor is not None else ""
            raise KeyboardInterrupt(
                f"interrupted; the checkpoint in {out} is whole, continue{jobs} with --resume"
            ) from None
        finally:
            if trainer.processor is not None:
                console.print(f"QPU time used: {trainer.processor.used_qpu_seconds:.1f} s", highlight=False)
        if ranks.is_first:
            console.print(errors_table(runs.finish(trainer), trainer.task).rich())


@app.command()
@plain_errors
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    steps: Annotated[int | None, typer.Option(help="Steps of a window, in place of the run's own.")] = None,
    washout: Annotated[int | None, typer.Option(help="First steps left out of the windowed error.")] = None,
    stride: Annotated[int | None, typer.Option(help="Rows between the starts of two windows.")] = None,
    long_washout: Annotated[int | None, typer.Option(help="First steps left out of the long run's error.")] = None,
    max_qpu_seconds: Annotated[
        float | None,
        typer.Option(help="Stop before measuring on a quantum processor takes more of its time than this."),
    ] = None,
) -> None:
    """Measure a trained network again, if need be with other windows; the run's folder is only read."""
    changes = {"steps": steps, "washout": washout, "stride": stride, "long_washout": long_washout}
    given = {name: value for name, value in changes.items() if value is not None}
    task, results = runs.evaluate(run, given, max_qpu_seconds)
    make_console().print(errors_table(results, task).rich())


@app.command()
@plain_errors
def forecast(
    run: Annotated[Path, typer.Argument(help="Folder of a run that predicts all columns it observes.")],
    out: Annotated[
        Path | None, typer.Option(help="A new or empty folder for forecast.png and forecast.json. Without it: none.")
    ] = None,
    warm_up: Annotated[int, typer.Option(help="True rows that a model reads before it goes on alone.")] = 100,
    steps: Annotated[
        int | None, typer.Option(help=f"Rows of a forecast. Without it: {LYAPUNOV_TIMES} Lyapunov times, or {STEPS}.")
    ] = None,
    starts: Annotated[int, typer.Option(help="Number of forecasts, spread over the validation rows.")] = 50,
    threshold: Annotated[float, typer.Option(help="The error up to which a forecast is valid.")] = 0.5,
) -> None:
    """Let a trained network run on its own predictions, and tell how long they are valid, beside the baselines'."""
    if out is not None:
        runs.require_empty(out)
    task, plan, forecasts = runs.forecast(run, warm_up, steps, starts, threshold)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        forecast_plot(task, plan, forecasts, out / "forecast.png")
        write_json(out / "forecast.json", forecast_json(task, plan, forecasts))
    make_console().print(forecast_table(task, plan, forecasts).rich())


@app.command()
@plain_errors
def demo(
    out: Annotated[Path, typer.Option(help="A new or empty folder for the report.")] = Path("report"),
    methods: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(GRADIENTS)}, with commas in between. Without it: all.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help="Samples per circuit evaluation; the adjoint trains exactly, whatever they are.")
    ] = None,
    noise: Annotated[str | None, typer.Option(help=f"Noise of the circuit: {GRAMMAR}.")] = None,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds. Without it: 5 of the adjoint, one of the others.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Without it: 1 where batches are small.")] = None,
    updates: Annotated[int | None, typer.Option(help="Stop each run after this many updates (a quick look).")] = None,
) -> None:
    """Train on Lorenz by each gradient method, print one table, write a report; code 1 if a check fails."""
    console = make_console()
    entries = demonstration.plan(
        methods=None if methods is None else [name.strip() for name in methods.split(",")],
        shots=shots,
        noise=noise,
        seed=seed,
        seeds=seeds,
        threads=threads,
        updates=updates,
    )
    if not demonstration.compare(entries, out, console):
        raise typer.Exit(1)


@app.command()
@plain_errors
def info(
    cell: Annotated[str, typer.Option(help=f"The recurrent layer: {', '.join(CELLS)}.")] = "crx_chain",
    qubits: Annotated[int, typer.Option(help="Number of qubits.")] = 8,
    repeats: Annotated[int, typer.Option(help="Repeats of the gates within a step.")] = 1,
) -> None:
    """Show versions and libraries, a circuit, its engine, and what one update costs by each gradient method."""
    settings = Settings(cell=cell, qubits=qubits, repeats=repeats)
    layer = make_model(settings, settings.context, len(Lorenz.columns) - 1, 0, torch.Generator(), "native").layer
    console = make_console()
    for name, value in {**runs.versions(), **libraries()}.items():
        console.print(f"{name:18} {value}", highlight=False, soft_wrap=True)
    console.print(f"\n{cell}: {layer!r}", highlight=False)
    if not isinstance(layer, QRNN):
        return
    console.print(f"{layer.circuit.n_angles} angles\n\n{layer.circuit.plan()}\n", highlight=False)
    for gradient in GRADIENTS:
        settings = dataclasses.replace(settings, gradient=gradient)
        count = evaluations_per_sequence(settings, layer)
        console.print(
            f"{gradient:16} {count:6} circuit evaluations per sequence and update "
            f"(T = {settings.steps}, context {settings.context}, {settings.samples} samples)",
            highlight=False,
        )
