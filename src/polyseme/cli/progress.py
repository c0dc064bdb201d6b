"""Progress while polyseme works: live on a terminal, the last lines below a notebook's cell, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import html
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

from polyseme.cli.output import is_quiet
from polyseme.core.entries import FREQUENCY
from polyseme.core.reporter import NullReporter
from polyseme.report.figures import clock, count, duration, sparkline

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from polyseme.core.reporter import Record, Reporter

TRAINING = "training"  # the stage that the records of `log` belong to
_LINE_EVERY_S = 10.0
_CELL_EVERY_S = 1.0
_FRAMES_PER_S = 3
_SPARKLINE_WIDTH = 32
_LEARNED_NATS = 0.05  # smaller differences from the baseline are noise of the evaluation


class Curve:
    """The records of `log` so far: the last value of each figure and the losses in order."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.losses: list[float] = []
        self.best_heldout: float | None = None
        self.alone = FREQUENCY

    def add(self, record: Record) -> bool:
        """Add a record; returns whether it brings a new held-out loss."""
        before = self.last.get("heldout_loss")
        figures = {name: float(value) for name, value in record.items() if not isinstance(value, str)}
        self.last |= figures
        self.alone = str(record.get("alone", self.alone))
        if "loss" in figures:
            self.losses.append(figures["loss"])
        if "heldout_loss" in figures:
            self.best_heldout = min(figures["heldout_loss"], self.best_heldout or math.inf)
        return self.last.get("heldout_loss") != before

    @property
    def below_baseline(self) -> float | None:
        """Nats by which the held-out loss is below the one of no context; None until both are known."""
        heldout, unigram = self.last.get("heldout_loss"), self.last.get("unigram_loss")
        return None if heldout is None or unigram is None else unigram - heldout

    @property
    def baseline(self) -> str:
        """The loss of no context with its name, to be used once it is known."""
        return f"{'unigram' if self.alone == FREQUENCY else self.alone} {self.last['unigram_loss']:.3f}"

    @property
    def eta_seconds(self) -> float | None:
        """Remaining seconds, from the trainer or from the share that is done."""
        if "eta_seconds" in self.last:
            return self.last["eta_seconds"]
        progress, seconds = self.last.get("progress", 0.0), self.last.get("seconds")
        return seconds * (1 - progress) / progress if seconds is not None and progress > 0 else None


def verdict(below: float, alone: str = FREQUENCY) -> str:
    """Describe a held-out loss in relation to the baseline.

    Args:
        alone: what gives the baseline, as the objective's entry says it.
    """
    baseline = "the unigram baseline" if alone == FREQUENCY else f"the loss {alone}"
    if abs(below) <= _LEARNED_NATS:
        return f"still at {baseline}"
    return f"{abs(below):.2f} nats {'below' if below > 0 else 'above'} {baseline}"


