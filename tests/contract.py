"""What integrators may rely on, held for every reply: docs/openapi.json, one shape of errors, the envelope.

A plugin beside tests/server.py, for its fixtures; test files import it too, before pytest does, so its
assertions stay as they are (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from tests.server import ROOT, Home, Reply, Unwired, unwired, wait_for

OPENAPI: Reply = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))

DEVELOPER = "Who developed PyTorch?"
MARKER = "zebrafinch"
"""Stands in what must not come back."""

ODD = "odd names/ü 100% #1? & 'x'.md"
HOSTILE = "hostile.md"
HOSTILE_TEXT = (
    "# </h1><script>alert(1)</script> & \"quoted\" 'title'\n\n"
    "The text ends here: </pre><img src=x onerror=alert(2)> {title} &#13; &amp; 🚀 done.\n"
)
WINDOWS = "windows.txt"
WINDOWS_TEXT = (
    "\r\nFirst line 🚀.\r\nA lone\rreturn, a form\ffeed and a C1 \x85 control.\r\n\nThe end of it.\r\n"
)
UNREADABLE = "unreadable.md"


class Checked(Unwired):
    """Requests whose replies are held to the contract, whatever they are."""

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        reply = super().__call__(method, path, **given)
        assert reply.status_code < 500 or reply.status_code in (503, 507), reply.text
        check_envelope(reply)
        if reply.status_code >= 400 and method != "HEAD":
            check_problem(reply)
        check_documented(reply)
        return reply

    def ask(self, question: str, **fields: Any) -> Reply:
        """Return the reply to a question that can be asked."""
        reply = self("POST", "/v1/ask", json={"question": question, **fields})
        assert reply.status_code == 200, reply.text
        read: Reply = reply.json()
        return read

    def get(self, path: str, **query: Any) -> Reply:
        """Return the JSON at a path."""
        reply = self("GET", path, params=query)
        assert reply.status_code == 200, reply.text
        read: Reply = reply.json()
        return read

    def finished(self, address: str) -> Reply:
        """Return a job once it is over."""
        wait_for(lambda: self.get(address)["finished_at"], "the job to end")
        return self.get(address)


def check_envelope(reply: httpx.Response) -> None:
    """Fail unless a reply carries what every reply carries."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", reply.headers["x-request-id"])
    assert "x-index-version" in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"


def check_problem(reply: httpx.Response) -> None:
    """Fail unless an error has the one shape of errors."""
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert {*body} - {"errors"} == {"type", "title", "status", "detail", "instance", "request_id"}
    assert body["status"] == reply.status_code
    assert body["request_id"] == reply.headers["x-request-id"]
    assert misfits(body, {"$ref": "#/components/schemas/Problem"}) == []
    assert body["detail"] and MARKER not in reply.text.replace(body["instance"], "")


def check_documented(reply: httpx.Response) -> None:
    """Fail unless docs/openapi.json has this status for this route, with a schema that the body fits."""
    route = route_of(reply.request.url.path)
    described = OPENAPI["paths"].get(route, {}).get(reply.request.method.lower())
    if described is None:
        return
    assert str(reply.status_code) in described["responses"], f"{reply.status_code} at {route}: {reply.text}"
    content = described["responses"][str(reply.status_code)].get("content", {})
    media = reply.headers.get("content-type", "").partition(";")[0]
    if reply.content:
        assert media in content or "*/*" in content, f"{media or 'no type'} at {route}"
    else:
        # Only a file may be empty.
        assert not content or any(one in content for one in ("*/*", "text/plain")), f"nothing at {route}"
    if "schema" in content.get(media, {}):
        found = misfits(reply.json(), content[media]["schema"])
        assert found == [], found


def route_of(path: str) -> str | None:
    """Return the documented path that a request's path is for, the most literal one; ids may be empty."""
    fitting = [
        route
        for route in OPENAPI["paths"]
        if re.fullmatch("(?s:.*)".join(re.escape(part) for part in re.split(r"\{\w+\}", route)), path)
    ]
    return max(fitting, key=len, default=None)


KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def misfits(value: Any, schema: Reply, place: str = "$") -> list[str]:
    """Return where a value breaks a JSON schema, as far as ours go; fields it does not name break it too."""
    if "$ref" in schema:
        return misfits(value, OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema:
        tried = [misfits(value, one, place) for one in schema["anyOf"]]
        return min(tried, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{place}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        return _misfits_of_fields(value, schema, place)
    if isinstance(value, list):
        return [
            one
            for at, item in enumerate(value)
            for one in misfits(item, schema.get("items", {}), f"{place}[{at}]")
        ]
    return []


def _misfits_of_fields(value: Reply, schema: Reply, place: str) -> list[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    found = [f"{place}: no {name}" for name in schema.get("required", []) if name not in value]
    for name, field in value.items():
        if name in known or isinstance(rest, dict):
            found += misfits(field, known.get(name, rest), f"{place}.{name}")
        else:
            found.append(f"{place}: {name} is not documented")
    return found


@pytest.fixture(scope="session")
def shelf(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return the library with documents that are hard to carry; no test changes it."""
    home = library.copy(tmp_path_factory.mktemp("shelf"))
    home.write(ODD, "# Oddly named\n\nThe quagga is an extinct subspecies of zebra.\n")
    home.write(HOSTILE, HOSTILE_TEXT)
    home.write(WINDOWS, WINDOWS_TEXT)
    home.write(UNREADABLE, b"\xff\xff")
    assert home.run("index").returncode == 0
    return home


@pytest.fixture(scope="module")
def request_(shelf: Home) -> Iterator[Checked]:
    """Return the application over the shelf, with the settings as they come.

    It is the one server of that folder: what a test opens besides can only be `read_only`.
    """
    with opened(shelf) as checked:
        yield checked


@contextmanager
def opened(home: Home, **settings: Any) -> Iterator[Checked]:
    """Give the application over `home`, held to the contract."""
    with unwired(home, **settings) as plain:
        yield Checked(plain.app)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
