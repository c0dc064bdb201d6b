"""Every `try:` and `next:` line that a test provokes is typed after that test: what we propose has to work.

A hint is prose, or holds things to type: whole commands (`polyseme fill RUN TEXT`) and options of the verb that was
refused (`--columns label=COLUMN`). Words in CAPITALS are places to fill in.

    any error of any test     its commands name a verb that is there, with options that this verb has; its options are
                              options of the verb that was refused (of some verb, where none was typed)
    a refused command line    a command without places to fill in is run; options with their values are added to the
                              refused words, or taken from them ("leave --end out"); the same error must not come again
    `next:`                   is run, with a file, a word or a text in the places to fill in, and must end with 0
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, get_args

from polyseme import cli
from polyseme import serve as serving
from polyseme.cli import completion, output
from polyseme.errors import PolysemeError
from polyseme.infer.loaded import word_ids
from polyseme.text.builtin import BUILTINS

_BUILD = cli.build_app
ROOT = Path(__file__).resolve().parent.parent
_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""")
_PLACE = re.compile(r"\b[A-Z]{3,}\d?\b|\b[A-Z]{2,}=|…|\.\.\.|(?:^|=)[A-Z]+$")
_ENDS = (",", ";", ":", ")", "`", ".")
# Words of prose that follow a command or an option in our hints; a value of ours is never one of them.
_PROSE = {
    "or",
    "and",
    "then",
    "to",
    "for",
    "where",
    "shows",
    "trains",
    "reads",
    "makes",
    "with",
    "goes",
    "if",
    "of",
}
_PROSE |= {
    "first",
    "says",
    "lists",
    "writes",
    "names",
    "in",
    "is",
    "which",
    "gives",
    "takes",
    "turns",
    "the",
    "a",
}
_OTHERS = {"hf", "pip", "git", "iconv", "torchrun", "python"}
_BUDGETS = {"--minutes", "--epochs", "--tokens", "--steps", "--words"}
_SMALL = {"tokenizer.vocab_size": 800, "train.batch_size": 4, "train.heldout_tokens": 500}
_CHOOSE_SIZES = {"--", "--batch-size", "--init", "--recipe", "--tokenizer", "--vocab-size"}
_SLOW = {"demo", "doctor"}  # minutes of training and measuring, whatever is typed


@dataclass(frozen=True)
class Proposal:
    """Something to type that a hint holds: a whole command, or options for the verb that was refused.

    Args:
        words: verb and what follows, or options and their values.
        whole: a command of its own.
        without: the options are to be left out of what was refused.
        instead: the options stand for all of their name in what was refused.
    """

    words: tuple[str, ...]
    whole: bool
    without: bool = False
    instead: bool = False

    @property
    def open(self) -> bool:
        """Whether there are places to fill in."""
        return any(_PLACE.search(word) for word in self.words)


@cache
def arguments_of(verb: str) -> dict[str, tuple[int, bool]]:
    """The options of a verb: how many values each takes and whether it may be repeated."""
    found = {}
    for argument in _BUILD()[verb].assemble_argument_collection():
        count, several = argument.token_count()
        for name in argument.names:
            if name.startswith("-"):
                found[name] = (0 if argument.hint is bool or count == 0 else count, several)
    return found | dict.fromkeys(("--help", "-h", "--quiet", "-q", "--verbose", "-v", "--debug"), (0, False))


@cache
def all_options() -> dict[str, tuple[int, bool]]:
    """The options of all verbs."""
    return {name: how for verb, _, _ in cli.VERBS for name, how in arguments_of(verb).items()}