class Lasting:
    """A stream that never fails: the work goes on after the terminal or the pipe was closed.

    Args:
        stream: where the text goes; None where the process was started without it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if the stream is open."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if the stream is open."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Cell:
    """A stream whose last lines stand below a notebook's cell, drawn anew as they come.

    Args:
        most: lines that stay in sight.
    """

    def __init__(self, most: int = 12) -> None:
        self._display = importlib.import_module("IPython.display")
        self._most, self._text = most, ""
        self._shown = self._display.display(self._display.HTML(""), display_id=True)

    def write(self, text: str) -> int:
        """Keep a text until the next flush."""
        self._text += text
        return len(text)

    def flush(self) -> None:
        """Draw the last lines."""
        lines = self._text.rstrip("\n").split("\n")[-self._most :]
        if self._shown is not None:  # a kernel's module without a kernel
            self._shown.update(self._display.HTML(f"<pre>{html.escape(chr(10).join(lines))}</pre>"))


class PlainReporter:
    """Lines for a log file: at every change of stage, every evaluation, and about every ten seconds between.

    Args:
        stream: where the lines go; None for stderr.
        now: the clock, in seconds.
        every: seconds between two lines of one stage.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
        every: float = _LINE_EVERY_S,
    ) -> None:
        self._stream = Lasting(sys.stderr) if stream is None else stream
        self._now, self._every = now, every
        self._start = self._stage_start = self._said = now()
        self._stage: str | None = None
        self._detail = ""
        self._curve = Curve()

    def _line(self, text: str) -> None:
        self._said = self._now()
        print(f"[{clock(self._said - self._start):>7}] {text}", file=self._stream, flush=True)

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        """Print that a stage began, then its progress every few seconds."""
        self._enter(name)
        self._detail = detail or self._detail
        if self._now() - self._said >= self._every:
            share = f"{min(1.0, done / total):.0%}" if total else count(done)
            self._line(f"{name} {share}" + (f"  {detail}" if detail else ""))

    def _enter(self, name: str) -> None:
        if name != self._stage:
            self._end_stage()
            self._stage, self._stage_start = name, self._now()
            self._line(f"{name} …")

    def _end_stage(self) -> None:
        if self._stage is not None:
            spent = duration(self._now() - self._stage_start)
            self._line(f"{self._stage}: done in {spent}" + (f"  {self._detail}" if self._detail else ""))
        self._stage, self._detail = None, ""

    def log(self, record: Record) -> None:
        """Print a line at every evaluation, and every few seconds between."""
        self._enter(TRAINING)
        evaluated = self._curve.add(record)
        if evaluated or self._now() - self._said >= self._every:
            self._line(self._training_line(evaluated))

    def _training_line(self, evaluated: bool) -> str:
        last, below = self._curve.last, self._curve.below_baseline
        parts = [f"{last['progress']:4.0%}"] if "progress" in last else []
        if "step" in last:
            parts.append(f"step {last['step']:,.0f}")
        if "loss" in last:
            parts.append(f"loss {last['loss']:.3f}")
        if evaluated:
            parts.append(f"held-out {last['heldout_loss']:.3f}")
            if below is not None:
                side = "below" if below >= 0 else "above"
                parts.append(f"{self._curve.baseline} ({abs(below):.2f} {side} it)")
        if "tokens_per_second" in last:
            parts.append(f"{count(last['tokens_per_second'])} tokens/s")
        if self._curve.eta_seconds is not None:
            parts.append(f"{clock(self._curve.eta_seconds)} to go")
        return "  ".join(parts)

    def note(self, text: str) -> None:
        """Print a note."""
        self._line(f"note: {text}")

    def close(self) -> None:
        """End the last stage."""
        self._end_stage()


