"""The typed command, read as it was meant: other names for verbs, options, models and tasks, texts that begin with a
dash, arguments in another order.

Every verb, option, model and task has one name. Here common other names (core/synonyms.py) are replaced by ours before
the command is parsed. A note reports every replacement. A command that could mean two things is refused, with the whole
command to type instead.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from polyseme.core import synonyms
from polyseme.core.synonyms import spelled
from polyseme.errors import ConfigError, PolysemeError, RunError

if TYPE_CHECKING:
    from cyclopts import App

# An option as people write it. "- he said" and "-5 degrees" are texts.
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*(=.*)?", re.DOTALL | re.ASCII)
_DASHES = "–—−"  # dashes that word processors substitute
_SETTING = re.compile(r"[A-Za-z_][\w.]*=.+", re.DOTALL)
_WORDY = ("TEXT", "TEXT_B", "PROMPT", "WORD")
_HELP = ("--help", "-h", "help", "-help", "--hlep", "-?", "/?")
_VERSION = ("--version", "-V", "-v", "-version", "version")
_RUNS = Path("runs")
_LONGEST_NAME = 255
# Default places to write to; a run is named after its model or task.
_PLACES = {
    "pretrain": "runs/{}",
    "finetune": "runs/{}",
    "prepare": "store",
    "import": "runs/imported",
    "distil": "runs/static",
    "embed": "vectors.npy",
    "compare": "report.html",
}
# The name of --output in the line of usage.
_WRITES = {"pretrain": "RUN", "finetune": "RUN", "import": "RUN", "prepare": "STORE", "distil": "STATIC"}


@dataclass
class Shape:
    """The options and arguments of a verb.

    Args:
        verb: its name.
        options: every spelling of every option, with the number of words that follow it: 0 or 1.
        integers: the options whose value is an integer.
        required: the options that must be given, first spelling.
        positions: labels of the arguments in order; the last may stand for several.
        needed: how many of the arguments must be given.
        several: whether the last argument may be repeated.
    """

    verb: str
    options: dict[str, int] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    required: list[str] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)
    needed: int = 0
    several: bool = False

    @classmethod
    def of(cls, app: App, verb: str) -> Shape:
        """Read the shape from a verb's signature."""
        shape = cls(verb, {"--help": 0, "-h": 0})
        for argument in app[verb].assemble_argument_collection():
            kind = argument.field_info.kind
            if kind in (kind.POSITIONAL_ONLY, kind.VAR_POSITIONAL):
                shape.positions.append(argument.name)
                shape.several = kind == kind.VAR_POSITIONAL
                shape.needed += argument.required
                continue
            flag = argument.token_count()[0] == 0 or bool in (argument.hint, *get_args(argument.hint))
            for name in argument.names:
                shape.options[name] = 0 if flag or name.startswith(("--no-", "--empty-")) else 1
            if {argument.hint, *get_args(argument.hint)} - {type(None)} == {int}:
                shape.integers |= {*argument.names}
            if argument.required:
                shape.required.append(argument.name)
        return shape

    @property
    def usage(self) -> str:
        """The line of usage, with every argument's name."""
        names = [name if i < self.needed else f"[{name}]" for i, name in enumerate(self.positions)]
        if self.several:  # the label "[RUN2] FILE" already shows how many
            names[-1] = self.positions[-1] + ("" if " " in self.positions[-1] else "...")
        options = [
            f"-o {_WRITES.get(self.verb, 'FILE')}" if name == "--output" else f"{name} FILE"
            for name in self.required
        ]
        return f"Usage: polyseme {' '.join([self.verb, *names, *options])} [OPTIONS]"


@dataclass
class Typed:
    """A command, split into its parts.

    Args:
        shape: the shape of its verb.
        raw: the words that were typed after the verb.
        options: name and value, None where there is none.
        arguments: the rest.
        notes: what was read in another way than typed.
    """

    shape: Shape
    raw: Sequence[str] = ()
    options: list[tuple[str, str | None]] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """The command for the parser: options first, so that nothing after "--" is read as an option."""
        options = [word for name, value in self.options for word in _written(name, value)]
        dash = any(word.startswith("-") for word in self.arguments)
        return [self.shape.verb, *options, *(["--"] if dash else []), *self.arguments]

    def command(self, *more: str, arguments: Sequence[str] | None = None) -> str:
        """The whole command as it is typed in a shell."""
        options = [
            word for name, value in self.options for word in ([name] if value is None else [name, value])
        ]
        words = [*(self.arguments if arguments is None else arguments), *options, *more]
        if any(word.startswith("-") for word in self.arguments):
            words = [*options, *more, "--", *(self.arguments if arguments is None else arguments)]
        return shlex.join(["polyseme", self.shape.verb, *words])


