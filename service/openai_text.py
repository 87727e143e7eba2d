"""Between messages and our nouns: a conversation to a question, a reply to a text with markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service import schemas
from service.followup import Turn
from service.openai_schemas import Message

NOT_FOUND = "The documents hold no answer to this question."
"""In words that are known for a refusal when they come back in a history."""

TEXTS = ("text", "input_text", "output_text")
"""What parts of a message that hold text are called."""

REMEMBERED = 100
"""Messages before the question that are looked at, as in `/v1/ask`; chats send everything ever said."""


class NotText(ValueError):
    """A message holds something else than text: where, and what was seen there."""

    def __init__(self, place: Sequence[str | int], seen: str) -> None:
        super().__init__(seen)
        self.place = place


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question and what was said before it."""

    question: str
    history: tuple[Turn, ...]
    everything: tuple[str, ...]
    """The texts of all messages, those included that have no bearing on the answer."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker in the text and the citation it stands for; half-open, in code points of the text."""

    start: int
    end: int
    citation: schemas.Citation


@dataclass(frozen=True, slots=True)
class Marked:
    """The answer's quotations, each with its marker."""

    parts: tuple[str, ...]
    """The text in the pieces that it is streamed in."""
    markers: tuple[Marker, ...]

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(self.parts)


def conversation(messages: Sequence[Message]) -> Conversation | None:
    """Return the last question by the user and what was said before it; None where the user said nothing.

    What the system or the developer says has no bearing: there is no model to be told. Raises NotText.
    """
    texts = [_text(message, place) for place, message in enumerate(messages)]
    last = max((at for at, one in enumerate(messages) if one.role == "user" and texts[at]), default=None)
    if last is None:
        return None
    before = zip(messages[:last], texts[:last], strict=True)
    turns = [
        Turn("user" if one.role == "user" else "assistant", text)
        for one, text in before
        if one.role in ("user", "assistant") and text
    ]
    return Conversation(texts[last], tuple(turns[-REMEMBERED:]), tuple(texts))


def _text(message: Message, place: int) -> str:
    if message.type not in (None, "message"):
        raise NotText((place, "type"), "only messages are taken here, no tools' calls or other items")
    if message.role is None:
        raise NotText((place, "role"), "a message has a role: user, assistant, system or developer")
    if message.role in ("tool", "function"):
        raise NotText((place, "role"), "there are no tools here that could have replied")
    if isinstance(message.content, str):
        return message.content
    found = []
    for number, part in enumerate(message.content or ()):
        if part.type == "refusal":
            continue
        if part.type not in TEXTS:
            raise NotText((place, "content", number), "only text can be asked, no images, audio or files")
        found.append(part.text or "")
    return "\n".join(found)


def marked(reply: schemas.AskReply) -> Marked:
    """Return the text of a reply: `Facebook AI Research [1]`, or the one sentence that there is no answer."""
    if reply.answer is None:
        return Marked((NOT_FOUND,), ())
    parts: list[str] = []
    markers: list[Marker] = []
    length = 0
    for one in reply.answer.citations:
        if one.role != "answer":
            continue
        number = f"[{len(markers) + 1}]"
        parts += [("; " if markers else "") + one.quote, f" {number}"]
        length += len(parts[-2]) + len(parts[-1])
        markers.append(Marker(length - len(number), length, one))
    return Marked(tuple(parts), tuple(markers))
