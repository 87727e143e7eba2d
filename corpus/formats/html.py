"""A web page: its main part as text, without scripts, navigation and what is hidden."""

from __future__ import annotations

import re
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from corpus.document import BlockKind
from corpus.formats import html_tables
from corpus.formats.encodings import decode
from corpus.formats.html_nodes import BLOCKS, HEADINGS, WHOLE, Weight, is_about, is_hidden, names, walk, weigh
from corpus.formats.html_words import Words, flat
from corpus.formats.reading import Extract, UnreadableDocument
from corpus.formats.writing import Writing

ARTICLE_SHARE = 0.5
"""A page's only article is its content if it has at least this share of the words outside of links."""

_CODE = ("pre", "listing", "xmp")
_LISTS = ("ul", "ol", "menu", "dir")
_ASKING = ("dt", "summary")
_CHANGED = ("a", "sub", "sup")

_XML_WITHIN = 1024  # characters in which a page says that it is XHTML
_XML = re.compile(r'<\?xml\s|<html[^<>]*\sxmlns=["\']http://www\.w3\.org/1999/xhtml')
_CLOSED_TAG = re.compile(r"""<([A-Za-z][\w:.-]*+)((?:[^<>"'/]|/(?!>)|"[^"<]*"|'[^'<]*')*+)/>""")
_VOID = names("area base br col embed hr img input link meta param source track wbr")
_BESIDE = re.compile(r"\s*[-–—|:·•«»/\\<>]+\s*|\s+")


def read(data: bytes) -> Extract:
    """Return the main part of a page; raise UnreadableDocument for one without any text."""
    source = decode(data, declares=True)
    if _XML.search(source[:_XML_WITHIN]):
        source = _CLOSED_TAG.sub(_opened, source)
    tree = _parsed(source)
    body, head = tree.body, tree.head
    named = head.css_first("title") if head is not None else None
    title = flat(named) if named is not None else ""
    if body is None:
        return Extract("", title, ())
    weights = weigh(body.parent or body)
    root = _content(body, weights)
    writing = _written(root, weights, strict=True)
    if not writing.blocks:
        writing = _written(body, weights, strict=False)
    if not writing.blocks and source.strip():
        raise UnreadableDocument(
            "holds no text outside of scripts and tags; if a script fills the page in, "
            "save it from a browser or print it to PDF"
        )
    heading = writing.first_heading(1)
    top = writing.first_heading()
    if not heading and title and top and _title(title, top) == top:
        heading = top  # the one that the page's title names; above it stands that of the site
    elif not heading and (heading := _first_heading(body)):
        writing = _written(root, weights, strict=True, first=heading)
    return writing.extract(_title(title, heading))


def _parsed(source: str) -> LexborHTMLParser:
    try:
        return LexborHTMLParser(source)
    except SelectolaxError as error:
        # Any text is HTML to this parser: it gives up for want of memory alone.
        raise MemoryError("no memory for the page's nodes") from error


def _opened(tag: re.Match[str]) -> str:
    """Return a tag closed in itself as HTML has it: with an end tag, where the element may have content."""
    return tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _content(body: LexborNode, weights: dict[int, Weight]) -> LexborNode:
    """Return the element that holds the page's content."""

    def weight(node: LexborNode) -> Weight:
        return weights.get(node.mem_id, Weight())

    shown = [one for one in body.css("main, [role=main]") if not is_hidden(one.tag or "", one.attributes)]
    best = max(shown, key=lambda one: weight(one).letters, default=None)
    if best is not None and weight(best).letters:
        return best
    articles = [one for one in body.css("article") if not is_hidden("article", one.attributes)]
    if len(articles) == 1 and weight(articles[0]).free >= ARTICLE_SHARE * max(weight(body).free, 1):
        return articles[0]
    return body


def _written(root: LexborNode, weights: dict[int, Weight], *, strict: bool, first: str = "") -> Writing:
    page = _Page(weights, strict=strict, inside=root.tag in WHOLE or root.attributes.get("role") == "main")
    if first:
        page.writing.add(BlockKind.HEADING, first, level=1)
    walk(root, page.enters, page.leaves)
    page.flush()
    return page.writing


def _first_heading(body: LexborNode) -> str:
    """Return the words of the page's first `h1`, which may stand above its content."""
    for one in body.css("h1"):
        node: LexborNode | None = one
        while node is not None and node.tag != "nav" and not is_hidden(node.tag or "", node.attributes):
            node = node.parent
        if (node is None or node.tag == "-document") and (words := flat(one)):
            return words
    return ""


def _title(title: str, heading: str) -> str:
    """Return the page's title without the name of its site, where its first heading tells them apart."""
    if not title or not heading:
        return title or heading
    begins, ends = (
        title.casefold().startswith(heading.casefold()),
        title.casefold().endswith(heading.casefold()),
    )
    rest = title[len(heading) :] if begins else title[: len(title) - len(heading)]
    return (
        heading if (begins or ends) and (not rest or _BESIDE.match(rest if begins else rest[::-1])) else title
    )


