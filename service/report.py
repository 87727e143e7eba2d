"""An evaluation as one HTML file that asks nothing of any network: figures, plots, and every miss."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from service import __version__, plots, schemas, summary
from service.evaluate import Evaluation, Result
from service.figures import by_type, curve, figures, latency, reliability

CANDIDATES = 5
"""Candidates shown of a miss."""

EXCERPT = 400
"""Code points shown of a passage."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What the page may load: its own pictures and styles. Nothing in a document can make it load more."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem}
th,td{padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #e4e7eb}
th{font-weight:600;color:#52606d}td.n{text-align:right;font-variant-numeric:tabular-nums}
img{max-width:100%}figure{margin:0}.plots{display:flex;flex-wrap:wrap;gap:1rem}.note,.dim{color:#52606d}
details{border:1px solid #e4e7eb;border-radius:6px;padding:.4rem .8rem;margin:.4rem 0}
summary{cursor:pointer}.tag{font-size:.8rem;background:#e4e7eb;border-radius:4px;padding:.05rem .4rem}
.gold{background:#e3f9e5}.failed{color:#ab091e;font-weight:600}q,.w{white-space:pre-wrap}
"""


def page(done: Evaluation, failures: Iterable[str] = ()) -> str:
    """Return the whole page; `failures` are the gates that failed."""
    whole = figures(done.outcomes, done.threshold)
    title = f"{done.source}: {summary.number(whole.right_in_all)} right in all"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_text(done.source)}</h1>",
        f'<p class="note">{whole.questions} questions, {whole.answerable} answerable · index '
        f"{_text(done.index_version)} · threshold {done.threshold:.3f} · Pullquote {_text(__version__)}</p>",
        *(f'<p class="failed">{_text(one)}</p>' for one in failures),
        _table(("figure", "value", "of what"), summary.main_figures(whole)),
        _plots(done),
        _details_of_figures(done),
        _misses(done),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _plots(done: Evaluation) -> str:
    types = by_type(done.outcomes, done.threshold)
    drawn = (
        ("Wrong answers over answers given", plots.risk_coverage(curve(done.outcomes), done.threshold)),
        ("Confidence against the share that is right", plots.reliability_diagram(reliability(done.outcomes))),
        ("Right in all, by type of question", plots.right_by_type(types)),
    )
    shown = "".join(f'<figure><img alt="{_text(name)}" src="{address}"></figure>' for name, address in drawn)
    return f'<div class="plots">{shown}</div>'


def _details_of_figures(done: Evaluation) -> str:
    outcomes = done.outcomes
    types = [summary.row(name, one) for name, one in by_type(outcomes, done.threshold).items()]
    bins = [
        (f"{one.low:.1f}–{one.high:.1f}", str(one.count), f"{one.confidence:.3f}", f"{one.right:.3f}")
        for one in reliability(outcomes)
    ]
    stages = [(name, f"{one.p50:.1f}", f"{one.p95:.1f}") for name, one in latency(outcomes).items()]
    return "\n".join(
        (
            "<h2>By type of question</h2>",
            _table(("type", *summary.COLUMNS), types, numbers=True),
            "<h2>How far confidence can be trusted</h2>",
            _table(("confidence", "candidates", "mean", "share right"), bins, numbers=True),
            "<h2>Milliseconds a question</h2>",
            _table(("stage", "p50", "p95"), stages, numbers=True),
        )
    )


def _misses(done: Evaluation) -> str:
    shown = [_miss(one, done.threshold) for one in done.misses]
    return f"<h2>Misses: {len(shown)} of {len(done.results)}</h2>\n" + "\n".join(shown)


def _miss(result: Result, threshold: float) -> str:
    known, reply, outcome = result.known, result.reply, result.outcome
    sure = "no candidate" if outcome.confidence is None else f"confidence {outcome.confidence:.3f}"
    expected = "; ".join(f"“{one}”" for one in known.gold_spans) or "no answer: the documents hold none"
    before = "".join(
        f"<p class='dim'>{_text(turn.role)}: {_text(turn.content)}</p>" for turn in known.history
    )
    got = reply.answer.text if reply.answer else f"nothing ({reply.reason})"
    held_back = "" if outcome.given(threshold) else " (held back)"
    return (
        f"<details><summary><span class='tag'>{_text(known.type)}</span> "
        f"<span class='tag'>{_text(outcome.verdict(threshold))}</span> "
        f"{_text(known.id or f'question {result.number}')}: {_text(known.question)}</summary>{before}"
        f"<p>Expected: <span class='w'>{_text(expected + _how(known.gold_mode, known.forbidden))}</span></p>"
        f"<p>Got{held_back}: <span class='w'>{_text(got)}</span> "
        f"<span class='dim'>{sure}{', right by itself' if outcome.right else ''}</span></p>"
        f"{_rewrites(reply)}{_candidates(reply)}{_passages(result, reply)}</details>"
    )


def _how(mode: str, forbidden: list[str]) -> str:
    all_of_them = " (all of them)" if mode == "all" else ""
    return all_of_them + (f", without “{'”, “'.join(forbidden)}”" if forbidden else "")


def _rewrites(reply: schemas.AskReply) -> str:
    if not reply.query.rewrites:
        return ""
    changes = "; ".join(f"{one.old} → {one.new} ({one.kind})" for one in reply.query.rewrites)
    used = f"<span class='w'>{_text(reply.query.used)}</span>"
    return f"<p>Asked as: {used} <span class='dim'>{_text(changes)}</span></p>"


def _candidates(reply: schemas.AskReply) -> str:
    if reply.trace is None:
        return ""
    rows = [
        (
            one.text,
            one.kind,
            f"{one.score:.2f}",
            f"{one.confidence:.3f}",
            " · ".join(f"{name} {value:.2f}" for name, value in one.features.items() if value),
        )
        for one in reply.trace.candidates[:CANDIDATES]
    ]
    lost = f"<p class='dim'>The second: {_text(reply.trace.runner_up)}</p>" if reply.trace.runner_up else ""
    return _table(("candidate", "kind", "score", "confidence", "features"), rows) + lost


def _passages(result: Result, reply: schemas.AskReply) -> str:
    rows = []
    for rank, one in enumerate(reply.passages, start=1):
        at_gold = result.known.is_at_gold(one.document_id, one.start_char, one.end_char)
        words = one.text if len(one.text) <= EXCERPT else one.text[: EXCERPT - 1] + "…"
        rows.append(
            f"<tr class='{'gold' if at_gold else ''}'>"
            f"<td class='n'>{rank}</td><td class='n'>{one.score:.3f}</td>"
            f"<td>{_text(one.document_id)} {one.start_char}–{one.end_char}</td>"
            f"<td class='w'>{_text(words)}</td></tr>"
        )
    head = "<tr><th></th><th>score</th><th>passage (green: at a gold place)</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: bool = False) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td class='{'n' if numbers and at else 'w'}'>{_text(cell)}</td>" for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: str) -> str:
    """Return text as HTML that shows it and nothing else; HTML forbids control characters."""
    return escape(summary.printable(value), quote=True)
