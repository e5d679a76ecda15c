"""Where the tasks of a study run: processes of this machine, or workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def processes(number: int) -> Iterator[Executor]:
    """An executor over processes of this machine, which end with this one, whatever ends it.

    Args:
        number: of processes.

    Raises:
        ValueError: a number below 1.
        RuntimeError: a process ended by itself.
    """
    if number < 1:
        raise ValueError(f"processes must be at least 1, got {number}")
    context = multiprocessing.get_context("spawn")  # after a fork, OpenMP may hang
    reader, writer = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(number, context, initializer=_begin_worker, initargs=(reader,))
    try:
        yield executor
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process ended by itself, perhaps for want of memory; what is done is kept: continue with --resume, and "
            "with fewer processes if need be"
        ) from error
    except BaseException:
        writer.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        writer.close()
        reader.close()


def _begin_worker(alive: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal, and is the first one's to deal with.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    """End this process at once where the pipe's other end is closed; runs go on from their checkpoints."""
    try:
        alive.recv_bytes()
    except EOFError:
        os._exit(1)


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """An executor over the workers of a Dask cluster, which share a file system with this machine.

    Args:
        address: of the scheduler.

    Raises:
        ImportError: Dask is not installed.
        OSError: nothing answers there.
        ValueError: there is no worker, or one with several threads.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ImportError(
            "cluster needs dask.distributed, which is not installed: pip install 'qrnn_fast[cluster]'"
        ) from error
    with Client(address) as client:
        threads = client.nthreads()
        if not threads or set(threads.values()) != {1}:
            # Runs set PyTorch's random state and number of threads, which are the process's.
            raise ValueError(
                f"the workers at {address} must have one thread each, and there must be one at least; got "
                f"{sorted(threads.values())}: start them by `dask worker {address} --nthreads 1 --nworkers N`"
            )
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)  # cancels what is left
