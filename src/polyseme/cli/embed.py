"""`polyseme embed`: turn every line of a file into a vector."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Folder,
    Json,
    Output,
    ReadOn,
    TextOrFile,
    Threads,
    layer_of,
    text_or_file,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, emit, emit_json, say, say_cleaned
from polyseme.errors import ConfigError

EXAMPLE = "polyseme embed runs/mine lines.txt -o lines.npy"


def run(
    folder: Folder,
    file: TextOrFile,
    /,
    *,
    output: Output,
    pool: Literal["mean", "cls", "max", "last", "words"] | None = None,
    layer: str | None = None,
    normalize: Annotated[bool | None, Parameter(negative="--no-normalize")] = None,
    separators: Annotated[bool | None, Parameter(negative="--no-separators")] = None,
    max_length: int | None = None,
    precision: Literal["float32", "bfloat16", "int8"] = "float32",
    int8: Annotated[bool, Parameter(show_default=False)] = False,
    field: str = "text",
    encoding: Encoding = "auto",
    resume: Annotated[bool, Parameter(show_default=False)] = False,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Turn every line of a file into a vector; row i of the array belongs to line i.

    Args:
        folder: the run folder.
        file: text, a line each, or .jsonl; may be .gz or .zst; or a text by itself.
        output: the NumPy file (.npy) to write; .parquet for a table of line and vector; for sparse vectors (onehot,
            word-classes) also a sparse matrix (.npz). It is there when it is complete.
        pool: how tokens become one vector: mean, cls (the first token), max, last; words keeps one vector a word.
            Absent, an imported model's own way, and the mean for others.
        layer: a layer by number (0 is the embedding layer, -1 the last) or mix; the last one when absent.
        normalize: make every vector of length one.
        separators: count [CLS] and [SEP] as tokens, as sentence-transformers does.
        max_length: read so many tokens of a line, [CLS] and [SEP] among them.
        precision: of the linear layers; bfloat16 and int8 are faster on CPUs that have them, and less exact.
        int8: the same as --precision int8.
        field: the key of the text in .jsonl.
        resume: go on with an output that was interrupted.
        json: print what was written as one JSON document.
    """
    use_threads(threads)
    use_device(device)
    from polyseme.cli.progress import reporting
    from polyseme.infer.embed import Pooling
    from polyseme.infer.embed_file import embed_file
    from polyseme.infer.inputs import Truncated, cut_note
    from polyseme.infer.model import load
    from polyseme.text.config import TextConfig

    loaded = load(folder)
    way = Pooling.of(loaded, pool=pool, normalize=normalize, separators=separators, max_length=max_length)
    if int8 and precision == "bfloat16":
        raise ConfigError("two precisions", got="--int8 --precision bfloat16", fix="one of them")
    reading = TextConfig.of({"field": field, "encoding": encoding}, "embed")
    with text_or_file(file) as path, reporting() as reporter:
        written = embed_file(
            loaded,
            path,
            output,
            way,
            layer_of(layer, "mix"),
            "int8" if int8 else precision,
            resume,
            reporter,
            reading,
        )
    cleaned = written["dirt"]["counts"]
    if json:
        emit_json(written)
    else:
        emit(
            f"{written['lines']:,} lines, {written['vectors']:,} vectors of {written['hidden_size']} numbers"
        )
    if written["cut"]:
        numbers = dict.fromkeys(written["truncated"], 0)
        cut = Truncated(numbers, written["cut"], written["tokens_lost"])
        say("note: " + cut_note(cut, written["lines"], written["room"]))
    say_cleaned(cleaned)
    read = {
        ".npz": f"import scipy.sparse; print(scipy.sparse.load_npz('{output}').shape)",
        ".npy": f"import numpy; print(numpy.load('{output}').shape)",
        ".parquet": f"import pyarrow.parquet; print(pyarrow.parquet.read_schema('{output}'))",
    }[output.suffix]
    closing(wrote=[output], then=[f'python -c "{read}"'])
