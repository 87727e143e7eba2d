"""Chat completions, responses, embeddings and models for clients of the OpenAI API."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service import openai_replies, schemas
from service import openai_schemas as oai
from service.admission import CLIENT_LEFT, admitted
from service.doors import streaming
from service.doors.openai_asking import asked_of, chat_events, response_events, unsupported
from service.doors.replies import OF_BODIES, TEXTS, json_reply, take_index
from service.finding import Index
from service.problems import Refused

router = APIRouter(tags=["openai"])

AT_ONCE = 32
"""Texts embedded before it is looked whether somebody still waits, and others have their turn."""

NO_TOOLS = "there is no model here that could use tools"
ONE_WAY = "the answer is a quotation; it comes as plain text"
NO_CHANCE = "nothing is sampled here: there is one answer, and its confidence is in `pullquote`"
NO_MEMORY = "nothing is stored here; send the messages before the question along with it"


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's errors."""
    return {
        status: {"description": TEXTS[status], "model": oai.ErrorReply}
        for status in (400, 500, *statuses, *(OF_BODIES if 413 in statuses else ()))
    }


STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {streaming.MEDIA_TYPE: {}}}}


@router.post(
    "/v1/chat/completions",
    response_model=oai.ChatReply,
    responses=_errors(404, 413, 422, 503) | STREAMED,
    operation_id="createChatCompletion",
)
async def post_chat(request: Request, body: oai.ChatRequest) -> Response:
    """Answer the last user message by a quotation, as a chat completion; with `stream`, in chunks."""
    _check_model(body.model)
    _refuse(
        {
            "n": (body.n not in (None, 1), NO_CHANCE),
            "tools": (body.tools, NO_TOOLS),
            "functions": (body.functions, NO_TOOLS),
            "response_format": (not _is_text(body.response_format), ONE_WAY),
            "logprobs": (body.logprobs, NO_CHANCE),
            "top_logprobs": (body.top_logprobs, NO_CHANCE),
            "modalities": (body.modalities not in (None, ["text"]), ONE_WAY),
            "audio": (body.audio is not None, ONE_WAY),
        }
    )
    asked = asked_of(request, body.messages, "messages")
    turn = await admitted(request)
    if not body.stream:
        with turn:
            return _reply(openai_replies.chat_reply(await run_in_threadpool(asked.run)))
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    return streaming.events(chat_events(request, asked, turn, with_usage=with_usage), turn)


@router.post(
    "/v1/responses",
    response_model=oai.ResponsesReply,
    responses=_errors(404, 413, 422, 503) | STREAMED,
    operation_id="createResponse",
)
async def post_response(request: Request, body: oai.ResponsesRequest) -> Response:
    """Answer the last user message by a quotation, as a response; with `stream`, as its events."""
    _check_model(body.model)
    _refuse(
        {
            "tools": (body.tools, NO_TOOLS),
            "text": (not _is_text(body.text.get("format") if isinstance(body.text, dict) else None), ONE_WAY),
            "include": ("message.output_text.logprobs" in (body.include or ()), NO_CHANCE),
            "top_logprobs": (body.top_logprobs, NO_CHANCE),
            "background": (body.background, NO_MEMORY),
            "previous_response_id": (body.previous_response_id is not None, NO_MEMORY),
            "conversation": (body.conversation is not None, NO_MEMORY),
            "prompt": (body.prompt is not None, NO_MEMORY),
        }
    )
    said = [oai.Message(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    asked = asked_of(request, said, "input")
    turn = await admitted(request)
    if not body.stream:
        with turn:
            return _reply(openai_replies.response_reply(await run_in_threadpool(asked.run)))
    return streaming.events(response_events(request, asked, turn), turn)


@router.post(
    "/v1/embeddings",
    response_model=oai.EmbeddingsReply,
    responses=_errors(404, 413, 422, 503),
    operation_id="createEmbedding",
)
async def post_embeddings(request: Request, body: oai.EmbeddingsRequest) -> Response:
    """Embed texts with the encoder in use, as passages are embedded."""
    _check_model(body.model)
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [one for one in given if isinstance(one, str)]
    encoder = take_index(request).encoder
    length = encoder.export.dimension
    _refuse(
        {
            "input": (len(texts) < len(given), "numbers of tokens mean nothing here; send the text itself"),
            "dimensions": (body.dimensions not in (None, length), f"vectors have {length} dimensions here"),
        }
    )
    vectors: list[list[float]] = []
    with await admitted(request):
        counts = await run_in_threadpool(lambda: [encoder.count_tokens(one) for one in texts])
        _check_window(counts, encoder.export.window)
        for begin in range(0, len(texts), AT_ONCE):
            if begin and await request.is_disconnected():
                return Response(status_code=CLIENT_LEFT)
            encodings = await run_in_threadpool(encoder.encode_documents, texts[begin : begin + AT_ONCE])
            vectors += [one.vector.tolist() for one in encodings]
    packed = body.encoding_format == "base64"
    return json_reply(
        oai.EmbeddingsReply(
            data=[
                oai.Embedding(index=number, embedding=_packed(one) if packed else one)
                for number, one in enumerate(vectors)
            ],
            usage=oai.EmbeddingsUsage(prompt_tokens=sum(counts), total_tokens=sum(counts)),
        )
    )


@router.get("/v1/models", response_model=oai.ModelList, responses=_errors(503), operation_id="listModels")
async def list_models(request: Request) -> Response:
    """List what can be named as `model`: `pullquote`."""
    return json_reply(oai.ModelList(data=[_model(take_index(request))]))


@router.get(
    "/v1/models/{model_id}",
    response_model=oai.Model,
    responses=_errors(404, 422, 503),
    operation_id="getModel",
)
async def get_model(request: Request, model_id: str) -> Response:
    """Return what is known of `pullquote`."""
    _check_model(model_id)
    return json_reply(_model(take_index(request)))


def _model(index: Index) -> oai.Model:
    return oai.Model(created=int(datetime.fromisoformat(index.snapshot.manifest.built_at).timestamp()))


def _check_model(name: str) -> None:
    """Raise Refused 404 for any model but ours."""
    if name != oai.MODEL:
        error = schemas.FieldError(location=["body", "model"], message="unknown", type="model")
        raise Refused(
            404, "model-not-found", f"there is no such model here; ask `{oai.MODEL}`", errors=[error]
        )


def _refuse(wishes: Mapping[str, tuple[object, str]]) -> None:
    """Raise Refused 400 for the first field whose wish is true: it says why it cannot be obeyed."""
    for name, (is_wished, reason) in wishes.items():
        if is_wished:
            raise unsupported((name,), reason)


def _is_text(wanted: object) -> bool:
    """Return whether a format that is asked for is plain text, or none is asked for."""
    return wanted is None or (isinstance(wanted, dict) and wanted.get("type") == "text")


def _check_window(counts: Sequence[int], window: int) -> None:
    """Raise Refused 400 for the first text that is too long: cut, it would be embedded in silence."""
    for number, count in enumerate(counts):
        if count > window:
            reason = f"text {number} has {count} tokens; the encoder takes {window}"
            error = schemas.FieldError(location=["body", "input"], message=reason, type="limit")
            raise Refused(400, "context-length-exceeded", f"input: {reason}", errors=[error])


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _reply(body: BaseModel) -> Response:
    """Return `body` without the trace, which nobody can ask for here."""
    content = body.model_dump_json(by_alias=True, exclude={"pullquote": {"trace"}})
    return Response(content, media_type="application/json")
