"""An answered conversation as chat completions and responses have it, whole and in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service import openai_schemas as oai
from service import schemas
from service.openai_text import Marked, Marker


@dataclass(frozen=True, slots=True)
class Answered:
    """A conversation with its answer: the reply as the wire has it, and its text."""

    id: str
    """Unique, without the prefix that says what it names."""
    created: int
    """In seconds since 1970."""
    base_url: str
    """Where the documents' pages are, without the last slash."""
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
        id=_chat_id(answered),
        created=answered.created,
        system_fingerprint=answered.reply.index_version,
        choices=[oai.ChatChoice(message=message)],
        usage=_chat_usage(answered),
        pullquote=answered.reply,
    )


def chat_chunks(answered: Answered, *, with_usage: bool) -> Iterator[oai.ChatChunk]:
    """Yield the chat completion in chunks: the text, its annotations, the end with the whole reply."""
    yield _chunk(answered, oai.ChatDelta(role="assistant", content=""))
    for part in answered.marked.parts:
        yield _chunk(answered, oai.ChatDelta(content=part))
    annotations = _chat_annotations(answered)
    if annotations:
        yield _chunk(answered, oai.ChatDelta(annotations=annotations))
    last = _chunk(answered, oai.ChatDelta())
    last.choices[0].finish_reason = "stop"
    last.pullquote = answered.reply
    yield last
    if with_usage:
        usage = _chunk(answered, oai.ChatDelta())
        usage.choices = []
        usage.usage = _chat_usage(answered)
        yield usage


def _chunk(answered: Answered, delta: oai.ChatDelta) -> oai.ChatChunk:
    return oai.ChatChunk(
        id=_chat_id(answered),
        object="chat.completion.chunk",
        created=answered.created,
        model=oai.MODEL,
        system_fingerprint=answered.reply.index_version,
        choices=[oai.ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=None)],
    )


def _chat_id(answered: Answered) -> str:
    return f"chatcmpl-{answered.id}"


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
    return oai.ResponsesReply(
        id=f"resp_{answered.id}",
        created_at=answered.created,
        completed_at=answered.created,
        status="completed",
        output=[_output(answered, _output_text(answered))],
        usage=oai.ResponseUsage(
            input_tokens=answered.asked_tokens,
            output_tokens=answered.told_tokens,
            total_tokens=answered.asked_tokens + answered.told_tokens,
        ),
        pullquote=answered.reply,
    )


def response_events(answered: Answered) -> Iterator[oai.StreamEvent]:
    """Yield the response as the events of its coming about, numbered from 0."""
    for number, event in enumerate(_response_events(answered)):
        event.sequence_number = number
        yield event


def _response_events(answered: Answered) -> Iterator[oai.StreamEvent]:
    whole, text = response_reply(answered), _output_text(answered)
    begun = whole.model_copy(
        update={
            "status": "in_progress",
            "completed_at": None,
            "output": [],
            "usage": None,
            "pullquote": None,
        }
    )
    message = whole.output[0]
    empty = oai.OutputText(text="", annotations=[])
    yield oai.ResponseEvent(type="response.created", sequence_number=0, response=begun)
    yield oai.ResponseEvent(type="response.in_progress", sequence_number=0, response=begun)
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
    return oai.OutputMessage(id=f"msg_{answered.id}", status="completed", content=[text])


def _output_text(answered: Answered) -> oai.OutputText:
    annotations = [_place(answered, one) for one in answered.marked.markers]
    return oai.OutputText(text=answered.marked.text, annotations=annotations)


def _place(answered: Answered, marker: Marker) -> oai.TextAnnotation:
    return oai.TextAnnotation(
        start_index=marker.start,
        end_index=marker.end,
        url=answered.base_url + marker.citation.url,
        title=marker.citation.title,
    )