def understood(words: Sequence[str], app: App) -> Typed | list[str]:
    """Read a command as it was meant; returns a list of words where there is no verb, as in `polyseme --help`.

    Args:
        words: the words after `polyseme`.
        app: the application; only the verb that is typed is imported.
    Raises:  ConfigError, RunError: an unknown verb, model or task, or a run of another name; the error has the whole
             command to type instead.
    """
    words = [*words]
    if not words or words[0] in _VERSION:
        return ["--version"] if words else []
    if words[0] in _HELP:
        about = [word for word in words[1:] if word not in _HELP]
        return [_verb(about[0], [about[0], "--help"], app), "--help"] if about else ["--help"]
    verb = _verb(words[0], words, app)
    typed = _parts(Shape.of(app, verb), [_at_home(word) for word in words[1:]])
    if any(name in ("--help", "-h") for name, _ in typed.options) or typed.arguments == ["help"]:
        return [verb, "--help"]
    _whole_numbers(typed)
    _quoted(typed)
    _in_order(typed)
    _named(typed)
    return typed


def misused(typed: Typed) -> tuple[list[str], str]:
    """The missing part of a command, and the whole command with a capital word in its place."""
    shape, arguments = typed.shape, [*typed.arguments]
    missing: list[str] = []
    if len(arguments) < shape.needed:
        kind = _KINDS.get(shape.positions[0])
        if arguments and kind is not None and not kind(arguments[0]) and not _exists(arguments[0]):
            missing.append(shape.positions[0])
            arguments.insert(0, _stand_in(shape.positions[0]))
        for label in shape.positions[len(arguments) : shape.needed]:
            missing.append(label)
            arguments.append(_stand_in(label))
    if shape.positions[1:2] == ["FORMAT"] and len(typed.arguments) == 2 and "FORMAT" not in missing:
        names_a_format = spelled(arguments[1]) in _formats()
        if not names_a_format:  # the format is missing, not the place to write to
            missing, arguments = ["FORMAT"], [arguments[0], _stand_in("FORMAT"), arguments[1]]
    if shape.several and len(arguments) == shape.needed:
        missing.append(shape.positions[-1])
        arguments.append(_stand_in(shape.positions[-1].split()[-1]))
    given = {name for name, _ in typed.options}
    added: list[str] = []
    for name in shape.required:
        if name in given or (name == "--output" and "-o" in given):
            continue
        missing.append(name)
        over = len(arguments) > (shape.needed + 1 if shape.several else len(shape.positions))
        if name == "--output":  # perhaps it was typed without its name
            last = over and not _exists(arguments[-1]) and not set(arguments[-1]) & set("*?[")
            added += ["-o", arguments.pop() if last else _place(shape.verb, arguments)]
        else:
            last = over and not shape.several and os.path.isfile(arguments[shape.needed])
            added += [name, arguments.pop(shape.needed) if last else _stand_in(name)]
    return missing, typed.command(*added, arguments=arguments)


def nearest_option(typed: Typed) -> tuple[str, str] | None:
    """The first unknown option, and the whole command with the nearest known one, or with the word as a text."""
    verb = ["polyseme", typed.shape.verb]
    for name in (
        whole.partition("=")[0] for whole, _ in typed.options
    ):  # a switch may have a value: --json=true
        if name in typed.shape.options:
            continue
        place = next(i for i, word in enumerate(typed.raw) if word.partition("=")[0] == name)
        before, after = typed.raw[:place], typed.raw[place + 1 :]
        if near := difflib.get_close_matches(name, typed.shape.options, n=1, cutoff=0.75):
            return name, shlex.join([*verb, *before, near[0] + typed.raw[place][len(name) :], *after])
        if not name.startswith("--") and len(typed.arguments) < typed.shape.needed:
            return name, shlex.join([*verb, "--", *before, *after, name])
        return name, f"polyseme {typed.shape.verb} --help"
    return None


