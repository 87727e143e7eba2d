"""The wire of the journal: thumbs, and what the documents lack."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.bodies import Body
from service.schemas import PassageOut


class FeedbackRequest(Body):
    """What somebody thinks of an answer."""

    question: str = Field(min_length=1)
    answer: str | None = Field(default=None, max_length=20_000, description="The answer that was given.")
    passage_id: str | None = Field(default=None, max_length=2048, description="The passage it is about.")
    good: bool
    comment: str | None = Field(default=None, max_length=2000)


class FeedbackOut(BaseModel):
    """What somebody thought of an answer."""

    question: str
    answer: str | None
    passage_id: str | None
    good: bool
    comment: str | None
    given_at: str


class FeedbackReply(BaseModel):
    """Thumbs, the newest first."""

    feedback: list[FeedbackOut]


class Wording(BaseModel):
    """One wording of a question, as it was asked of the documents."""

    question: str
    count: int


class UnansweredGroup(BaseModel):
    """Questions without an answer, or with one that was thumbed down, that mean the same."""

    question: str = Field(description="The most frequent wording.")
    count: int
    thumbs_down: int = Field(description="How many of them got an answer that was thumbed down.")
    wordings: list[Wording] = Field(description="The most frequent ones, up to ten.")
    first_asked_at: str
    last_asked_at: str
    answered_now: bool = Field(
        description="Whether the index in use has an answer by now, other than those thumbed down."
    )
    passages: list[PassageOut] = Field(description="The nearest passages.")


class UnansweredReply(BaseModel):
    """What the documents lack, the most asked first."""

    groups: list[UnansweredGroup]
    total_groups: int
    total_questions: int
    index_version: str
