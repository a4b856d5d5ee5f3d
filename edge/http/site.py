"""The page's files, as they are answered to a browser: from memory, with what a browser may do with them.

The policy (CSP) lets the page use nothing but its own host: no script in the document, no other host, no frame around
it. A file's ETag is a digest of its bytes, so a browser asks each time and is sent only what has changed.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "www"
INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str

    @property
    def headers(self) -> dict[str, str]:
        """All that are sent with it."""
        return {**HEADERS, "Content-Type": self.media_type, "ETag": self.etag}


def read_site(folder: Path = FOLDER) -> dict[str, File]:
    """The files by the path under which they are asked for; `/` is the document."""
    found = {}
    for path in sorted(folder.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is not None and path.is_file():
            body = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            found["/" if name == INDEX else f"/{name}"] = File(body, media_type, etag)
    return found