def _whole_numbers(typed: Typed) -> None:
    """Raises:  ConfigError: 2.7 where an integer is needed; the parser would read it as 2."""
    for name, value in typed.options:
        if name in typed.shape.integers and re.fullmatch(r"[+-]?\d*\.\d*[1-9]\d*", value or ""):
            raise ConfigError(f"{name} takes an integer", got=value, fix=f"{name} {int(float(value or 0))}")


# ---- verbs


def _verb(word: str, words: Sequence[str], app: App) -> str:
    """Raises:  ConfigError: no such verb."""
    verbs = [name for name in app if not name.startswith("-")]
    if word in verbs:
        return word
    name = spelled(word.lstrip("-") if word.startswith("-") else word)
    if name == "table":
        raise ConfigError(
            "`table` is a part of compare now",
            expected="compare -o TABLE.md",
            fix=_as_comparison(words[1:], app),
        )
    rest = [*words[1:]]
    verb = name if name in verbs else synonyms.VERBS.get(name)
    if verb == "pretrain" and rest and _is_task(rest[0]):
        verb = "finetune"
    if _is_task(name) and any(word.partition("=")[0] == "--train" for word in rest):
        verb, rest = "finetune", [name, *rest]
    if verb is None and _is_model(name):
        verb, rest = "pretrain", [name, *rest]
    if verb == "list" and name in ("models", "tasks"):
        rest = [name]
    if verb is None:
        near = difflib.get_close_matches(name, [*verbs, *synonyms.VERBS], n=1, cutoff=0.6)
        verb = synonyms.VERBS.get(near[0], near[0]) if near else None
    if verb is None and (later := next((i for i, other in enumerate(words) if other in verbs), None)):
        fix = shlex.join(["polyseme", *words[later:], *words[:later]])
        raise ConfigError(f"{word} comes before the verb", fix=fix)
    if verb is None:
        options = ", ".join(verbs)
        raise ConfigError(f"unknown verb {word!r}", expected=options, fix="polyseme --help")
    raise ConfigError(
        f"unknown verb {word!r}",
        expected=f"perhaps {verb}",
        fix=_whole(verb, rest, app),
    )


def _as_comparison(rest: Sequence[str], app: App) -> str:
    """`table FILE -o TABLE.md` as a comparison of the rows of the file."""
    compare = Shape.of(app, "compare")
    if {"--help", "-h"} & {*rest}:
        return "polyseme compare --help"
    typed = _parts(compare, rest)
    given = {name for name, _ in typed.options}
    file = ["--tasks", *typed.arguments[:1]] if typed.arguments else ["--tasks", "FILE.toml"]
    place = [] if {"-o", "--output"} & given else ["-o", "table.md"]
    return typed.command(*([] if "--tasks" in given else file), *place, arguments=[])


def _whole(verb: str, rest: Sequence[str], app: App) -> str:
    """A command under its right verb, with capital words for missing parts."""
    try:
        if not {"--help", "-h"} & {*rest}:
            return misused(_parts(Shape.of(app, verb), rest))[1]
    except PolysemeError:  # not only the verb is wrong
        pass
    return shlex.join(["polyseme", verb, *rest])


# ---- options


def _parts(shape: Shape, words: Sequence[str]) -> Typed:
    """Split a command into options and arguments, each option under the verb's own name for it."""
    typed = Typed(shape, words)
    named: dict[str, list[str]] = {}
    ahead = iter(enumerate(words))
    for place, word in ahead:
        if (dashed := _dashed(shape, word)) != word:
            typed.notes.append(f"{word} is read as {dashed}")
            word = dashed
        if word == "--":
            typed.arguments += words[place + 1 :]
            break
        if _attached(shape, word):  # -oruns/x
            typed.options.append((word[:2], word[2:]))
            continue
        if not _OPTION.fullmatch(word):
            set_before = typed.options and typed.options[-1][0] in ("--set", "--columns")
            pair = _SETTING.fullmatch(word) and place and _SETTING.fullmatch(words[place - 1])
            share = _exists(word.rpartition("=")[0])  # novels=0.5 is a corpus and its share
            if set_before and pair and not _exists(word) and not share:
                typed.options.append((typed.options[-1][0], word))
                typed.notes.append(f"{word} is read as {typed.options[-1][0]} {word}")
            else:
                typed.arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        target, prefix = _option(shape, name)
        follows = words[place + 1] if place + 1 < len(words) else None
        if target.partition("=")[1]:  # --device=cpu
            option, _, its_value = target.partition("=")
            typed.notes.append(f"{name} is read as {option} {its_value}")
            typed.options.append((option, its_value))
            continue
        takes_value = shape.options.get(target) == 1 or target in shape.positions
        if not equals and takes_value and _is_value(shape, follows):
            value, equals = str(follows), "="
            next(ahead)
        if target in shape.positions:
            named.setdefault(target, []).append(value)
            continue
        if equals and shape.options.get(target) == 0:  # a switch takes no value
            typed.options.append((word, None))
            continue
        if prefix:
            typed.notes.append(f"{name} is read as --set {prefix}{value}")
        elif target != name and spelled(name) != target:
            typed.notes.append(f"{name} is read as {target}")
        if equals and target in synonyms.VALUES:
            value = _value(typed, target, value)
        typed.options.append((target, prefix + value if equals else None))
    _placed(typed, named)
    return typed


