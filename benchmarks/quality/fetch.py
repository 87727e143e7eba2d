"""Fetches the documents of the sets that do not come with the project: Markdown out of pinned distributions.

    python benchmarks/quality/fetch.py FOLDER [--index URL] [--registry URL]

They are other people's documents under their own licences, so they do not come with the project. FOLDER then
holds a folder for each set, `training/` and `archives/`, and is what run.py and fit.py take as `--projects`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import URLError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality.projects import PROJECTS, Project

PYPI = "https://pypi.org/simple"
NPM = "https://registry.npmjs.org"

ARCHIVES = "archives"

PATIENCE_SECONDS = 60
MOST_BYTES = 200_000_000
"""No archive is nearly as large; a download that is more has gone wrong."""

SIMPLE = "application/vnd.pypi.simple.v1+json"
say = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


class Failed(Exception):
    """The documents of a project could not be fetched; the message says why and what to do."""


# ---------------------------------------------------------------- what is in the folder


def documents(folder: Path, project: Project) -> Path:
    """Return where a project's documents lie in a folder that is made here."""
    return folder / project.set / project.folder


def incomplete(folder: Path) -> list[str]:
    """Return the names of the projects whose documents are not all in a folder."""
    return [one.name for one in PROJECTS if _count(documents(folder, one)) != one.files]


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*.md"))


# ---------------------------------------------------------------- out of an archive


def checked(project: Project, content: bytes, origin: str) -> bytes:
    """Return the content of an archive that came from `origin`. Raises Failed if it is not the pinned one."""
    found = hashlib.sha256(content).hexdigest()
    if found != project.sha256:
        raise Failed(
            f"{origin} is not the pinned {project.archive}: its SHA-256 is {found}, expected "
            f"{project.sha256}. Nothing of it was used. If it is a file, remove it and try again; if a "
            "mirror served it, try again with --index or --registry"
        )
    return content


def markdown(project: Project, content: bytes) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield path and bytes of each Markdown file in an archive, the paths below the archive's one folder.

    Raises Failed at a member whose name or link leads out of the archive's folder.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                _refuse_unsafe(project, member)
                inner = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                left_out = any(inner.is_relative_to(one) for one in project.without)
                if inner.suffix == ".md" and member.isfile() and not left_out:
                    taken = archive.extractfile(member)
                    yield inner, taken.read() if taken else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Failed(f"{project.archive} cannot be unpacked: {error}. Remove it and try again") from error


def _refuse_unsafe(project: Project, member: tarfile.TarInfo) -> None:
    names = [member.name]
    if member.issym():
        names.append(str(PurePosixPath(member.name).parent / member.linkname))
    elif member.islnk():
        names.append(member.linkname)
    for name in names:
        if _leads_out(name):
            raise Failed(
                f"{project.archive} holds {member.name!r}, which would lead out of the folder ({name!r}). "
                "Nothing was written. Do not use this archive"
            )


def _leads_out(name: str) -> bool:
    """Return whether a path is absolute, on any system, or climbs out of its first folder."""
    depth = 0
    for part in PurePosixPath(name).parts:
        depth += -1 if part == ".." else 1
        if depth < 1:
            return True
    return name.startswith("/") or "\\" in name or ":" in name.partition("/")[0]


def unpack(project: Project, content: bytes, folder: Path) -> int:
    """Return how many documents were written below `folder`; none if the archive is refused."""
    found = list(markdown(project, content))
    if len(found) != project.files:
        raise Failed(
            f"{project.archive} holds {len(found)} Markdown files that are wanted, {project.files} were "
            "expected. Nothing was written. Correct PROJECTS in benchmarks/quality/fetch.py"
        )
    target = documents(folder, project)
    for inner, written in found:
        path = target / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written)
    if (there := _count(target)) != project.files:
        raise Failed(
            f"{target} holds {there} Markdown files, {project.files} of them from {project.archive}. "
            "Remove that folder and try again"
        )
    return len(found)


# ---------------------------------------------------------------- over the network


