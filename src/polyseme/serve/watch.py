"""A run that trains, followed from afar: the lines of metrics.jsonl behind a place, whole ones alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MOST", "lines_after"]

MOST = 1 << 20
"""Bytes of one answer; a reader asks again from where it ended."""


def lines_after(file: Path, after: int) -> tuple[bytes, int]:
    r"""The whole lines of a file that begin behind a byte, and the byte to ask from next.

    A last line without its end is left for later. Where the file is shorter than `after`, it is another one by now:
    it is read from its beginning.

    Args:
        after: what the last call said; 0 at first.
    """
    try:
        size = file.stat().st_size
    except OSError:
        return b"", 0
    start = after if 0 <= after <= size else 0
    with file.open("rb") as opened:
        opened.seek(start)
        read = opened.read(MOST)
    whole = read[: read.rfind(b"\n") + 1]
    return whole, start + len(whole)
