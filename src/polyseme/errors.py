"""Every error that polyseme raises on purpose.

    PolysemeError                 anything of ours
    ├── UsageError                the request is wrong; nothing was changed            (exit 2)
    │   ├── ConfigError           an unknown key, a value out of range, sizes that do not fit
    │   ├── CorpusError           text that is missing, empty, binary, or too small
    │   ├── RunError              a run folder that is absent, foreign, or does not match the request
    │   └── InputError            a text or word given to a trained run that it cannot use
    ├── CheckpointError           saved files that are truncated, altered or incomplete (exit 1)
    ├── StorageError              the disk is full or refuses to write                  (exit 1)
    ├── TrainingError             training cannot go on: the loss stays non-finite      (exit 1)
    └── Interrupted               stopped by a signal after everything was saved        (exit 130)

Each says what failed, what was got and expected, where, and what to do next; the command line prints that
without a traceback.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "CorpusError",
    "InputError",
    "Interrupted",
    "PolysemeError",
    "RunError",
    "StorageError",
    "TrainingError",
    "UsageError",
]


class PolysemeError(Exception):
    """Base of the tree.

    Args:
        what: one sentence, what failed.
        got: the offending value, shown as it was given.
        expected: what would have been accepted.
        where: file:line, config key or folder.
        fix: the next thing to do or to type.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        got: object | None = None,
        expected: object | None = None,
        where: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.got, self.expected, self.where, self.fix = what, got, expected, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, value in (
            ("got", self.got),
            ("expected", self.expected),
            ("where", self.where),
            ("try", self.fix),
        ):
            if value is not None:
                lines.append(f"  {label + ':':<10}{value}")
        return "\n".join(lines)


class UsageError(PolysemeError):
    """The request is wrong; nothing was changed."""

    exit_code = 2


class ConfigError(UsageError):
    """An unknown key, a value out of range, or sizes that do not fit together."""


class CorpusError(UsageError):
    """Text that is missing, empty, binary, or too small for what was asked."""


class RunError(UsageError):
    """A run folder that is absent, foreign, or does not match the request."""


class InputError(UsageError):
    """A text or word given to a trained run that it cannot use."""


class CheckpointError(PolysemeError):
    """Saved files that are truncated, altered or incomplete."""


class StorageError(PolysemeError):
    """The disk is full or refuses to write."""


class TrainingError(PolysemeError):
    """Training cannot go on, for example because the loss stays non-finite."""


class Interrupted(PolysemeError):
    """Stopped by a signal after everything was saved."""

    exit_code = 130
