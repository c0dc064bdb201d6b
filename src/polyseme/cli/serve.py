"""`polyseme serve`: runs as an HTTP API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import Count, ReadOn, Threads, keep_few_sizes, positive, use_device
from polyseme.cli.output import emit, say
from polyseme.errors import ConfigError

EXAMPLE = "polyseme serve runs/mine"


def run(
    *runs: Annotated[str, Parameter(name="RUN")],
    host: str = "127.0.0.1",
    port: int = 8421,
    allow_host: list[str] | None = None,
    token: str = "auto",
    memory: float = 4.0,
    texts: list[Path] | None = None,
    max_tokens: Count = 65_536,
    max_queue: Count = 262_144,
    timeout: float = 60.0,
    lang: Annotated[Literal["en", "zh"], Parameter(name="--report-lang")] = "en",
    log: Literal["text", "json", "none"] = "text",
    page: Annotated[bool, Parameter(negative="--no-page", show_default=False)] = True,
    open: Annotated[bool, Parameter(show_default=False)] = False,
    threads: Threads = None,
    device: ReadOn = "cpu",
) -> None:
    """Serve runs over HTTP: a page on which they can be tried, and routes for programs. Ctrl-C ends it.

    The first run answers where none is named; every run also answers alone, below /models/NAME. Runs are loaded when
    they are first asked, and loaded anew when they go on training. Nothing that is asked is stored or logged.

    Args:
        runs: run folders; NAME=RUN calls one by another name than its folder's.
        host: the address to listen at; beyond this machine a token is needed.
        port: the port to listen at; 0 takes a free one.
        allow_host: a further name by which clients call this server; repeatable.
        token: what clients must show: auto makes one where others can reach the server, none asks nobody.
        memory: gigabytes of weights that may be loaded at once; the run that was used longest ago makes room.
        texts: a file, a folder or python-docs that uses of words may be looked for in; repeatable.
        max_tokens: of one request.
        max_queue: tokens that may wait; what is more is told when to ask again.
        timeout: seconds that a request may wait.
        lang: the language of pages' words.
        log: a line an answer, as text or as json, without any text of anybody's; or none.
        page: serve the page at /; --no-page leaves the routes alone.
        open: show the page in this machine's browser.
    """
    from polyseme.serve import serve
    from polyseme.serve.options import LOOPBACK, ServeConfig, named_runs, token_for

    positive("--threads", threads)
    use_device(device)
    positive("--memory", memory)
    positive("--timeout", timeout)
    positive("--max-tokens", max_tokens)
    positive("--max-queue", max_queue)
    if not 0 <= port <= 65535:
        raise ConfigError("no such port", got=port, expected="0 … 65535", fix="--port 8421")
    if not token or not token.isascii() or any(sign.isspace() for sign in token):
        raise ConfigError("a token must be plain letters", got=repr(token), fix="--token auto")
    local = host in LOOPBACK
    if not local and token == "none":
        say("note: others can reach this server, and nobody is asked for a token", always=True)
    config = ServeConfig(
        runs=named_runs(runs),
        host=host,
        port=port,
        allow_hosts=tuple(allow_host or ()),
        token=token_for(token, local),
        threads=threads,
        memory=memory * 1e9,
        lang=lang,
        texts=tuple(map(str, texts or ())),
        log=log,
        max_tokens=max_tokens or 0,
        max_queue=max_queue or 0,
        timeout=timeout,
        page=page,
        compiled=True,
    )
    keep_few_sizes()
    try:
        serve(config, _opened if open and page else _told)
    except KeyboardInterrupt:
        say("ended")


def _told(address: str) -> None:
    emit(address)
    sys.stdout.flush()


def _opened(address: str) -> None:
    """Tell the address, and open it beside: a browser that starts up must not be waited for."""
    import threading
    import webbrowser

    _told(address)
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
