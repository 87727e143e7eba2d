"""Finding and quoting answers with the real model: each mechanism's hard case, as a law where it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Span
from corpus.sentences import IN_BACKTICKS, sentences
from index.cross_encoder import CrossEncoder
from index.encoder import EncoderError, Encoding, OnnxEncoder
from index.shapes import asks_list, defines, is_yes_no
from index.synonyms import FOUND, synonyms
from service.answer import Answer, NotFound, Reply, ask
from service.finding import Index
from tests.laws.corpora import made

ROOT = Path(__file__).resolve().parents[1]
ARTICLE = (ROOT / "corpus/texts/pytorch-vs-tensorflow.md").read_bytes()
OTHER = (
    b"# Bread\n\nRye bread keeps for a week in a linen bag. The oven is heated to 240 degrees for an hour.\n"
)

Indexed = Callable[[dict[str, bytes]], Index]

NAMES = [
    ("Quillon", "Marbeck"),
    ("Zephyr", "Cobalt"),
    ("Nimbus Mail", "Carrier"),
    ("PyTorch", "TensorFlow"),
    ("Otter", "Heron"),
]


@pytest.fixture(scope="module")
def encoder(exported_encoder: Path) -> OnnxEncoder:
    return OnnxEncoder(exported_encoder)


@pytest.fixture(scope="module")
def indexed(encoder: OnnxEncoder, tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    """Return what makes an Index of some files, each set of files once."""
    pairs = CrossEncoder()
    held: dict[tuple[tuple[str, bytes], ...], Index] = {}

    def index(files: dict[str, bytes]) -> Index:
        key = tuple(sorted(files.items()))
        if key not in held:
            snapshot = made(files, tmp_path_factory.mktemp("index") / "one", encoder=encoder)
            held[key] = Index(snapshot, encoder, pairs)
        return held[key]

    return index


class Broken(OnnxEncoder):
    """An encoder that encodes no question."""

    def encode_questions(self, _: Sequence[str]) -> list[Encoding]:
        raise EncoderError("out of order")


def words_of(index: Index, reply: Reply) -> list[str]:
    """Return the quotes of the answer, or of the best one that was refused."""
    snapshot = index.snapshot
    answer = reply.verdict if isinstance(reply.verdict, Answer) else reply.alternatives[0]
    return [
        place.span.of(snapshot.text(snapshot.document_of(place.passage)))
        for place in answer.places
        if place.role == "answer"
    ]


def compared(one: str, other: str) -> bytes:
    return (
        f"# {one} and {other}\n\n{one} and {other} are two tools for the same work.\n\n"
        f"| Feature | {one} | {other} |\n|---|---|---|\n"
        "| Developer | Orla Labs | Tern Institute |\n"
        "| License | MIT | Apache 2.0 |\n"
        "| First release | 2011 | 2014 |\n\n"
        f"## Storage\n\n{one} keeps its state in a single file, while {other} spreads it over many servers.\n"
    ).encode()


@pytest.mark.parametrize("names", NAMES, ids="-".join)
@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("Who developed {}?", "Orla Labs", "Tern Institute"),
        ("What license does {} have?", "MIT", "Apache 2.0"),
        ("When was the first release of {}?", "2011", "2014"),
        ("Where does {} keep its state?", "a single file", "many servers"),
    ],
)
def test_swapped(indexed: Indexed, names: tuple[str, str], question: str, first: str, second: str) -> None:
    """Swapping two products in question and document swaps the answer; it never holds the other's."""
    for one, other in (names, names[::-1]):
        index = indexed({"tools.md": compared(one, other)})
        for asked, right, wrong in ((one, first, second), (other, second, first)):
            found = " ".join(words_of(index, ask(index, question.format(asked))))
            assert right in found, (asked, found)
            assert wrong not in found, (asked, found)


