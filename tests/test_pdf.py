"""PDFs: laws of what is taken out of them, and files as programs and attackers write them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, Preformatted, SimpleDocTemplate, Spacer

from corpus.formats import UnreadableDocument, parse, pdf
from corpus.formats.confined import Confined
from corpus.formats.pdf_layout import Group, Manner, joined, plain_title
from corpus.formats.pdf_lines import Line, cleaned
from corpus.formats.reading import Extract
from tests.extracted import check, shown

WORDS = st.text(st.sampled_from("abcdefghij"), min_size=2, max_size=9)
SENTENCE = st.lists(WORDS, min_size=3, max_size=40).map(lambda words: " ".join(words).capitalize() + ".")
HEADING = st.lists(WORDS, min_size=1, max_size=4).map(lambda words: " ".join(words).capitalize())
PIECE = st.one_of(
    SENTENCE.map(lambda words: ("paragraph", 0, words)),
    SENTENCE.map(lambda words: ("paragraph", 0, words)),
    st.tuples(HEADING, st.integers(1, 3)).map(lambda both: ("heading", both[1], both[0])),
)


def flowing(pieces: Sequence[tuple[str, int, str]]) -> bytes:
    """Return a PDF in which a typesetter has set these blocks on as many pages as they take."""
    styles = getSampleStyleSheet()
    story: list[Any] = []
    for kind, level, words in pieces:
        if kind == "code":
            story.append(Preformatted(words, styles["Code"]))
        else:
            story.append(Paragraph(words, styles[f"Heading{level}" if kind == "heading" else "BodyText"]))
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=(300, 300)).build([*story, Spacer(1, 1)])
    return file.getvalue()


def drawn(draw: Callable[[Canvas], object], **options: Any) -> bytes:
    """Return a PDF as `draw` draws it."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, **options)
    draw(canvas)
    canvas.save()
    return file.getvalue()


def lines(
    *words: str, size: float = 10, font: str = "Helvetica", top: float = 800, x: float = 72
) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        for number, line in enumerate(words):
            canvas.setFont(font, size)
            canvas.drawString(x, top - 1.2 * size * number, line)

    return draw


def read(data: bytes) -> Extract:
    extract = pdf.read(data)
    check(extract)
    return extract


@given(st.lists(PIECE, min_size=1, max_size=8))
def test_known_pieces(pieces: list[tuple[str, int, str]]) -> None:
    """Set text gives back its words in order, and each paragraph whole over the ends of lines and pages."""
    extract = read(flowing(pieces))
    assert " ".join(extract.text.split()) == " ".join(words for _, _, words in pieces)
    paragraphs = {" ".join(words.split()) for kind, _, words in shown(extract) if kind == "paragraph"}
    assert {words for kind, _, words in pieces if kind == "paragraph"} <= paragraphs


@given(st.lists(st.lists(SENTENCE, max_size=3), min_size=1, max_size=6).filter(any))
def test_pages_begin_where_their_words_do(pages: list[list[str]]) -> None:
    """Each page has its place in the text, in order, and from there on the text is that of the page."""
    # What is the same on all pages would be a running head.
    pages = [[f"{'abcdef'[number]}{words}" for words in page] for number, page in enumerate(pages)]

    def draw(canvas: Canvas) -> None:
        for page in pages:
            for number, words in enumerate(page):
                canvas.drawString(20, 700 - 40 * number, words)
            canvas.showPage()

    extract = read(drawn(draw))
    assert len(extract.pages) == len(pages)
    ends = [*extract.pages[1:], len(extract.text)]
    for start, end, page in zip(extract.pages, ends, pages, strict=True):
        assert " ".join(extract.text[start:end].split()) == " ".join(page)


@cache
def sample() -> bytes:
    return flowing(
        [("heading", 1, "Title"), ("paragraph", 0, "Some words that are read. " * 20), ("code", 0, "x = 1")]
    )


