"""The blocks of the README and of the pages run, in their order, and the examples do what they say.

Python blocks are executed; where a block of plain text follows, it is what they print. Command lines of qrnn-fast are
run on the pages that begin with nothing, and on the others parsed, with the values of their options checked.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer
from qrnn_fast.experiments.commands import app
from qrnn_fast.experiments.settings import Settings
from qrnn_fast.experiments.study.plan import BASE
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("quickstart.md", "own-series.md")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:\n^```\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
OF_VECTORS = re.compile(r" +[\d.]+ (?=kB|us)")  # what a plan tells of memory and time depends on the instruction set
COMMAND = re.compile(r"^(?:torchrun .*?-m qrnn_fast|qrnn-fast) (.*)$", re.MULTILINE)


def command_lines(block: str) -> list[list[str]]:
    """What stands behind `qrnn-fast` in a block, comments left out."""
    return [shlex.split(line, comments=True) for line in COMMAND.findall(block.replace("\\\n", " "))]


def parse(line: list[str]) -> None:
    """Refuse a command line as the command itself would before it does anything."""
    name, *options = line
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert name in commands, f"there is no command {name}"
    given = commands[name].make_context(name, options).params
    values = {key: value for key, value in given.items() if key in Settings.__dataclass_fields__ and value is not None}
    if name in ("train", "compare"):
        dataclasses.replace(BASE if name == "compare" else Settings(), **values)


def test_options_that_the_pages_name_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    known |= {"--help", "--node-rank", "--only"}  # the last two are torchrun's and bench/ablation.py's
    for page in PAGES:
        named = set(re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name}: {named - known}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    text = page.read_text(encoding="utf-8")
    for kind, block, printed in BLOCK.findall(text):
        capsys.readouterr()
        if kind == "python":
            exec(compile(block, str(page), "exec"), names)
            assert OF_VECTORS.sub(" ", printed) in OF_VECTORS.sub(" ", capsys.readouterr().out)
            continue
        for line in command_lines(block):
            if page.name in RUN:
                result = CliRunner().invoke(app, line)
                assert result.exit_code == 0, f"{line}: {result.output}{result.stderr}"
            else:
                parse(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian --out x", "no command trian"),
        ("train --out x --colour red", "--colour"),
        ("train --out x --steps many", "valid integer"),
        ("train --out x --cell crx_chian", "crx_chian"),
    ],
)
def test_command_lines_with_a_mistake_are_found(line: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(line.split())


def test_first_page_has_the_figures_of_the_benchmark() -> None:
    cells = json.loads((ROOT / "bench/results/scaling.json").read_text())["cells"]
    columns = [("B", 1), ("B", 32), ("P, gradient", 55)]
    rows = {
        "qrnn_fast": "qrnn_fast",
        "batched PyTorch, written by hand": "torch by hand",
        "Qiskit Aer, exact": "Aer, exact",
        "Qiskit Aer, 1,024 shots": "Aer, 1,024 shots",
        "PennyLane": "PennyLane",
    }
    for name, who in rows.items():
        entries = []
        for column in columns:
            (cell,) = (c for c in cells if (c["panel"], c["x"]) == column)
            found = [f for f in cell["figures"] if f["who"] == who]
            shown = [f"{float(format(1e6 * f['seconds'], '.3g')):,g}" + "*" * f["scaled"] for f in found]
            entries += shown or [""]
        row = f"| {name} | " + " | ".join(entries)
        assert row.strip() in (ROOT / "README.md").read_text(), row


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_figures_are_those_that_the_script_draws(tmp_path: Path) -> None:
    figures = module("docs/figures.py")
    drawn_of_a_run = {"prediction.svg"}
    figures.FOLDER = tmp_path
    figures.main([])
    names = {path.name for path in (ROOT / "docs/figures").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == names - drawn_of_a_run
    for path in tmp_path.iterdir():
        stored = (ROOT / "docs/figures" / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == stored, f"{path.name}: run python docs/figures.py"


def test_a_model_moved_from_aer() -> None:
    """The outputs of both layers, with the same weights: 96 expectations within five standard errors."""
    shots = 1024
    sampled, exact = module("examples/migration.py").main(shots)
    standard_error = ((1 - exact**2).clamp(min=1e-3) / shots).sqrt()
    assert ((sampled - exact).abs() < 5 * standard_error).all()
    assert sampled.std() > 0.1  # they differ from one another by far more


def test_from_qiskit_to_a_processor() -> None:
    errors = module("examples/qiskit_to_qpu.py").main(epochs=6, shots=32)
    assert errors["exact"] < 0.4
    assert errors["device"] == pytest.approx(errors["exact"], abs=0.2)
