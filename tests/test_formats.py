"""Examples of what the formats make of particular documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.document import Block, BlockKind, Document
from corpus.formats import UnreadableDocument, UnsupportedFormat, parse, plain

ARTICLE = Path(__file__).parents[1] / "corpus" / "texts" / "pytorch-vs-tensorflow.md"


def markdown(text: str) -> Document:
    return parse("note.md", text.encode())


def plaintext(text: str) -> Document:
    return parse("note.txt", text.encode())


def shown(document: Document) -> list[tuple[str, int, str]]:
    """Return kind, level and words of each block."""
    return [
        (block.kind.value, block.level, plain(document.text, block.content, block.markup))
        for block in document.blocks
    ]


def cells(document: Document, block: Block) -> list[list[str]]:
    """Return the source of each cell of a table, the header first (an empty row where it has none)."""
    rows = [block.header.cells if block.header else (), *(row.cells for row in block.rows)]
    return [[cell.span.of(document.text) for cell in row] for row in rows]


def sources(document: Document) -> list[tuple[str, str]]:
    """Return the whole source and the content of each block."""
    return [(block.span.of(document.text), block.content.of(document.text)) for block in document.blocks]


def test_article() -> None:
    document = parse("texts/pytorch-vs-tensorflow.md", ARTICLE.read_bytes())
    assert document.title == "PyTorch vs TensorFlow: Which is Better for Data Science in 2024?"
    assert document.format == "markdown"
    headings = [words for kind, _, words in shown(document) if kind == "heading"]
    assert len(headings) == 13
    assert headings[1] == "Table of Comparison"
    (table,) = (block for block in document.blocks if block.kind is BlockKind.TABLE)
    found = cells(document, table)
    assert found[0] == ["Feature", "PyTorch", "TensorFlow"]
    assert [len(row) for row in found[1:]] == [3] * 9
    assert found[2] == ["Release Year", "2016", "2015"]
    assert all("|" not in cell for row in found for cell in row)


def test_flattened_article() -> None:
    document = parse(
        "pytorch-vs-tensorflow.txt",
        b"""PyTorch vs TensorFlow: Which is Better for Data Science in 2024?

Last Updated Apr 12, 2025

PyTorch offers dynamic computation graphs that enable flexible model building and intuitive debugging.

Table of Comparison

Feature PyTorch TensorFlow
Developer Facebook AI Research Google Brain
Release Year 2016 2015
Programming Language Python, C++ Python, C++
Computation Graph Dynamic (define-by-run) Static (define-and-run) & Dynamic (Eager Execution)
Use Cases Research, prototyping, NLP, CV Production systems, mobile, edge devices

Introduction to PyTorch and TensorFlow

PyTorch and TensorFlow are premier deep learning frameworks powered by extensive libraries.

