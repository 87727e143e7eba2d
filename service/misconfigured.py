"""What is wrong with settings, in words that name the setting and say what it takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from service.settings import FILE, Settings, unknown_variables

SHOWN_CHARS = 60

LINK = "tcp://"
"""Kubernetes gives every container an address for each service in variables named after it: a service named
`pullquote` sets PULLQUOTE_PORT to one."""


def problems_of(error: Exception) -> Iterator[tuple[str, str]]:
    """Yield what is wrong and what to do about it, for what making Settings has raised."""
    if not isinstance(error, ValidationError):
        yield (
            f"{FILE} cannot be read: {error}",
            f"mend {FILE}, in the working folder: it is TOML, a line for each setting",
        )
        return
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else ""
        field = Settings.model_fields.get(name)
        if field is None:
            near = _near(name)
            yield (
                f"{FILE} has a setting {name!r}, which there is not",
                (f"{near!r} is meant? Write that, or " if near else "")
                + "remove it; docs/settings.md lists all settings",
            )
            continue
        seen = "" if _is_secret(field) else f" is {_shown(one['input'])}"
        remedy = f"set PULLQUOTE_{name.upper()} (or `{name}` in {FILE}) to {_wanted(field)}"
        if isinstance(one["input"], str) and one["input"].startswith(LINK):
            remedy += (
                "; Kubernetes has set it for a service of this name: `enableServiceLinks: false` in the pod"
            )
        yield f"PULLQUOTE_{name.upper()}{seen}: {_lower(one['msg'])}", remedy


def unknown() -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment that look like settings and are none, and what to do."""
    for variable in unknown_variables():
        near = _near(variable.removeprefix("PULLQUOTE_").lower())
        yield (
            f"{variable} is set in the environment, and there is no such setting",
            f"PULLQUOTE_{near.upper()} is meant? Set that instead"
            if near
            else "unset it; docs/settings.md lists all settings",
        )


def _near(name: str) -> str:
    return next(iter(difflib.get_close_matches(name, Settings.model_fields, n=1)), "")


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _wanted(field: FieldInfo) -> str:
    """Return what a setting takes, in words."""
    kinds = [one for one in (field.annotation, *get_args(field.annotation)) if one is not type(None)]
    if get_origin(field.annotation) is Literal:
        *some, last = get_args(field.annotation)
        return f"{', '.join(some)} or {last}"
    if bool in kinds:
        return "true or false"
    limits: dict[str, Any] = {}
    for one in field.metadata:
        limits |= {name: getattr(one, name) for name in ("ge", "le", "min_length") if hasattr(one, name)}
    if int in kinds or float in kinds:
        number = "a whole number" if int in kinds else "a number"
        if "ge" in limits and "le" in limits:
            return f"{number} from {limits['ge']} to {limits['le']}"
        return f"{number} of at least {limits['ge']}" if "ge" in limits else number
    if _is_secret(field):
        return f"at least {limits.get('min_length', 1)} characters, random ones"
    if get_origin(field.annotation) is list:
        return "names separated by commas"
    return "a text"