@cache
def default_index() -> str:
    """Return the package index that pip is set to, or PyPI."""
    if given := os.environ.get("PIP_INDEX_URL"):
        return given
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (asked.stdout.strip() if asked.returncode == 0 else "") or PYPI


def address(project: Project, index: str | None, registry: str) -> str:
    """Return where the archive of a project is to be had; without an index, in the one that pip is set to."""
    if project.origin == "npm":
        return f"{registry.rstrip('/')}/{project.name}/-/{project.archive}"
    page = f"{(index or default_index()).rstrip('/')}/{project.name}/"
    if urlsplit(page).username is not None:
        raise Failed(f"the package index asks for a name and a password; try --index {PYPI}")
    content, kind = download(page, f"{SIMPLE}, text/html;q=0.1")
    for link in _links(content, kind, page):
        if unquote(urlsplit(link).path).rpartition("/")[2] == project.archive:
            return urldefrag(link).url
    raise Failed(
        f"{page} does not list {project.archive}. Try --index {PYPI}, or put the file into the folder "
        f"{ARCHIVES} by hand and try again"
    )


def _links(content: bytes, kind: str, page: str) -> list[str]:
    """Return the addresses of the files that a page of an index lists, in JSON or in HTML."""
    if "json" in kind:
        try:
            return [urljoin(page, one["url"]) for one in json.loads(content)["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(f"{page} is no page of a package index: {error!r}. Try --index {PYPI}") from error
    anchors = _Anchors()
    anchors.feed(content.decode("utf-8", "replace"))
    return [urljoin(page, one) for one in anchors.found]


class _Anchors(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a link."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def download(url: str, accept: str = "*/*") -> tuple[bytes, str]:
    """Return what is at an address, and its content type."""
    try:
        with urlopen(Request(url, headers={"Accept": accept}), timeout=PATIENCE_SECONDS) as reply:
            content = reply.read(MOST_BYTES + 1)
            kind = str(reply.headers.get("Content-Type", ""))
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise Failed(
            f"{url} could not be downloaded: {error}. Look at the network, or put the archive into the "
            f"folder {ARCHIVES} by hand, and try again"
        ) from error
    if len(content) > MOST_BYTES:
        raise Failed(f"{url} is larger than {MOST_BYTES} bytes and was not read to its end; try a mirror")
    return content, kind


def fetch(project: Project, folder: Path, *, index: str | None, registry: str) -> int:
    """Return how many documents of a project now lie in a folder; an archive that is there is used."""
    kept = folder / ARCHIVES / project.archive
    if kept.is_file():
        content = checked(project, kept.read_bytes(), str(kept))
    else:
        url = address(project, index, registry)
        say.print(f"{project.name} {project.version}: from {url}")
        content = checked(project, download(url)[0], url)
        kept.parent.mkdir(parents=True, exist_ok=True)
        half = kept.with_suffix(".part")
        half.write_bytes(content)
        half.replace(kept)
    return unpack(project, content, folder)


def main(given: list[str] | None = None) -> int:
    """Fetch every project; return 0, or 1 when one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="made if it is not there")
    parser.add_argument("--index", help=f"package index for Python (default: pip's own, else {PYPI})")
    parser.add_argument("--registry", help=f"registry of npm packages (default: {NPM})")
    chosen = parser.parse_args(given)
    registry = chosen.registry or os.environ.get("NPM_CONFIG_REGISTRY") or NPM
    failed = []
    for project in PROJECTS:
        try:
            count = fetch(project, chosen.folder, index=chosen.index, registry=registry)
            say.print(f"{project.name} {project.version}: {count} documents")
        except (Failed, OSError) as error:
            failed.append(project.name)
            say.print(f"{project.name} {project.version}: FAILED: {error}.")
    if failed:
        say.print(f"{len(failed)} of {len(PROJECTS)} failed: {', '.join(failed)}. What is there is kept.")
        return 1
    say.print(f"All {len(PROJECTS)} are in {chosen.folder}; give it to run.py and fit.py as --projects.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
