"""`polyseme table`: many runs on many tasks, one table."""

from __future__ import annotations

from contextlib import closing as closed_after
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Encoding, Output, Separator, keep_few_sizes, positive, read_options
from polyseme.cli.output import closing, command, emit, say

EXAMPLE = "polyseme table tasks.toml -o table.md"


def run(
    file: Path,
    /,
    *,
    output: Output,
    cells: Path | None = None,
    only_write: Annotated[bool, Parameter(show_default=False)] = False,
    threads: int | None = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
) -> None:
    """Adapt many runs to many tasks under one protocol and write one table of them.

    The work may be stopped at any time: the same command goes on. Several processes with the same command share it.

    Args:
        file: a .toml file with [rows.NAME] runs, [tasks.NAME] labelled files and [[claims]]; see the guide.
        output: the Markdown file to write.
        cells: the folder of what is done; OUTPUT.cells when absent.
        only_write: write the table of what is done and do no more.
        threads: processor threads of a cell; the file's when absent.
    """
    positive("--threads", threads)
    reading = read_options(None, separator, encoding)
    keep_few_sizes()

    from polyseme.cli.progress import open_reporter
    from polyseme.core.files import write_atomic
    from polyseme.report.grid_table import markdown
    from polyseme.study.grid import open_grid, run_grid

    grid = open_grid(file, cells or output.with_name(output.name + ".cells"), reading.said)
    if threads:
        grid.config = grid.config.model_copy(update={"threads": threads})
    held = []
    if not only_write:
        with closed_after(open_reporter()) as reporter:
            held = run_grid(grid, reporter)
    text = markdown(grid)
    write_atomic(output, text.encode("utf-8", "backslashreplace"))
    emit(text)
    if held:
        say(f"{len(held)} cells are being done by another process: write the table again when it is ready")
    closing(wrote=[output, grid.folder], then=[command("polyseme", "table", file, "-o", output)])
