"""`polyseme inspect`: what a run is and how it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.cli.options import Folder, Json
from polyseme.cli.output import closing, say, show, use_command
from polyseme.core.shell import command
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from polyseme.train.run import RunDirectory

EXAMPLE = "polyseme inspect runs/mine --chart loss.svg"


def run(
    *folders: Folder,
    chart: Path | None = None,
    mix: Path | None = None,
    json: Json = False,
) -> None:
    """Say what a run is, what it was trained on, how it went and where it is now.

    Args:
        folders: the run folder; several are told one after the other. A run that is still training may be
            inspected, too.
        chart: also draw the loss curve of the run into this file (.svg, .png or .html).
        mix: also draw the learned layer mixes of the runs side by side into this file: layers by tasks.
        json: print one JSON document; of several runs a list.
    """
    from polyseme.report.files import boxes_for, save
    from polyseme.report.run_charts import loss_chart, mix_chart
    from polyseme.report.run_summary import inspect
    from polyseme.train.run import RunDirectory

    if not folders:
        raise ConfigError("no run is named", fix="polyseme inspect RUN")
    if chart is not None and len(folders) > 1:
        raise ConfigError("a loss curve is of one run", got=f"{len(folders)} runs", fix="--mix, or one RUN")
    runs = [RunDirectory.open(folder) for folder in folders]
    result = inspect(runs)
    summaries = list(result.runs)
    show(result, json=json)
    if chart is not None:
        title, unit = f"{summaries[0]['model']}: loss", "nats per predicted token"
        if "task" in summaries[0]:
            title, unit = f"{summaries[0]['task']} on {summaries[0]['model']}: loss", "mean of the examples"
        save(loss_chart(runs[0].metrics(), title, unit, summaries[0]["baseline"]), [chart])
    if mix is not None:
        picture = mix_chart(runs)
        if note := boxes_for([picture], save(picture, [mix])):
            say(f"note: {note}")
    closing(
        wrote=[path for path in (chart, mix) if path is not None],
        then=_next(runs, summaries, drawn=chart is not None or mix is not None),
    )


def _next(runs: list[RunDirectory], summaries: list[dict[str, Any]], drawn: bool) -> list[str]:
    """Useful next commands: one that uses the run, and one that draws it."""
    opened, summary = runs[0], summaries[0]
    commands = [use_command(opened.meta["recipe"], opened.path)] if "recipe" in opened.meta else []
    if drawn:
        return commands
    if all(each.get("mix") for each in summaries):
        return [*commands, command("polyseme", "inspect", *(run.path for run in runs), "--mix", "mix.svg")]
    if "imported" in summary:  # an imported run has no losses of ours
        return commands
    return [*commands, command("polyseme", "inspect", opened.path, "--chart", "loss.svg")]