QUESTIONS = [
    "Who developed PyTorch?",
    "When was TensorFlow released?",
    "Which industries prefer PyTorch?",
    "What is TensorBoard used for?",
    "What is the capital of France?",
    "How do I install PyTorch with conda?",
    "how many people work at Google Brain",
    "Does TensorFlow run on a Commodore 64?",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_unrelated(indexed: Indexed, question: str) -> None:
    """An unrelated document turns no answer into a refusal and no refusal into an answer."""
    alone, both = indexed({"a.md": ARTICLE}), indexed({"a.md": ARTICLE, "bread.md": OTHER})
    before, after = ask(alone, question), ask(both, question)
    assert isinstance(before.verdict, Answer) == isinstance(after.verdict, Answer)
    if isinstance(before.verdict, Answer):
        assert words_of(alone, before) == words_of(both, after)


@pytest.mark.parametrize("question", QUESTIONS)
def test_duplicated(indexed: Indexed, question: str) -> None:
    """A document kept twice answers and refuses what it does alone, and no passage is shown twice."""
    alone, twice = indexed({"a.md": ARTICLE}), indexed({"a.md": ARTICLE, "b.md": ARTICLE})
    before, after = ask(alone, question), ask(twice, question, top_k=50)
    assert isinstance(before.verdict, Answer) == isinstance(after.verdict, Answer)
    if isinstance(before.verdict, Answer):
        assert words_of(alone, before) == words_of(twice, after)
    assert len(after.hits) <= alone.snapshot.passages


MANUAL = b"""# Marl

Marl is a small tool that keeps notes in plain files.

## Configuration

To write a default configuration file:

```
marl config --write
```

Marl reads these formats:

- TOML
- YAML
- JSON files

## Options

| Option | Meaning |
|---|---|
| retry_count | How often a failed save is tried again. Default: 7 |
| colour | What is shown in colour. Default: never |

## Is it safe to kill Marl?

Yes. Every note is written to a second file first.

## 3.2.0 - 2024-06-03

- Faster start.

## Licence

All rights reserved. Marl, its notes and its configuration are subject to change without notice.
"""


@pytest.mark.parametrize(
    ("question", "quotes"),
    [
        ("How do I write a default configuration file?", ["marl config --write"]),
        ("Which formats does Marl read?", ["TOML", "YAML", "JSON files"]),
        ("what is the default of retry_count", ["Default: 7"]),
        ("When was 3.2.0 released?", ["3.2.0 - 2024-06-03"]),
        ("What is Marl?", ["Marl is a small tool that keeps notes in plain files."]),
    ],
)
def test_quoted(indexed: Indexed, question: str, quotes: list[str]) -> None:
    """The command behind its lead-in, every item of a list, one sentence of a cell, a dated heading."""
    index = indexed({"marl.md": MANUAL})
    assert words_of(index, ask(index, question)) == quotes


def test_list_places(indexed: Indexed) -> None:
    """Each item of a list is a quotation of its own, in the order of the document, and one is enough else."""
    index = indexed({"marl.md": MANUAL})
    reply = ask(index, "Which formats does Marl read?")
    assert isinstance(reply.verdict, Answer)
    starts = [place.span.start for place in reply.verdict.places]
    assert starts == sorted(set(starts)) and len(starts) == 3
    assert len(words_of(index, ask(index, "Does Marl read YAML?"))) == 1


def test_no_part_of_a_list(indexed: Indexed) -> None:
    """A list that goes on in the next passage is never quoted in part, as though that were all of it."""
    items = [f"- {name}{number}" for number in range(21) for name in ("oak", "elm", "yew", "ash", "fig")]
    text = "# Marl\n\nMarl knows these trees:\n\n" + "\n".join(items) + "\n"
    index = indexed({"marl.md": text.encode()})
    assert index.snapshot.passages > 1
    for question in ("Which trees does Marl know?", "what are fig20 and ash20?"):
        assert len(words_of(index, ask(index, question))) == 1


@pytest.mark.parametrize("question", ["What is subject to change?", "are all rights reserved?"])
def test_boilerplate_asked_for(indexed: Indexed, question: str) -> None:
    """Boilerplate does not win because it names the subject; asked for, it is found."""
    index = indexed({"marl.md": MANUAL})
    assert any("rights" in one or "change" in one for one in words_of(index, ask(index, question)))
    assert not any("rights" in one for one in words_of(index, ask(index, "notes and configuration of Marl")))


@pytest.mark.parametrize("question", ["", "   ", "???", "hello", "thanks a lot!", "who are you", "😀"])
def test_not_a_question(indexed: Indexed, question: str) -> None:
    """What nobody asks of documents is refused as such."""
    assert ask(indexed({"a.md": ARTICLE}), question).verdict == NotFound("not_a_question")


OPTIONS = b"""# Options of Finch

* **maxBytes** `number` (optional) - How much is kept in memory at most. Default: `4096`.
* **hangup** `number` (optional) - Milliseconds after which a silent peer is let go. Default: `730`.
* **verbs** `string[]` (optional) - Requests that are sent again. Default: `['GET', 'HEAD']`.
"""


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("What is the default of maxBytes?", "Default: `4096`."),
        ("After how many milliseconds is a silent peer let go by default?", "Default: `730`."),
        ("Which requests are sent again by default?", "Default: `['GET', 'HEAD']`."),
    ],
)
def test_defaults(indexed: Indexed, question: str, quote: str) -> None:
    """A sentence of an item is about what the item begins with, and about no other item."""
    index = indexed({"finch.md": OPTIONS})
    assert words_of(index, ask(index, question)) == [quote]


