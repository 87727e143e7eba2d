"""Web pages: laws of what is taken out of them, and pages as people and programs write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from html import escape
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import BlockKind, Document
from corpus.formats import UnreadableDocument, html, parse
from corpus.formats.confined import Confined
from corpus.formats.figures import lowered, raised
from corpus.formats.html_nodes import names
from corpus.formats.reading import Extract
from tests.extracted import PHRASE, answers, cells, check, shown, tables

ELEMENTS = sorted(
    names(
        "a b p i div span ul ol li dl dt dd table thead tbody tr td th caption h1 h2 h6 pre code br hr img "
        "nav main article aside header footer sup sub del button script style title head body template svg "
        "math form noscript details summary blockquote figure q ruby rt select option textarea iframe"
    )
)
ATTRIBUTES = [
    "",
    "",
    "",
    " hidden",
    " class='nav toc'",
    " href='#x'",
    " colspan=2",
    " rowspan=3",
    " style='display:none'",
    " start=7",
]
TAG = st.tuples(
    st.sampled_from(["<", "<", "</"]), st.sampled_from(ELEMENTS), st.sampled_from(ATTRIBUTES)
).map(lambda parts: "".join(parts) + ">")
CRUMB = st.one_of(
    TAG,
    TAG,
    PHRASE.map(escape),
    st.sampled_from(
        [
            " ",
            "\n",
            "&nbsp;",
            "&#0;",
            "&#xD800;",
            "<!--",
            "-->",
            "<![CDATA[",
            "\x0c",
            "&#x1c;",
            "10<sup>6</sup>",
        ]
    ),
)
SOUP = st.lists(CRUMB, max_size=40).map("".join)


def read(source: str) -> Extract:
    return html.read(source.encode())


def page(source: str) -> Document:
    return parse("a.html", source.encode())


def blocks(source: str) -> list[tuple[str, int, str]]:
    return shown(read(source))


@given(st.one_of(SOUP, st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_page(source: str) -> None:
    """Any page gives blocks with exact places that hold all of its text, or UnreadableDocument."""
    try:
        check(read(source))
    except UnreadableDocument as error:
        said = str(error)
    else:
        return
    assert "no text outside" in said or "looks binary" in said


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a page or UnreadableDocument with a reason."""
    with suppress(UnreadableDocument):
        check(html.read(data))


@given(SOUP)
def test_no_words_are_made_up(source: str) -> None:
    """Every letter of the text is a letter of the page."""
    try:
        text = read(f"<body>{source}").text
    except UnreadableDocument:
        return
    letters = {character for character in text if character.isalpha()}
    assert letters <= set(source) | set("ⁿⁱ")


INLINE = st.one_of(
    PHRASE.map(lambda words: (escape(words), words)),
    PHRASE.map(lambda words: (f"<b>{escape(words)}</b>", words)),
    PHRASE.map(lambda words: (f"<a href='/x'><i>{escape(words)}</i></a>", words)),
    PHRASE.map(lambda words: (f"\n  {escape(words)} <!-- gone -->", words)),
    PHRASE.map(lambda words: (f"{escape(words)}<script>gone</script>", words)),
    PHRASE.map(lambda words: (f"<span hidden>gone</span> {escape(words)}", words)),
    PHRASE.map(lambda words: (f"<del>gone</del>{escape(words)}&shy;<wbr>", words)),
)
LINE = st.lists(INLINE, min_size=1, max_size=3).map(
    lambda parts: (" ".join(source for source, _ in parts), " ".join(words for _, words in parts))
)
PIECE = st.one_of(
    LINE.map(lambda line: (f"<p>{line[0]}</p>", [("paragraph", 0, line[1])])),
    LINE.map(lambda line: (f"<div><div>{line[0]}</div></div>", [("paragraph", 0, line[1])])),
    st.tuples(LINE, st.integers(1, 6)).map(
        lambda both: (f"<h{both[1]}>{both[0][0]}</h{both[1]}>", [("heading", both[1], both[0][1])])
    ),
    st.tuples(LINE, LINE, LINE).map(
        lambda items: (
            f"<ul><li>{items[0][0]}<ol><li><p>{items[1][0]}</p></li></ol></li><li>{items[2][0]}</li></ul>",
            [("list_item", 1, items[0][1]), ("list_item", 2, items[1][1]), ("list_item", 1, items[2][1])],
        )
    ),
    PHRASE.map(lambda words: (f"<pre>\n{escape(words)}\n  x</pre>", [("code", 0, f"{words}\n  x")])),
    st.sampled_from(
        ["<nav><a href='/'>gone</a></nav>", "<style>gone</style>", "<aside>gone</aside>", "<hr>"]
    ).map(lambda source: (source, [])),
    tables().map(lambda rows: (marked(rows), [("table", 0, " / ".join("|".join(row) for row in rows))])),
)


