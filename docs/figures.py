"""The figures of the documentation, drawn from the package's own circuits, plans and runs.

python docs/figures.py              the figures that explain, into docs/figures
python docs/figures.py --run FOLDER the prediction of a trained run (docs/long-runs.md names its command), too
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import qrnn_fast as qf

FOLDER = Path(__file__).parent / "figures"
ENDS = {"measure": ("M", "#eef5fb"), "reset": ("|0⟩", "#eef5fb")}  # label and background
INK, FAINT, READOUT, MEMORY, WARM = "#333", "#bbb", "#1f6fb5", "#2a7d46", "#c2571a"


class Picture:
    """An SVG picture on white, written element by element; lengths in pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.size = width, height
        self.parts: list[str] = []

    def line(self, *points: tuple[float, float], color: str = INK, width: float = 1.4, style: str = "") -> None:
        """A line through points; `style` is "", "dash" or "arrow" (at its end)."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        extra = {"": "", "dash": ' stroke-dasharray="3 4"', "arrow": f' marker-end="url(#a{color[1:]})"'}[style]
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"{extra}/>')

    def box(
        self, x: float, y: float, w: float, h: float, label: str = "", *, color: str = INK, fill: str = "#fff"
    ) -> None:
        """A box with its upper left corner at (x, y) and a label in its middle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="3" fill="{fill}" stroke="{color}"/>'
        )
        if label:
            self.text(x + w / 2, y + h / 2 + 4, label, color=color)

    def dot(self, x: float, y: float, radius: float = 3.5, *, color: str = INK) -> None:
        """A disc."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{color}"/>')

    def text(self, x: float, y: float, text: str, *, color: str = INK, at: str = "middle", size: float = 12) -> None:
        """Text on a base line; `at` says which part of it stands at x: "start", "middle" or "end"."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" fill="{color}" text-anchor="{at}" font-size="{size:g}">{escape(text)}</text>'
        )

    def save(self, name: str, title: str) -> None:
        """Write the picture; `title` is what a screen reader says."""
        width, height = self.size
        heads = "".join(
            f'<marker id="a{c[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{c}"/></marker>'
            for c in (INK, FAINT, READOUT, MEMORY, WARM)
        )
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" font-family="Helvetica, Arial, sans-serif"><title>{escape(title)}</title>'
            f'<defs>{heads}</defs><rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n",
            encoding="utf-8",
        )


def columns_of(circuit: qf.Circuit) -> list[tuple[int, qf.circuit.Operation]]:
    """Each op with the column that it stands in: as far left as the wires that it crosses allow."""
    free = [0] * circuit.n_qubits
    placed = []
    for op in circuit.operations:
        crossed = range(min(op.qubits), max(op.qubits) + 1)
        column = max(free[q] for q in crossed)
        for q in crossed:
            free[q] = column + 1
        placed.append((column, op))
    return placed


def draw_ops(
    picture: Picture,
    circuit: qf.Circuit,
    left: float,
    top: float,
    wide: float,
    high: float,
    without: frozenset[str] = frozenset(),
) -> None:
    """The ops of a circuit but those named in `without`, on wires `high` apart and in columns `wide` apart."""
    readout = set(circuit.readout)
    for column, op in columns_of(circuit):
        if op.name in without:
            continue
        x = left + (column + 0.5) * wide
        ys = [top + q * high for q in op.qubits]
        color = READOUT if op.qubits[-1] in readout else MEMORY
        if op.name.startswith("c"):
            picture.line((x, ys[0]), (x, ys[1]))
            picture.dot(x, ys[0])
            picture.box(x - 15, ys[1] - 11, 30, 22, op.name[1:].upper(), color=color)
        else:
            label, fill = ENDS.get(op.name, (op.name.upper(), "#fff"))
            for y in ys:
                picture.box(x - 15, y - 11, 30, 22, label, color=color, fill=fill)


