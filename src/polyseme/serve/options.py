"""What is served, where, for whom, and within which bounds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field

from polyseme.core.config import Config
from polyseme.errors import ConfigError, RunError

__all__ = ["ServeConfig", "named_runs"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServeConfig(Config):
    """How `serve` serves.

    Args:
        runs: the folders of the runs by their names, in order; the first is the one that is asked when none is named.
        host, port: where it listens; port 0 takes a free one.
        allow_hosts: further names by which clients may call it.
        token: what clients must show; None = nobody is asked.
        threads: of torch; None = its default.
        memory: bytes that loaded runs may take together; the one that was not used for longest is let go.
        lang: of notes.
        texts: files that uses of words may be looked for in.
        log: form of the log's lines; "none" writes nothing.
        max_tokens: of one request.
        max_queue: tokens that may wait.
        timeout: seconds that a request may wait.
        max_body: bytes of a request's body.
        body_seconds: time that it may take to arrive.
        page: whether the page is served at /.
        compiled: whether little work, too, is done by compiled code, which a thread loads once a run has a use for
            it.
    """

    runs: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = Field(8421, ge=0, le=65535)
    allow_hosts: tuple[str, ...] = ()
    token: str | None = None
    threads: int | None = Field(None, ge=1)
    memory: float = Field(4e9, gt=0, allow_inf_nan=False)
    lang: Literal["en", "zh"] = "en"
    texts: tuple[str, ...] = ()
    log: Literal["text", "json", "none"] = "text"
    max_tokens: int = Field(65_536, ge=1)
    max_queue: int = Field(262_144, ge=1)
    timeout: float = Field(60.0, gt=0, allow_inf_nan=False)
    max_body: int = Field(2 * 1024 * 1024, ge=1)
    body_seconds: float = Field(10.0, gt=0)
    page: bool = True
    compiled: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What is not told beyond this machine, where runs and texts lie, and what is told in its place."""
        if self.is_local:
            return []
        known = {text: Path(text).name for text in self.texts} | {
            str(form): name
            for name, folder in self.runs.items()
            for form in (folder, folder.absolute(), folder.resolve())
        }
        found = [(path, name) for path, name in known.items() if os.sep in path]
        return sorted(found, key=lambda each: -len(each[0]))

    @property
    def first(self) -> str:
        """The run that is asked when none is named."""
        return next(iter(self.runs))

    def at(self, port: int) -> Self:
        """The same at the port that was given to it."""
        return self.model_copy(update={"port": port})

    @property
    def address(self) -> str:
        """Where a person opens it; a token stands behind #, which is never sent to a server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        shown = f"http://{host}:{self.port}/"
        return shown if self.token is None else f"{shown}#token={quote(self.token, safe='')}"

    @property
    def hosts(self) -> frozenset[str]:
        """What may stand in a request's Host."""
        port = self.port
        names = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
        if self.host not in ("0.0.0.0", "::"):
            names.add(f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}")
        if port == 80:  # which browsers leave out
            names |= {name.rpartition(":")[0] for name in names}
        for name in self.allow_hosts:  # a name alone is that of a proxy at the usual port, too
            names |= {name, f"{name}:{port}"}
        return frozenset(name.lower() for name in names)


def named_runs(typed: Iterable[str]) -> dict[str, Path]:
    """Runs by their names: RUN is called as its folder, NAME=RUN as it says.

    Raises:  ConfigError: no run, two of one name, or a name with a slash.  RunError: a folder is no run.

    Example:
        polyseme serve runs/bert old=elsewhere/bert
    """
    found: dict[str, Path] = {}
    for word in typed:
        name, equals, rest = word.partition("=")
        folder = Path(rest if equals and not Path(word).exists() else word)
        if not (folder / "run.json").is_file():
            raise RunError(
                "not a run",
                got="a folder without run.json"
                if folder.is_dir()
                else "a file"
                if folder.exists()
                else "no such folder",
                where=folder,
                fix="the folder that was given to `polyseme pretrain … -o`",
            )
        if not equals or Path(word).exists():
            name = folder.resolve().name
        if not name or "/" in name or name in found:
            raise ConfigError(
                "two runs have one name" if name in found else "no name for a run",
                got=word,
                fix=f"write it like other={folder}",
            )
        found[name] = folder
    if not found:
        raise ConfigError("no run is named", fix="polyseme serve RUN")
    return found


def token_for(asked: str, config_is_local: bool) -> str | None:
    """The token: "none" is none, "auto" a new one where others can reach the server; else what was typed."""
    if asked == "none" or (asked == "auto" and config_is_local):
        return None
    return secrets.token_urlsafe(24) if asked == "auto" else asked
