"""The tab key: what `polyseme --install-completion` writes for a shell, and the names that shells ask for.

cyclopts writes the scripts. Verbs and options stand in them; names of models and files, which change, are asked for at
every press of the key (`polyseme __complete …`), and so nothing that is heavy is imported to answer.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

from cyclopts import Parameter

from polyseme.cli.output import closing
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.completion import CompletionContext

    from polyseme.cli.list import Kind

ASKED = "__complete"
"""What a script puts before the words so far when it asks for names; cyclopts answers."""

INSTALL = "--install-completion"

Shell = Literal["bash", "zsh", "fish", "powershell"]
_STARTS = {"bash": ".bashrc", "zsh": ".zshrc"}  # files of the home folder that get a line

Completer = Callable[["CompletionContext"], Iterable[str | tuple[str, str]]]


def names(kind: Kind) -> Completer:
    """Completes with what `polyseme list KIND` shows."""

    def completions(_: CompletionContext) -> list[tuple[str, str]]:
        from polyseme.cli.list import entries_of

        return entries_of(kind)

    return completions


def files(context: CompletionContext) -> list[str]:
    """Completes a path, where an argument is also something else than one."""
    return sorted(glob.glob(glob.escape(context.incomplete) + "*"))


def _corpora(context: CompletionContext) -> list[str | tuple[str, str]]:
    return [*files(context), *names("corpora")(context)]


def _recipes(context: CompletionContext) -> list[str | tuple[str, str]]:
    return [*names("recipes")(context), *files(context)]


ModelName = Annotated[str, Parameter(completer=names("models"))]
TaskName = Annotated[str, Parameter(completer=names("tasks"))]
FormatName = Annotated[str, Parameter(completer=names("formats"))]
Corpus = Annotated[str, Parameter(completer=_corpora)]
Recipe = Annotated[str | None, Parameter(completer=_recipes)]
Source = Annotated[str, Parameter(completer=files)]


def install(words: Sequence[str], app: App) -> None:
    """Write the script of a shell to where the shell looks for it.

    Args:
        words: the shell; none = the one that is in use.
    Raises:  ConfigError: another shell, or it does not show which one is in use.
    """
    from cyclopts.completion import ShellDetectionError, detect_shell

    if len(words) > 1 or not {*words} <= {*get_args(Shell)}:
        raise ConfigError(
            f"{INSTALL} takes a shell or nothing",
            got=" ".join(words),
            expected=", ".join(get_args(Shell)),
            fix=f"polyseme {INSTALL} bash",
        )
    try:
        shell = cast("Shell", words[0]) if words else detect_shell()
    except ShellDetectionError:
        raise ConfigError(
            "it does not show which shell is in use",
            expected=f"its name behind {INSTALL}: {', '.join(get_args(Shell))}",
            fix=f"polyseme {INSTALL} bash",
        ) from None
    wrote: list[Path | str] = [app.install_completion(shell=shell)]
    if shell in _STARTS:
        wrote.append(Path.home() / _STARTS[shell])
    closing(wrote=wrote, then=[f"exec {shell}"])
