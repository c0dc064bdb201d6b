"""Errors over HTTP: our tree, and what a request may do wrong, as one status and one shape.

{"error": {"message", "type", "param", "code", "got", "expected", "fix"}}          OpenAI's, with fields of ours
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from polyseme.core.config import suggest
from polyseme.errors import (
    CheckpointError,
    ConfigError,
    CorpusError,
    InputError,
    PolysemeError,
    RunError,
    StorageError,
)

__all__ = ["BODIES", "Body", "Refused", "checked", "document", "in_words", "refused"]

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "unavailable_error",
    504: "timeout_error",
}
STATUSES: tuple[tuple[type[PolysemeError], int], ...] = (
    (InputError, 400),
    (ConfigError, 400),
    (CorpusError, 400),
    (RunError, 503),
    (CheckpointError, 503),
    (StorageError, 503),
    (PolysemeError, 500),
)
BODIES = "GET /openapi.json has the fields of every route"
_SHOWN = 200
"""Characters of an offending value that an answer repeats."""


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what failed, a sentence.
        param: the JSON path of the field that caused it.
        code: a word for programs.
        got, expected: as in `PolysemeError`.
        fix: what to try; it must be said, or be None where an error of ours has none.
        headers: that the answer has besides.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        got: object | None = None,
        expected: object | None = None,
        fix: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.got, self.expected, self.fix = got, expected, fix
        self.headers = dict(headers or {})


def document(error: Refused) -> dict[str, Any]:
    """The shape of every error."""

    def shown(value: object | None) -> str | None:
        return None if value is None else str(value)[:_SHOWN]

    return {
        "error": {
            "message": error.message,
            "type": TYPES.get(error.status, "invalid_request_error"),
            "param": error.param,
            "code": error.code,
            "got": shown(error.got),
            "expected": shown(error.expected),
            "fix": error.fix,
        }
    }


def in_words(error: Refused) -> str:
    """An error as one text, for clients that read nothing else."""
    told = {name: value for name, value in document(error)["error"].items() if value is not None}
    parts = [told["message"], *(f"{name}: {told[name]}" for name in ("got", "expected") if name in told)]
    return "; ".join([*parts, *([f"try: {told['fix']}"] if "fix" in told else [])])


class Body(BaseModel):
    """Base of what is asked: unknown fields are refused by name."""

    model_config = {"extra": "forbid", "frozen": True}


Asked = TypeVar("Asked", bound=Body)


def refused(error: BaseException, can: Iterable[str] = (), paths: bool = True) -> Refused:
    """What an error of ours is over HTTP; others tell nothing of themselves.

    Args:
        can: served runs that can do what was asked, where this one cannot.
        paths: whether paths of the disk may be told.
    """
    if isinstance(error, Refused):
        return error
    if isinstance(error, MemoryError):
        return Refused(503, "there is not enough memory for it", code="memory", fix="a smaller request")
    if not isinstance(error, PolysemeError):
        return Refused(
            500,
            "the server failed",
            code="server_error",
            got=type(error).__name__,
            fix="the same once more; if it fails again, report it with what was asked",
        )
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    names = list(can)
    fix = f"a run that can: {', '.join(names)}" if names else error.fix
    got, expected = error.got, error.expected
    if not paths and error.where is not None:
        place = str(error.where)
        fix = None if fix is not None and place in fix else fix
        got = None if place in str(got) else got
    code = "run_cannot" if names else type(error).__name__
    return Refused(status, error.what, code=code, got=got, expected=expected, fix=fix)


def checked(model: type[Asked], values: Mapping[str, Any]) -> Asked:
    """A body as its schema has it.

    Raises:  Refused: 422 with the JSON path of the first field that does not fit, and the near match of an unknown one.
             ConfigError: fields that do not go together.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        place = ".".join(map(str, first["loc"]))[:_SHOWN]
        if first["type"] == "extra_forbidden":
            raise Refused(
                422,
                f"unknown field {place!r}",
                param=place,
                code="unknown_field",
                fix=suggest(str(first["loc"][-1])[:_SHOWN], model.model_fields),
            ) from None
        what = "a field is missing" if first["type"] == "missing" else "a field does not fit"
        raise Refused(
            422,
            f"{what}: {place}" if place else "the body does not fit",
            param=place or None,
            code=first["type"],
            got=None if first["type"] == "missing" else repr(first["input"]),
            expected=first["msg"],
            fix=BODIES,
        ) from None
