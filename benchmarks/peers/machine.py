"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers.processes import inherited
from benchmarks.peers.systems import ROOT

TOLD_FLAGS = ("avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
SLOWS = ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that change what libraries make of the processor; told where they are set."""


def machine() -> dict[str, object]:
    """Return processor, its features, memory, systems, and the state of the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    given = inherited()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    family = "family {cpu family}, model {model}, stepping {stepping}".format_map(fields)
    return {
        "date": str(datetime.now(UTC).date()),
        "processor": f"{fields.get('model name', platform.machine())} ({family})",
        "cores": len(os.sched_getaffinity(0)),
        "flags": {one: one in flags for one in TOLD_FLAGS},
        "memory_gb": round(memory / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "variables": {one: given[one] for one in SLOWS if one in given},
        "commit": commit.stdout.strip(),
    }
