"""Our nouns as the wire's: places become citations, hits become passages."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote as percent

from corpus.document import Span
from index.quoting import Reading
from index.reader import FEATURES, weighed
from index.search import Hit
from index.snapshot import Snapshot, line_of
from service import schemas
from service.answer import Answer, NotFound, Place, Reply, Trace, confidence
from service.finding import Found

AROUND = 32
"""Code points of context on each side of a quotation, enough to find it again after an edit."""

TRACED = 10
"""Candidates in a trace."""


def ask_reply(snapshot: Snapshot, asked: str, reply: Reply, *, explain: bool) -> schemas.AskReply:
    """Return a Reply as the wire has it."""
    verdict = reply.verdict
    found = isinstance(verdict, Answer)
    return schemas.AskReply(
        status="answered" if found else "not_found",
        reason=verdict.reason if isinstance(verdict, NotFound) else None,
        answer=_answer(snapshot, verdict) if isinstance(verdict, Answer) else None,
        alternatives=[_answer(snapshot, one) for one in reply.alternatives],
        passages=passages(snapshot, reply),
        query=query(asked, reply),
        index_version=snapshot.version,
        took_ms=took(reply),
        trace=_trace(snapshot, reply.trace, reply.hits) if explain and reply.trace else None,
    )


def search_reply(snapshot: Snapshot, asked: str, found: Found) -> schemas.SearchReply:
    """Return the passages alone, as they were found, before anything was read."""
    return schemas.SearchReply(
        passages=passages(snapshot, found),
        query=query(asked, found),
        index_version=snapshot.version,
        took_ms=took(found),
    )


def query(asked: str, reply: Reply | Found) -> schemas.QueryOut:
    """Return the question as it came and as it was asked, with every rewrite."""
    return schemas.QueryOut(
        asked=asked,
        used=reply.used,
        rewrites=[
            schemas.Rewrite.model_validate({"kind": one.kind, "from": one.old, "to": one.new})
            for one in reply.rewrites
        ],
    )


def took(reply: Reply | Found) -> dict[str, float]:
    """Return the milliseconds of each stage, rounded to a hundredth."""
    return {stage: round(value, 2) for stage, value in reply.milliseconds.items()}


def passages(snapshot: Snapshot, reply: Reply | Found) -> list[schemas.PassageOut]:
    """Return the hits, best first."""
    return [_passage(snapshot, hit, reply.best_in_passage.get(hit.passage)) for hit in reply.hits]


def _passage(snapshot: Snapshot, hit: Hit, best: Span | None) -> schemas.PassageOut:
    entry = snapshot.documents[snapshot.document_of(hit.passage)]
    span = snapshot.span(hit.passage)
    marks = [] if best is None else [schemas.Highlight(start_char=best.start, end_char=best.end)]
    return schemas.PassageOut(
        passage_id=snapshot.passage_id(hit.passage),
        document_id=entry.id,
        title=entry.title,
        heading_path=list(snapshot.headings(hit.passage)),
        text=span.of(snapshot.text(snapshot.document_of(hit.passage))),
        start_char=span.start,
        end_char=span.end,
        score=round(hit.score, 6),
        url=url_of(entry.id, span),
        highlights=marks,
    )


def passage_reply(snapshot: Snapshot, passage: int) -> schemas.PassageReply:
    """Return a passage by itself, with the names of its neighbours in the document."""
    number = snapshot.document_of(passage)
    entry, span, around = snapshot.documents[number], snapshot.span(passage), snapshot.passages_of(number)
    before, after = passage - 1, passage + 1
    return schemas.PassageReply(
        passage_id=snapshot.passage_id(passage),
        document_id=entry.id,
        title=entry.title,
        heading_path=list(snapshot.headings(passage)),
        text=span.of(snapshot.text(number)),
        start_char=span.start,
        end_char=span.end,
        url=url_of(entry.id, span),
        before=snapshot.passage_id(before) if before in around else None,
        after=snapshot.passage_id(after) if after in around else None,
        index_version=snapshot.version,
    )


def url_of(document_id: str, span: Span) -> str:
    """Return the address of a place on the server's own document page."""
    return f"/documents/{percent(document_id, safe='/')}#c={span.start}-{span.end}"