def circuit_figure() -> None:
    """One step of crx_chain with 4 qubits, gate by gate."""
    circuit = qf.cells.crx_chain(4)
    left, top, wide, high = 118, 30, 36, 46
    n_columns = max(column for column, _ in columns_of(circuit)) + 1
    picture = Picture(left + n_columns * wide + 96, top + 3 * high + 46)
    end = left + n_columns * wide
    for q in range(circuit.n_qubits):
        y, memory = top + q * high, q in circuit.memory
        color = MEMORY if memory else READOUT
        picture.line((left - 12, y), (end + 12, y), color=color)
        picture.text(left - 18, y + 4, "memory" if memory else "|0⟩", color=color, at="end")
        picture.text(18, y + 4, f"q{q}", at="start")
        picture.text(end + 18, y + 4, "memory" if memory else "|0⟩", color=color, at="start")
    draw_ops(picture, circuit, left, top, wide, high)
    picture.text(
        left, top + 3 * high + 38, f"{circuit.n_angles} angles, one for each gate; M measures, |0⟩ resets", at="start"
    )
    picture.save("circuit.svg", "One step of crx_chain with four qubits")


def steps_figure() -> None:
    """Three steps: encoder, circuit, measured and reset readout qubits, carried memory."""
    picture = Picture(760, 330)
    wire_memory, wire_readout, wide = 150, 205, 215
    picture.text(18, wire_memory + 4, "memory", color=MEMORY, at="start")
    picture.text(18, wire_readout + 4, "readout", color=READOUT, at="start")
    picture.line((78, wire_memory), (735, wire_memory), color=MEMORY, width=2.2, style="arrow")
    for t in range(3):
        x = 100 + t * wide
        middle = x + 50
        picture.line((x - 16, wire_readout), (x + 158, wire_readout), color=READOUT, width=2.2)
        picture.text(x - 22, wire_readout + 22, "|0⟩", color=READOUT)
        picture.box(x, wire_memory - 28, 100, 112, f"U(a{_sub(t)})", fill="#f7f7f7")
        picture.box(x + 108, wire_readout - 14, 24, 28, "M", color=READOUT, fill="#eef5fb")
        picture.box(x + 140, wire_readout - 14, 28, 28, "|0⟩", color=READOUT, fill="#eef5fb")
        picture.line((middle, 88), (middle, wire_memory - 30), style="arrow")
        picture.box(x + 5, 60, 90, 28, "encoder", color=WARM)
        picture.line((middle, 36), (middle, 58), style="arrow")
        picture.text(middle, 28, f"x{_sub(t)}")
        picture.text(middle + 8, 108, f"angles a{_sub(t)}", at="start", size=11)
        picture.line((x + 120, wire_readout + 14), (x + 120, 262), color=READOUT, style="arrow")
        picture.text(x + 126, 245, f"p{_sub(t)}: 2ʳ probabilities", color=READOUT, at="start", size=11)
        picture.box(x + 75, 264, 90, 26, "head", color=WARM)
        picture.line((x + 120, 290), (x + 120, 306), style="arrow")
        picture.text(x + 120, 322, f"ŷ{_sub(t)}")
    picture.save("steps.svg", "Three time steps: memory is carried on, readout qubits are measured and reset")


def _sub(t: int) -> str:
    return "₁₂₃"[t]


