"""`polyseme export`: write a run in the format of another program."""

from __future__ import annotations

from pathlib import Path

from polyseme.cli.completion import FormatName
from polyseme.cli.options import Folder, Json, Threads, use_threads
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.core.shell import command

EXAMPLE = "polyseme export runs/mine huggingface exported"


def run(
    folder: Folder,
    format: FormatName,
    output: Path,
    /,
    *,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write a run in the format of another program.

    Args:
        folder: the run folder.
        format: huggingface and others: see polyseme list formats.
        output: the folder or file to write.
        json: print one JSON document: {"format", "path", "files", "notes"}; notes say what differs from the run.
    """
    use_threads(threads)
    from polyseme.cli.progress import reporting
    from polyseme.formats.registry import export_model

    with reporting() as reporter:
        written = export_model(folder, format, output, reporter)
    if json:
        emit_json(
            {
                "format": format,
                "path": str(written.path),
                "files": list(written.files),
                "notes": list(written.notes),
            }
        )
    else:
        for name in written.files:
            emit(name)
    for note in written.notes:
        say(f"note: {note}")
    closing(wrote=[written.path], then=[command("polyseme", "inspect", folder)])
