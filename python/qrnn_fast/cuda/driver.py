"""GPUs through CUDA's driver: kernels are loaded once and started on torch's current stream."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import torch

from qrnn_fast.cuda.nvrtc import compile_kernels


@lru_cache
def gpu(index: int) -> Gpu:
    """The GPU that torch calls cuda:index."""
    return Gpu(index)


class Gpu:
    """One GPU.

    Args:
        index: torch's number of it.
    """

    def __init__(self, index: int) -> None:
        properties: Any = torch.cuda.get_device_properties(index)
        self.index = index
        self.architecture = f"sm_{properties.major}{properties.minor}"
        self.n_multiprocessors = int(properties.multi_processor_count)
        self.shared_bytes = int(properties.shared_memory_per_block_optin)
        self.memory_budget = int(properties.total_memory) // 4
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], GpuKernel] = {}

    def kernel(self, source: str, name: str) -> GpuKernel:
        """The kernel `name` of a source; see `Device`."""
        known = self._kernels.get((source, name))
        if known is None:
            driver = _driver()
            with torch.cuda.device(self.index):
                module = self._modules.get(source)
                if module is None:
                    code = compile_kernels(source, self.architecture)
                    module = self._modules[source] = _checked(driver.cuModuleLoadData(code))
                function = _checked(driver.cuModuleGetFunction(module, name.encode()))
            known = self._kernels[source, name] = GpuKernel(function, self)
        return known


class GpuKernel:
    """A kernel that is loaded on a GPU."""

    def __init__(self, function: Any, device: Gpu) -> None:
        self._function, self._device = function, device
        self._granted = 48 * 1024  # of shared memory; more has to be asked for

    def launch(
        self, grid: int, threads: int, shared_bytes: int, argument: ctypes.Structure, *, cooperative: bool = False
    ) -> None:
        """Start blocks of threads on torch's current stream; see `Kernel`."""
        driver = _driver()
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        with torch.cuda.device(self._device.index):
            if shared_bytes > self._granted:
                limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                _checked(driver.cuFuncSetAttribute(self._function, limit, shared_bytes))
                self._granted = shared_bytes
            stream = torch.cuda.current_stream().cuda_stream
            start = driver.cuLaunchCooperativeKernel if cooperative else driver.cuLaunchKernel
            shape = (self._function, grid, 1, 1, threads, 1, 1, shared_bytes, stream, ctypes.addressof(parameters))
            _checked(start(*shape) if cooperative else start(*shape, 0))


def _driver() -> Any:
    from cuda.bindings import driver

    return driver


def _checked(results: tuple[Any, ...]) -> Any:
    driver, (result, *values) = _driver(), results
    if result != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"CUDA: {driver.cuGetErrorString(result)[1].decode()}")
    return values[0] if values else None
