"""Frozen configurations that refuse unknown keys and suggest the near match."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from polyseme.errors import ConfigError

_LONE = re.compile("[\\ud800-\\udfff]")
MOST_NAMED = 12
"""Options that an error lists; the others are only counted."""


def suggest(name: str, options: Iterable[str]) -> str:
    """Name the options nearest to a mistyped name, for the `fix` of an error; without a near one, some of them."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    if len(options) > MOST_NAMED + 1:
        return f"one of: {', '.join(options[:MOST_NAMED])} … and {len(options) - MOST_NAMED:,} others"
    return "one of: " + ", ".join(options)


class Config(BaseModel):
    """Base of every configuration object: frozen, no unknown keys, errors of our own.

    Use `Config.of(mapping, where)` rather than the constructor for anything a user wrote.

    Raises:  ConfigError: an unknown key or a bad value; it names the key and the nearest known one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> Self:
        """Build from what a user wrote; `where` names its origin (a file or section) in errors."""
        unknown = [key for key in values if key not in cls.model_fields]
        if unknown:
            raise ConfigError(
                f"unknown key {unknown[0]!r}",
                where=where,
                fix=suggest(unknown[0], cls.model_fields),
            )
        try:
            return cls(**values)
        except ValidationError as error:
            first, *others = error.errors()
            place, messages = first["loc"], [first["msg"].removeprefix("Value error, ")]
            for other in others:  # of one value that may be of several types: what each of them expects
                if (
                    len(place) > 1
                    and other["loc"][:-1] == first["loc"][:-1]
                    and other["input"] is first["input"]
                ):
                    place = first["loc"][:-1]
                    messages.append(other["msg"].removeprefix("Input should be "))
            raise ConfigError(
                f"bad value for {'.'.join(map(str, place)) or '(the whole section)'}",
                got=repr(first.get("input")) if first["loc"] else None,
                expected=" or ".join(messages),
                where=where,
            ) from None


def parse_value(text: str) -> Any:
    """Read the right side of `--set key=value`: TOML where it parses, else the bare string.

    Example:
        >>> parse_value("1e-3"), parse_value("true"), parse_value("wordpiece")
        (0.001, True, 'wordpiece')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, with or without a byte order mark.

    Raises:  ConfigError: it is missing, a folder, or not valid TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("no such file", where=path) from None
    except IsADirectoryError:
        raise ConfigError("a folder instead of a TOML file", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("not a valid TOML file", got=str(error), where=path) from None


def to_json(value: Any) -> str:
    """Write JSON the one way that we use everywhere: UTF-8, two spaces, sorted as given, final newline."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)) + "\n"


def escaped(text: str) -> str:
    """JSON that can be written as UTF-8 whatever file names are in it.

    For bytes of a name that are not UTF-8 Python has lone surrogates, which UTF-8 cannot hold. JSON can, as escapes,
    and whoever reads it has the name again.
    """
    return _LONE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
