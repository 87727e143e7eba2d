"""What FastAPI itself allows: a constant, of the form and the size of the peers' replies."""

from __future__ import annotations

from fastapi import FastAPI

HITS = [{"id": str(number), "text": "All that can be said. " * 30} for number in range(5)]

app = FastAPI()


@app.get("/search")
def search(q: str) -> list[dict[str, str]]:  # noqa: ARG001  # taken in as the others take it
    """Return the constant."""
    return HITS
