"""W3C Trace Context: the trace that a request belongs to, as its sender says, and what is replied.

https://www.w3.org/TR/trace-context/ has `traceparent` for requests. For replies there is `traceresponse`, in
the drafts of the next level alone; it is sent where the request named a trace, because it names the operation
here by which the two logs are joined. `tracestate` is for vendors, and there is nobody to pass it on to.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

VERSION_0 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
LATER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""Of a version that is not known yet the beginning is read as of the first; `ff` is none."""

SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The trace of a request, and the operation of the sender that it is a part of."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Return whether the sender may have recorded it."""
        return bool(self.flags & SAMPLED)


def traceparent_of(values: Sequence[str]) -> TraceParent | None:
    """Return what a request's `traceparent` headers say; None without exactly one that is valid."""
    if len(values) != 1:
        return None
    value = values[0].strip(" \t")
    # What a later version may append is not looked at, so its length does not matter here.
    read = (VERSION_0 if value.startswith("00-") else LATER).fullmatch(value)
    if read is None:
        return None
    trace_id, span_id, flags = read.groups()
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceParent(trace_id, span_id, int(flags, 16))


def new_span_id() -> str:
    """Return an id for an operation: 16 hexadecimal digits, not all of them 0."""
    return f"{1 + secrets.randbelow(2**64 - 1):016x}"


def traceresponse(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Return the value of the reply's header."""
    return f"00-{trace_id}-{span_id}-{SAMPLED if sampled else 0:02x}"
