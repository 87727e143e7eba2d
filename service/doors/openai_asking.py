"""A conversation by a client of the OpenAI API: asked, and replied to in parts."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from service import openai_replies, schemas, wire
from service import openai_schemas as oai
from service.admission import Turn as Admitted
from service.answer import Reply
from service.doors.feedback import journal_of
from service.doors.replies import live_of, take_index
from service.finding import Found, Index
from service.openai_replies import Answered, Begun
from service.openai_text import Conversation, NotText, conversation, marked
from service.problems import Refused, invalid, told
from service.remembered import find, settle
from service.threshold import threshold_of

TOP_K = 5
"""Passages in the extension field, as many as `/v1/ask` gives by itself."""


END_SECONDS = 0.03
"""Between the whole text of a streamed reply and its end, when the text is on the screen already.
deep-chat 2.4.2 takes a stream whose text and end come in one moment for an empty one: 5 of 40 replies were
shown as errors, with the pause none of 80."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation that can be answered: the search, and the telling of what it found."""

    begun: Begun
    finding: Callable[[], Found]
    telling: Callable[[Found], Answered]

    def run(self) -> Answered:
        """Return the answer; it takes a thread's time."""
        return self.telling(self.finding())


def asked_of(request: Request, messages: Sequence[oai.Message], field: str) -> Asked:
    """Return what a conversation asks. Raises Refused where it cannot be asked."""
    try:
        said = conversation(messages)
    except NotText as error:
        raise unsupported((field, *error.place), str(error)) from error
    if said is None:
        raise invalid(("body", field), "there is no message by the user, so nothing is asked")
    settings = live_of(request).settings
    if len(said.question) > settings.max_question_chars:
        raise invalid(("body", field), f"a question has at most {settings.max_question_chars} characters")
    index = take_index(request)
    begun = Begun(
        id=secrets.token_hex(12),
        created=int(time.time()),
        base_url=str(request.base_url).rstrip("/"),
        index_version=index.snapshot.version,
    )
    top_k, threshold, note = min(TOP_K, settings.max_top_k), threshold_of(settings), journal_of(request).note

    def telling(found: Found) -> Answered:
        reply = settle(index, found, top_k=top_k, threshold=threshold)
        return _told(index, said, begun, note(said.question, reply))

    return Asked(begun, partial(find, index, said.question, history=said.history, top_k=top_k), telling)


def _told(index: Index, said: Conversation, begun: Begun, reply: Reply) -> Answered:
    """Return a conversation with the reply to it."""
    whole = wire.ask_reply(index.snapshot, said.question, reply, explain=False)
    text = marked(whole)
    return Answered(
        begun=begun,
        reply=whole,
        marked=text,
        asked_tokens=sum(index.encoder.count_tokens(one) for one in said.everything),
        told_tokens=index.encoder.count_tokens(text.text),
    )


def unsupported(place: Sequence[str | int], reason: str) -> Refused:
    """Return the refusal of a field that cannot be obeyed."""
    error = schemas.FieldError(location=["body", *place], message=reason, type="unsupported")
    detail = f"{'.'.join(map(str, place))}: {reason}"
    return Refused(400, "unsupported-value", detail, errors=[error])


def _chunk_event(chunk: oai.ChatChunk) -> bytes:
    unsent = {"pullquote": {"trace"}}
    return format_sse_event(data_str=chunk.model_dump_json(by_alias=True, exclude_unset=True, exclude=unsent))


def _response_event(event: oai.StreamEvent) -> bytes:
    unsent = {"response": {"pullquote": {"trace"}}}
    return format_sse_event(event=event.type, data_str=event.model_dump_json(by_alias=True, exclude=unsent))


async def chat_events(
    request: Request, asked: Asked, turn: Admitted, *, with_usage: bool
) -> AsyncIterator[bytes]:
    """Yield a chat completion in chunks, the first before anything is searched."""
    yield _chunk_event(openai_replies.first_chunk(asked.begun))
    try:
        with turn:
            answered = await _answered(asked)
    except Exception as error:  # the reply has begun: what went wrong can only be said in it
        yield format_sse_event(data_str=_failure(request, error).model_dump_json())
        return
    for chunk in openai_replies.chat_chunks(answered, with_usage=with_usage):
        if chunk.choices and chunk.choices[0].finish_reason:
            await asyncio.sleep(END_SECONDS)
        yield _chunk_event(chunk)
    yield format_sse_event(data_str="[DONE]")


async def response_events(request: Request, asked: Asked, turn: Admitted) -> AsyncIterator[bytes]:
    """Yield a response as the events of its coming about, the first before anything is searched."""
    first = openai_replies.first_events(asked.begun)
    for event in first:
        yield _response_event(event)
    try:
        with turn:
            answered = await _answered(asked)
    except Exception as error:  # the reply has begun: what went wrong can only be said in it
        failed = _failure(request, error).error
        yield _response_event(
            oai.FailedEvent(
                sequence_number=len(first),
                code=failed.code,
                message=failed.message,
                param=failed.param,
                error=failed,
            )
        )
        return
    for event in openai_replies.response_events(answered, len(first)):
        if event.type == "response.output_text.done":
            await asyncio.sleep(END_SECONDS)
        yield _response_event(event)


async def _answered(asked: Asked) -> Answered:
    """Return the answer in two steps: the second is not begun for a client that has left during the first."""
    return await run_in_threadpool(asked.telling, await run_in_threadpool(asked.finding))


def _failure(request: Request, error: Exception) -> oai.ErrorReply:
    return oai.ErrorReply.model_validate_json(bytes(told(request, error).body))