def _attached(shape: Shape, word: str) -> bool:
    """Whether a word is a short option with its value attached."""
    if word[:2] not in shape.options or len(word) < 3 or re.search(r"[\s=]", word):
        return False
    target, _ = _option(shape, word)
    return target not in shape.options and target not in shape.positions


def _dashed(shape: Shape, word: str) -> str:
    """A word with proper dashes, if that makes it an option of the verb."""
    if word[:1] not in _DASHES or not word:
        return word
    option = "--" + word.lstrip(_DASHES + "-")
    known = _OPTION.fullmatch(option) and _option(shape, option.partition("=")[0])[0] in shape.options
    return option if known else word


def _value(typed: Typed, name: str, value: str) -> str:
    """The value of an option, or an argument, under our name for it."""
    word = spelled(value)
    ours = synonyms.VALUES[name].get(word, word)
    if ours != word:
        typed.notes.append(f"{name} {value} is read as {ours}")
    return ours


def _placed(typed: Typed, named: dict[str, list[str]]) -> None:
    """Move arguments that were given by name, as in --model bert, to their positions."""
    if not named:
        return
    rest = iter([*typed.arguments])
    placed: list[str] = []
    for label in typed.shape.positions:
        placed += named.get(label) or [word for word in [next(rest, None)] if word is not None]
    typed.arguments = [*placed, *rest]
    command = shlex.join(["polyseme", typed.shape.verb, *typed.arguments])
    typed.notes.append(f"arguments have no names here: read as {command}")


def _quoted(typed: Typed) -> None:
    """Raises:  ConfigError: more words than the verb accepts, where its last argument is a text."""
    shape, arguments = typed.shape, typed.arguments
    wordy = bool(shape.positions) and shape.positions[-1] in _WORDY
    # otherwise a word may be an option's value
    known = all(name in shape.options for name, _ in typed.options)
    if shape.several or not wordy or not known or len(arguments) <= len(shape.positions):
        return
    first = next(i for i, label in enumerate(shape.positions) if label in _WORDY)
    text = " ".join(arguments[first:]).strip("“”‘’\"'")
    raise ConfigError(
        "a text of several words needs quotes",
        got=f"{len(arguments) - first} words",
        fix=typed.command(arguments=[*arguments[:first], text]),
    )


def _option(shape: Shape, name: str) -> tuple[str, str]:
    """The verb's own name for an option, and the prefix of its value: "key=" for --set."""
    if name in shape.options:
        return name, ""
    key = "--" + spelled(name.lstrip("-"))
    if key in shape.options:
        return key, ""
    if "." in name and "--set" in shape.options:  # --train.learning_rate
        return "--set", f"{name.lstrip('-')}="
    for other in synonyms.OPTIONS.get(key, ()):
        if other.endswith("="):
            general = other.startswith("train.")
            if "--set" in shape.options and (
                shape.verb == "pretrain" or (general and shape.verb == "finetune")
            ):
                return "--set", other
        elif other.partition("=")[0] in shape.options or other in shape.positions:
            return other, ""
    return name, ""


def _is_value(shape: Shape, word: str | None) -> bool:
    """Whether a word is the value of the option before it, not an option itself."""
    if word is None or word == "--":
        return False
    name = word.partition("=")[0]
    return not (_OPTION.fullmatch(word) and (word.startswith("--") or name in shape.options))


