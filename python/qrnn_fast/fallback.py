"""Which backend runs a circuit: the one that is named; for "auto", the compiled engines, or Aer where they cannot."""

from __future__ import annotations

import warnings
from typing import Any

from qrnn_fast.backends.base import Backend
from qrnn_fast.circuit import Circuit
from qrnn_fast.estimators import Evaluation
from qrnn_fast.noise.model import NoiseModel, with_noise
from qrnn_fast.operators import NATIVE

# A qf.NoiseModel, or Qiskit Aer's, which is not imported here.
Noise = Any


class FallbackWarning(UserWarning):
    """backend="auto" runs a circuit on Aer, for the reason that the message tells."""


def settle(circuit: Circuit, noise: Noise, backend: str | Backend, shots: int | None) -> Evaluation:
    """The noisy circuit on the backend that runs it; worked out once, until the circuit changes.

    Args:
        circuit: one time step.
        noise: a qf.NoiseModel, a qiskit_aer NoiseModel, or None.
        backend: "auto", "native" or a backend object.
        shots: samples per sequence, or None.

    Raises:
        ValueError: an unknown backend, or noise that does not fit the circuit or the backend.
        TypeError: a backend or noise of another type.

    Warns:
        FallbackWarning: "auto" means Aer here; once for a circuit.
    """
    if isinstance(backend, str):
        if backend not in ("auto", "native"):
            raise ValueError(
                f"unknown backend {backend!r}; accepted: 'auto', 'native' or a backend object such as "
                "qf.backends.Aer() or qf.backends.Runtime('fake:Marrakesh')"
            )
    elif hasattr(backend, "target"):
        raise TypeError(
            f"backend is Qiskit's {type(backend).__name__}; wrap it, as qf.backends.Runtime(backend), or take "
            "qf.backends.Aer(...) in place of an AerSimulator"
        )
    elif not (hasattr(backend, "run") and hasattr(backend, "name")):
        raise TypeError(f"backend must be 'auto', 'native' or a backend object, got {type(backend).__name__}")
    elif type(backend).__hash__ is None:
        raise TypeError(
            f"a backend must be hashable, and a {type(backend).__name__} is not; make it a dataclass with frozen=True "
            "or eq=False"
        )
    if backend != "auto":
        return Evaluation(_noisy(circuit, noise), NATIVE if isinstance(backend, str) else backend, shots)
    return _automatic(circuit, noise, shots)


def _noisy(circuit: Circuit, noise: Noise) -> Circuit:
    """The circuit with this noise."""
    if not _is_aers(noise):
        return with_noise(circuit, noise)
    _take_over(circuit, noise)
    noisy: Circuit = circuit.remembered["taken over", *_identity(noise)][1]
    return noisy


def _take_over(circuit: Circuit, noise: Noise) -> None:
    """What is done once, for real, while torch.compile traces; the code is valid for this circuit and noise."""
    key = "taken over", *_identity(noise)
    if key not in circuit.remembered:
        circuit.remembered[key] = _held(noise), with_noise(circuit, NoiseModel.from_qiskit(noise))


_take_over._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _automatic(circuit: Circuit, noise: Noise, shots: int | None) -> Evaluation:
    _decide(circuit, noise, shots)
    evaluation: Evaluation = circuit.remembered[_key(noise, shots)][1]
    return evaluation


def _decide(circuit: Circuit, noise: Noise, shots: int | None) -> None:
    """What is done once, for real, while torch.compile traces; the code is valid for this circuit, noise and shots."""
    key = _key(noise, shots)
    if key not in circuit.remembered:
        circuit.remembered[key] = _held(noise), _choose(circuit, noise, shots)


_decide._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _key(noise: Noise, shots: int | None) -> tuple[Any, ...]:
    if _is_aers(noise):
        return "automatic", shots, *_identity(noise)
    return "automatic", shots, noise.fingerprint if isinstance(noise, NoiseModel) else id(noise)


def _is_aers(noise: Noise) -> bool:
    return type(noise).__module__.startswith("qiskit_aer.")


def _errors(noise: Noise) -> list[tuple[Any, ...]]:
    """The parts of Aer's noise model, behind where each acts; comparing models takes seconds.

    A part is replaced when something is added to it.
    """
    return [
        *noise._default_quantum_errors.items(),
        *((name, *entry) for name, local in noise._local_quantum_errors.items() for entry in local.items()),
        *noise._local_readout_errors.items(),
        (noise._default_readout_error,),
    ]


def _identity(noise: Noise) -> tuple[Any, ...]:
    parts = [(*place, id(error)) for *place, error in _errors(noise)]
    return id(noise), *map(id, noise._custom_noise_passes), *parts


def _held(noise: Noise) -> object:
    """What has to stay in memory so that the ids in a key are nobody else's."""
    return (noise, list(noise._custom_noise_passes), _errors(noise)) if _is_aers(noise) else noise


def _choose(circuit: Circuit, noise: Noise, shots: int | None) -> Evaluation:
    try:
        ours = NoiseModel.from_qiskit(noise) if _is_aers(noise) else noise
    except ValueError as error:
        return Evaluation(circuit, _aer(circuit, shots, str(error), noise_model=noise), shots)
    noisy = with_noise(circuit, ours)
    if not circuit.readout:
        return Evaluation(noisy, NATIVE, shots)  # which says that nothing is measured
    cause = NATIVE.refusal(noisy, shots)
    return Evaluation(noisy, _aer(noisy, shots, cause) if cause else NATIVE, shots)


def _aer(circuit: Circuit, shots: int | None, cause: str, **options: Any) -> Backend:
    """Aer in place of the native backend; raises ValueError where it has no room for the circuit either."""
    from qrnn_fast.backends.aer import Aer

    aer = Aer(**options)
    if refusal := aer.refusal(circuit, exact=shots is None):
        raise ValueError(f"no backend runs this circuit. Native: {cause}. Aer: {refusal}")
    warnings.warn(
        f"backend='auto' runs this circuit on Qiskit Aer, far slower and without the adjoint: {cause}. "
        "backend='native' raises instead, backend=qf.backends.Aer() takes settings",
        FallbackWarning,
        stacklevel=2,
    )
    return aer
