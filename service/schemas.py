"""The wire: requests and replies exactly as docs/openapi.json promises them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.bodies import Body, Request
from service.filters import Filter


class Turn(Request):
    """One message of the conversation before the question."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=20_000)


class AskRequest(Body):
    """A question."""

    question: str = Field(min_length=1, description="The question, in your own words.")
    history: list[Turn] = Field(
        default=[], max_length=100, description="The conversation so far, oldest first."
    )
    top_k: int = Field(default=5, ge=1, description="How many passages to return.")
    filter: Filter = Field(default=Filter())
    min_confidence: float | None = Field(
        default=None, ge=0, le=1, description="Answers less sure than this are not given."
    )
    explain: bool = Field(default=False, description="Add how the decision was made.")
    as_of: str | None = Field(
        default=None,
        max_length=64,
        description="Ask a kept version instead of the one in use: `/v1/index` has them.",
    )


class Citation(BaseModel):
    """A quotation and its exact place. Offsets are half-open; `quote` is the text's slice, always."""

    document_id: str
    title: str
    heading_path: list[str]
    passage_id: str
    quote: str
    start_char: int = Field(description="In Unicode code points of the canonical text.")
    end_char: int
    start_byte: int = Field(description="In bytes of the canonical text as UTF-8.")
    end_byte: int
    start_utf16: int = Field(description="In UTF-16 code units, as JavaScript counts.")
    end_utf16: int
    start_line: int = Field(description="From 1.")
    end_line: int
    page: int | None = Field(default=None, description="From 1, in a document that has pages.")
    prefix: str = Field(description="Up to 32 code points before the quotation.")
    suffix: str
    text_sha256: str = Field(description="SHA-256 of the canonical text that the offsets count in.")
    url: str
    index_version: str
    role: Literal["answer", "row_label", "column_header"]


class AnswerOut(BaseModel):
    """One short answer, verbatim."""

    text: str = Field(description="The quotes of the citations with role `answer`, joined by `; `.")
    kind: Literal["span", "sentence", "cell"]
    confidence: float = Field(description="The chance, 0 to 1, that this answer is right.")
    citations: list[Citation]


class Highlight(BaseModel):
    """A place worth marking, in code points of the canonical text."""

    start_char: int
    end_char: int


class PassageOut(BaseModel):
    """A passage found."""

    passage_id: str
    document_id: str
    title: str
    heading_path: list[str]
    text: str
    start_char: int
    end_char: int
    score: float = Field(description="Higher is nearer; comparable within one reply.")
    url: str
    highlights: list[Highlight]


