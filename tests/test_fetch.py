"""Documents of other projects: only the pinned archive is unpacked, and nothing of it beside the folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.quality import fetch
from benchmarks.quality.fetch import Failed
from benchmarks.quality.projects import Project

NOWHERE = "http://127.0.0.1:9"
"""Nothing answers here: an archive that is there is not asked for again."""


def packed(files: Mapping[str, str], *more: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in more:
            archive.addfile(member)
    return content.getvalue()


def linked(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def pinned(content: bytes, *, files: int = 1, origin: str = "pypi", without: tuple[str, ...] = ()) -> Project:
    sha256 = hashlib.sha256(content).hexdigest()
    return Project("projects", "loom", "1.0", origin, sha256=sha256, files=files, without=without)


def fetched(folder: Path, project: Project, content: bytes) -> list[str]:
    """Put an archive where downloads are kept, fetch, and return the documents that there are then."""
    kept = folder / fetch.ARCHIVES / project.archive
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    count = fetch.fetch(project, folder, index=NOWHERE, registry=NOWHERE)
    target = fetch.documents(folder, project)
    found = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert count == len(found)
    return found


def test_only_markdown_is_taken_and_keeps_its_path(tmp_path: Path) -> None:
    files = {
        "loom-1.0/README.md": "# Löom",
        "loom-1.0/docs/a/b.md": "b\r\n",
        "loom-1.0/setup.py": "",
        "loom-1.0/specs/draft.md": "",
        "loom-1.0/AGENTS.md": "",
    }
    inside = linked("loom-1.0/docs/link.md", "../README.md")
    content = packed(files, inside)
    project = pinned(content, files=2, without=("specs", "AGENTS.md"))
    assert fetched(tmp_path, project, content) == ["README.md", "docs/a/b.md"]
    assert (tmp_path / "projects/loom/docs/a/b.md").read_bytes() == b"b\r\n"


def test_another_checksum_is_refused(tmp_path: Path) -> None:
    project = pinned(packed({"loom-1.0/README.md": "as pinned"}))
    other = packed({"loom-1.0/README.md": "another"})
    with pytest.raises(
        Failed, match=f"SHA-256 is {hashlib.sha256(other).hexdigest()}, expected {project.sha256}"
    ):
        fetched(tmp_path, project, other)
    assert not (tmp_path / "projects").exists()


@pytest.mark.parametrize(
    "name", ["../out.md", "loom-1.0/../out.md", "/out.md", "a/../../out.md", r"a\..\out.md"]
)
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    content = packed({"loom-1.0/README.md": "", name: ""})
    with pytest.raises(Failed, match="would lead out of the folder"):
        fetched(tmp_path, pinned(content, files=2), content)
    assert not (tmp_path / "projects").exists()
    assert not list(tmp_path.rglob("out.md"))


@pytest.mark.parametrize(
    "link",
    [
        linked("loom-1.0/docs", "/etc"),
        linked("loom-1.0/docs", "../../elsewhere"),
        linked("loom-1.0/docs.md", "../out.md", tarfile.LNKTYPE),
    ],
)
def test_a_link_that_leads_out_is_refused(tmp_path: Path, link: tarfile.TarInfo) -> None:
    content = packed({"loom-1.0/README.md": ""}, link)
    with pytest.raises(Failed, match="would lead out of the folder"):
        fetched(tmp_path, pinned(content), content)
    assert not (tmp_path / "projects").exists()


def test_documents_that_are_not_of_the_archive_are_named(tmp_path: Path) -> None:
    content = packed({"loom-1.0/README.md": ""})
    (tmp_path / "projects/loom").mkdir(parents=True)
    (tmp_path / "projects/loom/old.md").write_text("")
    with pytest.raises(Failed, match="holds 2 Markdown files, 1 of them"):
        fetched(tmp_path, pinned(content), content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"files": [{"url": "https://files.example/p/loom-1.0.tar.gz"}]}', fetch.SIMPLE),
        (b'<a href="../p/loom-1.0.whl">w</a> <a href="/p/loom-1.0.tar.gz#sha256=0">s</a>', "text/html"),
    ],
)
def test_an_index_may_answer_in_json_or_html(
    monkeypatch: pytest.MonkeyPatch, content: bytes, kind: str
) -> None:
    monkeypatch.setattr(fetch, "download", lambda *_: (content, kind))
    found = fetch.address(pinned(b""), "https://files.example/simple/", NOWHERE)
    assert found == "https://files.example/p/loom-1.0.tar.gz"


def test_an_archive_of_npm_has_a_known_address() -> None:
    found = fetch.address(pinned(b"", origin="npm"), NOWHERE, "https://npm.example/")
    assert found == "https://npm.example/loom/-/loom-1.0.tgz"


def test_a_failure_says_what_to_do_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = packed({"loom-1.0/README.md": ""})
    good = pinned(content)
    kept = tmp_path / fetch.ARCHIVES / good.archive
    kept.parent.mkdir()
    kept.write_bytes(content)
    bad = Project("packages", "warp", "2.0", "npm", sha256="0" * 64, files=1)
    monkeypatch.setattr(fetch, "PROJECTS", (bad, good))
    assert fetch.main([str(tmp_path), "--index", NOWHERE, "--registry", NOWHERE]) == 1
    said = capsys.readouterr().err
    assert "warp 2.0: FAILED: http://127.0.0.1:9/warp/-/warp-2.0.tgz could not be downloaded" in said
    assert "put the archive into the folder archives by hand" in said
    assert "loom 1.0: 1 documents" in said
    assert fetch.incomplete(tmp_path) == ["warp"]
