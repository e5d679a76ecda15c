"""The tables and the report folder of a study."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from qrnn_fast.experiments import plots as demo_plots
from qrnn_fast.experiments import runs
from qrnn_fast.experiments.baselines import left_out
from qrnn_fast.experiments.model import SHOTS
from qrnn_fast.experiments.study import costs, plots
from qrnn_fast.experiments.study.costs import Seconds
from qrnn_fast.experiments.study.groups import Trained
from qrnn_fast.experiments.study.members import ADJOINT
from qrnn_fast.experiments.study.study import Study
from qrnn_fast.experiments.study.tuning import at_edge
from qrnn_fast.experiments.study.verdict import mean_and_error, ranked, sentences
from qrnn_fast.experiments.table import TextTable
from qrnn_fast.files import write_json

PROTOCOLS = ("train", "windowed", "long run", "long run, no washout")  # in the order of the columns


def tables(study: Study) -> dict[str, TextTable]:
    """The tables of a study, by name."""
    plan, parts = study.plan, study.parts
    reference = [one for one in parts.updates if one.group.member == ADJOINT]
    return {
        "updates": _errors(f"At {plan.updates:,} updates each", [parts.updates], study),
        "evaluations": _errors(
            f"At {plan.evaluations:,} circuit evaluations each, the exact adjoint as a reference",
            [parts.evaluations, reference],
            study,
        ),
        "networks": _errors(f"At {plan.epochs:,} epochs each", [parts.epochs], study),
        "costs": _costs(study),
        "quality": _quality(study),
        "trials": _trials(study),
    }


def verdict(study: Study) -> list[str]:
    """What the figures say, in sentences."""
    plan, parts = study.plan, study.parts
    asked = (
        (f"At {plan.updates:,} updates", parts.updates, "windowed"),
        (f"At {plan.evaluations:,} circuit evaluations", parts.evaluations, "windowed"),
        (f"At {plan.epochs:,} epochs", parts.epochs, "windowed"),
        (f"At {plan.epochs:,} epochs", parts.epochs, "long run"),
    )
    return [" ".join(sentences(title, members, protocol)) for title, members, protocol in asked if members]


def _errors(title: str, sections: Sequence[Sequence[Trained]], study: Study) -> TextTable:
    names = study.task.predicted_names
    shown = ", ".join(names) if len(names) <= 4 else f"{len(names)} columns"
    table = TextTable(
        f"{title}: RMSE of the scaled columns, mean of {shown}; mean ± standard error over {study.plan.seeds} seeds",
        ["method", "learning rate", "updates", "evaluations", *PROTOCOLS],
        notes=[f"{one.group.member.name}: {note}" for members in sections for one in members for note in _failures(one)]
        + left_out(study.task),
    )
    for members in sections:
        if members:
            table.sections.append([_error_row(one) for one in members])
    table.sections.append(
        [[name, "", "", "", *(f"{e[p].mean:.4f}" for p in PROTOCOLS)] for name, e in study.baselines.items()]
    )
    return table


def _error_row(one: Trained) -> list[str]:
    return [
        one.group.member.name,
        "-" if one.lr is None else f"{one.lr:g}",
        f"{one.group.updates:,}",
        f"{one.evaluations:,}" if one.evaluations else "-",
        *(mean_and_error(list(one.errors(protocol).values())) for protocol in PROTOCOLS),
    ]


def _failures(one: Trained) -> list[str]:
    if not one.runs:
        return ["diverged at every learning rate"]
    return [f"seed {run.seed} diverged and is left out: {run.message}" for run in one.runs if run.message is not None]


def _costs(study: Study) -> TextTable:
    plan = study.plan
    on_processor = (
        "QPU time needs qiskit-ibm-runtime, which is not installed: pip install 'qrnn_fast[runtime]'."
        if plan.processor is None
        else f"QPU time is that of {plan.processor} with {plan.base.shots or SHOTS:,} shots, by qf.estimate."
    )
    table = TextTable(
        "What training takes",
        ["method", "evaluations / update", "ms / update", "s / epoch", "QPU s / update", "QPU h / epoch"],
        notes=[f"Milliseconds: median of {costs.timed(plan)} updates, less the first, of a run alone. {on_processor}"],
    )
    evaluations = {
        one.group.member.name: one.evaluations / one.group.updates
        for one in (*study.parts.epochs, *study.parts.updates)
        if one.group.updates
    }
    table.sections.append(
        [
            [
                name,
                f"{evaluations[name]:,.0f}" if evaluations[name] else "-",
                f"{1e3 * seconds.update:.2f}",
                f"{seconds.epoch:.3f}",
                *_on_processor(study.processor.get(name)),
            ]
            for name, seconds in study.seconds.items()
        ]
    )
    return table


def _on_processor(seconds: Seconds | None) -> tuple[str, str]:
    return ("-", "-") if seconds is None else (f"{seconds.update:,.1f}", f"{seconds.epoch / 3600:,.2f}")


def _quality(study: Study) -> TextTable:
    table = TextTable(
        "Gradient by the encoder's weights on one batch, against the exact one; lengths in units of the exact one's",
        ["method", "shots", "draws", "cosine", "bias", "by chance", "variance"],
        notes=[
            "Bias: length of the mean of the draws less the exact gradient; by chance: what an unbiased method of that "
            "variance and number of draws has. Variance: mean square distance from the mean."
        ],
    )
    for weights in dict.fromkeys(q.weights for q in study.qualities):
        rows: list[Sequence[str]] = [[weights, *[""] * 6]]
        for q in study.qualities:
            if q.weights == weights:
                mean, error = q.cosine
                rows.append(
                    [
                        f"  {q.member}",
                        "exact" if q.shots is None else f"{q.shots:,}",
                        f"{len(q.cosines)}",
                        f"{mean:.4f}" if len(q.cosines) == 1 else f"{mean:.4f} ± {error:.4f}",
                        f"{q.bias:.4f}",
                        f"{q.bias_by_chance:.4f}",
                        f"{q.variance:.4f}",
                    ]
                )
        table.sections.append(rows)
    return table


def _trials(study: Study) -> TextTable:
    table = TextTable(
        "The search for learning rates, one run each",
        ["method", "updates", "best", "learning rate: training RMSE", "best at the edge"],
    )
    table.sections.append(
        [
            [
                one.group.member.name,
                f"{one.group.updates:,}",
                f"{one.lr:g}",
                ", ".join(f"{t.lr:.3g}: {_rmse(t.error)}" for t in sorted(one.trials, key=lambda t: t.lr)),
                "yes" if at_edge(one.trials) else "no",
            ]
            for one in _all(study)
            if one.trials
        ]
    )
    return table


def _rmse(error: float) -> str:
    return f"{error:.4f}" if math.isfinite(error) else "diverged"


def _all(study: Study) -> list[Trained]:
    parts = study.parts
    return list({one.group: one for one in parts.updates + parts.evaluations + parts.epochs}.values())


def as_json(study: Study) -> dict[str, Any]:
    """All figures of a study, with its plan and what it ran on."""
    return {
        "plan": dataclasses.asdict(study.plan),
        "parts": {
            field.name: [(one.group.member.name, one.group.updates) for one in getattr(study.parts, field.name)]
            for field in dataclasses.fields(study.parts)
        },
        "members": [
            {
                "member": one.group.member.name,
                "updates": one.group.updates,
                "evaluations": one.evaluations,
                "lr": one.lr,
                "trials": [dataclasses.asdict(trial) for trial in one.trials],
                "runs": [
                    {"seed": run.seed, "folder": str(run.folder.relative_to(study.folder)), "rmse": run.errors}
                    | ({} if run.message is None else {"diverged": run.message})
                    for run in one.runs
                ],
            }
            for one in _all(study)
        ],
        "baselines": {name: {p: e.mean for p, e in errors.items()} for name, errors in study.baselines.items()},
        "seconds": {name: dataclasses.asdict(seconds) for name, seconds in study.seconds.items()},
        "processor": {name: dataclasses.asdict(seconds) for name, seconds in study.processor.items()},
        "gradients": [dataclasses.asdict(q) for q in study.qualities],
        "verdict": verdict(study),
        "versions": runs.versions(),
    }


def write(study: Study) -> Path:
    """Write the plots, report.json, report.md and report.html, which stands alone, to the study's folder.

    Returns:
        Where report.html is.
    """
    out, parts = study.folder, study.parts
    titles = {"updates.png": parts.updates, "evaluations.png": parts.evaluations, "epochs.png": parts.epochs}
    pictures = [
        name for name, members in titles.items() if any(one.group.updates and one.errors("train") for one in members)
    ]
    for name in pictures:
        plots.curves(titles[name], out / name)
    if study.qualities:
        plots.gradients(study.qualities, out / "gradients.png")
        pictures.append("gradients.png")
    best_of_each = {one.group: one for members in titles.values() for one in ranked(members, "windowed")[:1]}
    if best_of_each:
        labels = {f"{g.member.name}, {g.updates:,} updates": one for g, one in best_of_each.items()}
        trained = {label: runs.resume(one.runs[0].folder, {}) for label, one in labels.items()}
        demo_plots.predictions(trained, out / "predictions.png")
        pictures.append("predictions.png")
    write_json(out / "report.json", as_json(study))
    text = _text(study, pictures)
    (out / "report.md").write_text(text, encoding="utf-8")
    (out / "report.html").write_text(_html(text, {name: out / name for name in pictures}), encoding="utf-8")
    return out / "report.html"


def _text(study: Study, pictures: Sequence[str]) -> str:
    plan, shown = study.plan, {name: table.markdown() for name, table in tables(study).items()}
    parts = [
        f"# Methods compared on {plan.base.data or plan.base.system}",
        "\n".join(f"- {sentence}" for sentence in verdict(study)),
        f"""Differences are paired: a seed gives every member the same initial weights, as far as they have the same
