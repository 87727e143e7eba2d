"""Filters as people write them: an object in a body, `lang:en` in an address, `lang=en` at a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from index.fields import Value

IN_ADDRESS, AT_TERMINAL = ":", "="
"""What stands between a field's name and its value."""

Text = Annotated[str, Field(max_length=1024)]
Scalar = StrictBool | StrictInt | Annotated[float, Field(strict=True, allow_inf_nan=False)] | Text
Scalars = Annotated[list[Scalar], Field(min_length=1, max_length=100)]
Name = Annotated[str, Field(min_length=1, max_length=1024)]


def _checked(fields: object, check: ValidatorFunctionWrapHandler) -> object:
    """Return what `check` makes of the fields. Its own errors would repeat the names that were sent."""
    try:
        return check(fields)
    except ValidationError as error:
        raise PydanticCustomError(
            "fields",
            "give each of up to 100 names a text, a number, true or false, or a list of 1 to 100 of these",
        ) from error


class Filter(BaseModel):
    """Which documents to look in: those that pass all that is given."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        default=[], max_length=100, description="Prefixes of document ids, such as `guides/`."
    )
    fields: Annotated[dict[Name, Scalar | Scalars], Field(max_length=100), WrapValidator(_checked)] = Field(
        default={},
        description="Front matter: in every field named here, a document has one of the values given. Upper "
        "and lower case are the same; numbers are compared as numbers, true and false as these words.",
        examples=[{"lang": "en", "tags": ["setup", "install"]}],
    )

    @property
    def wanted(self) -> dict[str, list[Value]]:
        """Return the values wanted of each field; it may have been given one alone."""
        return {name: given if isinstance(given, list) else [given] for name, given in self.fields.items()}


def is_pair(text: str, sign: str) -> bool:
    """Return whether `text` names a field before `sign`."""
    name, found, _ = text.partition(sign)
    return bool(found and name.strip())


def wanted_of(pairs: Iterable[str], sign: str) -> dict[str, list[Value]]:
    """Return the values wanted of each field; pairs of one name are several values for it."""
    found: dict[str, list[Value]] = {}
    for pair in pairs:
        name, _, value = pair.partition(sign)
        found.setdefault(name, []).append(value)
    return found


def _pair(text: str) -> str:
    if not is_pair(text, IN_ADDRESS):
        raise PydanticCustomError("field", "write a field as name:value, such as lang:en")
    return text


Pairs = Annotated[
    list[Annotated[str, Field(max_length=2048), AfterValidator(_pair)]],
    Field(
        max_length=100,
        description="A field of the front matter and its value, such as `lang:en`. A document has every "
        "field that is named; of one named several times, any of the values.",
    ),
]
