"""Laws of W3C Trace Context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tracecontext import TraceParent, new_span_id, traceparent_of, traceresponse

HEX = "0123456789abcdef"


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=count, max_size=count).filter(lambda one: set(one) != {"0"})


@given(trace=digits(32), span=digits(16), flags=st.integers(0, 255))
def test_a_valid_header_is_read(trace: str, span: str, flags: int) -> None:
    """What a header says is read from it, and what is replied to it is a header of the same trace."""
    read = traceparent_of([f" 00-{trace}-{span}-{flags:02x}\t"])
    assert read == TraceParent(trace, span, flags)
    assert read.is_sampled == bool(flags & 1)
    again = traceparent_of([traceresponse(trace, span, sampled=read.is_sampled)])
    assert again == TraceParent(trace, span, flags & 1)


@given(
    trace=digits(32), span=digits(16), version=st.integers(1, 254), more=st.text(st.characters(codec="ascii"))
)
def test_a_later_version_is_read_as_the_first(trace: str, span: str, version: int, more: str) -> None:
    """Of a version that is not known the beginning is read, whatever follows a hyphen."""
    given_ = f"{version:02x}-{trace}-{span}-01"
    assert traceparent_of([given_]) == TraceParent(trace, span, 1)
    if "\n" not in more:
        assert traceparent_of([f"{given_}-{more}x"]) == TraceParent(trace, span, 1)
    assert traceparent_of([f"{given_}{HEX}"]) is None


@given(value=st.text(max_size=80))
def test_whatever_comes_is_read_or_not(value: str) -> None:
    """A header that is not valid is none, and raises nothing."""
    assert traceparent_of([value]) is None


VALID = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [VALID, VALID],
        [f"00-{'0' * 32}-{'b' * 16}-01"],
        [f"00-{'a' * 32}-{'0' * 16}-01"],
        [f"ff-{'a' * 32}-{'b' * 16}-01"],
        [VALID.upper()],
        [VALID + "-more"],
        [VALID[:-1]],
        [VALID.replace("-", "_")],
    ],
)
def test_invalid_headers_are_none(values: list[str]) -> None:
    """Two headers, ids of zeros, capitals, version ff and what is appended to version 00 are not valid."""
    assert traceparent_of(values) is None


def test_new_ids_are_ids() -> None:
    """An id that is made is 16 digits, not zeros, and another one each time."""
    made = {new_span_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(one) == 16 and set(one) <= set(HEX) and set(one) != {"0"} for one in made)