@dataclass(slots=True)
class _List:
    ordered: bool
    number: int


class _Page:
    """A page being written, while its nodes are gone through."""

    def __init__(self, weights: dict[int, Weight], *, strict: bool, inside: bool) -> None:
        self.writing = Writing()
        self._weights = weights
        self._strict = strict
        self._inside = int(inside)
        self._words = Words()
        self._heading = 0
        self._asks: list[LexborNode] = []  # headings, terms and summaries: their words may be on a button
        self._code: list[str] | None = None
        self._codes = 0
        self._lists: list[_List] = []
        self._marker = ""
        self._described: dict[int, html_tables.Described] = {}

    def enters(self, node: LexborNode) -> bool:
        """Take in a node, and return whether its children are to be gone through."""
        tag = node.tag or ""
        if tag == "-text":
            self._text(node.text_content or "")
            return False
        if tag[:1] in "-!":
            return False
        attributes = node.attributes
        if is_hidden(tag, attributes) or (self._strict and self._is_about(node, tag)):
            if tag in BLOCKS:
                self.flush()
            return False
        if self._code is not None:
            return self._within_code(tag)
        if tag in BLOCKS:
            self.flush()
            return self._enters_block(node, tag)
        if tag == "br":
            self._words.end_line()
        elif tag == "img":
            self._words.add_image(attributes.get("alt") or "")
        elif tag in _CHANGED:
            self._words.enter()
        return tag != "button" or (bool(self._asks) and not flat(self._asks[-1]))

    def _is_about(self, node: LexborNode, tag: str) -> bool:
        weight = self._weights.get(node.mem_id)
        return weight is not None and is_about(tag, node.attributes, weight, inside=self._inside > 0)

    def _enters_block(self, node: LexborNode, tag: str) -> bool:
        described = self._described.get(node.mem_id)
        if described is not None:
            if isinstance(described, str):
                self.writing.add(BlockKind.CAPTION, described, indent=2 * len(self._lists))
            else:
                self.writing.add_table(described, headed=False)
            return False
        if tag in HEADINGS:
            self._heading = HEADINGS[tag]
        elif tag in _CODE:
            self._code, self._codes = [], 1
        elif tag in _LISTS:
            self._lists.append(_List(tag == "ol", _integer(node, "start", 1)))
        elif tag == "li":
            self._marker = self._next_marker(node)
        elif tag == "table" and html_tables.is_data(node):
            html_tables.write(self.writing, node)
            return False
        elif tag == "dl":
            self._described |= html_tables.described(node)
        self._inside += tag in WHOLE
        if tag in HEADINGS or tag in _ASKING:
            self._asks.append(node)
        return True

    def leaves(self, node: LexborNode) -> None:
        """Take in that a node that was entered has ended."""
        tag = node.tag or ""
        if self._code is not None:
            self._codes -= tag in _CODE
            if self._codes:
                return
            self.writing.add(BlockKind.CODE, "".join(self._code).replace("\u00a0", " "))
            self._code = None
            return
        if tag in _CHANGED:
            self._words.leave(node)
        if tag not in BLOCKS:
            return
        self.flush()
        self._inside -= tag in WHOLE
        if tag in HEADINGS or tag in _ASKING:
            self._asks.pop()
        if tag in HEADINGS:
            self._heading = 0
        elif tag in _LISTS:
            self._lists.pop()
        elif tag == "li":
            self._marker = ""

    def _within_code(self, tag: str) -> bool:
        assert self._code is not None
        self._codes += tag in _CODE
        if tag == "br":
            self._code.append("\n")
        return tag != "button"

    def _text(self, text: str) -> None:
        if self._code is not None:
            self._code.append(text)
        else:
            self._words.add(text)

    def _next_marker(self, node: LexborNode) -> str:
        """Return what stands before a list item: a dash or its number."""
        if not self._lists or not self._lists[-1].ordered:
            return "- "
        number = _integer(node, "value", self._lists[-1].number)
        self._lists[-1].number = number + 1
        return f"{number}. "

    def flush(self) -> None:
        """Write the words since the last block."""
        depth = len(self._lists)
        for words in self._words.take():
            if self._heading:
                self.writing.add(BlockKind.HEADING, " ".join(words.split()), level=self._heading)
            elif self._marker:
                level, marker, self._marker = max(depth, 1), self._marker, ""
                self.writing.add(BlockKind.LIST_ITEM, words, level=level, marker=marker, indent=2 * level - 2)
            else:
                self.writing.add(BlockKind.PARAGRAPH, words, indent=2 * depth)


def _integer(node: LexborNode, name: str, otherwise: int) -> int:
    """Return the number in an attribute."""
    found = re.match(r"\s*(-?\d{1,9})\b", node.attributes.get(name) or "")
    return int(found[1]) if found else otherwise
