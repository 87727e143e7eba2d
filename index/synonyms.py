"""Everyday words for what questions ask of a thing: one person's maker is another's developer.

A fixed list, because questions vary these few the most and a table's label says them in one word. It is no
thesaurus: nothing in it belongs to a subject.
"""

from __future__ import annotations

from index.analysis import terms

SAME = (
    "release launch publish introduce debut appear",
    "cost price fee charge expensive cheap pay",
    "use usage purpose",
    "begin start commence",
    "end stop finish expire expiry",
    "fast speed quick slow",
    "delete remove erase",
    "require requirement prerequisite",
    "advantage benefit strength upside",
    "disadvantage drawback limitation downside weakness",
    "choose pick select prefer",
    "beginner novice newcomer newbie",
    "company business enterprise firm organization organisation",
    "industry sector branch",
    "allow permit enable",
    "forbid prohibit disallow ban",
    "difference differ distinguish distinction",
    "hard difficult tough steep",
    "easy simple straightforward",
)
"""Each of a line for any other of it."""

MAKERS = "developer creator author maker inventor founder manufacturer vendor"
MAKING = "make made create built build develop invent design write wrote written found founded produce"
"""Who made it is said by a noun. The verbs are not each other's: writing a file does not build it."""

FOUND: dict[str, set[str]] = {}
"""By term."""

for _line in SAME:
    for _stem in terms(_line):
        FOUND.setdefault(_stem, set()).update(terms(_line))
for _stem in terms(f"{MAKING} {MAKERS}"):
    FOUND.setdefault(_stem, set()).update(terms(MAKERS))


def synonyms(term: str) -> frozenset[str]:
    """Return the terms that ask for or say the same relation as `term`, itself left out."""
    return frozenset(FOUND.get(term, ())) - {term}