layer, and the same order of windows. p is that of the paired t test, two-sided, after Holm's correction; that the best
is the best by these very runs makes it too small, so that a p just below 0.05 asks for more seeds. Every member has a
learning rate of its own for every number of updates, found by the training error with a seed apart. Windowed:
validation windows of {plan.base.steps} steps, begun from the initial memory, after {plan.base.washout} of them. Long
run: the validation part as one sequence, after {plan.base.long_washout} steps and from the first step on. Evaluations
are whole sequences of {plan.base.steps} steps, as a quantum computer would run them; the exact adjoint works in
simulation alone, and only its forward passes are counted.""",
        *shown.values(),
        *(f"![{name.removesuffix('.png')}]({name})" for name in pictures),
        "Settings, logs of every update, checkpoints and results of each run lie in runs/ and tuning/.",
        f"Settings of all runs: `{plan.base}`",
        "\n".join(f"- {name}: {value}" for name, value in runs.versions().items()),
    ]
    return "\n\n".join(parts) + "\n"


_STYLE = """body { font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: .2em .7em; }
tr { border-bottom: 1px solid #ddd; } img { max-width: 100%; } code { overflow-wrap: anywhere; }"""


def _html(text: str, pictures: Mapping[str, Path]) -> str:
    body = str(MarkdownIt("commonmark").enable("table").render(text))
    for name, path in pictures.items():
        data = base64.b64encode(path.read_bytes()).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/png;base64,{data}"')
    head = f'<meta charset="utf-8"><title>qrnn_fast: methods compared</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>\n"
