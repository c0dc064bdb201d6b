"""`polyseme score`: how probable every line of a file is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import Json
from polyseme.cli.output import closing, command, emit, emit_json, say


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    file: Path,
    /,
    *,
    context: str | None = None,
    end: Annotated[bool, Parameter(show_default=False)] = False,
    field: str = "text",
    encoding: str = "auto",
    json: Json = False,
) -> None:
    """Say how probable every line of a file is: its log-likelihood in nats, tokens, nats per token, and the line.

    Decoders (gpt, qwen3) give log-likelihoods, masked models (bert, modernbert, ernie) pseudo-log-likelihoods,
    elmo the sum of both directions.

    Args:
        folder: the run folder.
        file: text, a line each, or .jsonl; may be .gz or .zst.
        context: a text that every line goes on: it is given, only the lines are scored.
        end: count the end of the text as a token, too.
        field: the key of the text in .jsonl.
        encoding: auto, or a name such as utf-8 or gb18030.
        json: print one JSON document: {"kind", "lines": [{"log_likelihood", "tokens", "per_token", "unknown"}],
            "total"}; a total over no tokens has null for "per_token" and "perplexity".
    """
    from polyseme.infer.load import load
    from polyseme.infer.score import Score, kind_of, score_file
    from polyseme.text.clean import DirtReport
    from polyseme.text.corpus import TextConfig

    loaded = load(folder)
    kind = kind_of(loaded)
    report = DirtReport()
    reading = TextConfig.of({"field": field, "encoding": encoding}, "score")
    lines = []
    total, tokens, unknown = 0.0, 0, 0
    for line, score in score_file(loaded, file, end, context, report, reading):
        total, tokens, unknown = total + score.log_likelihood, tokens + score.tokens, unknown + score.unknown
        if json:
            lines.append(score.as_dict())
        else:
            emit(f"{score.log_likelihood:.3f}\t{score.tokens}\t{score.per_token:.3f}\t{line}")
    whole = Score(total, tokens, unknown)
    predictions_per_token = 2 if kind.startswith("two-way") else 1
    found: dict[str, Any] = whole.as_dict()
    if tokens:
        perplexity = math.exp(min(-whole.per_token / predictions_per_token, 700.0))
        found["perplexity"] = perplexity
        say(f"{kind}: {total:,.1f} nats over {tokens:,} tokens, perplexity {perplexity:,.2f}")
    else:  # a mean of nothing is not known
        found |= {"per_token": None, "perplexity": None}
        say(f"{kind}: the file has no tokens, so there is no perplexity")
    if json:
        emit_json({"kind": kind, "lines": lines, "total": found})
    if unknown:
        say(f"note: {unknown:,} tokens are unknown to the vocabulary; what they stand for was not scored")
    if report.counts:
        say("cleaned: " + ", ".join(f"{kind} {number:,}" for kind, number in report.counts.items()))
    closing(then=[command("polyseme", "score", folder, file, "--json")])
