"""Plot, table and summary of a file that scaling.py has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

OURS = "qrnn_fast"
AXES = {"n": "qubits", "T": "steps", "B": "sequences", "P": "angles a step (gradient)"}


def write(result: dict[str, Any], path: Path) -> None:
    """Plot and Markdown beside the JSON file `path`."""
    plot(result, path.with_suffix(".svg"))
    path.with_suffix(".md").write_text(markdown(result, path))


def people(result: dict[str, Any]) -> list[str]:
    """All who have a figure, in order."""
    names: dict[str, None] = {}
    for cell in result["cells"]:
        names |= dict.fromkeys(figure["who"] for figure in cell["figures"])
    return list(names)


def plot(result: dict[str, Any], path: Path) -> None:
    panels: dict[str, list[dict[str, Any]]] = {}
    for cell in result["cells"]:
        panels.setdefault(cell["panel"], []).append(cell)
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    columns = (len(panels) + 1) // 2
    for axes, (name, cells) in zip(figure.subplots(2, columns, squeeze=False).flat, panels.items(), strict=False):
        for k, who in enumerate(people(result)):
            points = [(c["x"], f["seconds"] * 1e6) for c in cells for f in c["figures"] if f["who"] == who]
            if points:
                style = {"color": f"C{k}", "marker": "o", "markersize": 4, "linewidth": 2.5 if who == OURS else 1.2}
                axes.plot(*zip(*points, strict=True), label=who, **style)
        axes.set(xscale="log", yscale="log", title=name, xlabel=AXES[name[0]])
        axes.set_xticks([c["x"] for c in cells], [str(c["x"]) for c in cells], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    for axes in figure.axes[::columns]:
        axes.set_ylabel("microseconds per sequence and step")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(people(result)))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "scaling"}):
        figure.savefig(path, metadata={"Date": None})


def markdown(result: dict[str, Any], path: Path) -> str:
    names = people(result)
    lines = [
        "# Scaling",
        "",
        "Microseconds per sequence and step, float64, one thread; medians of repeated calls. Exact but for Aer's 1,024",
        "shots. Each axis is swept from 8 qubits, 20 steps, one sequence. Every answer was compared with ours in the",
        "same run: exact ones to 1e-9, frequencies to six standard errors. An asterisk: measured on fewer steps or",
        "sequences and scaled. Empty: one step alone would have taken too long, or there is no such gradient.",
        "",
        f"![Scaling]({path.with_suffix('.svg').name})",
        "",
        "| | | " + " | ".join(names) + " |",
        "|---|---|" + "---:|" * len(names),
    ]
    for cell in result["cells"]:
        figures = {f["who"]: f for f in cell["figures"]}
        row = [cell["panel"], str(cell["x"])]
        for who in names:
            f = figures.get(who)
            row.append("" if f is None else f"{f['seconds'] * 1e6:,.3g}{'*' if f['scaled'] else ''}")
        lines.append("| " + " | ".join(row) + " |")
    lines += ["", "```", summary(result), "```", ""]
    lines += [f"{name}: {value}  " for name, value in result["machine"].items()]
    return "\n".join(lines) + "\n"


def summary(result: dict[str, Any]) -> str:
    """For each peer the smallest and the largest ratio of its time to ours, and where it is ahead."""
    lines = []
    for who in people(result):
        if who == OURS:
            continue
        ratios = []
        for cell in result["cells"]:
            seconds = {f["who"]: f["seconds"] for f in cell["figures"]}
            if who in seconds:
                ratios.append((seconds[who] / seconds[OURS], f"{cell['panel']} = {cell['x']}"))
        behind = [name for ratio, name in ratios if ratio < 1]
        low, high = min(ratios), max(ratios)
        lines.append(
            f"{who}: {low[0]:,.0f} ({low[1]}) to {high[0]:,.0f} ({high[1]}) times our time in {len(ratios)} cells; "
            + (f"ahead of us in {', '.join(behind)}" if behind else "behind in every one")
        )
    return "\n".join(lines)
