"""A headless browser for tests of pages: Chromium, driven over a pipe with the DevTools protocol, and nothing else.

python tests/browser.py PAGE.html... -o FOLDER      pictures of pages at 1280 and 400 pixels, and what went wrong
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "msedge")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
    ),
    *("--disable-dev-shm-usage", "--no-default-browser-check", "--remote-debugging-pipe"),
]
WAIT = 60.0

# The protocol wants to be read at 3 and written at 4, whatever the pipes are called here.
_SHIM = """
import fcntl, os, sys
r, w = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(r, 3)
os.dup2(w, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> str | None:
    """The browser's program; the environment's POLYSEME_BROWSER counts first."""
    named = os.environ.get("POLYSEME_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Seen:
    """What a page did when it was opened.

    Args:
        problems: errors and warnings of the console, exceptions, refused requests.
        requests: every address that was asked for.
        width: of the window.
        content: what the page's content needs; wider than the window, the page scrolls sideways.
        height: of the whole page.
        charts: elements that were meant for charts, and how many were drawn.
        cut: texts that are cut off or lie outside of their chart.
    """

    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    width: int = 0
    content: int = 0
    height: int = 0
    charts: tuple[int, int] = (0, 0)
    cut: list[str] = field(default_factory=list)

    @property
    def outside(self) -> list[str]:
        """Requests that are neither of this file nor of data inside it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "about:", "blob:"))]


class Browser:
    """One browser process with one tab."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self._process, self._write, self._read = process, write, read
        self._number, self._buffer = 0, b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number, end = self._number, time.monotonic() + WAIT
        while True:
            answer = self._next(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def open(self, page: Path, width: int, height: int = 900) -> Seen:
        """Open a page in a window of a size and wait until its charts are drawn."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=page.resolve().as_uri())
        end = time.monotonic() + WAIT
        charts = (0, 0)
        while time.monotonic() < end:
            if self.evaluate("document.readyState") == "complete":
                charts = tuple(self.evaluate(_CHARTS))
                if charts[0] == charts[1]:
                    break
            time.sleep(0.1)
        self.evaluate("new Promise(done => setTimeout(done, 200))")
        seen = Seen(width=width, charts=charts, cut=self.evaluate(_CUT))
        seen.content, seen.height = self.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        for event in self.events:
            self._take(event, seen)
        return seen

    def picture(self, path: Path, top: int, width: int, height: int) -> None:
        """Save a part of the page as .png."""
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            block = os.read(self._read, 1 << 20)
            if not block:
                raise RuntimeError(f"the browser ended with {self._process.poll()}")
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    @staticmethod
    def _take(event: dict[str, Any], seen: Seen) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            seen.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            seen.problems.append(str(details.get("exception", {}).get("description", details.get("text"))))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            words = [str(one.get("value", one.get("description", ""))) for one in params["args"]]
            seen.problems.append(f"{params['type']}: {' '.join(words)}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            seen.problems.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.loadingFailed":
            seen.problems.append(f"a request failed: {params.get('errorText')}")


_CHARTS = """(() => {
  const places = [...document.querySelectorAll("figure > .wide > div[id]")];
  return [places.length, places.filter(p => p.querySelector("svg")).length];
})()"""

_CUT = """(() => {
  const cut = [];
  for (const svg of document.querySelectorAll("figure svg")) {
    const box = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
      const one = text.getBoundingClientRect();
      if (!one.width || getComputedStyle(text).opacity === "0") continue;
      if (one.left < box.left - 2 || one.right > box.right + 2 || one.top < box.top - 2 || one.bottom > box.bottom + 2)
        cut.push(text.textContent);
    }
  }
  return cut;
})()"""


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        shim = [sys.executable, "-c", _SHIM, str(theirs_in), str(theirs_out)]
        process = subprocess.Popen(
            [*shim, program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            one = Browser(process, ours_out, ours_in)
            yield one
            one._session = None
            with suppress(Exception):
                one.call("Browser.close")
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
            os.close(ours_out)
            os.close(ours_in)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("pictures"))
    parser.add_argument("--widths", type=int, nargs="+", default=[1280, 400])
    parser.add_argument("--slice", type=int, default=1800, help="height of a picture")
    asked = parser.parse_args()
    program = find_browser()
    if program is None:
        sys.exit(f"no browser found: one of {', '.join(NAMES)}, or POLYSEME_BROWSER")
    asked.output.mkdir(parents=True, exist_ok=True)
    bad = False
    for page in asked.pages:
        for width in asked.widths:
            with browser(program) as one:
                seen = one.open(page, width)
                for number, top in enumerate(range(0, seen.height, asked.slice), 1):
                    path = asked.output / f"{page.stem}-{width}-{number:02}.png"
                    one.picture(path, top, width, min(asked.slice, seen.height - top))
            drawn, wanted = seen.charts[1], seen.charts[0]
            print(
                f"{page} at {width}: content {seen.content} wide, {seen.height} high, {drawn} of {wanted} charts "
                f"drawn, {len(seen.requests)} requests, outside: {seen.outside or 'none'}, "
                f"problems: {seen.problems or 'none'}, texts cut: {seen.cut or 'none'}"
            )
            bad |= bool(seen.problems or seen.outside or seen.content > width or drawn < wanted)
    sys.exit(bad)


if __name__ == "__main__":
    main()