def marked(rows: list[list[str]], *, named: bool = True) -> str:
    """Return a table as HTML."""
    cell = "th" if named else "td"
    head = "".join(f"<{cell}>{escape(words)}</{cell}>" for words in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(words)}</td>" for words in row) + "</tr>" for row in rows[1:]
    )
    return f"<table><tr>{head}</tr>{body}</table>"


@given(st.lists(PIECE, min_size=1, max_size=6))
def test_known_pieces(pieces: list[tuple[str, list[tuple[str, int, str]]]]) -> None:
    """A page made of known pieces has a block for each, with its words and nothing of what is around."""
    expected = [block for _, found in pieces for block in found]
    source = "<!doctype html><title>t</title><body>" + "\n".join(source for source, _ in pieces)
    if expected:
        extract = read(source)
        assert shown(extract) == expected
        check(extract)


@given(tables())
def test_a_table_comes_back(rows: list[list[str]]) -> None:
    """A table gives back its cells, the first row naming the columns."""
    extract = read(marked(rows))
    (block,) = extract.blocks
    assert cells(extract, block) == rows
    assert block.header is not None and len(block.rows) == len(rows) - 1


ARTICLE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Release notes — Example Docs</title><style>p{color:red}</style><script>var gone = 1;</script></head>
<body class="page sidebar">
<a class="skip-link visually-hidden" href="#main">gone</a>
<header><div class="logo">gone</div><nav><ul><li><a href="/">gone</a></li></ul></nav></header>
<div class="breadcrumbs"><a href="/">gone</a> / <a href="/d">gone</a></div>
<main id="main"><article>
<header><h1>Release notes<a class="headerlink" href="#x">¶</a></h1><p>By Ada Lovelace, 5 May 2024</p></header>
<div class="toc"><ul><li><a href="#a">gone</a></li><li><a href="#b">gone</a></li></ul></div>
<p>Version 2 needs 10<sup>6</sup> bytes of CO<sub>2</sub>,<br>
that&nbsp;is a lot<sup><a href="#fn">[1]</a></sup>.</p>
<aside class="note"><p>Mind the gap.</p></aside>
<aside class="related"><ul><li><a href="/x">gone</a></li></ul></aside>
<h2><a href="#i">#</a> Install <button>gone</button></h2>
<ol start="3"><li><p>Download it.</p><p>It is large.</p>
<ul><li>Linux</li><li>macOS</li></ul></li><li>Run it.</li></ol>
<div class="highlight"><button>gone</button><pre><span>pip</span> install x
  --upgrade</pre></div>
