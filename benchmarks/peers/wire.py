"""Requests as they are sent."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    body: bytes = b""
    kind: str = "application/json"


def get(path: str, **query: str) -> Request:
    """Return a GET with a query."""
    return Request("GET", f"{path}?{urlencode(query)}" if query else path)


def post(path: str, value: object) -> Request:
    """Return a POST of JSON."""
    return Request("POST", path, json.dumps(value).encode())


def sent(request: Request, port: int) -> bytes:
    """Return the bytes of a request on a connection that stays open."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: */*"]
    if request.method != "GET":
        lines += [f"Content-Type: {request.kind}", f"Content-Length: {len(request.body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def exchange(connection: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    """Return status and body of the reply; raises OSError or HTTPException where none comes."""
    headers = {} if request.method == "GET" else {"Content-Type": request.kind}
    connection.request(request.method, request.path, request.body or None, headers)
    reply = connection.getresponse()
    return reply.status, reply.read()
