"""The journal of a run: which call was sent as which jobs, what they took and what came back.

A file of one JSON object a line, appended to and synced to disk at once, and a folder of results beside it. A run that
was stopped makes the same calls in the same order again; the journal answers those that were sent already.

    {"event": "run", "version": 1, "run": ...}                                       the first line
    {"event": "call", "call": 0, "digest": ..., "seed": ..., "parts": [[start, stop, shots], ...], "estimates": [...]}
    {"event": "submitted", "call": 0, "part": 0, "job": ..., "rows": ..., "shots": ...}
    {"event": "finished", "call": 0, "part": 0, "job": ..., "seconds": ..., "reported": ...}
    {"event": "lost", "call": 0, "part": 0, "job": ..., "status": ..., "seconds": ...}
"""

from __future__ import annotations

import json
import logging
import os
import uuid
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from qrnn_fast.backends.runtime.jobs import Part
from qrnn_fast.files import sync_folder, write_whole

VERSION = 1
logger = logging.getLogger("qrnn_fast.runtime")


class JournalError(RuntimeError):
    """A journal that cannot be read, or that belongs to something else."""


@dataclass
class Call:
    """A call that was begun.

    Attributes:
        number: its place in the run, from 0.
        digest: of what was asked for.
        parts: its jobs' shares.
        estimates: by part, QPU seconds that its job is expected to take; None where nothing is known of it.
        jobs: by part, the id of the job that was submitted for it last and is not lost.
        begun_before: whether it was begun by a process that has ended, or failed in this one.
    """

    number: int
    digest: str
    parts: list[Part]
    estimates: list[float | None]
    jobs: dict[int, str] = field(default_factory=dict)
    begun_before: bool = False


