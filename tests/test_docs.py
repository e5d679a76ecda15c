"""The Python blocks of the README and of the pages run, in their order, and the examples do what they say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_model_moved_from_aer() -> None:
    """The outputs of both layers, with the same weights: 96 expectations within five standard errors."""
    shots = 1024
    sampled, exact = example("migration").main(shots)
    standard_error = ((1 - exact**2).clamp(min=1e-3) / shots).sqrt()
    assert ((sampled - exact).abs() < 5 * standard_error).all()
    assert sampled.std() > 0.1  # they differ from one another by far more


def test_from_qiskit_to_a_processor() -> None:
    errors = example("qiskit_to_qpu").main(epochs=6, shots=32)
    assert errors["exact"] < 0.4
    assert errors["device"] == pytest.approx(errors["exact"], abs=0.2)
