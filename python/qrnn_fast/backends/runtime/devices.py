"""Which device a name stands for, whether it can run recurrent circuits, and the sampler that serves it."""

from __future__ import annotations

import copy
import dataclasses
import sys
import warnings
from numbers import Real
from typing import Any

FAKE_PREFIX = "fake:"


def open_device(backend: Any) -> Any:
    """The BackendV2 object that a name stands for; an object is returned as it is.

    Args:
        backend: a BackendV2, "NAME" of a processor of IBM's, or "fake:NAME" of a snapshot of one.

    Raises:
        TypeError: neither a name nor an object with a target.
        ValueError: an unknown snapshot, or a device that cannot measure and reset within a circuit.
        ImportError: a name, and qiskit_ibm_runtime is not installed.
        RuntimeError: no account of IBM Quantum is saved.
    """
    if isinstance(backend, str):
        backend = _fake(backend.removeprefix(FAKE_PREFIX)) if backend.startswith(FAKE_PREFIX) else _real(backend)
    target = getattr(backend, "target", None)
    if target is None:
        raise TypeError(
            "backend must be a Qiskit BackendV2 object, the name of a processor of IBM's, or 'fake:NAME', got "
            f"{type(backend).__name__}"
        )
    missing = [name for name in ("measure", "reset") if name not in target.operation_names]
    if missing:
        raise ValueError(
            f"{backend.name} has no {' and no '.join(missing)}: a recurrent circuit measures and resets its readout "
            "qubits in every step; use another backend"
        )
    return backend


def is_ibm(backend: Any) -> bool:
    """Whether it is a processor of IBM's or a snapshot of one."""
    if sys.modules.get("qiskit_ibm_runtime") is None:  # so that there is no object of its classes
        return False
    from qiskit_ibm_runtime import IBMBackend
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

    return isinstance(backend, IBMBackend | FakeBackendV2)


def check_mode(backend: Any, mode: Any) -> None:
    """Raise unless the session or batch, if any, is one on this backend."""
    if mode is None:
        return
    if not is_ibm(backend):
        raise ValueError(f"sessions and batches are IBM's; {backend.name} takes mode=None only")
    if not hasattr(mode, "backend"):
        raise TypeError(f"mode must be None or a Session or Batch of qiskit_ibm_runtime, got {type(mode).__name__}")
    if mode.backend() != backend.name:
        raise ValueError(f"mode is a {type(mode).__name__} on {mode.backend()}, the backend is {backend.name}")


def make_sampler(backend: Any, mode: Any, options: Any, seed: int | None, tags: list[str]) -> Any:
    """The sampler primitive for one job.

    IBM's own is the executor's `Sampler`, which runs snapshots locally too, or `SamplerV2` where that one is missing.
    It twirls only where the options ask for it; that does not work for circuits that measure and reset on their way
    (version 0.51).

    Args:
        backend: a BackendV2.
        mode: a Session or Batch on it, or None.
        options: a dict or the options object of the sampler, or None. It is not changed.
        seed: of a local simulator, unless the options give one.
        tags: of the job, where the service knows tags.
    """
    if not is_ibm(backend):
        from qiskit.primitives import BackendSamplerV2

        return BackendSamplerV2(backend=backend, options={"seed_simulator": seed, **(options or {})})
    try:
        from qiskit_ibm_runtime.executor_sampler import Sampler
    except ImportError:  # before version 0.50
        from qiskit_ibm_runtime import SamplerV2 as Sampler

    sampler = Sampler(mode=mode or backend, options=copy.deepcopy(options))
    chosen = sampler.options
    chosen.environment.job_tags = [*(chosen.environment.job_tags or []), *tags]
    if seed is not None and not isinstance(chosen.simulator.seed_simulator, int):  # None, or SamplerV2's Unset
        chosen.simulator.seed_simulator = seed
    return sampler


def outcome_options(options: Any) -> str:
    """A sampler's options that may change outcomes, as text: all but tags, time limits and the usual shots."""
    values = options.model_dump() if hasattr(options, "model_dump") else dataclasses.asdict(options)
    others = ("default_shots", "environment", "max_execution_time")
    return repr(sorted((name, value) for name, value in values.items() if name not in others))


def repetition_delay(backend: Any, options: Any) -> float:
    """Seconds between two shots: what the options say, else the backend, else 250 us as on IBM's processors."""
    delay = getattr(getattr(options, "execution", None), "rep_delay", None)
    if not isinstance(delay, Real):  # None, or SamplerV2's Unset
        delay = getattr(backend, "default_rep_delay", None)
    return 250e-6 if delay is None else float(delay)


def _real(name: str) -> Any:
    if not name or ":" in name:
        raise ValueError(
            f"no processor has the name {name!r}; accepted: the name alone, such as 'ibm_fez', or 'fake:NAME' of a "
            "snapshot ('runtime:NAME' belongs to the command line)"
        )
    from qiskit_ibm_runtime.exceptions import IBMAccountError

    service = _import().QiskitRuntimeService
    try:
        return service().backend(name)
    except IBMAccountError:
        # Without its message and without a chain: the service's text may hold the token.
        pass
    raise RuntimeError(
        f"no usable IBM Quantum account to reach {name!r} with; save one once by "
        "qiskit_ibm_runtime.QiskitRuntimeService.save_account(token=..., instance=...), or hand over a backend object. "
        "'fake:NAME' needs no account"
    )


def _fake(name: str) -> Any:
    _import()
    from qiskit_ibm_runtime import fake_provider

    classes = {
        key.removeprefix("Fake"): value
        for key, value in vars(fake_provider).items()
        if key.startswith("Fake") and not key.startswith("FakeProvider")
    }
    for known, made_by in classes.items():
        if known.lower() == name.lower():
            return made_by()
    raise ValueError(
        f"unknown snapshot {FAKE_PREFIX + name!r}; those that can reset qubits: "
        f"{', '.join(sorted(known for known, made_by in classes.items() if _resets(made_by)))}"
    )


def _resets(fake: Any) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # FakeNighthawk warns of its properties, which nobody uses here
        configuration = fake().configuration()
    return "reset" in getattr(configuration, "supported_instructions", ["reset"])  # old snapshots do not list them


def _import() -> Any:
    try:
        import qiskit_ibm_runtime
    except ImportError as error:
        raise ImportError(
            "names of backends need the package qiskit_ibm_runtime: pip install 'qrnn_fast[runtime]'"
        ) from error
    return qiskit_ibm_runtime
