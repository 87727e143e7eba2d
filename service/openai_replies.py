"""An answered conversation as chat completions and responses have it, whole and in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service import openai_schemas as oai
from service import schemas
from service.openai_text import Marked, Marker


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a reply before its answer is."""

    id: str
    """Unique, without the prefix that says what it names."""
    created: int
    """In seconds since 1970."""
    base_url: str
    """Where the documents' pages are, without the last slash."""
    index_version: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A conversation with its answer: the reply as the wire has it, and its text."""

    begun: Begun
    reply: schemas.AskReply
    marked: Marked
    asked_tokens: int
    """Tokens of all messages."""
    told_tokens: int
    """Tokens of the text."""


# ---------------------------------------------------------------- chat completions


def chat_reply(answered: Answered) -> oai.ChatReply:
    """Return the chat completion."""
    message = oai.ChatMessage(content=answered.marked.text, annotations=_chat_annotations(answered))
    return oai.ChatReply(
        id=_chat_id(answered.begun),
        created=answered.begun.created,
        system_fingerprint=answered.begun.index_version,
        choices=[oai.ChatChoice(message=message)],
        usage=_chat_usage(answered),
        pullquote=answered.reply,
    )


def first_chunk(begun: Begun) -> oai.ChatChunk:
    """Return the chunk that begins a chat completion, before there is an answer."""
    return _chunk(begun, oai.ChatDelta(role="assistant", content=""))


def chat_chunks(answered: Answered, *, with_usage: bool) -> Iterator[oai.ChatChunk]:
    """Yield the chunks behind the first: the text, its annotations, the end with the whole reply."""
    begun = answered.begun
    for part in answered.marked.parts:
        yield _chunk(begun, oai.ChatDelta(content=part))
    annotations = _chat_annotations(answered)
    if annotations:
        yield _chunk(begun, oai.ChatDelta(annotations=annotations))
    last = _chunk(begun, oai.ChatDelta())
    last.choices[0].finish_reason = "stop"
    last.pullquote = answered.reply
    yield last
    if with_usage:
        usage = _chunk(begun, oai.ChatDelta())
        usage.choices = []
        usage.usage = _chat_usage(answered)
        yield usage


def _chunk(begun: Begun, delta: oai.ChatDelta) -> oai.ChatChunk:
    return oai.ChatChunk(
        id=_chat_id(begun),
        object="chat.completion.chunk",
        created=begun.created,
        model=oai.MODEL,
        system_fingerprint=begun.index_version,
        choices=[oai.ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=None)],
    )


def _chat_id(begun: Begun) -> str:
    return f"chatcmpl-{begun.id}"


def _chat_annotations(answered: Answered) -> list[oai.ChatAnnotation]:
    return [
        oai.ChatAnnotation(url_citation=oai.Place(**_place(answered, one).model_dump(exclude={"type"})))
        for one in answered.marked.markers
    ]


def _chat_usage(answered: Answered) -> oai.ChatUsage:
    return oai.ChatUsage(
        prompt_tokens=answered.asked_tokens,
        completion_tokens=answered.told_tokens,
        total_tokens=answered.asked_tokens + answered.told_tokens,
    )


# ---------------------------------------------------------------- responses


def response_reply(answered: Answered) -> oai.ResponsesReply:
    """Return the response, completed."""
    return _response(answered.begun).model_copy(
        update={
            "completed_at": answered.begun.created,
            "status": "completed",
            "output": [_output(answered, _output_text(answered))],
            "usage": oai.ResponseUsage(
                input_tokens=answered.asked_tokens,
                output_tokens=answered.told_tokens,
                total_tokens=answered.asked_tokens + answered.told_tokens,
            ),
            "pullquote": answered.reply,
        }
    )


def _response(begun: Begun) -> oai.ResponsesReply:
    """Return the response without its answer."""
    return oai.ResponsesReply(
        id=f"resp_{begun.id}",
        created_at=begun.created,
        completed_at=None,
        status="in_progress",
        output=[],
        usage=None,
        pullquote=None,
    )


def first_events(begun: Begun) -> list[oai.StreamEvent]:
    """Return the events that begin a response, before there is an answer."""
    response = _response(begun)
    return [
        oai.ResponseEvent(type="response.created", sequence_number=0, response=response),
        oai.ResponseEvent(type="response.in_progress", sequence_number=1, response=response),
    ]


def response_events(answered: Answered, after: int) -> Iterator[oai.StreamEvent]:
    """Yield the events behind the first `after`, numbered on."""
    for number, event in enumerate(_response_events(answered), start=after):
        event.sequence_number = number
        yield event


def _response_events(answered: Answered) -> Iterator[oai.StreamEvent]:
    whole, text = response_reply(answered), _output_text(answered)
    message = whole.output[0]
    empty = oai.OutputText(text="", annotations=[])
    yield oai.ItemEvent(
        type="response.output_item.added",
        sequence_number=0,
        item=message.model_copy(update={"status": "in_progress", "content": []}),
    )
    yield oai.PartEvent(type="response.content_part.added", part=empty, sequence_number=0, item_id=message.id)
    for part in answered.marked.parts:
        yield oai.DeltaEvent(
            type="response.output_text.delta", delta=part, sequence_number=0, item_id=message.id
        )
    for number, annotation in enumerate(text.annotations):
        yield oai.AnnotationEvent(
            type="response.output_text.annotation.added",
            annotation_index=number,
            annotation=annotation,
            sequence_number=0,
            item_id=message.id,
        )
    yield oai.DoneEvent(
        type="response.output_text.done", text=text.text, sequence_number=0, item_id=message.id
    )
    yield oai.PartEvent(type="response.content_part.done", part=text, sequence_number=0, item_id=message.id)
    yield oai.ItemEvent(type="response.output_item.done", sequence_number=0, item=message)
    yield oai.ResponseEvent(type="response.completed", sequence_number=0, response=whole)


def _output(answered: Answered, text: oai.OutputText) -> oai.OutputMessage:
    return oai.OutputMessage(id=f"msg_{answered.begun.id}", status="completed", content=[text])


def _output_text(answered: Answered) -> oai.OutputText:
    annotations = [_place(answered, one) for one in answered.marked.markers]
    return oai.OutputText(text=answered.marked.text, annotations=annotations)


def _place(answered: Answered, marker: Marker) -> oai.TextAnnotation:
    return oai.TextAnnotation(
        start_index=marker.start,
        end_index=marker.end,
        url=answered.begun.base_url + marker.citation.url,
        title=marker.citation.title,
    )
