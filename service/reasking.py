"""The question before asked with other words of asking: `why?`, `since when?`, `and how much water?`."""

from __future__ import annotations

import re

from service.antecedent import Exchange, short_answer
from service.asked import ENDING
from service.wording import ASKING, AUXILIARIES, BE, PREPOSITIONS, Wording

LONGEST_STATEMENT = 200
"""Code points of an answer that `why?` is put before: a question of two sentences finds neither."""

SENTENCE = 5
"""An answer of so many words can be asked about with `why`; fewer are a bare value."""


def asked_again(asking: str, latest: Exchange) -> str:
    """Return the latest question asked with other words of asking: `since when?`, `why not?`."""
    asking = asking[:1].upper() + asking[1:]
    wants_reason = asking.lower().startswith(("why", "how come"))
    if wants_reason and len(latest.answer.split()) >= SENTENCE:
        statement = re.split(r"(?<=[.!?])\s", latest.answer, maxsplit=1)[0]
        return f"{asking} {_cut(statement)}?"
    question = latest.question
    at, end = _asking(question)
    if at < 0:
        opens = question.tokens[:1] and question.tokens[0].lower in AUXILIARIES
        text = question.text[:1].lower() + question.text[1:] if opens else question.text
        return f"{asking} {text.rstrip(ENDING)}?"
    if question.tokens[at].lower == asking.lower():
        return question.text
    noun = next((one.span.of(question.text) for one in question.phrases if one.asked), "")
    return f"{asking} {_rest(question, end, short_answer(latest) if wants_reason else noun)}?"


def _cut(text: str) -> str:
    """Return the first words of a text, as many as a question holds."""
    if len(text) <= LONGEST_STATEMENT:
        return text.rstrip(ENDING)
    return text[:LONGEST_STATEMENT].rpartition(" ")[0].rstrip(ENDING) or text[:LONGEST_STATEMENT]


def _asking(question: Wording) -> tuple[int, int]:
    """Return the number of the word that asks, -1 for none, and of the first behind its phrase."""
    tokens = question.tokens
    at = next((number for number, token in enumerate(tokens[:3]) if token.lower in ASKING), -1)
    if at > 0 and not (tokens[0].lower in PREPOSITIONS or tokens[0].lower in ("and", "but", "so", "also")):
        return -1, 0
    end = at + 1
    while end < len(tokens) and (tokens[end].lower in ("much", "many") or tokens[end].has_content):
        end += 1
    if at >= 0 and (end == len(tokens) or tokens[end].lower not in AUXILIARIES):
        asked = next((one.span.end for one in question.phrases if one.asked), tokens[at].span.end)
        end = next((number for number, token in enumerate(tokens) if token.span.start >= asked), len(tokens))
    return at, end


def _rest(question: Wording, end: int, asked: str) -> str:
    """Return what a question says behind its words of asking, as it is said behind others.

    `asked` stands where they stood: `does PyTorch support`, with `cloud services`.
    """
    tokens = question.tokens
    if end >= len(tokens):
        return asked
    text = question.text[tokens[end].span.start :].rstrip(ENDING)
    if tokens[end].lower in AUXILIARIES:
        return f"{text} {asked}".rstrip()
    verb, _, done = text.partition(" ")
    if any(token.lower == "who" for token in tokens[:end]) and done:  # `Who made it` -> `was it made`
        return f"was {done} {verb}"
    return f"{asked} {text}".lstrip()


def asked_of(asking: str, frame: Wording) -> str:
    """Return a question with other words of asking of the same sort: `how much water`; empty for none."""
    at, end = _asking(frame)
    counted = asking.lower().startswith("how")
    if at < 0 or end >= len(frame.tokens) or counted != (frame.tokens[at].lower == "how"):
        return ""
    if not any(one.asked for one in frame.phrases) or frame.tokens[end].lower in BE:
        return ""
    return f"{asking[:1].upper()}{asking[1:]} {frame.text[frame.tokens[end].span.start :]}"
