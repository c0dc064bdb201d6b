"""`polyseme import`: take in a model of another program."""

from __future__ import annotations

from polyseme.cli.completion import Source
from polyseme.cli.options import Json, Output, Threads, use_threads
from polyseme.cli.output import closing, emit, emit_json, say, use_command
from polyseme.core.shell import command

EXAMPLE = "polyseme import downloaded-model -o runs/theirs"


def run(
    source: Source,
    /,
    *,
    output: Output,
    format: str | None = None,
    task: str | None = None,
    threads: Threads = None,
    encoding: str | None = None,
    json: Json = False,
) -> None:
    """Take in a model of another program; the run can be used, trained on (pretrain --init) and exported again.

    Only safetensors are read: a .bin or .pt file is a program of its own and is refused.

    Args:
        source: a folder or file: transformers, sentence-transformers, word vectors.
        output: the run folder to write.
        format: what the source is, where it does not show: see polyseme list formats.
        encoding: of the words in a file of word vectors, such as gb18030; UTF-8 when absent.
        task: classify or pair: whether a head for texts reads one text or two, where the source does not say.
        json: print one JSON document: {"model", "path", "parameters", "vocab_size", "objectives", "imported"}.
    """
    use_threads(threads)
    from polyseme.cli.progress import reporting
    from polyseme.formats.registry import import_model

    with reporting() as reporter:
        run = import_model(source, output, format, reporter, task, encoding)
    recipe, imported = run.meta["recipe"], run.meta["imported"]
    if json:
        emit_json(
            {
                "model": run.meta["model"],
                "path": str(run.path),
                "parameters": run.meta["parameters"],
                "vocab_size": recipe["model"].get("vocab_size"),
                "objectives": recipe["objectives"],
                "imported": imported,
                "embedding": run.meta.get("embedding"),
            }
        )
    else:
        heads = ", ".join(recipe["objectives"]) or "the encoder alone"
        emit(f"{run.meta['model']}, {run.meta['parameters']:,} parameters: {heads}")
    if left := imported.get("left_out", []):
        shown = ", ".join(left[:6]) + (" …" if len(left) > 6 else "")
        say(f"left out: {len(left):,} tensor(s) of a head that polyseme does not have: {shown}")
    for note in imported.get("notes", []):
        say(f"note: {note}")
    closing(wrote=[output], then=[use_command(recipe, output), command("polyseme", "inspect", output)])