Disclaimer.
The information provided in this document is for general informational purposes only and is not guaranteed to
be complete.
""",
    )
    assert document.title == "PyTorch vs TensorFlow: Which is Better for Data Science in 2024?"
    assert [(kind, level) for kind, level, _ in shown(document)] == [
        ("heading", 1),
        ("paragraph", 0),
        ("paragraph", 0),
        ("heading", 2),
        ("table", 0),
        ("heading", 2),
        ("paragraph", 0),
        ("paragraph", 0),
    ]
    assert cells(document, document.blocks[4]) == [
        ["Feature", "PyTorch", "TensorFlow"],
        ["Developer Facebook AI Research Google Brain"],
        ["Release Year", "2016", "2015"],
        ["Programming Language", "Python, C++", "Python, C++"],
        ["Computation Graph Dynamic (define-by-run) Static (define-and-run) & Dynamic (Eager Execution)"],
        ["Use Cases Research, prototyping, NLP, CV Production systems, mobile, edge devices"],
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"twelve bytes\xff", "not UTF-8: byte 0xff at offset 12; save the file as UTF-8"),
        (b"\xef\xbb\xbfa\xff", "not UTF-8: byte 0xff at offset 4"),
        (b"a\0b", "looks binary: NUL character at offset 1"),
        (b"\xff\xfea", "not UTF-16: byte 0x61 at offset 2"),
        (b"\xff\xfe\0\0a\0\0\0", "looks binary"),
    ],
)
def test_unreadable(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        parse("note.md", data)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["note.exe", "note", "note.md.gz"])
def test_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=r"save it as one of \.md"):
        parse(name, b"words")


def test_encodings_are_the_same_document() -> None:
    text = "# Größe 😀\n\nשלום e\u0301\n"
    same = parse("a.md", text.encode())
    assert same == parse("a.md", b"\xef\xbb\xbf" + text.encode()) == parse("a.md", text.encode("utf-16"))
    assert shown(same) == [("heading", 1, "Größe 😀"), ("paragraph", 0, "שלום e\u0301")]


@pytest.mark.parametrize("name", ["a.md", "a.MD", "a.txt"])
@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b"\x0c"])
def test_empty(name: str, data: bytes) -> None:
    assert parse(name, data).blocks == ()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: 'It''s: *me*'\n---\n# Other", "It's: *me*"),
        ("## Sub\n\n# The *main* [one](x)\n", "The main one"),
        ("words\n\n## Sub\n", "Sub"),
        ("words", "my new note"),
    ],
)
def test_markdown_title(text: str, title: str) -> None:
    assert parse("folder/my-new_note.md", text.encode()).title == title


def test_front_matter() -> None:
    document = markdown(
        '---\ntitle: "A \\"b\\""  \n# comment\ntags: [one, "two, three"]\nauthors:\n  - Ann\n  - Bo\n'
        "nested:\n  deep: 1\nalias: *x\nempty:\nlong: >\n  one\n  two\n...\nBody\n"
    )
    assert document.fields == (
        ("title", 'A "b"'),
        *(("tags", tag) for tag in ("one", "two, three")),
        *(("authors", name) for name in ("Ann", "Bo")),
        ("long", "one two"),
    )
    assert sources(document) == [("Body", "Body")]


@pytest.mark.parametrize(
    "text", ["---\nname: never closed\n", "---\nJust a sentence.\n---\n", "---\n- a\n---\n"]
)
def test_what_is_not_front_matter_is_text(text: str) -> None:
    document = markdown(text)
    assert document.fields == ()
    assert document.blocks


def test_markdown_blocks() -> None:
    document = markdown(
        "Two\nlines\n===\n\n## C# ##\n\n1. one\n   more\n\n   second\n   * [x] *deep*\n\n"
        "> quoted *a\n> b*\nlazy\n\n    code\n\n      more\n\n~~~py\nx = 1\n~~~\n\n"
        "[a]: /u\n\n***\n\n<!-- no -->\n"
    )
    assert [(block.kind.value, block.level) for block in document.blocks] == [
        ("heading", 1),
        ("heading", 2),
        ("list_item", 1),
        ("paragraph", 0),
        ("list_item", 2),
        ("paragraph", 0),
        ("code", 0),
        ("code", 0),
    ]
    assert sources(document) == [
        ("Two\nlines\n===", "Two\nlines"),
        ("## C# ##", "C#"),
        ("1. one\n   more", "one\n   more"),
        ("second", "second"),
        ("* [x] *deep*", "*deep*"),
        ("quoted *a\n> b*\nlazy", "quoted *a\n> b*\nlazy"),
        ("code\n\n      more", "code\n\n      more"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("**a** _b_ ~~c~~ ***d***", "a b c d"),
        ("2*3*4 snake_case_name * alone", "234 snake_case_name * alone"),
        ("`a*b` `` c`d `` `open", "a*b c`d `open"),
        ('[a *b*](/u "t\\"(") [c][r] [r] [r][] [none]', "a b c r r [none]"),
        ("![alt *text*](/u) ![](/u) end", "alt text end"),
        ("<http://a.b/c> a<br/>b <b class='>'>c</b>", "http://a.b/c a b c"),
        ("a <!-- b --> c", "a c"),
        ("\\*a\\* \\b c\\\nd", "*a* \\b c d"),
        ("a [b\nc](/u\n'title')", "a b c"),
        ('[a](/u){:target="_blank"} ![b](/u){ width=30 } `c`{.py} *d*{#e}.', "a b c d."),
        ("{ref}`a <b>` and {py:class}`~c.D`", "a <b> and ~c.D"),
        ("a { #b .c d='e' }", "a"),
        ("a\n{: .b }", "a"),
        ("{a} {{ b }} {1, 2} {#each c} {#d} e {.f g}", "{a} {{ b }} {1, 2} {#each c} {#d} e {.f g}"),
    ],
)
def test_markdown_notation(source: str, words: str) -> None:
    assert shown(markdown(f"[r]: /u\n\n{source}"))[0][2] == words


def test_markdown_containers() -> None:
    document = markdown(
        'before\n!!! warning "Be *sure*"\n    One.\n\n    Two.\n\n        code\n\nafter\n\n'
        '!!! note\n\n    Three.\n\n=== "pip"\n\n    ```\n    install\n    ```\n\n'
        "- item\n\n    ??? tip\n        Four.\n\n    Five.\n\n```{note} Six\n:class: wide\n\nSeven.\n```\n\n"
        ":::tip[Eight]\nNine.\n:::\n\n/// details | Ten\nEleven.\n///\n\n> [!NOTE]\n> Twelve.\n"
    )
    assert [(kind, words) for kind, _, words in shown(document)] == [
        *(("paragraph", "before"), ("caption", "Be sure"), ("paragraph", "One."), ("paragraph", "Two.")),
        *(("code", "code"), ("paragraph", "after"), ("paragraph", "Three."), ("caption", "pip")),
        *(("code", "install"), ("list_item", "item"), ("paragraph", "Four."), ("paragraph", "Five.")),
        *(("caption", "Six"), ("paragraph", "Seven."), ("caption", "Eight"), ("paragraph", "Nine.")),
        *(("caption", "Ten"), ("paragraph", "Eleven."), ("paragraph", "Twelve.")),
    ]
    assert sources(document)[1] == ('!!! warning "Be *sure*"', "Be *sure*")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("!!! Read this first", "!!! Read this first"),
        ("!!! note\nnot indented", "!!! note not indented"),
        ("a ::: b", "a ::: b"),
        ("/// Returns nothing.", "/// Returns nothing."),
        ("[!NOTE] outside of a quotation", "[!NOTE] outside of a quotation"),
        ("> a\n> [!NOTE]", "a [!NOTE]"),
        (":::{code-block} python", ":::{code-block} python"),
        ("=== not a tab", "=== not a tab"),
    ],
)
def test_what_opens_no_container_is_text(text: str, words: str) -> None:
    assert shown(markdown(text))[0][2] == words


def test_code_of_a_directive_is_code() -> None:
    assert shown(markdown("```{code-block} python\nx = 1\n```")) == [("code", 0, "x = 1")]


@pytest.mark.parametrize("attributes", ["{#a}", "{ #a .b }", "{: #a-1 }", '{: .b data-c="d e" }'])
@pytest.mark.parametrize("heading", ["## Words", "## Words ##", "## [Words](/u) ##"])
def test_attributes_of_a_heading(heading: str, attributes: str) -> None:
    document = markdown(f"{heading} {attributes}\n\n(target-1)=\n\ntext")
    assert shown(document) == [("heading", 2, "Words"), ("paragraph", 0, "text")]
    assert "{" not in document.blocks[0].content.of(document.text)


def test_raw_html() -> None:
    document = markdown(
        "<div title='a > b'>\nHello <b>you</b><br>two\n</div>\n\n<script>\nx\n\ny\n</script>\n"
    )
    assert shown(document) == [("paragraph", 0, "Hello you two")]
    assert document.blocks[0].content.of(document.text) == "Hello <b>you</b><br>two"


def test_markdown_table() -> None:
    document = markdown("a | b\n:-- | --:\n`x\\|y` | **z** | extra\n| |\nonly |\n")
    (table,) = document.blocks
    assert cells(document, table) == [["a", "b"], ["`x\\|y`", "**z**", "extra"], [""], ["only"]]
    assert shown(document)[0][2] == "a b x|y z extra only"


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_are_kept(line_end: str) -> None:
    text = "# A\n\n> *b\n> c*\n\n|d|e|\n|-|-|\n|f||\n".replace("\n", line_end)
    document = markdown(text)
    assert document.text == text
    assert shown(document) == [("heading", 1, "A"), ("paragraph", 0, "b c"), ("table", 0, "d e f")]
    assert sources(document)[:2] == [("# A", "A"), (f"*b{line_end}> c*", f"*b{line_end}> c*")]
    assert cells(document, document.blocks[2]) == [["d", "e"], ["f", ""]]


def test_plaintext_blocks() -> None:
    document = plaintext(
        "The title\n=========\n\nWrapped prose that goes on\nand on.  It has two spaces.  Here\nit ends.\n\n"
        "1. Introduction\n\n1.1 Background\n\nSome text that is longer than the heading.\n\nNOTES:\n\n"
        "Steps:\n- one\n  more\n  * deep\n2) two\n\n-----\n\n1. Do this\n\n2. Do that\n\nUnder\n-----\nend.\n"
    )
    assert document.title == "The title"
    assert shown(document) == [
        ("heading", 1, "The title"),
        ("paragraph", 0, "Wrapped prose that goes on and on. It has two spaces. Here it ends."),
        ("heading", 2, "1. Introduction"),
        ("heading", 3, "1.1 Background"),
        ("paragraph", 0, "Some text that is longer than the heading."),
        ("heading", 2, "NOTES:"),
        ("paragraph", 0, "Steps:"),
        ("list_item", 1, "one more"),
        ("list_item", 2, "deep"),
        ("list_item", 1, "two"),
        ("list_item", 1, "Do this"),
        ("list_item", 1, "Do that"),
        ("heading", 2, "Under"),
        ("paragraph", 0, "end."),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Each row of `expected` is a row of the table, its first one the header (empty: no header).
        ("Name   Age\nBob    31\nAlexandra 4\nEve    7", "Name/Age Bob/31 Alexandra_4 Eve/7"),
        (
            "Name      Age  City\nBob       31   Rome\nAlexandra 4    Pisa",
            "Name/Age/City Bob/31/Rome Alexandra/4/Pisa",
        ),
        ("a\tb\tc\n1\t\t3", "a/b/c 1//3"),
        ("\t2019\t2020\nSales\t1\t2", "/2019/2020 Sales/1/2"),
        ("+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+", "a/b 1/2"),
        ("|a|b|\n|-|-|\n|1|2|", "a/b 1/2"),
        ("Example Ltd\n12 High Street\nLondon 12345", " Example_Ltd 12_High_Street London_12345"),
        ("name: Bob.\nphone: 555", " name:_Bob. phone:_555"),
        ("Item A B\nLight Yes No\nOdd 1 2 3", "Item/A/B Light/Yes/No Odd_1_2_3"),
    ],
)
def test_plaintext_tables(text: str, expected: str) -> None:
    document = plaintext(text)
    (table,) = document.blocks
    rows = ["/".join(row).replace(" ", "_") for row in cells(document, table)]
    assert " ".join(rows) == expected


def test_wide_lines_are_paragraphs_of_their_own() -> None:
    wide = "This is one sentence of a paragraph that nobody wrapped. " * 5
    document = plaintext(f"Opening\n{wide}\n{wide}\nClosing\n{wide}")
    assert [kind for kind, _, _ in shown(document)] == [
        "heading",
        "paragraph",
        "paragraph",
        "heading",
        "paragraph",
    ]


HUGE = 20_000
PATHOLOGICAL = {
    "line": "word " * HUGE,
    "quotes": ">" * HUGE + "x",
    "lists": "- " * HUGE + "x",
    "nested list": "".join(" " * 2 * depth + "- x\n" for depth in range(150)),
    "brackets": "[" * HUGE,
    "images": "![" * 2_000 + "x" + "](y)" * 2_000,
    "stars": "*" * HUGE + "x" + "*" * HUGE,
    "pairs": "*a **b _c " * 2_000,
    "backticks": " ".join("`" * width for width in range(200)),
    "tags": "<a '" * HUGE,
    "comments": "x <!-- " * 2_000,
    "bars": "|" * HUGE + "\n" + "|-" * HUGE,
    "admonitions": "!!! note\n\n" * 5_000 + "    x",
    "nested admonitions": "".join("    " * depth + "!!! note\n" for depth in range(150)) + "x",
    "directives": "```{note}\n" * 2_000 + "x",
    "containers": ":::a\n" * HUGE + "x",
    "spaces": "a" + " " * HUGE + "b",
    "lines": "a\n" * HUGE,
    "titles": "Title\n\n" * 2_000 + "and text below it",
}


@pytest.mark.parametrize("name", ["note.md", "note.txt"])
@pytest.mark.parametrize("text", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
def test_pathological(name: str, text: str) -> None:
    document = parse(name, text.encode())
    words = "".join(words for _, _, words in shown(document))
    assert ("x" in words) == ("x" in text)