class Journal:
    """What is known of a run's calls, on disk where a path is given.

    Args:
        path: of the file; None to remember this process' unfinished call alone.

    Raises:
        JournalError: the file is no journal, or damaged before its last line.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.run = uuid.uuid4().hex[:12]
        self.ids: set[str] = set()  # of all jobs
        self._seconds: dict[str, float] = {}  # of QPU time, by job
        self._calls: dict[int, Call] = {}
        self._size = 0  # of the file, as this process knows it
        if path is not None and path.exists():
            self._read(path)

    @property
    def seconds(self) -> float:
        """QPU seconds of all jobs: what they have taken, and the estimate as long as nothing is known of that."""
        return sum(self._seconds.values())

    @property
    def folder(self) -> Path | None:
        """Where results are kept."""
        return None if self.path is None else self.path.with_name(self.path.name + ".results")

    # ---- what happens to a call

    def call(self, number: int, digest: str, parts: list[Part], estimates: list[float | None]) -> Call:
        """The call of this number: the one that was begun before, or a new one, which is not written yet.

        Raises:
            JournalError: another call of this number was begun before.
        """
        call = self._calls.get(number)
        if call is not None and call.digest == digest:
            call.begun_before = True
            return call
        if call is not None and self.path is not None:
            raise JournalError(
                f"{self.path}: call {number} was made with another circuit, other angles, shots, transpilation, "
                "options or backend; its jobs do not answer this one, and a journal never pays for a call twice. "
                "Resume the run that the journal belongs to from its checkpoint (with the position kept there), give "
                f"this call up by setting position = {number + 1}, or use a new journal"
            )
        return Call(number, digest, parts, estimates)

    def begin(self, call: Call, seed: int) -> None:
        """Jobs of this call are about to be submitted."""
        if call.begun_before:
            return
        self._append(
            "call", call=call.number, digest=call.digest, seed=seed, parts=call.parts, estimates=call.estimates
        )
        self._calls[call.number] = call  # not before: a call that could not be written must be when it is made again

    def submitted(self, call: Call, part: int, job_id: str) -> None:
        """A job was submitted for a part."""
        self._take_down(call, part, job_id)
        share = call.parts[part]
        self._append("submitted", call=call.number, part=part, job=job_id, rows=share.n_rows, shots=share.shots)

    def finished(
        self, call: Call, part: int, counts: NDArray[np.uint32], seconds: float | None, reported: bool
    ) -> None:
        """A part's job brought its results.

        Args:
            call: the call.
            part: the part's index.
            counts: (k, T, 2^r) of its rows.
            seconds: QPU time, None where nothing is known of it.
            reported: whether the service said so, instead of an estimate.
        """
        job_id = call.jobs[part]
        file = self._file(call, part)
        if file is not None:
            file.parent.mkdir(exist_ok=True)
            write_whole(file, lambda stream: np.savez_compressed(stream, counts=counts))
        if seconds is not None:
            self._seconds[job_id] = seconds
        self._append("finished", call=call.number, part=part, job=job_id, seconds=seconds, reported=reported)

    def lost(self, call: Call, part: int, status: str, seconds: float | None) -> None:
        """Nothing can come of a part's job any more; without `seconds` it counts as much as was estimated."""
        job_id = call.jobs.pop(part)
        if seconds is not None:
            self._seconds[job_id] = seconds
        self._append("lost", call=call.number, part=part, job=job_id, status=status, seconds=seconds)

    def results(self, call: Call, part: int) -> NDArray[np.uint32] | None:
        """Counts (k, T, 2^r) of a part that has finished, None where they are not there."""
        file = self._file(call, part)
        if file is None or not call.begun_before or not file.exists():
            return None
        try:
            with file.open("rb") as stream, np.load(stream) as stored:
                counts: NDArray[np.uint32] = stored["counts"]
        except (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile, zlib.error) as error:
            raise JournalError(
                f"{file}: damaged ({error}); delete it to have the job's results fetched again"
            ) from error
        return counts

    def done(self, call: Call) -> None:
        """The call was answered."""
        if self.path is None:  # nobody will ask for it again
            self._calls.clear()

    def forget(self, position: int) -> None:
        """Remove the results of the calls before `position`."""
        if self.folder is None or not self.folder.exists():
            return
        for file in self.folder.glob(f"{self.run}-*.npz"):
            if int(file.stem.split("-")[1]) < position:
                file.unlink()

    # ---- files

    def _file(self, call: Call, part: int) -> Path | None:
        # The run is named, since a folder may outlive its journal.
        return None if self.folder is None else self.folder / f"{self.run}-{call.number}-{part}.npz"

    def _read(self, path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        for i, line in enumerate(lines):
            # Of a file that is something else, nothing is cut off.
            may_be_torn = i == len(lines) - 1 and (i > 0 or line.startswith(b'{"event"'))
            try:
                record = json.loads(line)
                if not line.endswith(b"\n"):
                    raise ValueError("no end of line")
            except ValueError as error:
                if not may_be_torn:
                    raise JournalError(f"{path}: line {i + 1} is damaged ({error}); use a new journal") from error
                logger.warning("%s: the last line was not written to its end; it is dropped", path)
                os.truncate(path, self._size)
                break
            try:
                self._replay(record, first=i == 0)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise JournalError(
                    f"{path}: line {i + 1} is no line of a journal of this version ({error!r})"
                ) from error
            self._size += len(line)

    def _replay(self, record: dict[str, Any], *, first: bool) -> None:
        event = record["event"]
        if first or event == "run":
            if not first or event != "run" or record["version"] != VERSION:
                raise ValueError(record)
            self.run = record["run"]
            return
        if event == "call":
            parts = [Part(*part) for part in record["parts"]]
            self._calls[record["call"]] = Call(record["call"], record["digest"], parts, record["estimates"])
            return
        call, part, job_id = self._calls[record["call"]], record["part"], record["job"]
        if event == "submitted":
            self._take_down(call, part, job_id)
            return
        if event == "lost":
            call.jobs.pop(part, None)
        elif event != "finished":
            raise ValueError(event)
        if record["seconds"] is not None:
            self._seconds[job_id] = record["seconds"]

    def _take_down(self, call: Call, part: int, job_id: str) -> None:
        call.jobs[part] = job_id
        self.ids.add(job_id)
        if (estimate := call.estimates[part]) is not None:
            self._seconds[job_id] = estimate

    def _append(self, event: str, **record: Any) -> None:
        if self.path is None:
            return
        if self._size == 0 and event != "run":
            self._append("run", version=VERSION, run=self.run)
            sync_folder(self.path.parent)
        line = json.dumps({"event": event, **record}).encode() + b"\n"
        with self.path.open("ab") as file:
            if os.fstat(file.fileno()).st_size != self._size:
                raise JournalError(f"{self.path}: another process writes this journal; each run needs its own")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(line)
