"""`polyseme serve`: one HTTP API over trained runs, which answers with the JSON of the command line.

    who may ask          guard.py     Host, Origin, token, size; fails closed
    what is asked        wire/        the shapes of ours, OpenAI's, text-embeddings-inference's and Hugging Face's
    when it is done      work/        a queue, one thread that owns the models, the loaded runs

`serve` opens the socket and says the address before torch is imported: models are loaded when they are first asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from polyseme.core.memory import few_arenas
from polyseme.errors import ConfigError, StorageError
from polyseme.serve.options import ServeConfig

__all__ = ["ServeConfig", "serve"]

CONNECTIONS = 256
HEAD_S = 10.0
"""In which the head of a request must have come; its body has `ServeConfig.body_seconds`."""
GRACE_S = 5
"""For answers that are being given; what the desk still does then has two seconds more."""
NEEDED = "uvicorn"


def serve(config: ServeConfig, told: Callable[[str], None] = print) -> None:
    """Answer requests until a signal ends it.

    Args:
        config: which runs, where, for whom.
        told: is given the address, once it can be asked.
    Raises:  ConfigError: the libraries of the extra are not installed.  StorageError: the port is taken.
    """
    import importlib

    try:
        uvicorn = importlib.import_module(NEEDED)
    except ImportError:
        raise ConfigError(
            "what the server needs is not installed", got=f"no {NEEDED}", fix="pip install 'polyseme[serve]'"
        ) from None
    from polyseme.serve.app import App
    from polyseme.serve.guard import Guard

    class Hurried(importlib.import_module("uvicorn.protocols.http.h11_impl").H11Protocol):  # type: ignore[misc]
        """A connection that ends where a request begins and does not come; uvicorn has no bound for that."""

        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.late = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            waits = self.cycle is None or self.cycle.response_complete
            if self.late is not None and not waits:
                self.late.cancel()
                self.late = None
            elif self.late is None and waits:
                self.late = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

        def connection_lost(self, error: Exception | None) -> None:
            if self.late is not None:
                self.late.cancel()
            super().connection_lost(error)

    few_arenas()  # threads of many kinds come and go
    listening = _bound(config.host, config.port)
    config = config.at(listening.getsockname()[1])
    with listening:
        listening.listen(CONNECTIONS)
        told(config.address)
        app = Guard(App(config), config)
        options = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
            ws="none",
            http=Hurried,
            proxy_headers=False,
            loop="asyncio",
        )
        uvicorn.Server(options).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    """Raises:  StorageError: the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only what goes over a socket that says it is TCP's; on others the second part of an answer
    # waits for the client's receipt of the first, 40 ms on Linux
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise StorageError(
            "the address cannot be had",
            got=f"{host} port {port}: {error.strerror or error}",
            fix="--port 0 takes a free one",
        ) from None
    return listening
