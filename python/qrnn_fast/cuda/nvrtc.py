"""Device code to machine code: NVIDIA's run-time compiler, and a cache of its results on disk.

The compiler needs no GPU. PyTorch's CUDA builds bring it and its bindings (cuda-bindings) along.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from qrnn_fast import _core
from qrnn_fast.files import write_whole

# What the sources include of the C++ library; NVRTC has none.
_CSTDINT = """
namespace std {
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long long;
using uint64_t = unsigned long long;
}
"""
_OPTIONS = ("--std=c++17", "--device-as-default-execution-space", "--ftz=true")


def compile_kernels(source: str, architecture: str) -> bytes:
    """The machine code (cubin) of a source that `_core` has written.

    Args:
        source: CUDA C++; it may include the files of `_core.device_files()`.
        architecture: of the GPU, such as "sm_90".

    Raises:
        ImportError: cuda-bindings or NVRTC is missing; the message tells how to get them.
        RuntimeError: the compiler refuses the source; the message holds its log.
    """
    nvrtc = _nvrtc()
    files = {**_core.device_files(), "cstdint": _CSTDINT}
    options = (*_OPTIONS, f"--gpu-architecture={architecture}")
    version = ".".join(str(part) for part in _checked(nvrtc, *nvrtc.nvrtcVersion()))
    key = "\0".join((version, *options, source, *files.values()))
    path = cache_folder() / f"{architecture}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.cubin"
    if path.is_file():
        return path.read_bytes()
    code = _compile(nvrtc, source, files, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write(code))
    return code


def cache_folder() -> Path:
    """Where compiled kernels are kept: $XDG_CACHE_HOME/qrnn_fast, by default ~/.cache/qrnn_fast."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qrnn_fast"


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()  # which loads the library
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            "tensors on a GPU need NVIDIA's run-time compiler NVRTC and the Python package cuda-bindings, which "
            f"PyTorch's CUDA builds bring along; to get them by themselves: pip install 'qrnn_fast[cuda]' ({error})"
        ) from error
    return nvrtc


def _compile(nvrtc: Any, source: str, files: dict[str, str], options: tuple[str, ...]) -> bytes:
    names, texts = [name.encode() for name in files], [text.encode() for text in files.values()]
    program = _checked(nvrtc, *nvrtc.nvrtcCreateProgram(source.encode(), b"plan.cu", len(files), texts, names))
    try:
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            log = bytes(_checked(nvrtc, *nvrtc.nvrtcGetProgramLogSize(program)))
            nvrtc.nvrtcGetProgramLog(program, log)
            raise RuntimeError(f"the device code of this circuit does not compile; please report this: {log.decode()}")
        code = bytes(_checked(nvrtc, *nvrtc.nvrtcGetCUBINSize(program)))
        _checked(nvrtc, *nvrtc.nvrtcGetCUBIN(program, code))
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _checked(nvrtc: Any, result: Any, *values: Any) -> Any:
    if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC: {nvrtc.nvrtcGetErrorString(result)[1].decode()}")
    return values[0] if len(values) == 1 else values
