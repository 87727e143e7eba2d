"""What is quoted, by how a document is built: lists, tables, options, sections, containers, headings."""

from __future__ import annotations

import pytest

from service.answer import Answer, NotFound, ask
from tests.indexed import Indexed, words_of

pytest_plugins = ("tests.indexed",)

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


FUNCTIONS = b"""<title>finch</title><h1>finch</h1><dl>
<dt>finch.pack(things, *, depth=False, ascii_only=True, check_circles=True, allow_none=True, kind=None,
indent=None, separators=None, sort_names=False, **others)</dt>
<dd>Write the things as one line of text. The other arguments are those of pack_all. Things of finch that were
packed once are never packed again.</dd>
<dt>finch.pack_all(things)</dt><dd><p>Write every thing as a line of its own.</p><ul><li>One</li></ul></dd>
</dl>"""


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("What does finch.pack do?", "Write the things as one line of text."),
        ("What does finch.pack_all do?", "Write every thing as a line of its own."),
    ],
)
def test_functions(indexed: Indexed, question: str, quote: str) -> None:
    """What stands first beside a function says what it does, however long its signature is."""
    index = indexed({"finch.html": FUNCTIONS})
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
