"""Laws of the formats: bytes in, exact places out."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from corpus.document import Block, BlockKind, Document, Span
from corpus.formats import UnreadableDocument, parse, plain

NAMES = st.sampled_from(["note.md", "note.txt"])
NOTATION = [
    *[
        "*",
        "**",
        "_",
        "~~",
        "`",
        "``",
        "[",
        "](",
        "](/u 'v')",
        ")",
        "![",
        "]",
        "[a]",
        "[a]: /u\n",
        "<b>",
        "</b>",
    ],
    *[
        "<!--",
        "-->",
        "<br>",
        "<div>",
        "</div>",
        "<script>",
        "</script>",
        "<http://e.org>",
        "\\",
        "\\*",
        "&amp;",
        "<",
    ],
    *[
        "# ",
        "## ",
        " #",
        "\n===\n",
        "\n---\n",
        "> ",
        ">",
        "- ",
        "1. ",
        "2) ",
        "* [x] ",
        "- [ ] ",
        "    ",
        "\t",
    ],
    *[
        "|",
        "|a|b|\n|-|-|\n",
        "| ",
        " | ",
        "\\|",
        "```",
        "```\n",
        "~~~ info\n",
        "---\n",
        "...\n",
        "name: value\n",
    ],
]
CONTAINERS = [
    *("!!! note\n", '??? tip "Title"\n', '=== "Tab"\n', "    !!! x\n", ":::tip\n", ":::tip[a] b\n", ":::\n"),
    *("/// note | Title\n", "///\n", "```{note}\n", "~~~{tip} Title\n", ":class: a\n", "> [!NOTE]\n"),
    *("{#a .b}", "{: #a }", "{ref}`", "{a=", "(a)=\n"),
]
WORDS = ["a", "Bc", "word", "é", "e\u0301", "😀", "שלום", "中文", "12", "3.4", "Title Case", "ends.", "CAPS"]
SPACES = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n    ",
    "\r\n",
    "\r",
    "\r\n\r\n",
    "\t",
    "\x0c",
    "\u00a0",
    "\u2028",
    "\x85",
    "\x1c",
]
CRUMB = st.tuples(
    *(st.sampled_from(["", "", *kind]) for kind in (SPACES, [*NOTATION, *CONTAINERS], WORDS))
).map("".join)
SOUP = st.lists(CRUMB, min_size=4, max_size=25).map("".join)
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), SOUP)


def read(name: str, text: str) -> Document:
    return parse(name, text.encode("utf-8"))


def inside(parts: list[Span], whole: Span) -> None:
    """Assert that `parts` are in order and disjoint, inside `whole`."""
    assert all(whole.contains(part) for part in parts)
    assert all(left.end <= right.start for left, right in pairwise(parts))


def words(document: Document, block: Block) -> str:
    return plain(document.text, block.content, block.markup)


def visible(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


@given(NAMES, st.one_of(st.binary(), TEXTS.map(str.encode), TEXTS.map(lambda text: text.encode("utf-16"))))
def test_any_bytes(name: str, data: bytes) -> None:
    """Any bytes give a Document or UnreadableDocument with a reason."""
    try:
        title = parse(name, data).title
    except UnreadableDocument as error:
        title = str(error)
    assert title


@given(NAMES, TEXTS)
def test_text_is_kept(name: str, text: str) -> None:
    """A document's text is the file's text, and its sha is the SHA-256 of it."""
    assume(not text.startswith("\ufeff"))
    document = read(name, text)
    assert document.text == text
    assert document.sha == hashlib.sha256(text.encode()).hexdigest()
    assert parse(name, b"\xef\xbb\xbf" + text.encode()) == document


@given(NAMES, TEXTS)
def test_places(name: str, text: str) -> None:
    """Blocks are ordered and disjoint; content, markup, rows and cells lie in order inside their whole."""
    document = read(name, text)
    inside([block.span for block in document.blocks], Span(0, len(document.text)))
    for block in document.blocks:
        inside([block.content], block.span)
        inside(list(block.markup), block.content)
        assert all(block.markup)
        rows = [*([block.header] if block.header else []), *block.rows]
        inside([row.span for row in rows], block.content)
        for row in rows:
            inside([cell.span for cell in row.cells], row.span)
            for cell in row.cells:
                inside(list(cell.markup), cell.span)


@given(NAMES, TEXTS)
def test_edges(name: str, text: str) -> None:
    """A block begins and ends with a visible character and has words; headings and items have a level."""
    document = read(name, text)
    for block in document.blocks:
        assert block.span.of(document.text).strip() == block.span.of(document.text)
        assert words(document, block)
        assert (block.level > 0) == (block.kind in (BlockKind.HEADING, BlockKind.LIST_ITEM))


@given(TEXTS)
def test_plain_text_cover(text: str) -> None:
    """Every letter and digit of a plain text is inside a block."""
    document = read("note.txt", text)
    covered = "".join(visible(block.span.of(document.text)) for block in document.blocks)
    assert covered == visible(document.text)


@given(NAMES, TEXTS)
def test_cells_cover(name: str, text: str) -> None:
    """Every letter and digit of a table is inside a cell, and the rest of the table is markup or space."""
    document = read(name, text)
    for block in document.blocks:
        if block.kind is BlockKind.TABLE:
            rows = [*([block.header] if block.header else []), *block.rows]
            cells = [plain(document.text, cell.span, cell.markup) for row in rows for cell in row.cells]
            assert " ".join(" ".join(cells).split()) == words(document, block)


def rendered(tokens: list[Token]) -> str:
    """Return the letters and digits that the Markdown library itself would show."""
    shown = ""
    for token in tokens:
        if token.children is not None:
            shown += rendered(token.children)
        elif token.type in ("text", "code_inline", "fence", "code_block"):
            shown += visible(token.content)
    return shown


@given(SOUP)
@example("*a **b* c**")
@example("> 1. *a\n> b*\n lazy _c_\n\n\t- `d\n\te`")
@example("![a *b* ![c](d)](e) [f ![g](h)](i)")
@example("~~~~~a~~~~~ ~~~b~~ ***c** d* __e__f")
def test_words_are_those_shown(text: str) -> None:
    """Without markup, Markdown prose has exactly the letters and digits that the library shows."""
    # The library decodes entities, cuts ragged rows, and does not know front matter or task lists.
    text = text.replace("&", "").replace("|", "").replace("[x]", "").replace("---", "")
    for opening in CONTAINERS:
        text = text.replace(opening.strip(), "")
    assume(text.count("[") <= 10)
    tokens = MarkdownIt("commonmark", {"maxNesting": 99}).enable(["strikethrough", "table"]).parse(text)
    assume(not any(token.type in ("html_block", "table_open") for token in tokens))
    document = read("note.md", text)
    assert "".join(visible(words(document, block)) for block in document.blocks) == rendered(tokens)


LETTERS = st.text(st.sampled_from("abcdeéßжאع中"), min_size=1, max_size=8)
PHRASES = st.lists(LETTERS, min_size=1, max_size=4).map(" ".join)
INLINE = st.one_of(
    PHRASES.map(lambda words: (words, words)),
    PHRASES.map(lambda words: (f"*{words}*", words)),
    PHRASES.map(lambda words: (f"**{words}**", words)),
    PHRASES.map(lambda words: (f"***{words}***", words)),
    PHRASES.map(lambda words: (f"~~{words}~~", words)),
    PHRASES.map(lambda words: (f"`{words}`", words)),
    PHRASES.map(lambda words: (f'[{words}](/hidden "hidden")', words)),
    PHRASES.map(lambda words: (f"[**{words}**][hidden]", words)),
    PHRASES.map(lambda words: (f"![{words}](hidden.png)", words)),
    PHRASES.map(lambda words: (f"<b class='hidden'>{words}</b>", words)),
    PHRASES.map(lambda words: (f"{words} <!-- hidden -->", words)),
    PHRASES.map(lambda words: (f"\\*{words}\\_", f"*{words}_")),
    PHRASES.map(lambda words: (f"{{hidden}}`{words}`", words)),
    PHRASES.map(lambda words: (f'[{words}](/hidden){{:hidden="hidden"}}', words)),
    PHRASES.map(lambda words: (f"*{words}*{{ #hidden .hidden }}", words)),
)
PROSE = st.lists(INLINE, min_size=1, max_size=4).map(
    lambda pieces: ("\n".join(source for source, _ in pieces), " ".join(shown for _, shown in pieces))
)
Piece = tuple[str, list[tuple[BlockKind, str]]]


def indented(source: str, first: str, others: str) -> str:
    return first + source.replace("\n", "\n" + others)


def prose_piece(prose: tuple[str, str]) -> Piece:
    return prose[0], [(BlockKind.PARAGRAPH, prose[1])]


def item_piece(prose: tuple[str, str]) -> Piece:
    return indented(prose[0], "- [ ] ", "  "), [(BlockKind.LIST_ITEM, prose[1])]


def heading_piece(prose: tuple[str, str]) -> Piece:
    return prose[0] + "\n===", [(BlockKind.HEADING, prose[1])]


def code_piece(words: str) -> Piece:
    return f"```hidden\n{words}\n\n  {words}\n```", [(BlockKind.CODE, f"{words} {words}")]


def table_piece(rows: list[tuple[str, str]]) -> Piece:
    lines = [f"| {source.replace(chr(10), ' ')} | |" for source, _ in rows]
    return "\n".join([lines[0], "|---|---|", *lines[1:]]), [
        (BlockKind.TABLE, " ".join(shown for _, shown in rows))
    ]


LEAF = st.one_of(
    PROSE.map(prose_piece),
    PROSE.map(item_piece),
    PROSE.map(heading_piece),
    PHRASES.map(code_piece),
    st.lists(PROSE, min_size=1, max_size=3).map(table_piece),
    st.sampled_from(["<!-- hidden\n\nhidden -->", "***", "[hidden]: /hidden 'hidden'"]).map(
        lambda source: (source, [])
    ),
    PHRASES.map(lambda words: (f"<p title='hidden'>\n{words}\n</p>", [(BlockKind.PARAGRAPH, words)])),
)


def quoted(piece: Piece) -> Piece:
    return indented(piece[0], "> ", "> "), piece[1]


def titled(opening: str, title: str, piece: Piece) -> Piece:
    """Return a container that opens with a line, its title at `{}`, around a piece that stands as it is."""
    return opening.replace("{}", title) + "\n" + piece[0], [(BlockKind.CAPTION, title), *piece[1]]


def admonition(opening: str, title: str, piece: Piece) -> Piece:
    return titled(opening, title, (indented("\n\n" + piece[0], "", "    ").removeprefix("\n"), piece[1]))


def bare(opening: str, piece: Piece) -> Piece:
    """Return an admonition without a title: nothing of the line that opens it is a word."""
    return opening + "\n" + indented(piece[0], "    ", "    "), piece[1]


def closed(closing: str, piece: Piece) -> Piece:
    # Raw HTML goes on until there is an empty line.
    between = "\n\n" if piece[0].endswith(">") else "\n"
    return f"{piece[0]}{between}{closing}", piece[1]


INDENTING = st.sampled_from(
    ['!!! note "{}"', '??? hidden inline end "{}"', '???+ tip "{}"', '=== "{}"', '===! "{}"']
)
LINES = st.sampled_from(
    [
        *(
            (f"{opening}", ":::")
            for opening in (":::hidden {}", "::: hidden {}", ":::hidden[{}]", ":::{note} {}")
        ),
        *((f"{opening}", "///") for opening in ("/// hidden | {}", "/// hidden-1 |{}")),
        ("~~~~{note} {}", "~~~~"),
        ("````{admonition} {}\n:class: hidden", "````"),
    ]
)
CONTAINED: st.SearchStrategy[Piece] = st.one_of(
    st.builds(admonition, INDENTING, PHRASES, LEAF),
    st.builds(bare, st.sampled_from(["!!! hidden", "??? hidden inline"]), LEAF),
    st.builds(lambda lines, *given: closed(lines[1], titled(lines[0], *given)), LINES, PHRASES, LEAF),
    st.builds(titled, st.sampled_from(["[!HIDDEN] {}", "[!hidden]- {}"]), PHRASES, LEAF).map(quoted),
)
# A fence is closed by the first one that is as long.
WIDER = LINES.map(lambda lines: [one.replace("~~~~", "~~~~~").replace("````", "`````") for one in lines])
PIECES: st.SearchStrategy[Piece] = st.one_of(
    LEAF,
    LEAF.map(quoted),
    LEAF.map(quoted).map(quoted),
    CONTAINED,
    CONTAINED.map(quoted),
    st.builds(admonition, INDENTING, PHRASES, CONTAINED),
    st.builds(lambda lines, *given: closed(lines[1], titled(lines[0], *given)), WIDER, PHRASES, CONTAINED),
)


@given(st.lists(PIECES, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_known_words(pieces: list[Piece], line_end: str) -> None:
    """A document made of known pieces has a block for each, with its words and no notation."""
    # A rule between two pieces keeps a list or a quotation from going on in the next one.
    sources = ["[hidden]: /hidden", *(source for source, _ in pieces)]
    document = read("note.md", "\n\n***\n\n".join(sources).replace("\n", line_end))
    seen = [(block.kind, words(document, block)) for block in document.blocks]
    assert seen == [expected for _, blocks in pieces for expected in blocks]


@given(NAMES, SOUP.map(lambda text: re.sub(r"\r\n?", "\n", text)))
def test_line_ends(name: str, text: str) -> None:
    """The kind of line end changes no kind, level or place of any block."""

    def seen(text: str) -> list[tuple[BlockKind, int, list[str]]]:
        document = read(name, text)
        return [
            (
                block.kind,
                block.level,
                [
                    re.sub(r"\r\n?", "\n", place.of(text))
                    for place in (block.span, block.content, *block.markup)
                ],
            )
            for block in document.blocks
        ]

    assert seen(text) == seen(text.replace("\n", "\r\n")) == seen(text.replace("\n", "\r"))


@given(SOUP, st.data())
def test_plain_is_without_markup(text: str, data: st.DataObject) -> None:
    """The words of a span are its text with each mark replaced by nothing or one space, on one line."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8, unique=True)))
    markup = tuple(Span(start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=False))
    shown = plain(text, Span(0, len(text)), markup)
    kept = "".join(c for at, c in enumerate(text) if not any(m.start <= at < m.end for m in markup))
    assert "".join(shown.split()) == "".join(kept.split())
    assert shown == " ".join(shown.split())
