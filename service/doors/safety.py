"""What browsers may do with our pages: run our scripts, show our styles, ask this server, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'"
)
"""For a page that shows a document."""

ASKING = f"{STRICT}; connect-src 'self'; img-src 'self'; trusted-types 'none'"
"""For a page that asks, too."""

DESCRIBING = (
    # Swagger UI writes styles into its elements and draws with images in its style sheet.
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""For the description of the interface."""


def page_headers(policy: str, frame_ancestors: Sequence[str]) -> dict[str, str]:
    """Return the headers of a page under `policy`, which the pages of these origins may show in a frame."""
    ancestors = " ".join(frame_ancestors) or "'none'"
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    # Browsers that know no frame-ancestors know this; it has no way to name an origin.
    return headers if frame_ancestors else headers | {"X-Frame-Options": "DENY"}
