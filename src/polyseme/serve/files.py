"""The page's files as they are built: a dict of what there is, so that no path of the disk is made of a request's.

An ETag goes with each, and no-cache: a browser asks each time whether a file is still the same, so that after an
upgrade the page is never half old.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from polyseme.serve.calls import Answer

__all__ = ["PageFiles"]

FOLDER = Path(__file__).with_name("static")
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFiles:
    """Those of one folder, read when they are first asked.

    Args:
        folder: what `npm run build` wrote.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        self._files = {
            f"/static/{file.name}": file for file in files if file.suffix in MEDIA and file.is_file()
        }
        if "/static/index.html" in self._files:
            self._files["/"] = self._files.pop("/static/index.html")
        self._read: dict[str, tuple[bytes, str]] = {}

    def has(self, path: str) -> bool:
        """Whether a request's path is one of them."""
        return path in self._files

    def answer(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        """The file; or 304 where the browser has it as it is."""
        if path not in self._read:
            content = self._files[path].read_bytes()
            self._read[path] = content, f'"{sha256(content).hexdigest()[:32]}"'
        content, tag = self._read[path]
        shown = {"etag": tag, "cache-control": "no-cache"}
        known = [value.decode("latin-1") for name, value in headers if name.lower() == b"if-none-match"]
        media = MEDIA[self._files[path].suffix]
        if any(tag in value for value in known):
            return Answer(b"", 304, {**shown, "content-length": str(len(content))}, media)  # that of 200
        return Answer(content, headers=shown, media=media)