@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    """A file with bytes changed or cut off is read, or UnreadableDocument says why not."""
    whole = bytearray(sample())
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableDocument):
        read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(st.one_of(st.binary(), st.binary().map(lambda data: b"%PDF-1.7\n" + data)))
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a document or UnreadableDocument."""
    with suppress(UnreadableDocument):
        read(data)


LINES = st.builds(
    Line,
    st.text(min_size=1, max_size=12).map(cleaned).filter(bool),
    st.just(0),
    st.floats(0, 600),
    st.floats(0, 800),
    st.floats(0, 30),
)


@given(st.lists(LINES, min_size=1, max_size=8), st.booleans())
def test_joined_lines_make_nothing_up(found: list[Line], code: bool) -> None:
    """Joined lines have the signs of the lines in their order, but for the hyphens of words known uncut."""
    vocabulary = frozenset(f"{one.words[:-1]}{two.words}".casefold() for one, two in pairwise(found))
    text, starts = joined(found, Manner(size=10, length=8, vocabulary=vocabulary), code=code)
    expected = "".join("".join(line.words.split()) for line in found)
    hyphens = str.maketrans("", "", "-\xad")
    assert "".join(text.split()).translate(hyphens) == expected.translate(hyphens)
    assert [text[start] for start in starts] == [line.words[0] for line in found]


def test_words_cut_at_the_end_of_a_line() -> None:
    def join(*words: str, known: str = "") -> str:
        found = [Line(line, 0, 0, 800 - 12 * number, 10) for number, line in enumerate(words)]
        return joined(found, Manner(10, length=20, vocabulary=frozenset(known.split())))[0]

    assert join("this is an exam-", "ple of it", known="example") == "this is an example of it"
    assert join("this is an exam-", "ple of it") == "this is an exam-ple of it"
    assert join("that is state-of-", "the-art work here") == "that is state-of-the-art work here"
    assert join("the years 1990-", "1999 were good") == "the years 1990- 1999 were good"
    assert join("this is an exam\xad", "ple of it") == "this is an example of it"
    assert join("short", "then a long line it is") == "short\nthen a long line it is"
    assert (
        join("これは長い文章のひとつですからね、", "次の行です")
        == "これは長い文章のひとつですからね、次の行です"
    )


def test_what_is_set_apart() -> None:
    def draw(canvas: Canvas) -> None:
        lines("A Guide", size=24, top=800)(canvas)
        lines("1 First steps", size=16, top=760)(canvas)
        lines("This is the text of the guide, which goes on for a whole", "line and some more.", top=735)(
            canvas
        )
        lines("Another paragraph stands below it.", top=700)(canvas)
        lines("1.1 Lists", size=11, font="Helvetica-Bold", top=670)(canvas)
        lines("There are these, for example:", top=650)(canvas)
        lines("• one item of the list that is so long that it takes", top=630)(canvas)
        lines("a second line", top=618, x=80)(canvas)
        lines("• another item", top=606)(canvas)
        lines("– deeper", top=594, x=90)(canvas)
        lines("2. a number", top=570)(canvas)
        lines("def run():", "    return 1", font="Courier", top=540)(canvas)
        lines("The closing words of all this text.", top=500)(canvas)

    assert shown(read(drawn(draw))) == [
        ("heading", 1, "A Guide"),
        ("heading", 2, "1 First steps"),
        (
            "paragraph",
            0,
            "This is the text of the guide, which goes on for a whole\nline and some more.".replace(
                "\n", " "
            ),
        ),
        ("paragraph", 0, "Another paragraph stands below it."),
        ("heading", 3, "1.1 Lists"),
        ("paragraph", 0, "There are these, for example:"),
        ("list_item", 1, "one item of the list that is so long that it takes a second line"),
        ("list_item", 1, "another item"),
        ("list_item", 2, "deeper"),
        ("list_item", 1, "a number"),
        ("code", 0, "def run():\nreturn 1"),
        ("paragraph", 0, "The closing words of all this text."),
    ]


def test_an_outline_tells_the_headings() -> None:
    def draw(canvas: Canvas) -> None:
        for number, (level, title) in enumerate([(0, "Introduction"), (1, "Scope of it"), (0, "2. Results")]):
            canvas.bookmarkPage(f"key{number}")
            canvas.addOutlineEntry(title.removeprefix("2. "), f"key{number}", level)
            lines(title, size=10, top=800)(canvas)
            lines("Some words of text that stand under it.", "And more of them.", top=770)(canvas)
            lines("Not a heading", size=14, top=700)(canvas)
            canvas.showPage()

    found = [(level, words) for kind, level, words in shown(read(drawn(draw))) if kind == "heading"]
    assert found[:2] == [(1, "Introduction"), (1, "Not a heading")]
    assert (2, "Scope of it") in found
    assert (1, "2. Results") in found


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("1.2. Scope", "Scope"),
        ("Chapter 3: The End", "The end"),
        ("A.1 More", "More"),
        ("Über uns", "über uns"),
    ],
)
def test_titles_without_their_numbers(one: str, two: str) -> None:
    assert plain_title(one) == plain_title(two)


def test_running_heads_and_page_numbers() -> None:
    def draw(canvas: Canvas) -> None:
        for number in range(1, 7):
            lines("The Book" if number % 2 else f"Chapter {number // 3}", size=8, top=820)(canvas)
            lines(f"Words of page number {'abcdef'[number - 1]}.", top=700)(canvas)
            lines("Contents . . . . . . . . . . . 7", top=600)(canvas)
            lines(f"Page {number} of 6", size=8, top=30)(canvas)
            canvas.showPage()

    assert shown(read(drawn(draw))) == [
        ("paragraph", 0, f"Words of page number {letter}.") for letter in "abcdef"
    ]


def test_the_number_of_a_single_page() -> None:
    def draw(canvas: Canvas) -> None:
        lines("42", "Words.", top=700)(canvas)
        lines("1", top=30)(canvas)

    assert [words for _, _, words in shown(read(drawn(draw)))] == ["42\nWords."]


def test_a_sentence_goes_on_over_a_page_and_a_column() -> None:
    def draw(canvas: Canvas) -> None:
        lines("A sentence that begins in the first column and", top=100)(canvas)
        lines("goes on in the second one. It ends on the next", top=700, x=320)(canvas)
        canvas.showPage()
        lines("page.", top=700)(canvas)

    extract = read(drawn(draw))
    whole = (
        "A sentence that begins in the first column and goes on in the second one. It ends on the next page."
    )
    assert shown(extract) == [("paragraph", 0, whole)]
    assert extract.text[extract.pages[1] :] == "page.\n"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("The Report", "The Report"),
        ("Microsoft Word - report.doc", "Heading"),
        ("report.pdf", "Heading"),
        ("untitled", "Heading"),
        ("Another file altogether", "Heading"),
        ("", "Heading"),
    ],
)
def test_title(told: str, expected: str) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setTitle(told)
        lines("Heading", size=20, top=800)(canvas)
        lines("The report of some words.", "And of some more words.", top=700)(canvas)

    assert read(drawn(draw)).title == expected


def test_turned_pages_and_text() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(90)
        canvas.rotate(90)
        canvas.drawString(100, -100, "Turned words on a page.")
        canvas.drawString(100, -112, "And a second line.")

    assert shown(read(drawn(draw))) == [
        ("paragraph", 0, "Turned words on a page.\nAnd a second line.".replace("\n", " "))
    ]


def test_cleaned_words() -> None:
    assert cleaned("e\ufb03cient  \ufb01sh \x00\x07\u200b") == "efficient fish"
    assert cleaned("\ud83d\ude00 \ud83d") == "😀 \ufffd"
    assert cleaned("ex\xadam\xad") == "exam\xad"
    assert cleaned(" \xad ") == ""


def reason(data: bytes) -> str:
    """Return why a file cannot be read, as the child process tells it."""
    with pytest.raises(UnreadableDocument) as caught:
        parse("a.pdf", data)
    return str(caught.value)


def test_locked_files() -> None:
    assert reason(drawn(lines("words"), encrypt=StandardEncryption("secret", strength=40))) == (
        "is protected by a password; save a copy without one"
    )
    opens = drawn(
        lines("words"), encrypt=StandardEncryption("", ownerPassword="secret", strength=128, canCopy=0)
    )
    assert shown(parse("a.pdf", opens)) == [("paragraph", 0, "words")]


def test_modern_locks_are_named() -> None:
    # What a file locked with AES looks like from outside; there is nothing here to lock one with.
    keys = b"/O(%b)/U(%b)/OE(%b)/UE(%b)/Perms(%b)" % (b"o" * 48, b"u" * 48, b"e" * 32, b"f" * 32, b"p" * 16)
    crypt = b"/CF<</StdCF<</CFM/AESV3/AuthEvent/DocOpen/Length 32>>>>/StmF/StdCF/StrF/StdCF"
    lock = b"<</Filter/Standard/V 5/R 6/Length 256/P -4%b%b>>" % (keys, crypt)
    # With or without a library beside pypdf that can take such a lock off.
    assert reason(made([CATALOG, TREE], extra=b"/Encrypt " + lock)) in (
        "is encrypted with AES; save a copy without encryption",
        "is protected by a password; save a copy without one",
    )


def test_pictures() -> None:
    def draw(canvas: Canvas) -> None:
        picture = ImageReader(Image.new("RGB", (9, 9), "red"))
        for _ in range(3):
            canvas.drawImage(picture, 0, 0, 100, 100)
            canvas.showPage()

    said = "has no text layer (3 pages of pictures, or empty); have its text recognized (OCR) and save that"
    assert reason(drawn(draw)) == said
    assert "has no text layer (1 page of" in reason(drawn(lines("")))
    assert "has no text layer" in reason(drawn(lines("---", "...")))


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>stream\n%b\nendstream" % (len(content), entries, content)


def made(objects: Sequence[bytes], *, root: int = 1, extra: bytes = b"") -> bytes:
    """Return a PDF with these objects, numbered from 1."""
    data = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer<</Size %d/Root %d 0 R%b>>\nstartxref\n%d\n%%%%EOF"
    return data + end % (len(objects) + 1, table, len(objects) + 1, root, extra, len(data))


FONT = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources %b>>"
CATALOG, TREE = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
SHOW = b"BT /F1 12 Tf 72 700 Td (words of it) Tj ET\n"


def with_content(content: bytes, entries: bytes = b"", *more: bytes, resources: bytes = FONT) -> bytes:
    return made([CATALOG, TREE, PAGE % resources, stream(content, entries), *more])


def test_a_file_by_hand() -> None:
    assert shown(parse("a.pdf", with_content(SHOW))) == [("paragraph", 0, "words of it")]
    packed = zlib.compress(SHOW)
    assert shown(parse("a.pdf", with_content(packed, b"/Filter/FlateDecode"))) == [
        ("paragraph", 0, "words of it")
    ]


def packed_zeros(size: int, times: int = 1) -> bytes:
    data = b" " * size
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data


FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
DRAWS = b"<</XObject<</X %d 0 R>>>>"
PACKED = b"/Type/ObjStm/N 2/First 8/Extends 3 0 R"
OUTLINE = b"<</Title(words)/Dest[3 0 R/Fit]/Next 6 0 R/First 5 0 R>>"


def doubling_forms() -> bytes:
    """Return a file in which each of forty forms draws the next one twice."""
    forms = [stream(b"/X Do /X Do", FORM + b"/Resources" + DRAWS % number) for number in range(6, 46)]
    last = stream(SHOW, FORM + b"/Resources " + FONT)
    return with_content(b"/X Do", b"", *forms, last, resources=DRAWS % 5)


def tree(branch: bytes, *more: bytes) -> bytes:
    return made([CATALOG, b"<</Type/Pages/Kids[%b>>" % branch, *more])


HOSTILE: dict[str, bytes] = {
    "a tree that is its own branch": tree(b"2 0 R]/Count 1"),
    "two branches in a ring": tree(b"3 0 R]/Count 1", b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 1>>"),
    "a page many times": tree(b"3 0 R " * 99_000 + b"]/Count 99000", PAGE % FONT, stream(SHOW * 100)),
    "an untrue count": tree(b"3 0 R]/Count 999999999", PAGE % FONT, stream(SHOW)),
    "a table before itself": made([CATALOG, TREE, PAGE % FONT, stream(SHOW)], extra=b"/Prev 9"),
    "an object that is itself": made([CATALOG, b"2 0 R"]),
    "objects packed in themselves": tree(b"3 0 R]/Count 1", stream(b"3 0 2 0 <<>> <<>>", PACKED)),
    "a form that draws itself": with_content(
        b"/X Do", b"", stream(b"/X Do " + SHOW, FORM + b"/Resources" + DRAWS % 5), resources=DRAWS % 5
    ),
    "forms that double": doubling_forms(),
    "a gigabyte packed": with_content(packed_zeros(1 << 30), b"/Filter/FlateDecode"),
    "packed twice": with_content(packed_zeros(1 << 28, 2), b"/Filter[/FlateDecode/FlateDecode]"),
    "run lengths": with_content(b"\x81 " * 4_000_000, b"/Filter/RunLengthDecode"),
    "deep arrays": with_content(b"[" * 500_000 + SHOW),
    "deep objects": made([CATALOG, b"[" * 200_000]),
    "deep dictionaries": made([b"<</A" * 100_000]),
    "an endless string": with_content(b"BT /F1 12 Tf (" + b"(" * 2_000_000),
    "an endless name": with_content(b"/" + b"a" * 5_000_000),
    "a long number": tree(b"3 0 R]/Count " + b"9" * 100_000),
    "saved states": with_content(b"q " * 1_000_000 + SHOW),
    "huge letters": with_content(b"BT /F1 1e38 Tf 1e38 0 0 1e38 1e38 1e38 Tm (words) Tj ET"),
    "no numbers": with_content(b"BT /F1 (a) Tf (b) (c) Td 0 0 0 0 0 0 Tm (words) Tj ET"),
    "an outline in a ring": made(
        [
            b"<</Type/Catalog/Pages 2 0 R/Outlines 5 0 R>>",
            *(TREE, PAGE % FONT, stream(SHOW), b"<</First 6 0 R/Last 6 0 R>>", OUTLINE),
        ]
    ),
    "many words": with_content(SHOW * 100_000),
}


@pytest.fixture(scope="module")
def impatient() -> Iterator[Confined]:
    """Return a child that gives up sooner than the one that serves."""
    confined = Confined(cpu_seconds=5)
    yield confined
    confined.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, impatient: Confined) -> None:
    """A file made to harm is read, or named with the reason, in a bounded time."""
    try:
        said = impatient.read("pdf", HOSTILE[name]).text
    except UnreadableDocument as error:
        said = str(error)
    assert said
    assert "signal" not in said


def test_what_is_no_pdf() -> None:
    assert reason(b"") == "is empty"
    assert reason(b"words").startswith("is no PDF or a damaged one")
    assert reason(b"%PDF-1.4\n%%EOF").startswith("is no PDF or a damaged one")
    assert reason(sample()[:200]).startswith("is no PDF or a damaged one")


def test_fonts_that_do_not_say_their_letters() -> None:
    private = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/X/ToUnicode 5 0 R>>>>>>"
    table = b"1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <00> <FF> <E000> endbfrange"
    cmap = stream(b"/CIDInit /ProcSet findresource begin begincmap " + table + b" endcmap end")
    assert "has fonts that do not say which letters they show" in reason(
        with_content(SHOW, b"", cmap, resources=private)
    )


def test_groups_know_their_words() -> None:
    group = Group([Line("one", 0, 0, 0, 10), Line("two", 0, 0, 0, 10)])
    assert (group.words, group.marker(), group.is_code()) == ("one two", 0, False)