def proposals(hint: str, verb: str | None) -> list[Proposal]:
    """What a hint holds to type.

    Raises:  AssertionError: it names a verb or an option that is not there.
    """
    found: list[Proposal] = []
    tokens = [(match[0], match.start()) for match in _WORD.finditer(hint)]
    at = 0
    while at < len(tokens):
        token = tokens[at][0].lstrip("`(")
        if token in _OTHERS:  # another program's command, and what can be typed after it has done its work
            while at < len(tokens) and not tokens[at][0].endswith((",", ";", ":")):
                at += 1
            at += 1
        elif token.startswith("--") or token in ("-o", "-q"):
            before = [bare for bare, _ in map(_bare, (word for word, _ in tokens[max(at - 2, 0) : at]))]
            known = arguments_of(verb) if verb else all_options()
            if before[-1:] == ["leave"] and _bare(tokens[at + 1][0])[0] == "out":
                name = _bare(tokens[at][0])[0]
                assert name in known, f"no option {name}: {hint!r}"
                found.append(Proposal((name,), whole=False, without=True))
                at += 2
                continue
            words, at = _options(tokens, at, known, hint)
            instead = before == ["it", "like"] or words[0] == "--columns"
            found.append(Proposal(tuple(words), whole=False, instead=instead))
        elif token == "polyseme" and [word for word, _ in tokens[at + 1 : at + 2]] == [completion.INSTALL]:
            shell = _bare(tokens[at + 2][0])[0]  # not typed here, as it writes into the home folder
            assert shell in get_args(completion.Shell), f"no shell {shell!r}: {hint!r}"
            at += 3
        elif (
            token == "polyseme" and at + 1 < len(tokens) and re.match(r"[a-z][a-z-]*\W?$", tokens[at + 1][0])
        ):
            words, at = _command(tokens, at + 1, hint)
            if words:
                found.append(Proposal(tuple(words), whole=True))
        else:
            at += 1
    return found


def _bare(token: str) -> tuple[str, bool]:
    """A token without the sign that ends a phrase, and whether there was one."""
    if token == ".":  # the folder where one is
        return token, False
    bare = token.lstrip("`(")
    ended = False
    while bare.endswith(_ENDS) and not bare.endswith("..."):
        bare, ended = bare[:-1], True
    return (
        shlex.split(bare)[0] if bare.startswith(("'", '"')) or "'" in bare or '"' in bare else bare
    ), ended


def _options(
    tokens: Sequence[tuple[str, int]], at: int, known: dict[str, tuple[int, bool]], hint: str
) -> tuple[list[str], int]:
    words: list[str] = []
    while at < len(tokens):
        token, ended = _bare(tokens[at][0])
        if token == "and" and words and at + 1 < len(tokens) and tokens[at + 1][0].startswith("--"):
            at += 1
            continue
        if not token.startswith("-") or token == "--":
            break
        name, equals, _ = token.partition("=")
        assert name in known, f"no option {name}: {hint!r}"
        words.append(token)
        at += 1
        count = 0 if equals else known[name][0]
        while count > 0 and not ended and at < len(tokens):
            value, ended = _bare(tokens[at][0])
            if value in _PROSE:
                break  # the option is spoken of, not typed
            words.append(value)
            at += 1
            count -= 1
        if count > 0:
            words.append("VALUE")
        if ended:
            break
    return words, at


def _command(tokens: Sequence[tuple[str, int]], at: int, hint: str) -> tuple[list[str], int]:
    verb, ended = _bare(tokens[at][0])
    if verb in _PROSE:
        return [], at + 1
    assert verb in {name for name, _, _ in cli.VERBS}, f"no verb {verb!r}: {hint!r}"
    words = [verb]
    at += 1
    while at < len(tokens) and not ended:
        token, closes = _bare(tokens[at][0])
        if token in _PROSE or not token:
            break
        if token == "--":
            words += [_bare(word)[0] for word, _ in tokens[at:]]
            return words, len(tokens)
        if re.match(r"--?[A-Za-z]", token) and " " not in token:
            more, at = _options(tokens, at, arguments_of(verb), hint)
            words += more
            ended = _bare(tokens[at - 1][0])[1]
            continue
        words.append(token)
        ended = closes
        at += 1
    return words, at


@dataclass(frozen=True)
class Said:
    """A line that a command line printed: what was typed, where, and what was proposed."""

    words: tuple[str, ...]
    folder: Path
    line: str
    what: str | None  # the error; None for `next:`
    files: dict[str, tuple[int, int]]  # of the runs that it speaks of