class TerminalReporter:
    """A live display: finished stages stay as lines, the current one has a bar, training has its figures.

    Args:
        console: a rich console on stderr.
        now: the clock, in seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._console, self._now = console, now
        self._ascii = "utf" not in (console.encoding or "").lower()
        self._stage: str | None = None
        self._done, self._detail = 0.0, ""
        self._total: float | None = None
        self._stage_start = now()
        self._curve = Curve()
        self._curve_at = now()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=_FRAMES_PER_S,
            transient=True,
            redirect_stdout=False,
        )
        self._open = False

    def _start(self) -> None:
        if not self._open:
            self._live.start()
            self._open = True

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        """Move the bar; a new name leaves the finished stage behind as a line."""
        self._enter(name)
        self._done, self._total, self._detail = done, total, detail or self._detail

    def _enter(self, name: str) -> None:
        if name != self._stage:
            self._end_stage()
            self._stage, self._stage_start = name, self._now()
        self._start()

    def _end_stage(self) -> None:
        if self._stage is None:
            return
        spent = duration(self._now() - self._stage_start)
        tick = "ok" if self._ascii else "✓"
        detail = _plain(self._detail)
        below = self._curve.below_baseline
        if self._stage == TRAINING and below is not None:
            detail += (
                f"  held-out {self._curve.last['heldout_loss']:.3f}, {verdict(below, self._curve.alone)}"
            )
        text = f"[green]{tick}[/green] {self._stage}  [dim]{spent}  {detail}[/dim]"
        self._console.print(text, highlight=False)
        self._stage, self._detail = None, ""

    def log(self, record: Record) -> None:
        """Store new figures; the next frame shows them."""
        self._enter(TRAINING)
        self._curve.add(record)
        self._curve_at = self._now()
        self._done, self._total = self._curve.last.get("progress", self._done), 1.0

    def note(self, text: str) -> None:
        """Print a line above the display."""
        self._console.print(f"[yellow]note[/yellow] {_plain(text)}", highlight=False)

    def close(self) -> None:
        """Remove the display; finished stages stay."""
        if self._open:
            self._live.stop()
            self._open = False
        self._end_stage()

    def _render(self) -> RenderableType:
        from rich.console import Group

        rows: list[RenderableType] = []
        if self._stage is not None:
            rows.append(self._bar_row())
        if self._curve.last:
            rows.append(self._figures())
        return Group(*rows)

    def _bar_row(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        spent = self._now() - self._stage_start
        share = min(1.0, self._done / self._total) if self._total else None
        left = spent * (1 - share) / share if share else None
        if self._stage == TRAINING and self._curve.eta_seconds is not None:
            left = max(0.0, self._curve.eta_seconds - (self._now() - self._curve_at))
        row = Table.grid(padding=(0, 1))
        times = f"{clock(spent)} gone" + (f", {clock(left)} to go" if left is not None else "")
        row.add_row(
            f"[bold]{self._stage}[/bold]",
            ProgressBar(total=1.0, completed=share or 0.0, width=28, pulse=share is None),
            f"{share:4.0%}" if share is not None else count(self._done),
            f"[dim]{times}[/dim]",
            f"[dim]{_plain(self._detail)}[/dim]",
        )
        return row

    def _figures(self) -> Table:
        from rich.table import Table

        last, curve = self._curve.last, self._curve
        table = Table.grid(padding=(0, 2))
        pace = []
        if "step" in last:
            pace.append(f"step {last['step']:,.0f}")
        if "tokens" in last:
            pace.append(f"{count(last['tokens'])} tokens")
        if "tokens_per_second" in last:
            pace.append(f"[bold]{count(last['tokens_per_second'])}[/bold] tokens/s")
        table.add_row("  pace", "   ".join(pace))
        losses = [f"train [bold]{last['loss']:.3f}[/bold]"] if "loss" in last else []
        if "heldout_loss" in last:
            best = curve.best_heldout
            better = (
                f" [dim](best {best:.3f})[/dim]" if best is not None and best < last["heldout_loss"] else ""
            )
            losses.append(f"held-out [bold]{last['heldout_loss']:.3f}[/bold]{better}")
        if "unigram_loss" in last:
            losses.append(curve.baseline)
        table.add_row("  loss", "   ".join(losses))
        below = curve.below_baseline
        if below is not None:
            colour = "green" if below > _LEARNED_NATS else "yellow"
            table.add_row("", f"[{colour}]held-out is {verdict(below, curve.alone)}[/{colour}]")
        if len(curve.losses) > 2:
            line = sparkline(curve.losses, _SPARKLINE_WIDTH, ascii_only=self._ascii)
            table.add_row(
                "", f"[cyan]{line}[/cyan] [dim]{curve.losses[0]:.2f} → {curve.losses[-1]:.2f}[/dim]"
            )
        return table


def _plain(text: str) -> str:
    """Escape square brackets, such as those of [MASK], which rich would read as markup."""
    from rich.markup import escape

    return escape(text)


def open_reporter() -> Reporter:
    """Choose the display: live where stderr is a terminal that can redraw, lines elsewhere, none with `-q`."""
    if is_quiet():
        return NullReporter()
    if "ipykernel" in sys.modules and not sys.stderr.isatty():
        return PlainReporter(cast("TextIO", Cell()), every=_CELL_EVERY_S)
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainReporter()
    from rich.console import Console

    return TerminalReporter(Console(file=cast("TextIO", Lasting(sys.stderr))))


@contextlib.contextmanager
def reporting() -> Iterator[Reporter]:
    """A reporter for the time that a verb works; closed at the end."""
    with contextlib.closing(open_reporter()) as reporter:
        yield reporter