def _written(name: str, value: str | None) -> list[str]:
    if value is None:
        return [name]
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def _at_home(word: str) -> str:
    """A word with its ~ expanded, which the shell leaves in --init=~/runs/x, if that path exists."""
    name, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if not value.startswith("~") or _exists(value):
        return word
    path = os.path.expanduser(value)
    return name + equals + path if _exists(path) or _exists(os.path.dirname(path)) else word


# ---- arguments: which, in which order, under which name


def _exists(word: str) -> bool:
    """Whether a path exists; pathlib raises an error for a text that is too long for a path."""
    return os.path.exists(word)


def _is_run(word: str) -> bool:
    return os.path.isfile(os.path.join(word, "run.json"))


def _is_task(word: str) -> bool:
    from polyseme.core.registry import tasks

    return spelled(word) in (*tasks.names(), *synonyms.TASKS)


def _is_model(word: str) -> bool:
    from polyseme.core.registry import models

    return spelled(word) in (*models.names(), *synonyms.MODELS)


def _is_model_or_run(word: str) -> bool:
    return _is_model(word) or _is_run(word)


_KINDS: dict[str, Callable[[str], bool]] = {"RUN": _is_run, "TASK": _is_task, "MODEL": _is_model}


def _in_order(typed: Typed) -> None:
    """Move the first argument of a verb to the front: `fill TEXT RUN`, `pretrain CORPUS MODEL`."""
    shape, arguments = typed.shape, typed.arguments
    kind = _KINDS.get(shape.positions[0]) if len(shape.positions) > 1 else None
    if shape.verb == "mask":  # accepts runs as well as models
        kind = _is_model_or_run
    if kind is None or not arguments or kind(arguments[0]):
        return
    # A folder of texts may have the name of a model.
    first = [word for word in arguments if kind(word) and (_is_run(word) or not _exists(word))]
    if not first or (len(first) > 1 and shape.positions[0] != "RUN"):
        return
    typed.arguments = first + [word for word in arguments if word not in first]
    command = shlex.join(["polyseme", shape.verb, *typed.arguments])
    typed.notes.append(f"{shape.positions[0]} comes first: read as {command}")


def _named(typed: Typed) -> None:
    """Replace other names of models, tasks, formats and runs by ours.

    Raises:  ConfigError: no such model or task.  RunError: a run of another name may be meant.
    """
    readers = {"MODEL": _model, "TASK": _task, "FORMAT": _format, "RUN": _run, "KIND": _kind}
    readers |= dict.fromkeys(_WORDY, _text)
    for place, label in enumerate(typed.shape.positions):
        if label in readers and place < len(typed.arguments):
            readers[label](typed, place)


def _model(typed: Typed, place: int) -> None:
    from polyseme.core.registry import models

    word, names = typed.arguments[place], models.names()
    name = spelled(word)
    if name in names or (typed.shape.verb == "mask" and _exists(word)):
        typed.arguments[place] = name if name in names else word
        return
    if name in synonyms.MODELS:
        ours, *options = shlex.split(synonyms.MODELS[name])
        typed.arguments[place] = ours
        given = {option for option, _ in typed.options}
        if options and options[0] not in given and options[0] in typed.shape.options:
            typed.options.append((options[0], options[1]))
        shown = " ".join([ours, *options])
        typed.notes.append(f"{word} is read as {shown}; it is trained from nothing")
        return
    nearest = _nearest_model(name, names)
    raise ConfigError(
        f"unknown model {word!r}",
        expected=f"{', '.join(names)}: trained from nothing; weights of others come in with `polyseme import`",
        fix=_with_a_model(typed, place, nearest),
    )


def _with_a_model(typed: Typed, place: int, nearest: str | None) -> str:
    """The command with a model: the one with the nearest name, or a default one before an existing corpus."""
    if nearest is not None:
        return typed.command(arguments=_with(typed, place, nearest))
    if _exists(typed.arguments[place]):
        return typed.command(arguments=[_stand_in("MODEL"), *typed.arguments])
    return "polyseme list models"


def _nearest_model(name: str, names: Sequence[str]) -> str | None:
    """The model with the nearest name, or the one most similar to a model of another program."""
    near = difflib.get_close_matches(name, [*names, *synonyms.MODELS], n=1, cutoff=0.75)
    if near:
        return synonyms.MODELS.get(near[0], near[0]).partition(" ")[0]
    parts = re.findall("[a-z]+", name)
    for theirs, ours in synonyms.KIN.items():
        if any(part == theirs or (len(theirs) > 3 and theirs in part) for part in parts):
            return ours
    return None


