"""The tools that other programs call: plain functions over the index in use, answers as over REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from service import bodies, schemas, wire
from service.doors.documents import ListQuery, list_page
from service.doors.rest import verdict
from service.finding import Index
from service.followup import Turn
from service.journal import Note
from service.live import Live
from service.problems import clean
from service.remembered import find, settle
from service.settings import Settings
from service.threshold import threshold_of

Prefixes = Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=100)]


class ToolError(Exception):
    """A call that cannot be served as it is; its message is meant for whoever called."""


class SearchArguments(bodies.Request):
    """What to look for, and where."""

    question: str = Field(min_length=1, description="What to look for, as a question or in a few words.")
    top_k: int = Field(default=5, ge=1, description="How many passages to return.")
    documents: Prefixes = Field(
        default=[], description="Only documents whose id begins with one of these, such as `guides/`."
    )


class AskArguments(SearchArguments):
    """A question, and the conversation before it."""

    question: str = Field(min_length=1, description="The question, in full or as a follow-up to the history.")
    history: list[schemas.Turn] = Field(
        default=[], max_length=100, description="The conversation so far, oldest first."
    )


class PassageArguments(bodies.Request):
    """Which passage."""

    passage_id: str = Field(
        min_length=1, max_length=2048, description="The `passage_id` of a passage or a citation."
    )


class VerifyArguments(bodies.Request):
    """A quotation, and where it is said to stand."""

    document_id: str = Field(max_length=1024)
    quote: str = Field(min_length=1, max_length=100_000, description="The exact words.")
    start_char: int | None = Field(
        default=None, ge=0, description="Where they begin, in code points; without it, anywhere will do."
    )
    end_char: int | None = Field(default=None, ge=0, description="Where they end.")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where calls come in: the index in use, and what takes note of questions without an answer."""

    live: Live
    note: Note


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that can be called: what it takes, what it gives, and what does it. Nothing is changed."""

    name: str
    title: str
    description: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    run: Callable[[Desk, Any], BaseModel]

    def call(self, desk: Desk, arguments: Mapping[str, object] | None) -> BaseModel:
        """Return what the tool gives for these arguments.

        Raises ToolError where they are not as `takes` describes them, Refused where the settings' limits are
        passed, and whatever a broken part of the index raises.
        """
        try:
            read = self.takes.model_validate(dict(arguments or {}))
        except ValidationError as error:
            # Only place and message: the input is not repeated.
            wrong = [
                f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()
            ]
            raise ToolError(clean("; ".join(wrong[:3]))) from error
        return self.run(desk, read)


def _ask(desk: Desk, wanted: AskArguments) -> schemas.AskReply:
    index, top_k = _checked(desk, wanted)
    history = [Turn(one.role, one.content) for one in wanted.history]
    found = find(index, wanted.question, history=history, top_k=top_k, documents=wanted.documents)
    reply = settle(index, found, top_k=top_k, threshold=threshold_of(desk.live.settings))
    return wire.ask_reply(index.snapshot, wanted.question, desk.note(wanted.question, reply), explain=False)


def _search(desk: Desk, wanted: SearchArguments) -> schemas.SearchReply:
    index, top_k = _checked(desk, wanted)
    found = find(index, wanted.question, top_k=top_k, documents=wanted.documents)
    return wire.search_reply(index.snapshot, wanted.question, found)


def _checked(desk: Desk, wanted: SearchArguments) -> tuple[Index, int]:
    """Return what to ask and for how many passages; raises ToolError past the settings' limits."""
    settings = desk.live.settings
    if len(wanted.question) > settings.max_question_chars:
        raise ToolError(f"question: a question has at most {settings.max_question_chars} characters")
    return desk.live.current, _top_k(settings, wanted)


def _top_k(settings: Settings, wanted: SearchArguments) -> int:
    """Return how many passages are asked for; the default gives way to the settings' limit."""
    if "top_k" not in wanted.model_fields_set:
        return min(wanted.top_k, settings.max_top_k)
    if wanted.top_k > settings.max_top_k:
        raise ToolError(f"top_k: at most {settings.max_top_k}")
    return wanted.top_k


def _get_passage(desk: Desk, wanted: PassageArguments) -> schemas.PassageReply:
    snapshot = desk.live.current.snapshot
    number = snapshot.numbers.get(wanted.passage_id.rpartition("#")[0])
    for passage in snapshot.passages_of(number) if number is not None else ():
        if snapshot.passage_id(passage) == wanted.passage_id:
            return wire.passage_reply(snapshot, passage)
    raise ToolError(
        f"index version {snapshot.version} has no passage with that id, its document may have changed; "
        "`search` names those there are"
    )


def _list_documents(desk: Desk, wanted: ListQuery) -> schemas.DocumentList:
    return list_page(desk.live.current.snapshot, wanted)


def _verify_quote(desk: Desk, wanted: VerifyArguments) -> schemas.Verdict:
    snapshot = desk.live.current.snapshot
    start = wanted.start_char
    if start is None:
        number = snapshot.numbers.get(wanted.document_id)
        # Nobody said where: wherever the words stand first is where they are looked for.
        start = max(0, snapshot.text(number).find(wanted.quote)) if number is not None else 0
    end = start + len(wanted.quote) if wanted.end_char is None else wanted.end_char
    return verdict(
        snapshot,
        schemas.CitedPlace(
            document_id=wanted.document_id, quote=wanted.quote, start_char=start, end_char=end
        ),
    )


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "ask",
            "Ask the documents",
            "Answer a question from the documents with a verbatim quotation and its exact place in the "
            "source, or say that they hold no answer (`status` `not_found`; the nearest passages come too). "
            "Nothing is made up: quote `answer.text` and cite `answer.citations` as they are.",
            AskArguments,
            schemas.AskReply,
            _ask,
        ),
        Tool(
            "search",
            "Search the documents",
            "Return the passages nearest to a question, by meaning and by words, best first, and no answer.",
            SearchArguments,
            schemas.SearchReply,
            _search,
        ),
        Tool(
            "get_passage",
            "Read a passage",
            "Return one passage in its own words, with the ids of the passages before and after it.",
            PassageArguments,
            schemas.PassageReply,
            _get_passage,
        ),
        Tool(
            "list_documents",
            "List the documents",
            "Return the documents in the order of their ids, a page at a time; `next_cursor` names the next.",
            ListQuery,
            schemas.DocumentList,
            _list_documents,
        ),
        Tool(
            "verify_quote",
            "Verify a quotation",
            "Say whether a quotation holds in a document as it is now (`holds`), stands elsewhere in it "
            "(`moved`, with the place), or is not there (`gone`).",
            VerifyArguments,
            schemas.Verdict,
            _verify_quote,
        ),
    )
}
"""By name, in the order in which they are listed."""