def elimination_figure() -> None:
    """A readout qubit exists from its first gate to its last; what is held in between, for 8 qubits, as bars."""
    circuit = qf.cells.crx_chain(4)
    left, top, wide, high = 60, 62, 32, 46
    placed = columns_of(circuit)
    picture = Picture(790, 290)
    end = left + (max(column for column, _ in placed) + 1) * wide
    picture.text(
        left - 42, 24, "A readout qubit exists between its first gate and its measurement", at="start", size=13
    )
    for q in range(circuit.n_qubits):
        y = top + q * high
        if q in circuit.memory:
            picture.line((left - 12, y), (end + 12, y), color=MEMORY, width=2.2)
        else:
            last = max(column for column, op in placed if q in op.qubits and op.name == "measure")
            picture.box(left - 2, y - 19, (last + 1) * wide + 2, 38, color="#e3eff9", fill="#e3eff9")
            picture.line((left, y), (left + (last + 1) * wide, y), color=READOUT)
        picture.text(18, y + 4, f"q{q}", color=MEMORY if q in circuit.memory else READOUT, at="start")
    draw_ops(picture, circuit, left, top, wide, high, without=frozenset({"reset"}))
    picture.text(left - 42, 246, "|0⟩, the gates in a blue band and the measurement become one real", at="start")
    picture.text(left - 42, 264, "matrix on the memory qubits beside it, in blocks of at most 4 by 4.", at="start")

    eight = qf.cells.crx_chain(8)
    pauli = next(cost for cost in eight.plan().costs if cost.engine == "pauli")
    n, m = eight.n_qubits, len(eight.memory)
    x, full = 500, 270
    picture.text(x, 24, f"Real numbers held, {n} qubits", at="start", size=13)
    bars = [
        (4**n, "density matrix of all qubits", INK),
        (2 * 2 ** (n + m), "amplitudes of its columns", READOUT),
        (4 ** max(pauli.active), f"Pauli coefficients: at most {max(pauli.active)} qubits alive", MEMORY),
    ]
    for i, (count, label, color) in enumerate(bars):
        y = 46 + 58 * i
        picture.box(x, y, full * math.log2(count) / (2 * n), 22, color=color, fill=color)
        picture.text(x + 6, y + 15, f"{count:,}", color="#fff", at="start")
        picture.text(x, y + 37, label, color=color, at="start", size=11)
    picture.text(x, 222, "logarithmic scale", at="start", size=11)
    picture.text(x, 246, f"One step takes {pauli.operations:,.0f} operations, sines", at="start")
    picture.text(x, 264, "and cosines included.", at="start")
    picture.save("elimination.svg", "Readout qubits exist only between their first gate and their measurement")


def gradients_figure() -> None:
    """Where each method evaluates the loss, in the plane of two weights or along the angle of one gate."""
    picture = Picture(800, 250)
    curvature = ((1.0, 0.45), (0.45, 0.7))
    point = (-0.95, 0.75)
    gradient = tuple(sum(a * w for a, w in zip(row, point, strict=True)) for row in curvature)
    titles = ("adjoint", "parameter-shift", "FDSA", "SPSA")
    notes = (
        ("exact; one run forwards,", "one backwards: 1"),
        ("exact; each gate occurrence", "by ±π/2, CRX by ±3π/2, too: 2,481"),
        ("differences along each", "weight: 221"),
        ("a difference along a random", "direction, or several: 3"),
    )
    for k, (title, note) in enumerate(zip(titles, notes, strict=True)):
        cx, cy, unit = 100 + 200 * k, 112, 52
        picture.text(cx, 22, title, size=14)
        for i, text in enumerate(note):
            picture.text(cx, 216 + 16 * i, text, size=11)
        if title == "parameter-shift":
            _shift_panel(picture, cx, cy)
            continue
        _contours(picture, curvature, cx, cy, unit)

        def at(w: tuple[float, ...], cx: float = cx, cy: float = cy, unit: float = unit) -> tuple[float, float]:
            return cx + unit * w[0], cy - unit * w[1]

        c, step = 0.42, -1.1
        directions: tuple[tuple[float, float], ...] = {"FDSA": ((c, 0), (0, c)), "SPSA": ((c, -c),)}.get(title, ())
        found = gradient
        if title == "SPSA":
            ((dx, dy),) = directions
            along = (gradient[0] * dx + gradient[1] * dy) / (dx * dx + dy * dy)
            found = (along * dx, along * dy)
        for dx, dy in directions:
            ends = [at((point[0] + s * dx, point[1] + s * dy)) for s in (-1, 1)]
            picture.line(*ends, color=READOUT, style="dash")
            for end in ends:
                picture.dot(*end, color=READOUT)
        picture.line(
            at(point),
            at((point[0] + step * found[0], point[1] + step * found[1])),
            color=WARM,
            width=2,
            style="arrow",
        )
        picture.dot(*at(point))
    picture.save("gradients.svg", "Where the gradient methods evaluate the loss")


