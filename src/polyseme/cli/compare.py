"""`polyseme compare`: any runs side by side, in one page or one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Folder,
    Json,
    Output,
    PageLanguage,
    Separator,
    keep_few_sizes,
    positive,
    read_options,
)
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.core.shell import command

EXAMPLE = "polyseme compare runs/mine runs/gpt --tasks compared.toml -o report.html"


def run(
    *folders: Folder,
    tasks: Path,
    output: Output,
    cells: Path | None = None,
    figures: Path | None = None,
    lang: PageLanguage = "en",
    only_write: Annotated[bool, Parameter(show_default=False)] = False,
    processes: int = 1,
    threads: int | None = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    json: Json = False,
) -> None:
    """Compare runs on tasks, probes, senses and minimal pairs, and write one page of everything, costs among it.

    An OUTPUT that ends in .md is one table of Markdown instead: means over seeds with intervals, what pretraining is
    worth against random weights, and what holds of [[claims]]. A file with [rows.NAME] says itself which runs are
    compared, and in which ways; then no RUN is named.

    What is done is kept: the work may be stopped at any time, and the same command goes on. A run that was trained
    again, or a file that changed, is measured again.

    Args:
        folders: the runs, of any models; each is used for what is in its language. None where the file has [rows].
        tasks: a .toml file with [tasks.NAME], [probes.NAME], [senses], [pairs], [rows.NAME] and [[claims]], all
            optional; see the guide.
        output: the page to write, one .html file that needs no network; or a table, .md.
        cells: the folder of what is done; OUTPUT.cells when absent.
        figures: a folder for every chart as .svg and .png.
        lang: language of the page's own words: en or zh.
        only_write: write the page or table of what is done and do no more.
        processes: so many share the work; each loads its own models.
        threads: processor threads of each; the file's when absent.
        json: print one JSON document: {"runs", "tasks", "studies", "settings", "command", "versions", "machine"};
            figures are {"value", "low", "high", "n"}.
    """
    positive("--threads", threads)
    positive("--processes", processes)
    read = read_options(None, separator, encoding).recorded
    keep_few_sizes()

    from polyseme.cli.progress import reporting
    from polyseme.report.compare import compare_page
    from polyseme.report.compare_table import table_parts
    from polyseme.report.compared import check_form, compared
    from polyseme.report.files import check_file, check_folder, write_figures
    from polyseme.report.results import text_of, write
    from polyseme.report.terminal import text
    from polyseme.study.compare import open_comparison

    check_file(output)
    for folder in (cells, figures):
        if folder is not None:
            check_folder(folder)
    cells_folder = cells or output.with_name(output.name + ".cells")
    comparison = open_comparison(folders, tasks, cells_folder, threads, read)
    check_form(comparison, output, figures)
    as_table = output.suffix.lower() == ".md"
    again = ["polyseme", "compare", *folders, "--tasks", tasks, "-o", output]
    again += ["--report-lang", lang] if lang != "en" else []
    again += ["--cells", cells] if cells is not None else []
    again += [part for name, value in read.items() for part in (f"--{name}", value)]
    with reporting() as reporter:
        result = compared(comparison, command(*again), reporter, processes, only_write, _machine())
    wrote, notes = write(result, output, lang)
    if figures is not None:
        charts, note = write_figures(compare_page(result.document(), lang), figures)
        wrote += charts
        notes += [note] if note else []
    if json:
        emit_json(result.document())
    else:
        emit(text(table_parts(comparison)) if as_table else text_of(result))
    for note in [*result.notes, *notes]:
        say(f"note: {note}")
    closing(wrote=wrote, then=[command(*again)] if result.missing else [])


def _machine() -> dict[str, Any]:
    import platform

    from polyseme.cli.doctor import memory_facts, processor_facts

    processor, memory = processor_facts(), memory_facts()
    limits = [memory[name] for name in ("total_bytes", "limit_bytes") if memory[name] is not None]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor["name"],
        "cores": processor["usable_cores"],
        "memory_bytes": min((limit for limit in limits if limit is not None), default=None),
    }