class Rewrite(BaseModel):
    """What was changed in the question before it was asked."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["follow-up", "spelling", "alias", "acronym"]
    old: str = Field(alias="from")
    new: str = Field(alias="to")


class QueryOut(BaseModel):
    """The question as it came and as it was asked."""

    asked: str
    used: str
    rewrites: list[Rewrite]


class HitTrace(BaseModel):
    """Why a passage is where it is."""

    passage_id: str
    score: float
    similarity: float = Field(description="Cosine of question and passage.")
    similarity_rank: int | None
    words: float = Field(description="BM25 as a share of the most these words could reach.")
    words_rank: int | None
    fused: float
    match: float | None = Field(description="MaxSim: how well each word of the question is met.")


class CandidateTrace(BaseModel):
    """Why a candidate answer is where it is."""

    passage_id: str
    text: str
    kind: str
    score: float
    confidence: float
    features: dict[str, float]
    crossed: float | None = Field(
        default=None,
        description="The cross-encoder's logit that it answers the question; null where it was not read so.",
    )


class TraceOut(BaseModel):
    """How the decision was made."""

    threshold: float
    words: dict[str, float] = Field(description="How much each word of the question counts, 0 to 1.")
    passages: list[HitTrace]
    candidates: list[CandidateTrace] = Field(description="The best candidates, best first.")
    runner_up: str | None = Field(description="Why the second candidate lost.")


class AskReply(BaseModel):
    """What the documents say."""

    status: Literal["answered", "not_found"]
    reason: Literal["no_candidate", "below_threshold", "not_a_question", "empty_index"] | None
    answer: AnswerOut | None
    alternatives: list[AnswerOut]
    passages: list[PassageOut]
    query: QueryOut
    index_version: str
    took_ms: dict[str, float]
    trace: TraceOut | None = None


class SearchReply(BaseModel):
    """The passages nearest to a question."""

    passages: list[PassageOut]
    query: QueryOut
    index_version: str
    took_ms: dict[str, float]


class PassageReply(BaseModel):
    """One passage in its own words."""

    passage_id: str
    document_id: str
    title: str
    heading_path: list[str]
    text: str
    start_char: int = Field(description="In Unicode code points of the canonical text.")
    end_char: int
    url: str
    before: str | None = Field(description="Id of the passage before it in the document.")
    after: str | None = Field(description="Id of the passage after it.")
    index_version: str


class CitedPlace(BaseModel):
    """The part of a citation that can be checked; the other fields of a Citation may come along."""

    model_config = ConfigDict(strict=True)

    document_id: str = Field(max_length=1024)
    quote: str = Field(min_length=1, max_length=100_000)
    start_char: int = Field(ge=0)
    end_char: int = Field(ge=0)


class VerifyRequest(Body):
    """Citations to check against the index as it is now."""

    citations: Annotated[list[CitedPlace], Field(min_length=1, max_length=100)]


class Verdict(BaseModel):
    """Whether a citation holds in the current index."""

    status: Literal["holds", "moved", "gone"]
    start_char: int | None = Field(description="Where the quotation stands now; null when gone.")
    end_char: int | None
    url: str | None


class VerifyReply(BaseModel):
    """A verdict for each citation, in order."""

    results: list[Verdict]
    index_version: str


class DocumentOut(BaseModel):
    """A file of the corpus."""

    id: str
    title: str | None
    format: str | None
    bytes: int
    text_sha256: str | None
    sha256: str | None = Field(description="SHA-256 of the file's bytes; also the ETag.")
    passages: int
    updated_at: str | None
    fields: dict[str, list[str]] = Field(
        default={}, description="Front matter: the values of each field, as they are written."
    )
    problem: str | None = Field(default=None, description="Why the file could not be read.")


class ChangeReply(BaseModel):
    """What became of a change to a document. It is on disk, whatever happens to the index."""

    id: str
    status: Literal["created", "replaced", "unchanged", "removed"]
    sha256: str | None = Field(description="Of the file's bytes; also the ETag. Null when removed.")
    searchable: bool = Field(description="Whether questions see the change already.")
    problem: str | None = Field(description="Why the document could not be read, where it was tried.")
    job: str | None = Field(
        description="The job that makes the index follow; null when there is nothing to do."
    )
    index_version: str


class DocumentList(BaseModel):
    """One page of documents."""

    documents: list[DocumentOut]
    next_cursor: str | None
    index_version: str


class Failure(BaseModel):
    """The last refresh that failed."""

    at: str
    problem: str


class SkippedOut(BaseModel):
    """A file that is not in the index, and why."""

    id: str
    reason: str
    bytes: int


class IndexReply(BaseModel):
    """The index as it is."""

    state: Literal["idle", "building"]
    version: str
    built_at: str
    documents: int
    passages: int
    model: str
    fingerprint: str
    runtime: str = Field(description="What encodes questions, and in which precision: `onnxruntime f32`.")
    snapshots: list[str] = Field(description="Versions kept on disk, the one in use first.")
    pinned: bool = Field(description="Whether it was gone back to, and does not follow the folder by itself.")
    segments: int = Field(description="Files that the index in use consists of.")
    skipped: list[SkippedOut]
    last_failure: Failure | None
    damaged: list[str] = Field(description="Snapshots that were refused, and why.")


class ReindexRequest(Body):
    """How to make the index follow the folder."""

    mode: Literal["changed", "full"] = "changed"
    dry_run: bool = Field(default=False, description="Only say what would be done.")


class RollbackRequest(Body):
    """Which version to go back to."""

    version: str = Field(max_length=64, description="One of `snapshots` in `/v1/index`.")


class ProgressOut(BaseModel):
    """How far a job is, in passages."""

    done: int
    total: int = Field(description="An estimate until every document is parsed.")


class CountsOut(BaseModel):
    """What a refresh changed, or would change. `encoded` passages were new to the encoder."""

    added: int
    changed: int
    removed: int
    renamed: int
    unchanged: int
    skipped: int
    passages: int
    encoded: int


class GivenOut(BaseModel):
    """What one snapshot says to a question."""

    answer: str | None
    right: bool


class DifferenceOut(BaseModel):
    """A question of the gate to which the new snapshot gives another answer."""

    kind: Literal["gained", "changed", "lost"]
    question: str
    before: GivenOut
    after: GivenOut


class JobReply(BaseModel):
    """A job that makes the index follow the folder."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    mode: Literal["changed", "full"]
    dry_run: bool
    progress: ProgressOut
    counts: CountsOut | None
    documents: dict[str, list[str]] = Field(
        description="Ids added, changed, removed, and renamed as `old -> new`."
    )
    differences: list[DifferenceOut] = Field(description="Where there is a gate: the answers that change.")
    index_version: str | None
    problem: str | None
    estimated_seconds: float | None = Field(description="Of a dry run: how long the real one would take.")
    created_at: str
    finished_at: str | None


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok", "ready"]


class VersionReply(BaseModel):
    """What is running."""

    version: str
    index_version: str | None
    model: str | None


class FieldError(BaseModel):
    """One thing wrong with a request; the input itself is never repeated."""

    location: list[str | int]
    message: str
    type: str


class Problem(BaseModel):
    """An error, as RFC 9457 describes it (`application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] | None = None
