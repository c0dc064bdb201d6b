"""What a person sees while polyseme works."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from polyseme.cli.progress import Curve, PlainReporter, TerminalReporter, open_reporter, verdict
from polyseme.core import registry
from polyseme.core.reporter import Reporter


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _plain(clock: Clock) -> tuple[PlainReporter, io.StringIO]:
    stream = io.StringIO()
    return PlainReporter(stream, now=clock), stream


def test_plain_lines_come_every_ten_seconds_not_with_every_call(clock: Clock) -> None:
    reporter, stream = _plain(clock)
    for second in range(35):
        clock.seconds = float(second)
        reporter.stage("reading", second, 35, f"{second} MB")
    assert stream.getvalue().split("\n") == [
        "[   0:00] reading …",
        "[   0:10] reading 29%  10 MB",
        "[   0:20] reading 57%  20 MB",
        "[   0:30] reading 86%  30 MB",
        "",
    ]


def test_plain_stages_begin_and_end(clock: Clock) -> None:
    reporter, stream = _plain(clock)
    reporter.stage("reading", 0, None)
    clock.seconds = 4.0
    reporter.stage("tokenizing", 0, None)
    clock.seconds = 5.0
    reporter.note("3 documents were empty")
    reporter.close()
    reporter.close()
    assert stream.getvalue().split("\n") == [
        "[   0:00] reading …",
        "[   0:04] reading: done in 4.0 s",
        "[   0:04] tokenizing …",
        "[   0:05] note: 3 documents were empty",
        "[   0:05] tokenizing: done in 1.0 s",
        "",
    ]


def test_plain_training_shows_every_evaluation_once(clock: Clock) -> None:
    reporter, stream = _plain(clock)
    for step in range(1, 100):
        clock.seconds = step * 0.01
        heldout = 6.0 if step < 50 else 5.5
        reporter.log(
            {"step": step, "progress": step / 100, "loss": 5.9, "heldout_loss": heldout, "unigram_loss": 6.1}
        )
    lines = [line for line in stream.getvalue().split("\n") if "held-out" in line]
    assert len(lines) == 2
    assert "step 1 " in lines[0]
    assert "held-out 5.500  unigram 6.100 (0.60 below it)" in lines[1]


@pytest.mark.parametrize("alone", [registry.learned("contrastive").alone, registry.learned("classify").alone])
def test_a_baseline_that_is_not_word_frequency_has_its_own_name(clock: Clock, alone: str) -> None:
    record = {"step": 9, "loss": 1.0, "heldout_loss": 1.1, "unigram_loss": 3.1, "alone": alone}
    plain, stream = _plain(clock)
    terminal, console = _terminal(clock)
    for reporter in (plain, terminal):
        reporter.log(record)
        reporter.close()
    assert f"held-out 1.100  {alone} 3.100 (2.00 below it)" in stream.getvalue()
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{alone} 3.100" in told
    assert f"2.00 nats below the loss {alone}" in told
    assert "unigram" not in stream.getvalue() + told


def test_plain_training_between_evaluations_is_throttled(clock: Clock) -> None:
    reporter, stream = _plain(clock)
    for step in range(1, 26):
        clock.seconds = float(step)
        reporter.log(
            {"step": step, "progress": step / 25, "loss": 6.0, "tokens_per_second": 4000.0, "seconds": step}
        )
    lines = [line for line in stream.getvalue().split("\n") if "loss" in line]
    assert len(lines) == 2
    assert lines[0].endswith("44%  step 11  loss 6.000  4,000 tokens/s  0:14 to go")


def test_best_heldout_loss_is_remembered() -> None:
    curve = Curve()
    assert curve.add({"heldout_loss": 5.0, "unigram_loss": 6.0})
    assert curve.add({"heldout_loss": 5.5})
    assert not curve.add({"heldout_loss": 5.5, "loss": 5.0})
    assert curve.best_heldout == 5.0
    assert curve.below_baseline == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("below", "words"),
    [
        (1.5, "1.50 nats below the unigram baseline"),
        (-0.3, "0.30 nats above the unigram baseline"),
        (0.01, "still at the unigram baseline"),
        (-0.01, "still at the unigram baseline"),
    ],
)
def test_verdict(below: float, words: str) -> None:
    assert verdict(below) == words


def _terminal(clock: Clock, width: int = 100) -> tuple[TerminalReporter, Console]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    return TerminalReporter(console, now=clock), console


def _frame(reporter: TerminalReporter, width: int = 100) -> str:
    page = Console(file=io.StringIO(), width=width, color_system=None)
    page.print(reporter._render())
    return page.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_terminal_frame_while_reading(clock: Clock) -> None:
    reporter, _ = _terminal(clock)
    clock.seconds = 0.0
    reporter.stage("reading", 0, 10)
    clock.seconds = 5.0
    reporter.stage("reading", 5, 10, "[MASK] 3 MB")
    frame = _frame(reporter)
    reporter.close()
    assert "50%" in frame
    assert "0:05 gone, 0:05 to go" in frame
    assert "[MASK] 3 MB" in frame


def test_terminal_frame_while_training_fits_eighty_columns(clock: Clock) -> None:
    reporter, console = _terminal(clock, 80)
    for step in range(1, 40):
        reporter.log(
            {
                "step": step,
                "tokens": step * 4096,
                "seconds": float(step),
                "progress": step / 40,
                "loss": 6.0 - step / 40,
                "heldout_loss": 6.0 - step / 50,
                "unigram_loss": 6.1,
                "tokens_per_second": 4321.0,
                "eta_seconds": 41.0,
            }
        )
    frame = _frame(reporter, 80)
    reporter.close()
    for words in (
        "4,321",
        "step 39",
        "0:41 to go",
        "held-out 5.220",
        "unigram 6.100",
        "0.88 nats below",
        "█",
    ):
        assert words in frame
    assert frame.count("\n") == 5
    assert "✓ training" in console.file.getvalue()  # type: ignore[attr-defined]


def test_terminal_leaves_finished_stages_behind(clock: Clock) -> None:
    reporter, console = _terminal(clock)
    reporter.stage("reading", 1, 1, "2 MB")
    clock.seconds = 3.0
    reporter.stage("tokenizing", 0, 1)
    reporter.note("a [fact]")
    reporter.close()
    reporter.close()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✓ reading  3.0 s  2 MB" in text
    assert "note a [fact]" in text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "kind", "chosen"),
    [(False, "xterm", PlainReporter), (True, "dumb", PlainReporter), (True, "xterm", TerminalReporter)],
)
def test_lines_are_chosen_where_there_is_no_terminal(
    terminal: bool, kind: str, chosen: type[Reporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", kind)
    reporter = open_reporter()
    assert type(reporter) is chosen
    reporter.stage("reading", 0, None)
    reporter.note("two are empty")
    reporter.close()
    said = stream.getvalue()
    assert "reading" in said
    assert "two are empty" in said
    assert ("\x1b[" in said) == (chosen is TerminalReporter)


def test_in_a_notebook_the_last_lines_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    handle = SimpleNamespace(update=drawn.append)
    display = SimpleNamespace(HTML=str, display=lambda _, display_id: handle)
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    reporter = open_reporter()
    for number in range(30):
        reporter.note(f"<note> {number}")
    assert sys.stderr.getvalue() == ""
    assert "&lt;note&gt; 29" in drawn[-1]
    assert drawn[-1].count("\n") == 11
    assert "&lt;note&gt; 17" not in drawn[-1]
    display.display = lambda _, display_id: None  # no kernel
    open_reporter().note("unseen")


def test_the_display_of_a_narrow_terminal_without_colours(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    reporter = TerminalReporter(Console(file=stream, force_terminal=True, width=40), now=clock)
    reporter.stage("a stage with a rather long name", 1, 3, "with a detail that is longer still")
    reporter.log({"step": 1, "progress": 0.1, "loss": 5.9, "heldout_loss": 6.0, "unigram_loss": 6.1})
    reporter.close()
    shown = stream.getvalue()
    assert not re.search(r"\x1b\[[\d;]*\b(3[0-7]|9[0-7])m", shown)
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown).replace("\r", "\n")
    assert max(map(len, plain.split("\n"))) <= 40
