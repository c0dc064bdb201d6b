"""`polyseme embed`: turn every line of a file into a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import Json
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.errors import ConfigError


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    file: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    pool: Literal["mean", "cls", "max", "words"] = "mean",
    layer: str | None = None,
    json: Json = False,
) -> None:
    """Turn every line of a file into a vector; row i of the array belongs to line i.

    Args:
        folder: the run folder.
        file: text, a line each; may be .gz or .zst.
        output: the NumPy file (.npy) to write; for sparse vectors (onehot, word-classes) also a sparse matrix (.npz).
        pool: how tokens become one vector: mean, cls (the first token), max; words keeps one vector a word.
        layer: a layer by number (0 is the embedding layer, -1 the last) or mix; the last one when absent.
        json: print what was written as one JSON document.
    """
    from polyseme.infer.embed import embed_file
    from polyseme.infer.load import load

    written = embed_file(load(folder), file, output, pool, _layer(layer))
    dirt = written["dirt"]["counts"]
    if json:
        emit_json(written)
    else:
        emit(
            f"{written['lines']:,} lines, {written['vectors']:,} vectors of {written['hidden_size']} numbers"
        )
    if dirt:
        say("cleaned: " + ", ".join(f"{kind} {number:,}" for kind, number in dirt.items()))
    read = (
        f"import scipy.sparse; print(scipy.sparse.load_npz('{output}').shape)"
        if output.suffix == ".npz"
        else f"import numpy; print(numpy.load('{output}').shape)"
    )
    closing(wrote=[output], then=[f'python -c "{read}"'])


def _layer(text: str | None) -> int | Literal["mix"] | None:
    if text is None:
        return None
    if text == "mix":
        return "mix"
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            "--layer is a number or mix", got=text, fix="--layer -1 is the last layer"
        ) from None
