"""What `pullquote doctor` looks at of the machine: programs, processor, memory, limits, clock, disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from index import openvino_graphs
from service import __version__, tracing
from service.findings import Check, Finding, failed, warned, well
from service.settings import Settings

WORKER_BYTES = 260 << 20
"""What a process takes that serves a small index (README)."""

LEAST_FILES = 2048
"""Open files a process may need: a thousand connections, and what the index and its libraries have open."""

LEAST_DISK = 200 << 20
"""Free space without which an index is not begun: the encoder's export alone takes 120 MB."""

BEHIND_SECONDS = 120.0
"""How far a file may lie in the future before the clock is wrong: network folders have their own."""

EARLIEST = 1_735_689_600
"""The beginning of 2025: this program is younger."""

LOOKED_AT = 2000
"""Files whose times are looked at, and folders that are counted."""

NETWORK = re.compile(r"nfs|cifs|smb|9p|sshfs|glusterfs|ceph|lustre|afs|davfs|s3fs|gcsfuse|virtiofs")


def python(_: Settings) -> Iterator[Finding]:
    """Look whether this Python and everything that is needed is there, in versions that will do."""
    yield well(
        "python", f"Pullquote {__version__} on Python {platform.python_version()}, {platform.platform()}"
    )
    try:
        wanted = importlib.metadata.requires("pullquote") or []
    except importlib.metadata.PackageNotFoundError:
        yield warned(
            "packages",
            "Pullquote is not installed as a package",
            "install it with pip to have its versions checked",
        )
        return
    missing, old = [], []
    for one in wanted:
        read = re.match(r"([\w.-]+)(?:>=([\d.]+))?[^;]*(;.*)?", one)
        if read is None or "extra" in (read[3] or ""):
            continue
        try:
            seen = importlib.metadata.version(read[1])
        except importlib.metadata.PackageNotFoundError:
            missing.append(read[1])
            continue
        if read[2] and _numbers(seen) < _numbers(read[2]):
            old.append(f"{read[1]} {seen} (at least {read[2]})")
    if missing or old:
        what = "; ".join(
            ["missing: " + ", ".join(missing)] * bool(missing) + ["too old: " + ", ".join(old)] * bool(old)
        )
        yield failed("packages", what, "run `pip install --upgrade pullquote` in this environment")
    else:
        yield well("packages", f"all {sum('extra' not in one for one in wanted)} in versions that will do")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version.partition("+")[0])[:3])


def extras(settings: Settings) -> Iterator[Finding]:
    """Look whether what the settings ask for beyond the ordinary is installed."""
    if settings.runtime == "openvino" and not openvino_graphs.installed():
        yield failed(
            "runtime",
            "PULLQUOTE_RUNTIME is openvino, which is not installed",
            "run `pip install 'pullquote[openvino]'`, or set it to auto",
        )
    if settings.traces and not tracing.is_installed():
        yield failed(
            "traces",
            "PULLQUOTE_TRACES is true, and OpenTelemetry's SDK is not installed",
            "run `pip install 'pullquote[otel]'`, or set it to false",
        )


def processor(settings: Settings) -> Iterator[Finding]:
    """Say what computes."""
    cores = os.cpu_count() or 1
    flags = _cpu_flags()
    bf16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & flags)
    said = f"{cores} cores, bfloat16 {'yes' if bf16 else 'no'}"
    if bf16 and not openvino_graphs.installed() and settings.runtime == "auto":
        said += "; `pip install 'pullquote[openvino]'` would encode documents twice as fast"
    if settings.workers > cores:
        yield warned(
            "processor",
            f"{said}; PULLQUOTE_WORKERS is {settings.workers}",
            f"set PULLQUOTE_WORKERS to at most {cores}: more only get in each other's way",
        )
    else:
        yield well("processor", said)


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    read = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(read[1].split()) if read else set()


def memory(settings: Settings) -> Iterator[Finding]:
    """Look whether the processes will fit."""
    free = _free_memory()
    if free is None:
        return
    needed = WORKER_BYTES * settings.workers
    said = f"{_size(free)} available, {settings.workers} process(es) of some {_size(WORKER_BYTES)}"
    if free < needed:
        yield warned("memory", said, "set PULLQUOTE_WORKERS lower, or give the machine or the container more")
    else:
        yield well("memory", said)


