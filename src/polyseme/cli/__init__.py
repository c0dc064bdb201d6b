"""The command line: one small file per verb, imported only when its verb is typed.

Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted after saving. After any verb `--debug` (or POLYSEME_DEBUG=1)
shows the traceback of an error that otherwise prints its message only, `-q` keeps progress and notes back, and `-v`
adds what third parties warn of, the time and the memory.
"""

from __future__ import annotations

import atexit
import codecs
import gc
import importlib
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from polyseme.cli import completion, output
from polyseme.cli.words import Shape, Typed, misused, nearest_option, understood
from polyseme.core.ranks import declared, is_spoken_for
from polyseme.errors import PolysemeError, UsageError
from polyseme.text.unknown import UnknownShare, unknown_by_file

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

# verb, group in the help, one line of help; the module polyseme.cli.VERB holds a function `run`.
_START, _TRAIN, _USE = "Start here", "Train", "Use and look inside"
VERBS = (
    (
        "demo",
        _START,
        "Pretrain on text that Python brings along for about three minutes and show what was learned.",
    ),
    (
        "lecture",
        _START,
        "Measure every claim of the line from 1-of-N to GPT on a text, and write one page of it.",
    ),
    ("doctor", _START, "Say what this machine can do: cores, memory, bf16, GPU, measured speed."),
    ("list", _START, "List models, objectives, tasks, recipes, corpora or formats."),
    ("pretrain", _TRAIN, "Train a model on raw text."),
    ("finetune", _TRAIN, "Adapt a run to a task with labelled files: classify, pair, tag, qa."),
    ("prepare", _TRAIN, "Only tokenize text into a store that pretrain accepts as a corpus."),
    ("inspect", _TRAIN, "Say what a run is, what it was trained on, how it went and where it is now."),
    ("tidy", _TRAIN, "Free what only resuming needs: checkpoints with the optimiser's state."),
    ("import", _USE, "Take in a model of another program."),
    ("export", _USE, "Write a run in the format of another program."),
    ("distil", _USE, "Make a static run of a run that reads context: one vector a word, many times faster."),
    ("predict", _USE, "Say what an adapted run makes of every text of a file: labels, tags, answers."),
    ("evaluate", _USE, "Measure an adapted run on a labelled file, or test two runs against each other."),
    ("tokenize", _USE, "Show the tokens that a run reads of a text."),
    ("fill", _USE, "Complete a text at its [MASK]s."),
    ("generate", _USE, "Continue a text."),
    ("score", _USE, "Say how probable every line of a file is."),
    ("follows", _USE, "Say whether a text follows another, with a probability."),
    ("mask", _USE, "Show what a masking objective hides in a text, and why."),
    ("units", _USE, "Hide whole words, phrases and entities, and see whether runs find them again."),
    ("embed", _USE, "Turn every line of a file into a vector."),
    (
        "probe",
        _USE,
        "Say what a run's frozen layers know of parts of speech, relations, entities, and where.",
    ),
    ("neighbours", _USE, "List the words nearest to a word, alone or in a sentence."),
    ("cosines", _USE, "Say how near words are to each other, or uses of a word, in any model."),
    ("tree", _USE, "Draw where the classes of words part, from a word-classes run."),
    ("directions", _USE, "Show what elmo expects at every word, from the left and from the right."),
    ("holes", _USE, "Compare the vectors of words that fit the same [MASK] with those of other words."),
    ("uses", _USE, "List uses of a word in the text that a run was trained on."),
    ("attention", _USE, "Show where the tokens of a text look, and what each attention head does."),
    ("cka", _USE, "Compare the layers of one or two runs by what they make of the same text."),
    ("similarity", _USE, "Correlate word vectors with people's scores of word pairs."),
    ("senses", _USE, "Say how well a run tells the senses of words apart, and draw their uses."),
    ("pairs", _USE, "Say in how many minimal pairs the good text is the more probable one."),
    ("analogy", _USE, "Answer analogies with word vectors: a is to b as c is to …?"),
    ("compare", _USE, "Compare runs on tasks, probes, senses and pairs, in one page or table."),
    ("serve", _USE, "Answer over HTTP: runs as an API that other programs' clients speak."),
)
_NAMES = frozenset(verb for verb, _, _ in VERBS)
# every rank would repeat the work of the other verbs, in the same place
_BY_SEVERAL = ("pretrain", "inspect", "list", "doctor")
# verbs that keep their work when interrupted
_GOES_ON = ("demo", "lecture", "finetune", "prepare", "compare", "pretrain")

