"""What the server has done, as /metrics tells it: the text form that Prometheus reads. Never a text of anybody's."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

__all__ = ["Counts"]


class Counts:
    """Counters of one server.

    Attributes:
        generated: steps of texts; one a token.
        left: texts whose client went before their end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self.tokens = self.jobs = self.generated = self.left = 0
        self.worked = 0.0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        with self._lock:
            self._answers[route, status] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]

    def done(self, tokens: int, seconds: float, jobs: int) -> None:
        """The desk did a batch."""
        with self._lock:
            self.tokens += tokens
            self.jobs += jobs
            self.worked += seconds

    def text(self, now: Mapping[str, float]) -> str:
        """All of them.

        Args:
            now: what is so at this moment, by name.
        """
        lines = []
        with self._lock:
            for (route, status), number in sorted(self._answers.items()):
                lines.append(f'polyseme_requests_total{{route="{route}",status="{status}"}} {number}')
            for route, seconds in sorted(self._seconds.items()):
                lines.append(f'polyseme_request_seconds_total{{route="{route}"}} {seconds:.6f}')
        lines += [
            f"polyseme_tokens_total {self.tokens}",
            f"polyseme_jobs_total {self.jobs}",
            f"polyseme_work_seconds_total {self.worked:.6f}",
            f"polyseme_generated_tokens_total {self.generated}",
            f"polyseme_streams_left_total {self.left}",
        ]
        lines += [f"polyseme_{name} {value:g}" for name, value in now.items()]
        return "\n".join(lines) + "\n"
