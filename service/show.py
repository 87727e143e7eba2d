"""Replies for people at a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from service import schemas

EXCERPT = 240
"""Code points of a passage shown in a list."""

REASONS = {
    "no_candidate": "nothing in the documents could be an answer",
    "below_threshold": "nothing in the documents answers it surely enough",
    "not_a_question": "that asks about nothing the documents could answer",
    "empty_index": "the index is empty; put documents into the corpus folder and run `pullquote index`",
}


def answer(console: Console, reply: schemas.AskReply) -> None:
    """Print an answer with its place and headings, or why there is none with what is nearest."""
    if reply.answer is None:
        console.print(f"[yellow]Not in the documents:[/yellow] {REASONS[reply.reason or 'no_candidate']}.")
        if reply.passages:
            console.print("\nNearest:")
            passages(console, reply.passages)
    else:
        console.print(f"[bold]{escape(_printable(reply.answer.text))}[/bold]")
        for one in reply.answer.citations:
            if one.role == "answer":
                path = " › ".join(one.heading_path) or one.title
                console.print(
                    f"  {escape(one.document_id)}:{one.start_line}  "
                    f"characters {one.start_char}–{one.end_char}"
                )
                console.print(f"  [dim]{escape(_printable(path))}[/dim]")
            else:
                console.print(f"  [dim]{one.role.replace('_', ' ')}: {escape(_printable(one.quote))}[/dim]")
        console.print(f"  [dim]confidence {reply.answer.confidence:.2f}[/dim]")
    if reply.trace is not None:
        _trace(console, reply.trace)


def passages(console: Console, found: Sequence[schemas.PassageOut]) -> None:
    """Print passages as a numbered list."""
    for number, one in enumerate(found, start=1):
        path = " › ".join(one.heading_path) or one.title
        words = " ".join(_printable(one.text).split())
        shown = words if len(words) <= EXCERPT else words[: EXCERPT - 1] + "…"
        console.print(
            f"{number}. [bold]{escape(_printable(path))}[/bold]  "
            f"[dim]{escape(one.document_id)} {one.start_char}–{one.end_char}  score {one.score:.2f}[/dim]"
        )
        for line in textwrap.wrap(shown, max(40, min(console.width, 100) - 4)):
            console.print(f"   {escape(line)}")


def _trace(console: Console, trace: schemas.TraceOut) -> None:
    console.print(f"\n[dim]threshold {trace.threshold:.2f}; second: {trace.runner_up or 'none'}[/dim]")
    for one in trace.candidates[:5]:
        words = " ".join(_printable(one.text).split())[:100]
        console.print(f"[dim]{one.score:7.2f}  {one.confidence:.2f}  {escape(words)}[/dim]")


def _printable(text: str) -> str:
    """Return text without the control characters that could steer a terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)