<dl><dt>timeout</dt><dd>Seconds to wait.</dd><dt>retries</dt><dd><p>How often.</p></dd></dl>
<h3><button>Is it free?</button></h3><div>Yes, it is.</div>
<p style="display: none">gone</p><p aria-hidden="true">gone</p><template><p>gone</p></template>
<footer><a href="/next">gone</a></footer>
</article></main>
<div class="cookie-banner">gone <button>gone</button></div>
<aside>gone</aside><footer><p>© gone</p></footer></body></html>"""


def test_an_article() -> None:
    document = page(ARTICLE)
    check(document)
    assert document.title == "Release notes"
    assert shown(document) == [
        ("heading", 1, "Release notes"),
        ("paragraph", 0, "By Ada Lovelace, 5 May 2024"),
        ("paragraph", 0, "Version 2 needs 10⁶ bytes of CO₂,\nthat is a lot."),
        ("paragraph", 0, "Mind the gap."),
        ("heading", 2, "Install"),
        ("list_item", 1, "Download it."),
        ("paragraph", 0, "It is large."),
        ("list_item", 2, "Linux"),
        ("list_item", 2, "macOS"),
        ("list_item", 1, "Run it."),
        ("code", 0, "pip install x\n  --upgrade"),
        ("table", 0, "timeout|Seconds to wait. / retries|How often."),
        ("heading", 3, "Is it free?"),
        ("paragraph", 0, "Yes, it is."),
    ]
    assert (
        "3. Download it.\n\n  It is large.\n\n  - Linux\n  - macOS\n4. Run it.\n\npip install x\n"
        in document.text
    )
    assert "gone" not in document.text


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("<title>A page</title><p>x", "A page"),
        ("<title>\n A \t page </title><p>x", "A page"),
        ("<h1>A <i>page</i></h1><p>x", "A page"),
        ("<title>A page | Site</title><h1>A page</h1>", "A page"),
        ("<title>Site: A Page</title><h1>A page</h1>", "A page"),
        ("<title>A pagejack</title><h1>A page</h1>", "A pagejack"),
        ("<title>Other</title><h1>A page</h1>", "Other"),
        ("<title>Part - Book</title><header><h1>Book</h1></header><main><h1>Part</h1>x</main>", "Part"),
        ("<title>Part - Book</title><header><h1>Book</h1></header><main><h2>Part</h2>x</main>", "Part"),
        ("<svg><title>Icon</title></svg><p>x", "a"),
        ("<p>x", "a"),
    ],
)
def test_title(source: str, title: str) -> None:
    assert page(source).title == title


def test_the_first_heading_may_stand_outside_of_the_content() -> None:
    source = "<body><header><h1>The page</h1><p>slogan</p></header><main><h2>Part</h2><p>Words.</p></main>"
    assert blocks(source) == [("heading", 1, "The page"), ("heading", 2, "Part"), ("paragraph", 0, "Words.")]


def test_the_only_article_is_the_content() -> None:
    source = (
        "<div>left <a href='/'>links</a></div><article><p>All the words of it.</p></article><div>right</div>"
    )
    assert blocks(source) == [("paragraph", 0, "All the words of it.")]
    assert len(blocks(source.replace("<div>right", "<div>" + "Many more words here. " * 9))) == 3


def test_a_page_all_of_navigation_is_kept() -> None:
    assert blocks("<nav><ul><li><a href='/'>Home</a></li></ul></nav>") == [("list_item", 1, "Home")]


def test_words_in_class_names_do_not_hide_content() -> None:
    source = (
        '<div class="sidebar menu header footer nav"><p>Words of <a href="/">some</a> length here.</p></div>'
    )
    assert blocks(source) == [("paragraph", 0, "Words of some length here.")]
    assert blocks('<section id="cookies"><h2>Cookies</h2><p>We bake.</p></section>')[1][2] == "We bake."


@pytest.mark.parametrize(
    "source", ["<script>x</script>", "<p></p>", "<!-- x -->", "<p hidden>x</p>", "<svg><text>x"]
)
def test_a_page_without_text(source: str) -> None:
    with pytest.raises(
        UnreadableDocument, match=r"no text outside of scripts and tags; .* save it from a browser"
    ):
        page(source)


@pytest.mark.parametrize("data", [b"", b" \n ", b"\xef\xbb\xbf"])
def test_empty(data: bytes) -> None:
    assert parse("a.html", data).blocks == ()


def test_lines_and_paragraphs_by_breaks() -> None:
    assert blocks("<div>one<br>two<br/><br>three</div>four") == [
        ("paragraph", 0, "one\ntwo"),
        ("paragraph", 0, "three"),
        ("paragraph", 0, "four"),
    ]


def test_images_count_beside_words_and_in_cells() -> None:
    assert blocks("<p><img alt='gone'></p><p>Press <img alt='Enter'>.</p>") == [
        ("paragraph", 0, "Press Enter .")
    ]
    table = "<table><tr><th>a<th>b<tr><td>x<td><img alt='yes'></table>"
    assert blocks(table) == [("table", 0, "a|b / x|yes")]


def test_raised_figures() -> None:
    assert [raised(words) for words in ("6", "-2", "th", "1.5", "n+1")] == ["⁶", "⁻²", "th", "^1.5", "ⁿ⁺¹"]
    assert [lowered(words) for words in ("2", "max", "1,2")] == ["₂", "max", "_1,2"]


def test_code_in_code_and_line_numbers() -> None:
    source = (
        "<table><tr><td class=linenos><pre>1\n2</pre></td><td class=code><pre>a\nb</pre></td></tr></table>"
    )
    assert blocks(source) == [("code", 0, "a\nb")]
    assert blocks("<pre>a<pre>b</pre>c</pre>d") == [("code", 0, "abc"), ("paragraph", 0, "d")]
    assert blocks("<pre>a<br>b &lt;i&gt;</pre>") == [("code", 0, "a\nb <i>")]


MERGED = """<table><caption>Prices <i>2024</i></caption>
<thead><tr><th rowspan=2>Region</th><th colspan=2>Price</th></tr><tr><th>old</th><th>new</th></tr></thead>
<tfoot><tr><th>All</th><td colspan=2>n/a</td></tr></tfoot>
<tbody><tr><th rowspan=2>North</th><td>1</td><td>2</td></tr><tr><td>3</td><td rowspan=2>4</td></tr>
<tr><th>South</th><td>5</td></tr><tr hidden><td>gone</td></tr><tr><td colspan=3>as of May</td></tr>
</tbody></table>"""


def test_merged_cells() -> None:
    assert blocks(MERGED) == [
        ("paragraph", 0, "Prices 2024"),
        (
            "table",
            0,
            "Region|Price old|Price new / North|1|2 / North|3|4 / South|5|4 / as of May / All|n/a|n/a",
        ),
    ]
    assert ("4", "South", "Price new") in answers(page(MERGED))
    down = "<table><tr><th>a<th>b<tbody><tr><td rowspan=0>1<td>2<tr><td>3<tbody><tr><td>4<td>5</table>"
    assert blocks(down) == [("table", 0, "a|b / 1|2 / 1|3 / 4|5")]


def test_tables_with_and_without_headers() -> None:
    def header(source: str) -> str:
        extract = read(source)
        (block,) = (block for block in extract.blocks if block.kind is BlockKind.TABLE)
        return "|".join(cell.span.of(extract.text) for cell in block.header.cells) if block.header else ""

    plain = "<table><tr><td>Name<td>Since<td>Price<tr><td>Ada<td>1843<td>5</table>"
    assert header(plain) == "Name|Since|Price"
    assert header(plain.replace("Name", "Name 2")) == ""
    assert header("<table><tr><td>Name<td>Ada<tr><td>Born<td>1815</table>") == ""
    assert header("<table><tr><td><b>Name</b><td><b>Born</b><tr><td>Ada<td>1815</table>") == "Name|Born"
    assert header("<table><tr><th>Name<td>Ada<tr><th>Born<td>1815</table>") == ""
    assert header("<table><tr><th><th>old<th>new<tr><th>a<td>1<td>2</table>") == "|old|new"
    titled = "<table><thead><tr><th colspan=2>Title<tr><th>a<th>b</thead><tr><td>1<td>2</table>"
    assert header(titled) == "a|b"
    assert blocks(titled)[0] == ("paragraph", 0, "Title")


def test_tables_that_lay_a_page_out() -> None:
    source = """<table><tr><td><a href="/a">A link of the menu</a><br>
    <a href="/b">Another link of the menu</a><br><a href="/c">A third link of the very same menu</a></td>
    <td><h1>Title</h1><p>One.</p><table><tr><th>a<th>b<tr><td>1<td>2</table></td></tr></table>"""
    assert blocks(source) == [("heading", 1, "Title"), ("paragraph", 0, "One."), ("table", 0, "a|b / 1|2")]
    assert blocks("<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>")[0] == ("paragraph", 0, "a")


def test_lists_of_more_than_pairs() -> None:
    complex_ = "<dt>f(x)</dt><dd><p>Gives x.</p><ul><li>fast</li></ul></dd>"
    called = [("caption", 0, "f(x)"), ("paragraph", 0, "Gives x."), ("list_item", 1, "fast")]
    assert blocks(f"<dl>{complex_}</dl>") == called
    assert blocks(f"<dl><dt>a<dd>1<dt>b<dd>2{complex_}<dt>c<dd>3</dl>") == [
        ("table", 0, "a|1 / b|2"),
        *called,
        ("table", 0, "c|3"),
    ]
    assert blocks("<dl><dt>-q<dt>--quiet<dd><p>Says less.<pre>-qq</pre></dl>") == [
        ("caption", 0, "-q, --quiet"),
        ("paragraph", 0, "Says less."),
        ("code", 0, "-qq"),
    ]
    assert blocks("<dl><dt>Is it?<dd><p>Yes.<ul><li>Often</ul></dl>")[0] == ("paragraph", 0, "Is it?")
    assert blocks("<dl><dt>a<dt>b<dd>both<dt>c<dd>1</dl>") == [("table", 0, "a, b|both / c|1")]
    assert blocks("<dl><dt>a<dd>1<dt>b</dl>") == [("table", 0, "a|1"), ("paragraph", 0, "b")]
    assert blocks("<dl><div><dt>a<dd>1<dd>2</div><div><dt>b<dd>3</div></dl>") == [
        ("table", 0, "a|1 / a|2 / b|3")
    ]


def test_cells_answer_like_those_of_a_markdown_table() -> None:
    rows = [
        ["Feature", "PyTorch", "TensorFlow"],
        ["Release Year", "2016", "2015"],
        ["Maker", "Meta", "Google"],
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    markdown = parse("a.md", "\n".join([lines[0], "|-|-|-|", *lines[1:]]).encode())
    assert answers(page(marked(rows))) == answers(markdown)
    assert ("2015", "Release Year", "TensorFlow") in answers(markdown)


@pytest.mark.parametrize(
    "data",
    [
        "<p>Größe 中 €".encode(),
        "<p>Größe 中 €".encode("utf-8-sig"),
        "<p>Größe 中 €".encode("utf-16"),
        b"<meta charset=latin1>" + "<p>Größe 中 €".encode(),
        b"<meta charset='gb2312'>" + "<p>Größe 中 €".encode("gb18030"),
        b'<?xml version="1.0" encoding="GBK"?>' + "<p>Größe 中 €".encode("gb18030"),
        b"<meta charset='no-such-thing'>" + "<p>Größe 中 €".encode(),
    ],
)
def test_encodings(data: bytes) -> None:
    assert shown(html.read(data)) == [("paragraph", 0, "Größe 中 €")]


def test_declared_encodings() -> None:
    declared = '<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">'
    assert blocks_of(declared, "<p>“Größe” €", "cp1252") == [("paragraph", 0, "“Größe” €")]
    assert blocks_of('<meta charset="shift_jis">', "<p>日本語", "shift_jis") == [("paragraph", 0, "日本語")]
    assert blocks_of('<meta charset="iso-2022-jp">', "<p>日本語", "iso2022_jp") == [
        ("paragraph", 0, "日本語")
    ]
    assert blocks_of('<meta charset="koi8-r">', "<p>слово", "koi8-r") == [("paragraph", 0, "слово")]


def blocks_of(head: str, body: str, encoding: str) -> list[tuple[str, int, str]]:
    return shown(html.read(f"{head}{body}".encode(encoding)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<p>\xff", "not UTF-8: byte 0xff at offset 3; save the file as UTF-8"),
        (b"<meta charset=euc-jp><p>\xff", "not euc_jp: byte 0xff at offset 24"),
        (b"<meta charset=rot13><p>\xff", "declares the encoding 'rot13', which is not known"),
        (b"<meta charset=utf-16><p>\xff", "not UTF-8"),
        (b"<p>a\0b", "looks binary: NUL character at offset 4"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
    ],
)
def test_unreadable(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        parse("a.htm", data)
    assert message in str(caught.value)


def test_xhtml() -> None:
    source = """<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>
    <title/><script src="x.js"/><style type='text/css' /></head><body><a id="top"/><p>One.<br/></p>
    <p title="a/>b">Two.</p><div/><p>Three.</p></body></html>"""
    document = parse("a.xhtml", source.encode())
    assert shown(document) == [("paragraph", 0, words) for words in ("One.", "Two.", "Three.")]


DEEP = 100_000
HOSTILE = {
    "deep": "<i>" * DEEP + "words",
    "deep blocks": "<div>" * 30_000 + "words",
    "deep lists": "<ul><li>" * 20_000 + "words",
    "deep tables": "<table><tr><td>" * 20_000 + "words",
    "deep definitions": "<dl><dt>a<dd>" * 5_000 + "words",
    "deep formatting": "<b><p>" * 5_000 + "words",
    "unclosed comment": "<p>words<!--" + "x" * 3_000_000,
    "tags cut short": "<p>words" + "<a " * 500_000,
    "nothing": "<p>words</p>" + " " * 50_000_000,
    "empty elements": "<p>words</p>" + "<div></div>" * 500_000,
    "wide cells": "<table>" + "<tr><td colspan=1000 rowspan=65534>w<td>words" * 50 + "</table>",
    "attributes": "<p " + " ".join(f"a{number}=1" for number in range(10_000)) + ">words",
    "closed tags": '<?xml version="1.0"?><p>words</p>' + "<a b='" * 200_000,
    "anchors": "<p>words" + "<a>" * 20_000,
    "raised": "<p>words" + "<sup>" * 20_000 + "2",
    "entities": "<p>words" + "&amp;" * 500_000,
    "declarations": "<?xml " + "version='1' " * 400 + "><p>words",
}


@pytest.fixture(scope="module")
def impatient() -> Iterator[Confined]:
    """Return a child that gives up sooner than the one that serves."""
    confined = Confined(cpu_seconds=5)
    yield confined
    confined.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages(name: str, impatient: Confined) -> None:
    """A page made to harm is read, or named with the reason, in a bounded time."""
    try:
        said = impatient.read("html", HOSTILE[name].encode()).text
    except UnreadableDocument as error:
        said = str(error)
    assert "words" in said or "needed more than" in said or "took longer than" in said


def test_places_are_in_order_whatever_is_merged() -> None:
    document = page(MERGED)
    places = [cell.span for block in document.blocks for row in block.rows for cell in row.cells]
    assert all(one.end <= two.start for one, two in pairwise(places))
