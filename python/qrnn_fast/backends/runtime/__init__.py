"""Quantum processors, and what stands in for them: the backend `Runtime`."""

from qrnn_fast.backends.runtime.backend import Runtime
from qrnn_fast.backends.runtime.budget import BudgetError, Estimate
from qrnn_fast.backends.runtime.jobs import JobError
from qrnn_fast.backends.runtime.journal import JournalError

__all__ = ["BudgetError", "Estimate", "JobError", "JournalError", "Runtime"]