def _contours(picture: Picture, a: tuple[tuple[float, float], ...], cx: float, cy: float, unit: float) -> None:
    """Ellipses w A w = constant around (cx, cy)."""
    (p, q), (_, r) = a
    mean, half = (p + r) / 2, math.hypot((p - r) / 2, q)
    turn = math.degrees(math.atan2(2 * q, p - r) / 2)
    for level in (0.12, 0.4, 0.85, 1.45):
        rx, ry = (unit * math.sqrt(level / value) for value in (mean + half, mean - half))
        picture.parts.append(
            f'<ellipse cx="{cx:g}" cy="{cy:g}" rx="{rx:.1f}" ry="{ry:.1f}" fill="none" stroke="{FAINT}" '
            f'transform="rotate({-turn:.1f} {cx:g} {cy:g})"/>'
        )


def _shift_panel(picture: Picture, cx: float, cy: float) -> None:
    """A sinusoid in one angle: the difference of two values far apart is its slope."""

    def at(theta: float) -> tuple[float, float]:
        return cx + 24 * theta, cy - 42 * math.sin(theta + 0.5)

    picture.line(*(at(-3.4 + 0.1 * i) for i in range(69)), color=FAINT, width=1.6)
    for sign in (-1, 1):
        picture.line(at(0), at(sign * math.pi / 2), color=READOUT, style="dash")
        picture.dot(*at(sign * math.pi / 2), color=READOUT)
        x, y = at(sign * math.pi / 2)
        picture.text(
            x, y - 10 * sign + (12 if sign < 0 else 0), f"{'+' if sign > 0 else '-'}π/2", color=READOUT, size=11
        )
    x, y = at(0)
    slope = 42 * math.cos(0.5) / 24
    picture.line((x - 22, y + 22 * slope), (x + 22, y - 22 * slope), color=WARM, width=2, style="arrow")
    picture.dot(x, y)
    picture.text(cx, cy + 76, "angle of one gate", size=11)


def prediction_figure(run: Path, first: int = 100, steps: int = 500) -> None:
    """Y and Z of Lorenz-63 over a part of the long run: truth, prediction and their difference."""
    from qrnn_fast.experiments import runs
    from qrnn_fast.experiments.evaluate import predict

    trainer = runs.resume(run, {})
    task = trainer.task
    rows = task.long_run.rows()
    predicted = predict(trainer.model, task, task.long_run)[0, first : first + steps]
    true = task.targets(rows)[0, first : first + steps]
    picture = Picture(800, 330)
    left, wide = 64, 720
    for i, (name, top) in enumerate(zip(task.predicted_names, (28, 138), strict=True)):
        for values, color, width in ((true[:, i], FAINT, 4.5), (predicted[:, i], READOUT, 1.3)):
            picture.line(*_curve(values.tolist(), left, wide, top + 92, -92), color=color, width=width)
        picture.text(left - 10, top + 50, name.upper(), at="end", size=13)
    errors = (predicted - true).tolist()
    top, scale = 284, 0.01
    picture.line((left, top), (left + wide, top), color=FAINT, width=1)
    for i, color in enumerate((WARM, MEMORY)):
        picture.line(*_curve([row[i] / scale for row in errors], left, wide, top, -26), color=color, width=1)
    picture.text(left - 10, top + 4, "error", at="end")
    picture.text(left - 10, top - 20, f"+{scale:g}", at="end", size=10)
    picture.text(left - 10, top + 28, f"-{scale:g}", at="end", size=10)
    picture.text(
        left, 16, "grey: true; blue: predicted from X one step before; below: their difference (Y, Z)", at="start"
    )
    picture.text(left + wide, 326, f"steps {first} to {first + steps} of the validation run", at="end", size=11)
    picture.save("prediction.svg", "Y and Z of Lorenz-63 predicted from X by eight qubits")


def _curve(values: list[float], left: float, wide: float, base: float, high: float) -> list[tuple[float, float]]:
    n = len(values) - 1
    return [(round(left + wide * i / n, 1), round(base + high * v, 1)) for i, v in enumerate(values)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a trained run")
    options = parser.parse_args(arguments)
    circuit_figure()
    steps_figure()
    elimination_figure()
    gradients_figure()
    if options.run is not None:
        prediction_figure(options.run)


if __name__ == "__main__":
    main()
