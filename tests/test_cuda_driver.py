"""What is asked of CUDA's driver, by a stand-in that writes it down."""

from __future__ import annotations

import contextlib
import ctypes
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from qrnn_fast.cuda import driver


class Argument(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int64),)


class Recorder:
    """The functions of cuda.bindings.driver that are used; a launch with 13 blocks fails."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=0)
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared")

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def cuModuleLoadData(self, code: bytes) -> tuple[int, str]:  # noqa: N802
        self.asked.append(("load", code))
        return 0, "module"

    def cuModuleGetFunction(self, module: str, name: bytes) -> tuple[int, str]:  # noqa: N802
        return 0, f"{module} {name.decode()}"

    def cuFuncSetAttribute(self, *arguments: Any) -> tuple[int]:  # noqa: N802
        self.asked.append(("attribute", *arguments))
        return (0,)

    def cuLaunchKernel(self, *arguments: Any) -> tuple[int]:  # noqa: N802
        *shape, parameters, extra = arguments
        assert extra == 0
        return self._launch("launch", shape, parameters)

    def cuLaunchCooperativeKernel(self, *arguments: Any) -> tuple[int]:  # noqa: N802
        *shape, parameters = arguments
        return self._launch("cooperative", shape, parameters)

    def _launch(self, kind: str, shape: list[Any], parameters: int) -> tuple[int]:
        pointer = ctypes.cast(parameters, ctypes.POINTER(ctypes.c_void_p))[0]
        assert pointer is not None
        self.asked.append((kind, *shape, Argument.from_address(pointer).number))
        return (700 if shape[1] == 13 else 0,)

    def cuGetErrorString(self, code: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, f"error {code}".encode()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    properties = SimpleNamespace(
        major=9, minor=0, multi_processor_count=132, shared_memory_per_block_optin=232_448, total_memory=2**37
    )
    monkeypatch.setattr(driver, "_driver", lambda: recorder)
    monkeypatch.setattr(driver, "compile_kernels", lambda source, architecture: f"{source} {architecture}".encode())
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "device", lambda index: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=99))
    return recorder


def test_kernels_are_loaded_once_and_started_on_the_current_stream(recorder: Recorder) -> None:
    device = driver.Gpu(0)
    device.kernel("source", "one").launch(3, 256, 1000, Argument(5))
    device.kernel("source", "one").launch(4, 256, 100_000, Argument(6))
    device.kernel("source", "one").launch(4, 256, 90_000, Argument(7))
    device.kernel("source", "two").launch(8, 128, 0, Argument(8), cooperative=True)
    assert recorder.asked == [
        ("load", b"source sm_90"),
        ("launch", "module one", 3, 1, 1, 256, 1, 1, 1000, 99, 5),
        ("attribute", "module one", "shared", 100_000),  # more than 48 KB has to be asked for
        ("launch", "module one", 4, 1, 1, 256, 1, 1, 100_000, 99, 6),
        ("launch", "module one", 4, 1, 1, 256, 1, 1, 90_000, 99, 7),
        ("cooperative", "module two", 8, 1, 1, 128, 1, 1, 0, 99, 8),
    ]


@pytest.mark.usefixtures("recorder")
def test_an_error_is_told() -> None:
    with pytest.raises(RuntimeError, match="CUDA: error 700"):
        driver.Gpu(0).kernel("source", "one").launch(13, 256, 0, Argument(5))