FIELDS = b"""# crane.toml

## bundleFiles

This says which files are packed with the program.

Where all of them are wanted, write `*`. Alternatively, `bundleFiles` can be the number of a group.

## bundleFilesLater

That is read once the program has begun.

## retry-count

* Default: 7
* Type: Number

How often a broken download begins again.

## retry-pause

* Default: 30
* Type: Number

Seconds between two of them.
"""


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("What is bundleFiles for?", "This says which files are packed with the program."),
        ("what are bundle files?", "This says which files are packed with the program."),
        ("What is the default of retry-count?", "Default: 7"),
        ("What is the default of retry-pause?", "Default: 30"),
    ],
)
def test_sections_that_are_named_after_a_thing(indexed: Indexed, question: str, quote: str) -> None:
    """What stands first under a thing's name says what it is, however little of the name it repeats."""
    index = indexed({"crane.md": FIELDS})
    assert words_of(index, ask(index, question)) == [quote]


NOTES = b"""# Rook

Rook copies folders to a second disk every night.

!!! warning "Changed in 4.2"

    Links are followed, as files are.

Each copy is compared with the original in the morning.

=== "Linux"

    ```
    rook copy --nightly
    ```

=== "Windows"

    ```
    rook.exe schedule daily
    ```
"""


@pytest.mark.parametrize(
    ("question", "quotes"),
    [
        ("What was changed in Rook 4.2?", ["Links are followed, as files are."]),
        ("How do I start a nightly copy on Windows?", ["rook.exe schedule daily"]),
        ("How do I start a nightly copy on Linux?", ["rook copy --nightly"]),
    ],
)
def test_captions(indexed: Indexed, question: str, quotes: list[str]) -> None:
    """What an admonition or a tab is called counts for what stands in it; its notation is not quoted."""
    index = indexed({"rook.md": NOTES})
    assert words_of(index, ask(index, question)) == quotes


@pytest.mark.parametrize("other", ["4.2.7", "9.8.1"])
def test_a_version_that_no_document_has(indexed: Indexed, other: str) -> None:
    """What is said of one version is not told to whoever asks for another."""
    index = indexed({"rook.md": NOTES})
    assert isinstance(ask(index, "What was changed in Rook 4.2?").verdict, Answer)
    assert isinstance(ask(index, f"What was changed in Rook {other}?").verdict, NotFound)
    index = indexed({"rook.md": NOTES, "log.txt": f"rook-{other}.tar.gz was fetched at noon.".encode()})
    assert isinstance(ask(index, f"What was changed in Rook {other}?").verdict, NotFound)