def _task(typed: Typed, place: int) -> None:
    from polyseme.core.registry import tasks

    word, names = typed.arguments[place], tasks.names()
    name = spelled(word)
    if name in names:
        typed.arguments[place] = name
    elif name in synonyms.TASKS:
        typed.arguments[place] = synonyms.TASKS[name]
        typed.notes.append(f"{word} is a task of the kind {synonyms.TASKS[name]}")
    else:
        near = difflib.get_close_matches(name, [*names, *synonyms.TASKS], n=1, cutoff=0.6)
        raise ConfigError(
            f"unknown task {word!r}",
            expected=", ".join(names),
            fix=typed.command(arguments=_with(typed, place, synonyms.TASKS.get(near[0], near[0])))
            if near
            else "polyseme list tasks",
        )


def _format(typed: Typed, place: int) -> None:
    word = typed.arguments[place]
    if ours := synonyms.FORMATS.get(spelled(word)):
        typed.arguments[place] = ours
        typed.notes.append(f"{word} is read as {ours}")


def _formats() -> set[str]:
    from polyseme.formats.registry import FORMATS

    return {entry.name for entry in FORMATS} | {*synonyms.FORMATS}


def _kind(typed: Typed, place: int) -> None:
    typed.arguments[place] = _value(typed, "KIND", typed.arguments[place])


def _text(typed: Typed, place: int) -> None:
    word = typed.arguments[place]
    if os.path.isfile(word) and Path(word).suffix:
        typed.notes.append(f"{word} is read as a text, although there is a file of this name")


def _run(typed: Typed, place: int) -> None:
    """Raises:  RunError: no such folder, but one with a similar name; or a folder of runs."""
    word = typed.arguments[place]
    if _is_run(word) or len(os.path.basename(word)) > _LONGEST_NAME:
        return
    path = Path(word)
    if (
        path.is_file()
        and _is_run(str(path.parent))
        and path.suffix in (".json", ".jsonl", ".safetensors", ".md")
    ):
        typed.arguments[place] = str(path.parent)
        typed.notes.append(f"{word} is a file of the run {path.parent}")
        return
    if path.is_dir():
        inside = [*_runs_in(path)]
        if inside and not any((path / name).exists() for name in ("config.json", "run.json")):
            raise RunError(
                "a folder of runs, not a run",
                got=", ".join(run.name for run in inside[:8]),
                where=word,
                fix=typed.command(arguments=_with(typed, place, str(inside[0]))),
            )
        return
    if path.exists():
        return
    known = {str(run): run for folder in (path.parent, _RUNS) for run in _runs_in(folder)}
    names = {run.name: run for run in known.values()}
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    if near:
        run = names[near[0]]
        raise RunError(
            "not a run",
            got="no such folder",
            where=word,
            fix=typed.command(arguments=_with(typed, place, str(run))),
        )


def _with(typed: Typed, place: int, word: str) -> list[str]:
    return [*typed.arguments[:place], word, *typed.arguments[place + 1 :]]


def _runs_in(folder: Path) -> Iterator[Path]:
    """The runs of a folder, the newest first."""
    try:
        runs = [(mark.stat().st_mtime, mark.parent) for mark in folder.glob("*/run.json")]
    except OSError:
        return
    yield from (run for _, run in sorted(runs, reverse=True))


def _stand_in(name: str) -> str:
    """The word in a hint for a missing argument: one that works, or a capital word to replace."""
    works = {
        "MODEL": "modernbert",
        "CORPUS": "python-docs",
        "TASK": "classify",
        "FORMAT": "huggingface",
        "KIND": "models",
        "--tasks": "FILE.toml",
    }
    return works.get(name, "FILE" if name.startswith("--") else name)


def _place(verb: str, arguments: Iterable[str]) -> str:
    """A free path to write to."""
    first = next(iter(arguments), "mine")
    place = _PLACES.get(verb, "OUTPUT").format(first if re.fullmatch(r"[\w-]+", first) else "mine")
    stem, dot, ending = place.partition(".")
    free, number = place, 2
    while Path(free).exists():
        free, number = f"{stem}-{number}{dot}{ending}", number + 1
    return free