def _free_memory() -> int | None:
    """Return the bytes that are available, the container's where it has fewer; None where nothing says."""
    found = []
    try:
        read = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
        found += [int(read[1]) << 10] if read else []
        most, used = (Path(f"/sys/fs/cgroup/memory.{one}").read_text("ascii") for one in ("max", "current"))
        found += [max(0, int(most) - int(used))] if most.strip().isdigit() else []
    except (OSError, ValueError):
        pass  # another system, or one without limits
    return min(found, default=None)


def limits(settings: Settings) -> Iterator[Finding]:
    """Look at what the system lets a process have: open files, folders to watch."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        how = f"`ulimit -n {LEAST_FILES}`, or LimitNOFILE={LEAST_FILES} in the systemd unit"
        yield warned("open files", f"a process may have {soft} (at most {hard})", f"raise it: {how}")
    else:
        yield well("open files", f"a process may have {soft}")
    try:
        most = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text("ascii"))
    except (OSError, ValueError):
        return
    folders = sum(1 for _ in islice((one for one in _walked(settings.corpus) if one.is_dir()), most + 1))
    said = f"{folders} folders of documents, {most} may be watched"
    if not settings.watch:
        yield well("watching", f"{said}; PULLQUOTE_WATCH is off")
    elif folders > most // 2:
        more = f"`sysctl fs.inotify.max_user_watches={max(524288, 4 * folders)}`"
        yield warned("watching", said, f"raise the limit: {more}; other programs watch folders, too")
    else:
        yield well("watching", said)


def _walked(folder: Path) -> Iterator[Path]:
    for one, names, _ in os.walk(folder, onerror=None):
        yield Path(one)
        names.sort()


def clock(settings: Settings) -> Iterator[Finding]:
    """Compare the clock with the times of files, and with the one that is never set."""
    now = time.time()
    if now < EARLIEST:
        seen = f"it is {time.strftime('%Y-%m-%d', time.gmtime(now))}, by the clock"
        yield failed("clock", seen, "set the clock, with `timedatectl set-ntp true` where there is systemd")
        return
    newest, where = 0.0, Path()
    for folder in (settings.corpus, settings.data):
        for path in islice(_files(folder), LOOKED_AT):
            try:
                changed = path.stat().st_mtime
            except OSError:
                continue
            if changed > newest:
                newest, where = changed, path
    if newest > now + BEHIND_SECONDS:
        yield warned(
            "clock",
            f"{where} is of {_span(newest - now)} from now",
            "set the clock, or `touch` the file: ages in metrics and in the list of jobs go by it",
        )
        return
    begun, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    drift = abs((time.time() - begun) - (time.monotonic() - steady))
    if drift > 0.02:
        seen = f"it jumped by {drift:.2f} s while it was looked at"
        yield warned("clock", seen, "look whether two programs set it (`timedatectl timesync-status`)")
    else:
        yield well("clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def _files(folder: Path) -> Iterator[Path]:
    for one, _, names in os.walk(folder):
        yield from (Path(one, name) for name in names)


def disk(settings: Settings) -> Iterator[Finding]:
    """Look whether there is room for another index beside the one in use, and what kind of folder it is."""
    folder = _existing(settings.data)
    free = shutil.disk_usage(folder).free
    used = sum(_bytes(path) for path in _files(settings.data))
    said = f"{_size(free)} free at {folder}, {_size(used)} used by the index and its encoder"
    about = os.statvfs(folder)
    if about.f_files and not about.f_favail:
        yield failed("disk", f"no file can be made at {folder}: its inodes are used up", "remove files there")
    elif free < LEAST_DISK:
        yield failed("disk", said, "make room, or set PULLQUOTE_DATA to a folder on a larger disk")
    elif free < 2 * used:
        remedy = "make room: a rebuild is written beside the index in use, and three versions are kept"
        yield warned("disk", said, remedy)
    else:
        yield well("disk", said)
    kind = _kind(folder)
    if kind is not None and NETWORK.search(kind):
        yield warned(
            "data folder's disk",
            f"{folder} is on a network ({kind})",
            "set PULLQUOTE_DATA to a local folder: locks and SQLite may not hold over a network, two servers "
            "could write to one index",
        )


def _kind(folder: Path) -> str | None:
    """Return the type of the file system that a folder is on; None where the system does not say."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best, kind = "", None
    whole = str(folder.resolve())
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = whole == point or whole.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that is there, itself included."""
    whole = folder.resolve()
    return next(one for one in (whole, *whole.parents) if one.exists())


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _size(count: float) -> str:
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MB"


def _span(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds > 2 * 86400 else f"{seconds / 60:.0f} minutes"


CHECKS: tuple[Check, ...] = (python, extras, processor, memory, limits, clock, disk)
