"""What all that is sent to the doors has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """A request body; a field it does not know is an error, so that a typing mistake never passes unseen."""

    model_config = ConfigDict(extra="forbid")


class Body(Request):
    """A body in JSON, which has types of its own: `0` is not false there, nor `"5"` a number."""

    model_config = ConfigDict(extra="forbid", strict=True)
