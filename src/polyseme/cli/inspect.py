"""`polyseme inspect`: what a run is and how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Json
from polyseme.cli.output import closing, command, emit, emit_json, use_command


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    chart: Path | None = None,
    json: Json = False,
) -> None:
    """Say what a run is, what it was trained on, how it went and where it is now.

    Args:
        folder: the run folder; a run that is still training may be inspected too.
        chart: also draw the loss curve into this file (.svg, .png or .html).
        json: print one JSON document.
    """
    from polyseme.report.run_summary import summarize, summary_text
    from polyseme.train.run import RunDirectory

    opened = RunDirectory.open(folder)
    summary = summarize(opened)
    if json:
        emit_json(summary)
    else:
        emit(summary_text(summary))
    if chart is not None:
        from polyseme.report.loss_chart import write_loss_chart

        write_loss_chart(opened.metrics(), [chart], f"{summary['model']}: loss")
    closing(
        wrote=[chart] if chart is not None else [],
        then=([use_command(opened.meta["recipe"], folder)] if "recipe" in opened.meta else [])
        + ([] if chart is not None else [command("polyseme", "inspect", folder, "--chart", "loss.svg")]),
    )
