"""A GPU of fibers (tests/cuda/emulator.cpp): device code compiled by the C++ compiler, run on ordinary memory."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from qrnn_fast import _core

_EMULATOR = Path(__file__).parent / "cuda" / "emulator.cpp"


@cache
def _folder() -> Path:
    folder = Path(mkdtemp(prefix="qrnn_fast_emulator"))
    for name, text in _core.device_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [*_compiler(), "-I", str(folder), "-c", str(_EMULATOR)]
    subprocess.run([*command, "-o", str(folder / "emulator.o")], check=True)
    return folder


def _compiler() -> list[str]:
    """The compiler, which takes longer than what it makes; $CXXFLAGS may ask for a sanitizer."""
    found = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    assert found is not None, "the tests of device code need a C++ compiler"
    return [found, "-std=c++20", "-O0", "-fPIC", *shlex.split(os.environ.get("CXXFLAGS", ""))]


@cache
def _library(source: str) -> ctypes.CDLL:
    folder = _folder()
    path = folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.cpp"
    path.write_text(source)
    library = path.with_suffix(".so")
    command = [*_compiler(), "-Wall", "-Wno-unused-variable", "-Wno-unused-function"]
    command += ["-shared", "-I", str(folder), str(path), str(folder / "emulator.o"), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


class EmulatedKernel:
    def __init__(self, source: str, name: str, device: EmulatedDevice) -> None:
        self._library, self._device = _library(source), device
        self._function = getattr(self._library, name)

    def launch(
        self, grid: int, threads: int, shared_bytes: int, argument: ctypes.Structure, *, cooperative: bool = False
    ) -> None:
        assert shared_bytes <= self._device.shared_bytes
        self._library.emulate(
            self._function,
            ctypes.byref(argument),
            ctypes.c_int(grid),
            ctypes.c_int(threads),
            ctypes.c_size_t(shared_bytes),
            ctypes.c_uint(self._device.order),
        )


class EmulatedDevice:
    """A device of `n_multiprocessors`; `order` tells in which order threads run (emulator.cpp)."""

    def __init__(
        self, *, n_multiprocessors: int = 1, shared_bytes: int = 227 * 1024, memory_budget: int = 2**30, order: int = 0
    ) -> None:
        self.n_multiprocessors, self.shared_bytes, self.memory_budget = n_multiprocessors, shared_bytes, memory_budget
        self.order = order

    def kernel(self, source: str, name: str) -> EmulatedKernel:
        return EmulatedKernel(source, name, self)
