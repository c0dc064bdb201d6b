"""Stop strings in text that comes in pieces: never given out, found wherever a piece happens to end."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopFinder"]


class StopFinder:
    """Passes text on, holding back what may turn out to begin a stop string.

    Args:
        stops: non-empty strings.
    Example:
        >>> finder = StopFinder(["END"])
        >>> finder.push("the E"), finder.push("X and E"), finder.push("ND of it"), finder.found
        ('the ', 'EX and ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=1)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """The text that is now known to stand before any stop string; after one was found, always ""."""
        if self.found:
            return ""
        text = self._held + piece
        places = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        cut = len(text)
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                cut = len(text) - length
                break
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held