def _answer(snapshot: Snapshot, answer: Answer) -> schemas.AnswerOut:
    cited = [citation(snapshot, place) for place in answer.places]
    return schemas.AnswerOut(
        text="; ".join(one.quote for one in cited if one.role == "answer"),
        kind=answer.kind.value,
        confidence=round(answer.confidence, 4),
        citations=cited,
    )


def citation(snapshot: Snapshot, place: Place) -> schemas.Citation:
    """Return a place with its words and its offsets in every unit that clients count in."""
    number = snapshot.document_of(place.passage)
    entry, text, span = snapshot.documents[number], snapshot.text(number), place.span
    before, words = text[: span.start], span.of(text)
    start_byte, start_utf16 = len(before.encode()), _utf16(before)
    return schemas.Citation(
        document_id=entry.id,
        title=entry.title,
        heading_path=list(snapshot.headings(place.passage)),
        passage_id=snapshot.passage_id(place.passage),
        quote=words,
        start_char=span.start,
        end_char=span.end,
        start_byte=start_byte,
        end_byte=start_byte + len(words.encode()),
        start_utf16=start_utf16,
        end_utf16=start_utf16 + _utf16(words),
        start_line=line_of(text, span.start),
        end_line=line_of(text, max(span.start, span.end - 1)),
        page=entry.page_of(span.start),
        prefix=text[max(0, span.start - AROUND) : span.start],
        suffix=text[span.end : span.end + AROUND],
        text_sha256=entry.sha,
        url=url_of(entry.id, span),
        index_version=snapshot.version,
        role=place.role,
    )


def _utf16(text: str) -> int:
    """Return how many UTF-16 code units `text` has."""
    return len(text.encode("utf-16-le")) // 2


def _trace(snapshot: Snapshot, trace: Trace, hits: Sequence[Hit]) -> schemas.TraceOut:
    question = trace.question
    weights = zip(question.words, question.weights.tolist(), strict=True)
    return schemas.TraceOut(
        threshold=trace.threshold,
        words={word.text: round(weight, 4) for word, weight in weights},
        passages=[
            schemas.HitTrace(
                passage_id=snapshot.passage_id(hit.passage),
                score=round(hit.score, 6),
                similarity=round(hit.similarity, 6),
                similarity_rank=hit.similarity_rank,
                words=round(hit.words, 6),
                words_rank=hit.words_rank,
                fused=round(hit.fused, 6),
                match=None if hit.match is None else round(hit.match, 6),
            )
            for hit in hits
        ],
        candidates=[_candidate(snapshot, one) for one in trace.readings[:TRACED]],
        runner_up=_why_lost(trace.readings),
    )


def _candidate(snapshot: Snapshot, reading: Reading) -> schemas.CandidateTrace:
    passage = reading.hit.passage
    return schemas.CandidateTrace(
        passage_id=snapshot.passage_id(passage),
        text=reading.span.of(snapshot.text(snapshot.document_of(passage))),
        kind=reading.kind.value,
        score=round(reading.score, 4),
        confidence=round(confidence(reading), 4),
        features=dict(zip(FEATURES, (round(value, 4) for value in reading.features), strict=True)),
        crossed=None if reading.crossed is None else round(reading.crossed, 4),
    )


def _why_lost(readings: Sequence[Reading]) -> str | None:
    """Return the feature that set the best candidate most apart from the second."""
    if len(readings) < 2:
        return None
    first, second = readings[0], readings[1]
    ours, theirs = weighed(first), weighed(second)
    apart = {name: ours[name] - theirs[name] for name in ours.keys() & theirs.keys()}
    name = max(sorted(apart), key=lambda one: apart[one])
    return f"its score is {first.score - second.score:.2f} lower, most of all by {name} ({apart[name]:.2f})"