class _Watched:
    """The application of the command line, which tells what is typed."""

    def __init__(self, app: Any, watch: Watch) -> None:
        self._app, self._watch = app, watch

    def __call__(self, words: Sequence[str], **options: Any) -> Any:
        if not self._watch.typing:
            self._watch.words = tuple(words)
        return self._app(words, **options)

    def __getitem__(self, verb: str) -> Any:
        return self._app[verb]

    def __iter__(self) -> Iterator[str]:
        return iter(self._app)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def _serve_nobody(config: object, told: object = None) -> None:
    """`serve` goes on until it is ended: what is typed is only read."""


class Watch:
    """Collects what is proposed while a test runs, and types it afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[object] = set()
        self.hints: list[str] = []
        self.said: list[Said] = []
        self.words: tuple[str, ...] = ()
        self.typing = False
        self._count = 0

    # -- what happens while a test runs --------------------------------------------------------------------------

    def install(self, patch: Any) -> None:
        """Watch errors, refused command lines and closing lines from now on."""
        built, run, explained = cli.build_app, cli._run, cli._explain
        said, made = output.say, PolysemeError.__init__

        def start(words: list[str], debug: bool) -> int:
            if not self.typing:
                self.words = tuple(words)
            return run(words, debug)

        def build() -> Any:
            return _Watched(built(), self)

        def explain(error: BaseException, *rest: Any) -> int:
            if not self.typing and isinstance(error, PolysemeError) and error.fix:
                self._note(error.fix, error.what)
            return explained(error, *rest)

        after = ""

        def say(text: str = "", **how: Any) -> None:
            nonlocal after
            label = text[:7].strip() or after
            if not self.typing and label == "next:":
                self._note(text[7:], None)
            after = label if label in ("wrote:", "next:") else ""
            said(text, **how)

        def make(error: PolysemeError, *arguments: Any, **fields: Any) -> None:
            made(error, *arguments, **fields)
            if error.fix and not self.typing:
                self.hints.append(error.fix)

        patch.setattr(cli, "build_app", build)
        patch.setattr(cli, "_run", start)
        patch.setattr(cli, "_explain", explain)
        patch.setattr(output, "say", say)
        patch.setattr(PolysemeError, "__init__", make)

    def _note(self, line: str, what: str | None) -> None:
        self.said.append(Said(self.words, Path.cwd(), line, what, _files([*self.words, *line.split()])))

    # -- what happens after it -----------------------------------------------------------------------------------

    def type_all(self) -> None:
        """Check and type what was proposed since the last call.

        Raises:  AssertionError: something does not work; all of it in one message.
        """
        said, hints = self.said, self.hints
        self.said, self.hints, self.words = [], [], ()
        faults = []
        self.typing = True
        place, python_docs = Path.cwd(), BUILTINS["python-docs"]
        BUILTINS["python-docs"] = _few_docs
        serve, serving.serve = serving.serve, _serve_nobody
        try:
            for hint in hints:
                if hint not in self.seen:
                    self.seen.add(hint)
                    faults += self._fault(lambda hint=hint: check(hint))
            for one in said:
                faults += self._fault(lambda one=one: self._type(one, place))
        finally:
            self.typing = False
            BUILTINS["python-docs"] = python_docs
            serving.serve = serve
            os.chdir(place)
        assert not faults, "a line that proposes something to type does not work:\n" + "\n".join(faults)

    def _fault(self, call: Any) -> list[str]:
        try:
            call()
        except AssertionError as error:
            return [str(error)]
        return []

    def _type(self, said: Said, place: Path) -> None:
        if not said.words or said.words[0] in _SLOW or not said.folder.is_dir():
            return
        verb = said.words[0] if said.words[0] in {name for name, _, _ in cli.VERBS} else None
        for proposal in proposals(said.line, verb):
            key = (verb, said.words[1:2] if verb in ("pretrain", "finetune") else (), _shape(proposal.words))
            if key in self.seen or (proposal.whole and proposal.words[0] in _SLOW):
                continue
            if not proposal.whole and verb is None:
                continue
            here = self.folder / f"here{self._count}"
            self._count += 1
            here.mkdir()
            os.chdir(here if said.folder == place else said.folder)  # nothing is written into the checkout
            if _files([*said.words, *said.line.split()]) != said.files and said.what is None:
                continue  # the test damaged the run after it was proposed
            if _played(said):
                continue
            self.seen.add(key)
            words: list[str] | None = list(proposal.words)
            if proposal.open:
                if said.what is not None:
                    continue  # checked above; only a person knows what to fill in
                if (words := self._filled(words, said)) is None:
                    continue
            elif not proposal.whole:
                words = self._added(said.words, proposal)
            self._run(words, said)

    def _run(self, words: list[str], said: Said) -> None:
        errors: list[BaseException] = []
        explained = cli._explain

        def explain(error: BaseException, *rest: Any) -> int:
            errors.append(error)
            return explained(error, *rest)

        cli._explain = explain
        try:
            code = cli.main(_short(words))
        finally:
            cli._explain = explained
        typed = shlex.join(words)
        if said.what is None:
            assert code == 0, f"next: {said.line}\n  typed: {typed}\n  exit {code}: {errors}"
            return
        assert not any(key in str(error) for error in errors for key in _SMALL), (
            errors
        )  # what `_short` adds fits
        again = [error for error in errors if getattr(error, "what", None) == said.what]
        misused = [error for error in errors if not isinstance(error, PolysemeError | OSError)]
        told = f"try: {said.line}\n  after: {shlex.join(said.words)}\n  typed: {typed}\n  exit {code}: "
        assert not again, told + str(again)
        assert not misused, told + str(misused)

    def _added(self, refused: Sequence[str], proposal: Proposal) -> list[str]:
        """The refused words with options added, left out or, where they may stand only once, replaced."""
        known = arguments_of(refused[0])
        words = list(refused)
        groups = list(_grouped(proposal.words))
        for name, *values in groups:
            count, several = known[name]
            names = {"-o", "--output"} if name in ("-o", "--output") else {name}
            if not several or proposal.without or proposal.instead:
                _take_out(words, lambda at, names=names: words[at] in names, 1 + count)
                _take_out(words, lambda at, name=name: words[at].startswith(f"{name}="), 1)
            elif name == "--set" and values:
                key = values[0].partition("=")[0]
                _take_out(
                    words, lambda at, key=key: words[at] == "--set" and words[at + 1].startswith(f"{key}="), 2
                )
        named = {name for name, *_ in groups}
        if not named & {"-o", "--output", "--resume"}:
            self._count += 1
            for at, word in enumerate(words[:-1]):
                if word in ("-o", "--output") and not words[at + 1].startswith("-"):
                    path = Path(words[at + 1])
                    words[at + 1] = str(path.with_name(f"typed{self._count}-{path.name}"))
        end = words.index("--") if "--" in words else len(words)
        added = [] if proposal.without else [word for group in groups for word in group]
        return [*words[:end], *added, *words[end:]]

    def _filled(self, words: list[str], said: Said) -> list[str] | None:
        """A `next:` line with something in its places; None where a test only plays that there is a run."""
        files = {
            "lines": "It was a good day.\nThe name of the object is new.\n",
            "labelled": "text\tlabel\na good day\tgood\na bad day\tbad\n" * 8,
            "pairs": "good\tbad\t2\nday\tname\t1\nobject\ta\t3\n",
        }
        for name, text in files.items():
            (self.folder / name).with_suffix(".tsv" if name != "lines" else ".txt").write_text(text, "utf-8")
        lines, labelled, pairs = (self.folder / name for name in ("lines.txt", "labelled.tsv", "pairs.tsv"))
        given = [
            said.words[at + 1] for at, word in enumerate(said.words[:-1]) if word in ("--dev", "--train")
        ]
        if not given and said.words[0] in ("evaluate", "predict"):
            there = [word for word in said.words[2:] if len(word) < 200]  # options may stand first
            given = [word for word in there if Path(word).is_file()][:1]
        named = [word for word in (*words[1:], *said.words[1:]) if len(word) < 200]
        runs = [word for word in named if Path(word, "run.json").is_file()]
        self._count += 1
        new = str(self.folder / f"new{self._count}")
        places = {
            "FILE": {"similarity": str(pairs), "finetune": str(labelled)}.get(words[0], str(lines)),
            "CORPUS": str(lines),
            "TEXT": "It was a good day.",
            "PROMPT": "It was",
            "OUT.npy": f"{new}.npy",
            "REPORT.html": f"{new}.html",
            **dict.fromkeys(("OUT", "NEW", "RUN2", "DIR", "FOLDER"), new),
        }
        if words[0] in ("evaluate", "predict"):
            places |= {
                "FILE": given[0] if given else str(labelled),
                "LABELLED": given[0] if given else str(labelled),
            }
        if runs:
            places |= {"RUN": runs[0], "WORD": _a_word(Path(runs[0]).resolve())}
            if words[-2:-1] == ["--against"]:
                places["RUN2"] = runs[0]
        filled = [places.get(word.removesuffix("..."), word) for word in words]
        for at, word in enumerate(words[:-1]):
            if word in ("-o", "--output") and _PLACE.search(words[at + 1]):
                filled[at + 1] = new + Path(words[at + 1]).suffix
        missing = "RUN" in filled or "NAME" in filled or "FOLDER" in words
        return None if missing else filled


@cache
def _few_docs() -> tuple[tuple[str, str], ...]:
    """In place of python-docs, whose two megabytes take seconds to prepare."""
    return tuple((f"topic {name}", topics[name][:2000]) for name in sorted(topics))


def _played(said: Said) -> bool:
    """Whether a test only plays that there is a run: what was typed names none that is there."""
    return said.what is None and "run" in said.words and not Path("run").exists()


@cache
def _a_word(run: Path) -> str:
    """A word that a run knows."""
    import polyseme

    loaded = polyseme.load(run)
    words = (loaded.tokenizer.display(i).strip() for i in range(loaded.tokenizer.vocab_size - 1, -1, -1))
    return next(word for word in words if word.isalpha() and word_ids(loaded.tokenizer, word))


def _files(words: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Size and time of the files of the runs among some words: tests damage runs after a command."""
    short = [word for word in words if len(word) < 200]  # texts are no names
    runs = {Path(word).absolute() for word in short if Path(word, "run.json").is_file()}
    files = [file for run in runs for file in run.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


def _take_out(words: list[str], where: Any, n: int) -> None:
    at = 0
    while at < len(words):
        if at + n <= len(words) and where(at):
            del words[at : at + n]
        else:
            at += 1


def _grouped(options: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for word in options:
        if word.startswith("-") and len(word) > 1 and not re.match(r"-[\d.]", word):
            if group:
                yield group
            group = [word]
        else:
            group.append(word)
    if group:
        yield group


def _shape(words: Sequence[str]) -> tuple[str, ...]:
    """Words without what differs from test to test."""
    return tuple("PATH" if "/" in word else re.sub(r"\d+", "0", word) for word in words)


def _short(words: list[str]) -> list[str]:
    """The words with a budget, and with sizes that no option speaks of, that a test can wait for."""
    if words[0] != "pretrain" or "--resume" in words:
        return words
    if "--steps" not in words:
        for name in _BUDGETS:
            _take_out(words, lambda at, name=name: words[at] == name, 2)
        words = [*words, "--steps", "1"]
    chosen = {word.partition("=")[0] for word in words}
    prepared = any(Path(word, "store.json").is_file() for word in words if len(word) < 200)
    if words[1:2] == ["bert"] and not prepared and not chosen & _CHOOSE_SIZES:
        sizes = [f"{key}={value}" for key, value in _SMALL.items() if key not in chosen]
        words = [*words, *(part for size in sizes for part in ("--set", size))]
    return words


def check(hint: str) -> None:
    """Hold a hint against what there is to type.

    Raises:  AssertionError: it names a verb, an option or an extra that is not there.
    """
    proposals(hint, None)
    for extra in re.findall(r"polyseme\[(\w+)\]", hint):
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
            "optional-dependencies"
        ]
        assert extra in extras, f"no extra {extra}: {hint!r}"
