"""What schemathesis is told of this API: names that exist, without which most requests end at 404."""

from __future__ import annotations

from typing import Any

import schemathesis

DOCUMENTS = ("pytorch-vs-tensorflow.md", "fuzzed.md", "fuzzed.html", "fuzzed.csv", "notes/fuzzed.txt")


def map_body(context: Any, body: Any) -> Any:
    """Ask the one model there is, mostly."""
    if isinstance(body, dict) and isinstance(body.get("model"), str) and len(body["model"]) % 4 != 3:
        return body | {"model": "pullquote"}
    return body


def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Name documents as they are named, mostly; the article is not to be lost."""
    given = (path_parameters or {}).get("document_id")
    if not isinstance(given, str) or len(given) % 4 == 3:
        return path_parameters
    changes = context.operation.method.upper() in ("PUT", "DELETE")
    names = DOCUMENTS[1:] if changes else DOCUMENTS
    return path_parameters | {"document_id": names[len(given) % len(names)]}


def filter_query(context: Any, query: Any) -> bool:
    """Leave out what looks wrong before it is written into an address, and is right there.

    One value alone is a list of one, and what is null is not there.
    """
    given = query or {}
    return not any(
        value is None or (name in ("documents", "field") and not isinstance(value, list))
        for name, value in given.items()
    )


for hook in (map_body, map_path_parameters, filter_query):
    schemathesis.hook(hook)
