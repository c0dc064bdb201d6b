"""What a page of a comparison says of a run beside what was measured: how it was made, how to make it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polyseme.report.commands import run_command
from polyseme.report.run_summary import summarize
from polyseme.train.run import RunDirectory

__all__ = ["run_facts"]

_KEPT = (
    "model",
    "status",
    "parameters",
    "vocab_size",
    "steps",
    "tokens_seen",
    "seconds",
    "tokens_per_second",
    "peak_memory_bytes",
    "heldout_loss",
    "unigram_loss",
    "perplexity",
    "bits_per_character",
    "budget",
    "vocabulary",
    "imported",
    "judged_on",
)


def run_facts(run: RunDirectory) -> dict[str, Any]:
    """JSON-able: what `polyseme inspect` says in short, and sources, bytes, objectives, tokenizer, curve, commands.

    bytes are those of the weights, the heads and the tokenizer; resume/ and store/ can be deleted. The tokenizer is a
    fingerprint: losses of runs with the same one, and the same objectives, can be compared. The curve is of the
    held-out loss: [{"seconds", "tokens", "loss"}].
    """
    summary, meta = summarize(run), run.meta
    corpus = summary["corpus"]
    found = {name: summary.get(name) for name in _KEPT}
    found["objectives"] = list((meta.get("recipe") or {}).get("objectives") or [])
    found["corpus"] = {name: corpus[name] for name in ("language", "fingerprint", "documents", "words")}
    found["sources"] = [str(source) for source in (meta.get("corpus") or {}).get("sources") or []]
    found["tokenizer"] = ((meta.get("corpus") or {}).get("tokenizer") or {}).get("fingerprint")
    found["task"] = summary.get("task")
    found["versions"] = dict(meta.get("versions") or {})
    found["bytes"] = _bytes(run.path)
    found["curve"] = [
        {"seconds": record["seconds"], "tokens": record.get("tokens"), "loss": record["heldout_loss"]}
        for record in run.metrics()
        if record.get("heldout_loss") is not None and "seconds" in record
    ]
    found["command"] = run_command(run)
    return found


def _bytes(folder: Path) -> int:
    files = [folder / "model.safetensors", folder / "tokenizer.json", *folder.glob("heads/*.safetensors")]
    return sum(file.stat().st_size for file in files if file.is_file())
