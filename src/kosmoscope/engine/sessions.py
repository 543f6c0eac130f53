"""ONNX Runtime sessions: the only place that imports onnxruntime."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError, OptionError


def thread_count(wanted: int | None) -> int:
    """Return how many threads to use: `wanted`, or one for each processor this process may use.

    Raises:
        OptionError: `wanted` is below 1 or above 1024.
    """
    if wanted is None:
        if hasattr(os, "sched_getaffinity"):
            return max(1, len(os.sched_getaffinity(0)))
        return os.cpu_count() or 1
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= 1024:
        raise OptionError(f"threads is {wanted!r}; expected 1 to 1024")
    return wanted


@cache
def share_one_arena() -> None:
    """Let all sessions of the process take their buffers from one arena that grows as asked.

    By default each session has an arena of its own that doubles as it grows; a model's four would
    then hold buffers for the tower while the decoder runs, and the other way round.
    """
    import onnxruntime as ort

    kind, usage = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    memory = ort.OrtMemoryInfo("Cpu", kind, 0, usage)
    as_requested = 1
    config = ort.OrtArenaCfg({"arena_extend_strategy": as_requested})
    ort.create_and_register_allocator(memory, config)


def open_session(path: Path, threads: int, *, optimize: bool) -> Any:
    """Open a graph for running on the CPU.

    Args:
        path: the .onnx file; its weights lie beside it and are mapped.
        threads: for the operators' own parallelism; operators run one after the other.
        optimize: let the runtime rewrite the graph. The quantised graphs are written as they
            should run, and rewriting them only costs time.

    Raises:
        CheckpointError: the runtime refuses the graph.
    """
    import onnxruntime as ort

    share_one_arena()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        if optimize
        else ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    )
    # Between two passes the host works for some microseconds: spinning threads answer sooner, but
    # one that spins through a caller's long pause burns a core; they stop when the run returns.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as e:
        first = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise CheckpointError(f"{path}: the runtime refuses this graph: {first}") from e


def providers() -> tuple[str, tuple[str, ...]]:
    """Return onnxruntime's version and the execution providers that this build has."""
    import onnxruntime as ort

    return str(ort.__version__), tuple(ort.get_available_providers())