@given(st.lists(st.sampled_from(["One is here. ", "See `a.b. Cd` now. ", "Call ``x! Y?`` then. ", "End"])))
@settings(max_examples=60)
def test_no_end_in_code(parts: list[str]) -> None:
    """No sentence ends between backticks."""
    text = "".join(parts)
    found = sentences(text, Span(0, len(text)))
    for code in IN_BACKTICKS.finditer(text):
        assert sum(one.start <= code.start() and code.end() <= one.end for one in found) == 1


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Which tools support mobile?", True),
        ("what are the limits", True),
        ("list the settings", True),
        ("Which retention rules does it know?", True),
        ("Which framework supports mobile?", False),
        ("what makes it faster", False),
        ("What does the light stand for?", False),
        ("what is a bus", False),
    ],
)
def test_asks_list(question: str, wanted: bool) -> None:
    """A plural behind "which" asks for several things; a verb that ends in s does not."""
    assert asks_list(question) is wanted


@given(st.sampled_from(sorted(FOUND)))
def test_synonyms(term: str) -> None:
    """No word is a synonym of itself, and the verbs of making are not each other's."""
    others = synonyms(term)
    assert others and term not in others
    assert "build" not in synonyms("write") and "author" in synonyms("write")


@pytest.mark.parametrize("aside", ["", " in the table", ", according to the article", ", answer now"])
def test_asides(indexed: Indexed, aside: str) -> None:
    """Where to look and how soon are no part of the subject."""
    index = indexed({"a.md": ARTICLE})
    reply = ask(index, f"Who made PyTorch{aside}?")
    assert isinstance(reply.verdict, Answer)
    assert words_of(index, reply) == ["Facebook AI Research"]


def test_shapes_of_questions() -> None:
    """What a thing is, is said by a sentence that begins with it; yes or no is asked by the verb in front."""
    answers = ["A lease is a time.", "The time of a lease is 120 s.", "lease: how long a worker holds a job"]
    under = [""] * 3
    assert defines("What is a lease?", answers, under).tolist() == [1, -1, 1]
    assert defines("lease?", answers, under).tolist() == [1, -1, 1]
    assert defines("How long is a lease?", answers, under).tolist() == [0, 0, 0]
    under = ["The lease", "leaseTime", "lease times"]
    assert defines("What are lease times used for?", ["It ends."] * 3, under).tolist() == [-1, 1, 1]
    assert is_yes_no("Does it run?") and is_yes_no("and can it fly") and not is_yes_no("What does it do?")


def test_asked_at_the_same_moment(indexed: Indexed) -> None:
    """Whoever else asks, and of which index, each reply is to the last bit the one that comes to it alone."""
    indexes = (indexed({"a.md": ARTICLE}), indexed({"bread.md": OTHER, "a.md": ARTICLE}))
    asked = [
        (index, f"{question}{end}") for index in indexes for question in QUESTIONS for end in ("", " tf")
    ]
    alone = [ask(index, question) for index, question in asked]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda one: ask(*one), asked * 2))
    for before, after in zip(alone * 2, together, strict=True):
        assert after.hits == before.hits
        assert (after.verdict, after.alternatives) == (before.verdict, before.alternatives)


def test_an_error_is_of_the_question_that_caused_it(indexed: Indexed, exported_encoder: Path) -> None:
    """Where one question of a batch cannot be understood, the others are answered."""
    index = indexed({"a.md": ARTICLE})
    broken = Index(index.snapshot, Broken(exported_encoder), index.pairs)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(ask, one, QUESTIONS[0]) for one in (index, broken, index, broken) * 4]
        errors = [one.exception() for one in waiting]
    assert [isinstance(one, EncoderError) for one in errors] == [False, True, False, True] * 4
