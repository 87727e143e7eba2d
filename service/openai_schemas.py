"""The wire of the OpenAI-compatible addresses, after that API's own reference.

Requests say only what is looked at: whatever else that API has (sampling, storing, tracing) is taken and
has no effect, because nothing here is sampled, stored or sent on. What would change the reply if it were
obeyed is named here, and refused by the door.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.schemas import AskReply

MODEL = "pullquote"


class Error(BaseModel):
    """What went wrong; the input itself is never repeated."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """An error, as the OpenAI API has it."""

    error: Error


# ---------------------------------------------------------------- conversations


class Part(BaseModel):
    """A part of a message; only text can be asked."""

    type: str
    text: str | None = None


class Message(BaseModel):
    """One message: the last one by the user is the question, those before it are its history."""

    type: str | None = None
    role: Literal["system", "developer", "user", "assistant", "tool", "function"] | None = None
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """What a stream is to hold besides."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A chat completion that is asked for."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[Any] | None = None
    audio: Any = None


class ResponsesRequest(BaseModel):
    """A response that is asked for."""

    model: str
    input: str | Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    tools: list[Any] | None = None
    text: Any = None
    include: list[Any] | None = None
    top_logprobs: int | None = None
    background: bool | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None


class ChatUsage(BaseModel):
    """Tokens as the encoder's tokenizer counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Place(BaseModel):
    """Where a marker stands in the text, in code points and half-open, and what it leads to."""

    start_index: int
    end_index: int
    url: str
    title: str


class ChatAnnotation(BaseModel):
    """A citation in a chat completion."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: Place


class ChatMessage(BaseModel):
    """The answer as the assistant's message."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[ChatAnnotation]


class ChatChoice(BaseModel):
    """The one choice there is."""

    index: int = 0
    message: ChatMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatReply(BaseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    system_fingerprint: str = Field(description="The index version.")
    choices: list[ChatChoice]
    usage: ChatUsage
    pullquote: AskReply = Field(description="The whole reply, as `/v1/ask` gives it.")


class ChatDelta(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[ChatAnnotation] | None = None


class ChunkChoice(BaseModel):
    """The one choice, as far as a chunk has it."""

    index: int
    delta: ChatDelta
    logprobs: None
    finish_reason: Literal["stop"] | None


class ChatChunk(BaseModel):
    """A part of a streamed chat completion; only fields that were set are sent."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    pullquote: AskReply | None = None


# ---------------------------------------------------------------- responses


class TextAnnotation(Place):
    """A citation in a response."""

    type: Literal["url_citation"] = "url_citation"


class OutputText(BaseModel):
    """The text of a response."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[TextAnnotation]
    logprobs: list[None] = []


class OutputMessage(BaseModel):
    """The answer as a response's one output."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed"]
    content: list[OutputText]


class InputDetails(BaseModel):
    """Nothing is cached."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(BaseModel):
    """Nothing is reasoned."""

    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    """Tokens as the encoder's tokenizer counts them."""

    input_tokens: int
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class TextFormat(BaseModel):
    """Plain text, always."""

    type: Literal["text"] = "text"


class TextSettings(BaseModel):
    """How the text is formed."""

    format: TextFormat = TextFormat()


class ResponsesReply(BaseModel):
    """A response. Nothing is stored: its id cannot be asked for, nor gone on from."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed"]
    error: None = None
    incomplete_details: None = None
    instructions: None = None
    metadata: dict[str, str] = {}
    model: str = MODEL
    output: list[OutputMessage]
    parallel_tool_calls: bool = False
    previous_response_id: None = None
    store: bool = False
    temperature: None = None
    text: TextSettings = TextSettings()
    tool_choice: Literal["none"] = "none"
    tools: list[None] = []
    top_p: None = None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None
    pullquote: AskReply | None = Field(description="The whole reply, as `/v1/ask` gives it.")


class StreamEvent(BaseModel):
    """An event of a streamed response."""

    type: str
    sequence_number: int


class ResponseEvent(StreamEvent):
    """The response as it is by now."""

    response: ResponsesReply


class ItemEvent(StreamEvent):
    """The output as it is by now."""

    output_index: int = 0
    item: OutputMessage


class TextEvent(StreamEvent):
    """Something about the output's text."""

    item_id: str
    output_index: int = 0
    content_index: int = 0


class PartEvent(TextEvent):
    """The output's text as it is by now."""

    part: OutputText


class DeltaEvent(TextEvent):
    """What comes to the text."""

    delta: str
    logprobs: list[None] = []


class AnnotationEvent(TextEvent):
    """A citation in the text."""

    annotation_index: int
    annotation: TextAnnotation


class DoneEvent(TextEvent):
    """The text as a whole."""

    text: str
    logprobs: list[None] = []


class FailedEvent(StreamEvent):
    """What went wrong after the start; in `error` for clients that look there."""

    type: Literal["error"] = "error"
    code: str | None
    message: str
    param: str | None
    error: Error


# ---------------------------------------------------------------- embeddings and models

Several = Field(min_length=1, max_length=2048)


class EmbeddingsRequest(BaseModel):
    """Texts to embed."""

    model: str
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Several]
        | Annotated[list[int] | list[list[int]], Several]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class Embedding(BaseModel):
    """The vector of one text, of length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="As numbers, or as base64 of float32, least byte first.")


class EmbeddingsUsage(BaseModel):
    """Tokens as the encoder's tokenizer counts them."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str = MODEL
    usage: EmbeddingsUsage


class Model(BaseModel):
    """What can be named as `model`."""

    id: str = MODEL
    object: Literal["model"] = "model"
    created: int = Field(description="When the index was built, in seconds since 1970.")
    owned_by: str = MODEL


class ModelList(BaseModel):
    """Everything that can be named as `model`."""

    object: Literal["list"] = "list"
    data: list[Model]
