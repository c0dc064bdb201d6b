"""The command line: one small file per verb, imported only when its verb is typed.

Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted after saving. `--debug` (or POLYSEME_DEBUG=1) shows the
traceback of an error that otherwise prints its message only.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from polyseme.errors import PolysemeError

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
    ("doctor", _START, "Say what this machine can do: cores, memory, bf16, GPU, measured speed."),
    ("list", _START, "List models, objectives, tasks, recipes, corpora or formats."),
    ("pretrain", _TRAIN, "Train a model on raw text."),
    ("finetune", _TRAIN, "Adapt a run to a task with labelled files: classify, pair, tag, qa."),
    ("table", _TRAIN, "Adapt many runs to many tasks and write one table of them."),
    ("prepare", _TRAIN, "Only tokenize text into a store that pretrain accepts as a corpus."),
    ("inspect", _TRAIN, "Say what a run is, what it was trained on, how it went and where it is now."),
    ("tidy", _TRAIN, "Free what only resuming needs: checkpoints with the optimiser's state."),
    ("import", _USE, "Take in a model of another program."),
    ("export", _USE, "Write a run in the format of another program."),
    ("predict", _USE, "Say what an adapted run makes of every text of a file: labels, tags, answers."),
    ("evaluate", _USE, "Measure an adapted run on a labelled file, or test two runs against each other."),
    ("fill", _USE, "Complete a text at its [MASK]s."),
    ("generate", _USE, "Continue a text."),
    ("score", _USE, "Say how probable every line of a file is."),
    ("mask", _USE, "Show what a masking objective hides in a text, and why."),
    ("embed", _USE, "Turn every line of a file into a vector."),
    (
        "probe",
        _USE,
        "Say what a run's frozen layers know of parts of speech, relations, entities, and where.",
    ),
    ("neighbours", _USE, "List the words nearest to a word, alone or in a sentence."),
    ("attention", _USE, "Show where the tokens of a text look, and what each attention head does."),
    ("cka", _USE, "Compare the layers of one or two runs by what they make of the same text."),
    ("similarity", _USE, "Correlate word vectors with people's scores of word pairs."),
    ("senses", _USE, "Say how well a run tells the senses of words apart, and draw their uses."),
    ("pairs", _USE, "Say in how many minimal pairs the good text is the more probable one."),
    ("analogy", _USE, "Answer analogies with word vectors: a is to b as c is to …?"),
    ("compare", _USE, "Compare runs on tasks, probes, senses and pairs, in one page."),
)


def build_app() -> App:
    """Build the application; verbs stay unimported until one is chosen."""
    from cyclopts import App, Group, Parameter

    from polyseme import __version__

    app = App(
        name="polyseme",
        help="Train representations of text on your own text, compare them and look inside.",
        help_format="plaintext",  # the other formats load a parser that takes a fifth of the time
        help_epilogue="`polyseme VERB --help` explains a verb. `--debug` after any verb shows tracebacks.",
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
    words = [*(sys.argv[1:] if arguments is None else arguments)]  # `list` is a verb's module here
    options = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in options or os.environ.get("POLYSEME_DEBUG", "") not in ("", "0")
    if "--debug" in options:
        words.remove("--debug")
    if not debug:
        warnings.showwarning = _note
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from cyclopts import CycloptsError

    try:
        build_app()(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (PolysemeError, CycloptsError, OSError, KeyboardInterrupt) as error:
        if debug:
            raise
        return _explain(error)
    return 0


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as a person wants to read it; stands in for `warnings.showwarning`."""
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning):
        print(f"note: {message}", file=sys.stderr)


def _explain(error: BaseException) -> int:
    """Print an error as a person wants to read it and return its exit code."""
    from cyclopts import CycloptsError

    if isinstance(error, PolysemeError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, CycloptsError):
        code, text = 2, _misuse(error)
    elif isinstance(error, KeyboardInterrupt):
        code, text = 130, "interrupted"
    else:
        code, text = 1, f"the system refused: {error}"
    print(f"{'' if code == 130 else 'error: '}{text}", file=sys.stderr)
    return code


def _misuse(error: CycloptsError) -> str:
    verb = " ".join(error.command_chain or ())
    lines = str(error).strip().split("\n")
    return "\n".join([*lines, f"  {'try:':<10}polyseme {verb + ' ' if verb else ''}--help"])