_EPILOGUE = (
    "`polyseme VERB --help` explains a verb. After any verb, `-q` prints results and errors alone, `-v` also says how "
    "long it took and what libraries warn of, and `--debug` shows tracebacks. `polyseme --install-completion` teaches "
    "your shell the tab key."
)


def build_app() -> App:
    """Build the application; verbs stay unimported until one is chosen."""
    from cyclopts import App, Group, Parameter

    from polyseme.core.version import __version__

    app = App(
        name="polyseme",
        help="Train representations of text on your own text, compare them and look inside.",
        help_format="plaintext",  # the other formats load a parser that takes a fifth of the time
        help_epilogue=_EPILOGUE,
        version=__version__,
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    groups = {name: Group(name, sort_key=order) for order, name in enumerate((_START, _TRAIN, _USE))}
    for order, (verb, group, text) in enumerate(VERBS):
        app.command(f"polyseme.cli.{verb}:run", name=verb, help=text, group=groups[group], sort_key=order)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after `polyseme`; None takes them from the process.

    Returns the exit code.
    """
    started = time.monotonic()
    if arguments is None:
        _read_words_as_utf8()
        atexit.register(
            gc.freeze
        )  # to look for garbage among torch's objects takes half a second, for nothing
    words = [*(sys.argv[1:] if arguments is None else arguments)]  # `list` is a verb's module here
    words, debug = _switched(words, "--debug")
    debug = debug or os.environ.get("POLYSEME_DEBUG", "") not in ("", "0")
    words, quiet = _switched(words, "-q", "--quiet", "--silent")
    verbose = False
    if words != ["-v"]:  # which is asked of other programs for their version
        words, verbose = _switched(words, "-v", "--verbose")
    output.be_quiet(quiet)
    output.be_verbose(verbose)
    if verbose and not sys.warnoptions:
        warnings.simplefilter("default")
    if not debug:
        warnings.showwarning = _note
    output.open_closed_streams()
    codecs.register_error("polyseme", _escape)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="polyseme")
    if quiet and verbose:
        return _explain(UsageError("-q and -v ask for opposite things", fix="leave one of them out"))
    from polyseme.train.signals import SignalRequests

    with SignalRequests(at_once=True) as signals:  # before all else: schedulers send signals at any time
        try:
            code = _run(words, debug)
            if verbose and words[:1] and words[0] in _NAMES:
                output.say(_spent(time.monotonic() - started))
            return code
        except BaseException as error:
            # a library that was being imported may have turned the interruption into an error of its own
            if debug or not (signals.stop and isinstance(error, Exception | KeyboardInterrupt)):
                raise
            return _explain(KeyboardInterrupt(), words)


def _spent(seconds: float) -> str:
    """How long a verb took, the memory it had at most, and what it ran with, for `-v`."""
    import platform

    from polyseme.core.version import __version__
    from polyseme.report.figures import duration, size

    took, ran = [duration(seconds)], [f"polyseme {__version__}", f"Python {platform.python_version()}"]
    if "torch" in sys.modules:  # else the verb had no use for it, and to import it takes longer than most
        import torch

        from polyseme.train.machine import peak_memory_bytes

        took.append(f"{size(peak_memory_bytes())} of memory at most")
        ran.append(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    return f"took:  {', '.join(took)} ({', '.join(ran)})"


def _read_words_as_utf8() -> None:
    """Restart Python in its UTF-8 mode where the locale is ASCII only: LC_ALL=C with PYTHONUTF8=0.

    In such a locale the arguments are bytes to Python, and no file with a Chinese name can be opened.
    """
    ascii_only = codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
    if ascii_only and not sys.flags.utf8_mode and sys.executable:
        os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream cannot encode, so that JSON stays valid and unchanged."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(f"\\u{code:04x}" for code in codes), error.end


def _run(words: list[str], debug: bool) -> int:
    from cyclopts import CycloptsError

    typed: Typed | None = None
    met: dict[str, UnknownShare] = {}
    try:
        app = build_app()
        if words[:1] == [completion.ASKED]:
            app(words)
            return 0
        if words[:1] == [completion.INSTALL]:
            completion.install(words[1:], app)
            return 0
        read = understood(words, app)
        if isinstance(read, Typed):
            typed, words = read, read.words()
            for note in typed.notes:
                output.say(f"note: {note}")
        else:
            words = read
            _explain_verb(app, words)
        if typed is not None and words[0] not in _BY_SEVERAL and declared()[1] > 1:
            raise UsageError(
                f"{words[0]} is done by one process",
                got=f"{declared()[1]} ranks",
                fix="the same command without torchrun",
            )
        with unknown_by_file(met):
            app(words)
        sys.stdout.flush()
        _say_what_is_unknown(words, met)
    except BrokenPipeError:  # the reader of our output closed the pipe
        output.discard_output()
    except SystemExit as stop:
        if not output.was_broken_pipe(stop):
            raise
        output.discard_output()
    except (PolysemeError, CycloptsError, OSError, KeyboardInterrupt) as error:
        if debug:
            raise
        code = _explain(error, words, typed)
        _say_what_is_unknown(words, met)  # which may be why
        return code
    return 0


def _switched(words: Sequence[str], *names: str) -> tuple[list[str], bool]:
    """The words without a switch that every verb accepts, and whether the switch was there."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word not in names]
    return [*kept, *words[end:]], len(kept) < end


def _explain_verb(app: App, words: Sequence[str]) -> None:
    """Give the help of a verb its line of usage and its example."""
    if len(words) == 2 and words[1] == "--help":
        verb = app[words[0]]
        verb.usage = Shape.of(app, words[0]).usage
        example = importlib.import_module(f"polyseme.cli.{words[0]}").EXAMPLE
        verb.help_epilogue = f"Example:\n  {example}\n\n{_EPILOGUE}"


_SAY_IT_THEMSELVES = ("pretrain", "prepare", "demo")


def _say_what_is_unknown(words: Sequence[str], unknown: Mapping[str, UnknownShare]) -> None:
    """Report the share of unknown tokens in what a verb read, where it is large."""
    for file, met in unknown.items():
        # what was prepared on the way, in a folder that has another name by now, was told of then
        if met.is_many and words[0] not in _SAY_IT_THEMSELVES and os.path.exists(file):
            share, run = met.says("the text's"), os.path.dirname(file) or "."
            output.say(
                f"note: {share}, that of {run}: its figures for such text mean little, unless it reads letters as elmo"
                " does; a vocabulary made from such text knows it, and one of tokenizer.kind=byte-bpe every text"
            )


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning in readable form; replaces `warnings.showwarning`."""
    if output.is_quiet():
        return
    if output.is_verbose() or not issubclass(
        category, DeprecationWarning | PendingDeprecationWarning | FutureWarning
    ):
        print(f"note: {message}", file=sys.stderr)


def _explain(error: BaseException, words: Sequence[str] = (), typed: Typed | None = None) -> int:
    """Print an error in readable form and return its exit code."""
    from cyclopts import CycloptsError

    if isinstance(error, PolysemeError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, CycloptsError):
        code, text = 2, _misuse(error, typed)
    elif isinstance(error, KeyboardInterrupt):
        code, text = 130, "interrupted"
        if words and words[0] in _GOES_ON:
            text += f"\n  {'try:':<10}the same command again"
    else:
        code, text = 1, f"the system refused: {error}"
    # errors of the command itself are shown once per machine; `distributed.joined` does so for other errors
    if not (code == 2 and is_spoken_for()):
        with suppress(OSError):  # nobody reads it: the terminal may be closed
            print(f"{'' if code == 130 else 'error: '}{text}", file=sys.stderr, flush=True)
    output.discard_output()  # output that could not be written, for example to a full disk, would fail again at exit
    return code


def _misuse(error: CycloptsError, typed: Typed | None) -> str:
    """The mistake, and a command to type: the typed one, corrected, where that is possible."""
    from cyclopts import MissingArgumentError, UnknownOptionError, UnusedCliTokensError

    text, fix, see = str(error).strip(), "polyseme --help", None
    if typed is not None:
        fix = f"polyseme {typed.shape.verb} --help"
        missing, whole = misused(typed)
        unknown = nearest_option(typed)
        if isinstance(error, UnknownOptionError) and unknown is not None:
            text, fix, see = f"{typed.shape.verb} has no option {unknown[0]}", unknown[1], fix
        elif isinstance(error, MissingArgumentError) and missing:
            text, fix, see = f"{typed.shape.verb} needs {' and '.join(missing)}", whole, fix
        elif isinstance(error, UnusedCliTokensError):
            most = len(typed.shape.positions)
            text = f"{typed.shape.verb} has no place for {', '.join(typed.arguments[most:])}"
            fix, see = typed.command(arguments=typed.arguments[:most]), fix
    lines = [text, f"  {'try:':<10}{fix}"]
    return "\n".join([*lines, f"  {'see:':<10}{see}"] if see not in (None, fix) else lines)
