"""Pages of another origin: what somebody else's site serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = {".js": "text/javascript", ".mjs": "text/javascript"}


@contextmanager
def served(pages: Mapping[str, str | Path], headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """Give the address of a server of texts and files by their paths.

    It is a real one: a browser lets pages that came from nowhere ask nothing of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", TYPES.get(Path(self.path).suffix, "text/html; charset=utf-8"))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if found is not None:
                self.wfile.write(found.read_bytes() if isinstance(found, Path) else found.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
