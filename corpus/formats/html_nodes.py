"""The nodes of a page: what of them is shown, what is content, and what only helps people to get about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from selectolax.lexbor import LexborNode


def names(words: str) -> frozenset[str]:
    """Return the names that stand in `words`."""
    return frozenset(words.split())


SILENT = names(
    "script style template noscript head iframe frame frameset object embed canvas audio video svg map "
    "select datalist textarea input progress meter rp rt annotation annotation-xml del s strike"
)
"""Elements whose words are not shown, are not the document's, or are struck out."""

BLOCKS = names(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav "
    "noframes ol p pre search section summary table tbody td tfoot th thead tr ul xmp"
)
"""Elements that begin on a line of their own."""

HEADINGS = {f"h{level}": level for level in range(1, 7)}
WHOLE = ("main", "article")

_WEIGHED = names(
    "article aside body center dd div dl footer form header main nav ol p section table td tr ul"
)
_AWAY = names("navigation search menu menubar toolbar tablist dialog alertdialog tooltip")
_UNSEEN = names(
    "sr-only visually-hidden visuallyhidden screen-reader-text headerlink anchorjs-link linenos lineno "
    "linenodiv gutter mw-editsection mw-jump-link noprint printfooter catlinks navheader navfooter"
)
"""Classes that mean the same wherever they are used: not shown, or never content."""

_ABOUT = names(
    "nav navbar navi navigation menu menubar sidebar sphinxsidebar breadcrumb breadcrumbs toc contents pager "
    "pagination footer header masthead topbar toolbar related share sharing social skip jump tags"
)
"""Words in the class or id of an element that helps to get about, if most of it is links as well."""

LINKED_SHARE = 0.5
"""Of the letters in an element that helps to get about, at least this share is in links."""

MENU_SHARE, MENU_LETTERS = 0.8, 60
"""A cell of the page, not of a table, with more letters than this is a menu if this share is in links."""

HEADER_LETTERS = 200
"""A page's header with more letters than this outside of links is an introduction and no slogan."""

CONSENT_LETTERS = 1500
"""A question for consent is shorter than this; an article about consent is not."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_INVISIBLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_CONSENT = re.compile(
    r"(?:cookie|consent|gdpr).{0,9}(?:banner|bar|notice|popup|modal|overlay|law)", re.IGNORECASE
)

Attributes = Mapping[str, str | None]


def walk(
    root: LexborNode, enters: Callable[[LexborNode], bool], leaves: Callable[[LexborNode], None]
) -> None:
    """Call `enters` for each node below `root` in their order, and `leaves` behind those it said True of.

    Not recursive: pages nest as deep as they like.
    """
    node, depth = root.child, 1
    while node is not None:
        entered = enters(node)
        inner = node.child if entered else None
        if inner is not None:
            node, depth = inner, depth + 1
            continue
        if entered:
            leaves(node)
        while depth and node is not None and node.next is None:
            node, depth = node.parent, depth - 1
            if depth and node is not None:
                leaves(node)
        node = node.next if depth and node is not None else None


@dataclass(slots=True)
class Weight:
    """How many letters an element holds, and how many of them are in links."""

    letters: int = 0
    linked: int = 0

    @property
    def free(self) -> int:
        """Return how many letters are outside of links."""
        return self.letters - self.linked

    def is_links(self) -> bool:
        """Return whether it is mostly links; nothing at all is."""
        return self.linked >= LINKED_SHARE * self.letters


def weigh(root: LexborNode) -> dict[int, Weight]:
    """Return the weight of each larger element below `root`, by its `mem_id`."""
    found: dict[int, Weight] = {}
    total, links = Weight(), 0
    before: list[tuple[int, int]] = []

    def enters(node: LexborNode) -> bool:
        nonlocal links
        tag = node.tag or ""
        if tag == "-text":
            letters = len("".join((node.text_content or "").split()))
            total.letters += letters
            total.linked += letters if links else 0
            return False
        if tag in SILENT:
            return False
        links += tag == "a"
        if tag in _WEIGHED:
            before.append((total.letters, total.linked))
        return True

    def leaves(node: LexborNode) -> None:
        nonlocal links
        tag = node.tag or ""
        links -= tag == "a"
        if tag in _WEIGHED:
            letters, linked = before.pop()
            found[node.mem_id] = Weight(total.letters - letters, total.linked - linked)

    walk(root, enters, leaves)
    return found


def is_hidden(tag: str, attributes: Attributes) -> bool:
    """Return whether nobody sees the element, as far as it says so itself."""
    if tag in SILENT:
        return True
    if not attributes:
        return tag == "dialog"
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or (tag == "dialog" and "open" not in attributes)
        or _INVISIBLE.search(attributes.get("style") or "") is not None
        or not _UNSEEN.isdisjoint((attributes.get("class") or "").split())
    )


def is_about(tag: str, attributes: Attributes, weight: Weight, *, inside: bool) -> bool:
    """Return whether the element is around the content, or helps to get about in it, and is not content.

    `inside` says that it stands within the page's main part or an article.
    """
    role = attributes.get("role") or ""
    if tag == "nav" or role in _AWAY:
        return True
    if tag in ("aside", "footer") or role in ("complementary", "contentinfo"):
        return not inside or weight.is_links()
    if tag == "header" or role == "banner":
        return not inside and weight.free < HEADER_LETTERS
    if tag == "td" and weight.linked >= MENU_SHARE * weight.letters >= MENU_SHARE * MENU_LETTERS:
        return True
    named = attributes.get("class") or ""
    if weight.letters < CONSENT_LETTERS and _CONSENT.search(named):
        return True
    words = {word.lower() for word in _WORD.findall(f"{named} {attributes.get('id') or ''}")}
    return tag not in WHOLE and not words.isdisjoint(_ABOUT) and weight.is_links()
