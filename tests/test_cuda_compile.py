"""Device code through NVIDIA's run-time compiler, which needs no GPU; `make kernels` compiles what all cells need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import qrnn_fast as qf
from qrnn_fast import _core
from qrnn_fast.cuda import nvrtc

FACTOR_SOURCE = _core.CudaFactorPlan(qf.cells.echo_state(2, repeats=1)._core).source("float", 2)
SOURCE = _core.CudaPauliPlan(qf.cells.crx_chain(2)._core).source("float", 32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "qrnn_fast"


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_compiles_once(architecture: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = nvrtc.compile_kernels(SOURCE, architecture)
    assert code.startswith(b"\x7fELF")
    assert b"pauli_forward" in code
    assert b"pauli_adjoint" in code
    (kept,) = cache.iterdir()
    assert kept.name.startswith(architecture)

    def compile_again(*_: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(nvrtc, "_compile", compile_again)
    assert nvrtc.compile_kernels(SOURCE, architecture) == code


def test_the_factor_engine_compiles() -> None:
    code = nvrtc.compile_kernels(FACTOR_SOURCE, "sm_90")
    assert b"factor_forward" in code
    assert b"factor_adjoint" in code


def test_a_refused_source_tells_the_log(cache: Path) -> None:
    with pytest.raises(RuntimeError, match='identifier "nonsense" is undefined'):
        nvrtc.compile_kernels("__global__ void f() { nonsense(); }", "sm_90")
    assert not cache.exists()


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(
        ImportError, match=r"NVRTC and the Python package cuda-bindings.*pip install 'qrnn_fast\[cuda\]'"
    ):
        nvrtc.compile_kernels(SOURCE, "sm_90")
