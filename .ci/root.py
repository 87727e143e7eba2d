#!/usr/bin/env python3.11
"""Lays the root of the image into a new folder.

    .ci/root.py FOLDER

The running Python, the system libraries that it and /opt/pullquote load, and what they are told in /etc. No
shell, no package manager. Runs in the build stage, on Debian; `ldd` says what is loaded, `dpkg` whose it is,
and the packages are named in /var/lib/dpkg/status.d, where scanners look for them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from slim import compiled

PRODUCT = Path("/opt/pullquote")

UNUSED = (
    # Tests, editors, drawing, builds of C modules, and the installer of pip.
    *(
        "config-*",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "tkinter",
        "turtledemo",
    ),
    *(
        "__pycache__",
        "tests",
        "_test*.so",
        "_ctypes_test*.so",
        "_tkinter*.so",
        "_xx*.so",
        "xx*.so",
        "macholib",
    ),
    *("_bootsubprocess.py", "turtle.py", "pydoc_data"),
    # Editing at a terminal, sound, a directory service: each would bring libraries that nothing else loads.
    *("readline*.so", "_curses*.so", "ossaudiodev*.so", "nis*.so"),
)
"""Names in the standard library that no server needs."""

FILES = {
    "etc/passwd": "root:x:0:0:root:/nonexistent:/none\npullquote:x:10001:10001:pullquote:/tmp:/none\n",
    "etc/group": "root:x:0:\npullquote:x:10001:\n",
    # Names of machines are looked up in /etc/hosts and then by DNS, should anything ever be looked up.
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/ld.so.conf": "/usr/local/lib\n",
}


def main() -> None:
    """Lay the root that the command line names."""
    root = Path(sys.argv[1])
    for folder in (
        "usr/local/bin",
        "usr/lib",
        "usr/lib64",
        "etc",
        "var/lib/dpkg/status.d",
        "dev",
        "proc",
        "sys",
    ):
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "lib64").symlink_to("usr/lib64")
    # Open to any user, as `docker run --user` may name one; a new volume takes this mode over.
    for folder in ("tmp", "data"):
        (root / folder).mkdir()
        (root / folder).chmod(0o1777)
    lay_python(root)
    libraries = loaded([*elves(root / "usr/local"), *elves(PRODUCT)])
    for library in libraries:
        into = root / library.relative_to("/")
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library.resolve(), into)
    name_packages(libraries, root)
    shutil.copy2(Path("/etc/os-release").resolve(), root / "etc/os-release")
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    # Without its cache the loader does not look into /usr/local/lib.
    subprocess.run(["/sbin/ldconfig", "-r", str(root)], check=True)


def lay_python(root: Path) -> None:
    """Copy the interpreter and its library, as bytecode."""
    standard = Path(sysconfig.get_path("stdlib"))
    into = root / "usr/local/lib" / standard.name
    shutil.copytree(standard, into, ignore=shutil.ignore_patterns(*UNUSED))
    compiled(into)
    # Where a plain interpreter looks for packages; there are none beside the environment's.
    (into / "site-packages").mkdir()
    for library in Path(sys.base_prefix, "lib").glob("libpython3.*.so.*"):
        shutil.copy2(library, root / "usr/local/lib")
    shutil.copy2(
        Path(sys.base_prefix, "bin", standard.name).resolve(), root / "usr/local/bin" / standard.name
    )
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(standard.name)


def elves(folder: Path) -> list[Path]:
    """Return the programs and libraries under `folder`."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and (".so" in path.name or os.access(path, os.X_OK)):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def loaded(files: list[Path]) -> list[Path]:
    """Return the system's libraries that `files` load, the loader among them. Ends where one is missing."""
    own = {path.name for path in files}
    found = set()
    for file in files:
        said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        missing = {one for one in re.findall(r"(\S+) => not found", said) if one not in own}
        if missing:
            sys.exit(
                f"{file} needs {', '.join(sorted(missing))}, which is not here; install it in the build stage"
            )
        found |= {Path(one) for one in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE)}
    return sorted(
        one for one in found if not one.is_relative_to("/usr/local") and not one.is_relative_to(PRODUCT)
    )


def name_packages(libraries: list[Path], root: Path) -> None:
    """Write whose the libraries are: what Debian's packages say of themselves, and their terms."""
    names = set()
    for library in libraries:
        # Where /lib is a link, a package may name its files with or without /usr.
        places = {
            library,
            library.resolve(),
            *(Path(str(one).removeprefix("/usr")) for one in (library, library.resolve())),
        }
        for place in sorted(places):
            done = subprocess.run(
                ["dpkg-query", "--search", str(place)], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                names.add(done.stdout.partition(": ")[0].partition(",")[0])
                break
        else:
            sys.exit(f"no package of Debian has {library}; what it is under is not known")
    for name in sorted(names):
        about = subprocess.run(
            ["dpkg-query", "--status", name], capture_output=True, text=True, check=True
        ).stdout
        plain = name.partition(":")[0]
        (root / "var/lib/dpkg/status.d" / plain).write_text(about, encoding="utf-8")
        terms = Path("/usr/share/doc", plain, "copyright")
        (root / terms.parent.relative_to("/")).mkdir(parents=True)
        shutil.copy2(terms.resolve(), root / terms.relative_to("/"))


if __name__ == "__main__":
    main()
