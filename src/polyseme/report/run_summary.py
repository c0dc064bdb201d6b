"""One run in a dozen figures: the JSON of `polyseme inspect` and the same for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.entries import FREQUENCY, ObjectiveEntry
from polyseme.core.result import Result
from polyseme.errors import ConfigError
from polyseme.infer.loaded import path_of_run
from polyseme.report.figures import count, duration, measure, size, sparkline
from polyseme.report.page import Page
from polyseme.report.parts import Heading, Part, Table
from polyseme.report.terminal import text
from polyseme.study import Run, several
from polyseme.study.standings import above
from polyseme.text.clean import KINDS
from polyseme.text.document_rule import reading_lines
from polyseme.text.shares import share_lines
from polyseme.train.heldout import above_word_frequency, part_evaluated, parts_judged
from polyseme.train.run import RunDirectory

_RESULTS = (
    "steps",
    "tokens_seen",
    "seconds",
    "tokens_per_second",
    "peak_memory_bytes",
    "heldout_loss",
    "unigram_loss",
)
_FROM_METRICS = {
    "steps": "step",
    "tokens_seen": "tokens",
    "seconds": "seconds",
    "tokens_per_second": "tokens_per_second",
    "heldout_loss": "heldout_loss",
    "unigram_loss": "unigram_loss",
}

WORD_KINDS = ("words", "spaces")
"""Kinds of vocabularies whose other words are one token, [UNK]: the more there are, the lower the loss."""

_COUNTED = ("documents", "words", "characters", "tokens")
_BAR = 30
"""Columns of the longest bar of a mix."""
_LARGEST_EXPONENT = 700.0

Rows = list[tuple[str, str]]
"""What a fact is called, and the fact; what is called "" belongs to the one above."""


def summarize(run: RunDirectory) -> dict[str, Any]:
    """Gather what a run is, was trained on, and how it went.

    The results of a run that is still training are those of its last save, so its newer lines of metrics.jsonl
    replace them.

    Returns a JSON-able dict with at least model, parameters, vocab_size, status, progress, tokens_seen, steps,
    seconds, tokens_per_second, peak_memory_bytes, heldout_loss, unigram_loss (nats per predicted token, same text),
    baseline (what gives unigram_loss, in words: of contrastive it is chance), heldout_interval {low, high, blocks,
    method}, heldout_accuracy {objective: {value, low, high, n}}, heldout (all scores), judged_on {text:
    "held-out" or "training", documents, tokens, meaningless: the figures say nothing about other text; where they are
    of a part of it also share, parts, judged_tokens}, above_word_frequency (whether the loss is), corpus {documents,
    words, fingerprint, dirt, reading …}, vocabulary {kind, min_count, unknown_share}, notes (what was said about the
    corpus), milestones (words, path, words_seen, step of weights kept on the way) and losses (held-out, in order);
    where the model predicts the next token also perplexity = exp(heldout_loss), and of causal_lm that was judged on all
    held-out text bits_per_character, by which runs with different vocabularies compare; of objectives that take turns
    heldout_parts [{objective, loss, unigram_loss}]. What is not known is None. Of a run that was adapted to a task also
    what `adaptation` gives.
    """
    meta, records = run.meta, run.metrics()
    results: Mapping[str, Any] = meta.get("results") or {}
    last: dict[str, Any] = {}
    for record in records:
        last |= record
    entry = _objective(((meta.get("recipe") or {}).get("objectives") or [""])[0])
    summary: dict[str, Any] = {
        "model": meta["model"],
        "path": str(run.path),
        "status": meta.get("status"),
        "progress": last.get("progress"),
        "parameters": meta.get("parameters"),
        "vocab_size": ((meta.get("recipe") or {}).get("model") or {}).get("vocab_size"),
        "baseline": None if entry is None else entry.alone,
    }
    newer = last.get("step", 0) > results.get("steps", 0)
    for name in _RESULTS:
        values = [last.get(_FROM_METRICS.get(name, "")), results.get(name)]
        summary[name] = next((v for v in (values if newer else reversed(values)) if v is not None), None)
    summary["heldout"] = results.get("heldout") or {}
    newest = summary["heldout_loss"] == results.get(
        "heldout_loss"
    )  # not of a run that has gone on since its save
    summary["heldout_interval"] = results.get("heldout_interval") if newest else None
    if parts := parts_judged((meta.get("recipe") or {}).get("objectives") or [], results):
        summary["heldout_parts"] = [
            {"objective": name, "loss": loss, "unigram_loss": alone} for name, loss, alone in parts
        ]
    summary["heldout_accuracy"] = results.get("heldout_accuracy") or {}
    summary["budget"] = (meta.get("asked") or {}).get("budget")
    summary["corpus"] = corpus_figures(meta.get("corpus") or {})
    summary["vocabulary"] = vocabulary_figures(meta.get("corpus") or {})
    summary["judged_on"] = _judged_on(meta, results)
    known = summary["heldout_loss"] is not None and summary["unigram_loss"] is not None
    summary["above_word_frequency"] = above_word_frequency(summary) is not None if known else None
    summary["notes"] = list(meta.get("notes") or [])
    summary["milestones"] = list(meta.get("milestones") or [])
    if "imported" in meta:
        summary["imported"] = meta["imported"]
    summary |= _language_model_figures(meta, results, summary["heldout_loss"], summary["corpus"])
    if part_evaluated(summary["judged_on"]):  # its characters were not counted
        summary.pop("bits_per_character", None)
    summary["losses"] = [
        record["heldout_loss"] for record in records if record.get("heldout_loss") is not None
    ]
    if "adapted" in meta:
        summary |= {key: value for key, value in adaptation(run).items() if key not in summary}
        summary["notes"] = [*summary["notes"], *meta["adapted"]["notes"]]
    return summary


def adaptation(run: RunDirectory) -> dict[str, Any]:
    """Gather what a task was learned from and how well, JSON-able.

    Returns task, path, model, from, feature_based, examples {train, dev}, dev {figure: value}, dev_intervals {figure:
    {low, high, n}}, dev_chance {main figure: without any knowledge of the text}, seeds, mix (weights of the layers and
    γ, where they were learned), ngrams {number, penalty, telling {label: those that speak most for it}} of a 1-of-N run
    that is read by them, decoding, steps, seconds, problems and notes; after --adapt also pretraining {budget, texts,
    objectives, steps, tokens_seen, seconds, heldout_loss_before, heldout_loss, path …}.
    """
    meta = run.meta
    adapted, results = meta["adapted"], meta.get("results") or {}
    return {
        "task": adapted["task"],
        "path": str(run.path),
        "model": meta["model"],
        "status": meta.get("status"),
        "from": adapted["from"],
        "from_scratch": adapted["from_scratch"],
        "feature_based": adapted["feature_based"],
        "parameters": meta.get("parameters"),
        "trained_parameters": meta.get("trained_parameters"),
        "examples": {part: adapted[part]["examples"] for part in ("train", "dev")},
        "dev": results.get("dev"),
        "dev_intervals": results.get("dev_intervals") or {},
        "dev_chance": results.get("dev_chance") or {},
        "seeds": meta.get("seeds"),
        "mix": results.get("mix"),
        "ngrams": results.get("ngrams"),
        "decoding": {k: v for k, v in meta.get("decoding", {}).items() if k != "crf"},
        "steps": results.get("steps"),
        "seconds": results.get("seconds"),
        "problems": adapted["problems"],
        "notes": adapted["notes"],
        **{key: adapted[key] for key in ("pretraining",) if key in adapted},
    }


def _judged_on(meta: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any] | None:
    """On what a run was judged; older ones kept the share of the text among their results only."""
    judged: dict[str, Any] | None = meta.get("judged_on")
    if judged is not None and "heldout_share" in results:
        judged = {"share": results["heldout_share"]} | judged
    return judged


def _language_model_figures(
    meta: Mapping[str, Any], results: Mapping[str, Any], loss: float | None, corpus: Mapping[str, Any]
) -> dict[str, float]:
    """Perplexity and bits_per_character, where they mean something.

        bits per character = loss / ln 2 · (tokens + documents) / characters,  all of the held-out text

    A document's end is one prediction more. What the tokenizer drops (case, for some; spaces) is not paid for.
    """
    entry = _objective(((meta.get("recipe") or {}).get("objectives") or [""])[0])
    figures: dict[str, float] = {}
    if results.get("perplexity") is not None:
        figures["perplexity"] = results["perplexity"]
    elif entry is not None and entry.perplexity and loss is not None and loss < _LARGEST_EXPONENT:
        figures["perplexity"] = math.exp(loss)
    held = corpus["splits"].get("valid", {})
    ends = entry is not None and entry.predicts == "next" and hasattr(entry.build, "counts")
    if ends and loss is not None and held.get("characters"):
        predictions = held["tokens"] + held["documents"]
        figures["bits_per_character"] = loss / math.log(2) * predictions / held["characters"]
    return figures


def _objective(name: str) -> ObjectiveEntry | None:
    """The entry of an objective; None of a task, and of one whose package is not installed."""
    return registry.objectives.load(name) if name in registry.objectives else None


def corpus_figures(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the figures of a prepared corpus out of its store.json.

    Returns language, fingerprint, documents, words, characters and tokens (held-out ones included), the same four
    for each split, dirt {kind: how often}, reading, as `Corpus.reading` gives it, and shares, as store.json has them.
    What is not known is None.
    """
    splits: Mapping[str, Mapping[str, Any]] = meta.get("splits") or {}
    figures: dict[str, Any] = {"language": meta.get("language"), "fingerprint": meta.get("fingerprint")}
    for name in _COUNTED:
        known = [split[name] for split in splits.values() if name in split]
        figures[name] = sum(known) if known and None not in known else None
    figures["splits"] = {
        split: {name: values[name] for name in _COUNTED if values.get(name) is not None}
        for split, values in splits.items()
    }
    figures["dirt"] = (meta.get("dirt") or {}).get("counts", {})
    figures["reading"] = list(meta.get("reading") or [])
    figures["shares"] = list(meta.get("shares") or [])
    return figures


def vocabulary_figures(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what the words of a prepared corpus are out of its store.json.

    Returns kind, min_count (None where a tokenizer was given, or has none) and unknown_share, of all tokens.
    """
    config: Mapping[str, Any] = (meta.get("tokenizer") or {}).get("config") or {}
    kind = config.get("kind")
    splits = (meta.get("splits") or {}).values()
    known = all("unknown" in split for split in splits)
    tokens = sum(split.get("tokens", 0) for split in splits)
    share = sum(split["unknown"] for split in splits) / tokens if known and tokens else None
    return {
        "kind": kind,
        "min_count": config.get("min_count") if kind in WORD_KINDS else None,
        "unknown_share": share,
    }


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Result):
    """What `inspect` says of runs.

    Args:
        runs: of each what `summarize` gives.
    """

    kind = "inspect"
    notes = ()

    runs: tuple[dict[str, Any], ...]

    def document(self) -> Any:
        """The run's summary; of several runs a list."""
        return list(self.runs) if len(self.runs) > 1 else self.runs[0]

    def headline(self) -> str:
        """Which runs."""
        return ", ".join(Path(run["path"]).name for run in self.runs)

    def rows(self) -> list[dict[str, Any]]:
        """A row a run: the facts that are one value."""
        return [
            {"run": Path(run["path"]).name, "task": run.get("task")} | {name: run[name] for name in _COLUMNS}
            for run in self.runs
        ]


_COLUMNS = ("model", "status", "parameters", *_RESULTS)


def inspect(runs: Run | Sequence[Run]) -> Summary:
    """What runs are, what they were trained on, how it went and where they are now; they may still be training.

    Args:
        runs: one or several.
    Raises:  RunError: there is no run.  ConfigError: none is named.

    Example:
        inspect("runs/mine").document()["heldout_loss"]
    """
    folders = [path_of_run(run) for run in several(runs)]
    if not folders:
        raise ConfigError("no run is named", fix="polyseme inspect RUN")
    return Summary(tuple(summarize(RunDirectory.open(folder)) for folder in folders))


def inspect_page(document: Any, lang: str = "en") -> Page:
    """The page of runs, one after the other."""
    runs = document if isinstance(document, list) else [document]
    parts: list[Part] = []
    for run in runs:
        parts += [Heading(run["path"])] if len(runs) > 1 else []
        parts += summary_parts(run)
    return Page("Runs", "", parts, lang)


def summary_text(summary: Mapping[str, Any]) -> str:
    """A summary for a terminal."""
    return text(summary_parts(summary))


def summary_parts(summary: Mapping[str, Any]) -> list[Part]:
    """A summary for a person, a line a fact; unknown facts are left out.

    Args:
        summary: of `summarize`; of a run that was adapted to a task, the task's figures stand in place of the text's.
    """
    rows: Rows = [("model", _model(summary))]
    progress, status = summary["progress"], summary["status"]
    if status is not None:
        share = "" if progress is None or status == "finished" else f", {progress:.0%} of its budget spent"
        rows.append(("status", status + share))
    if (source := summary.get("imported")) is not None:
        rows.append(("imported from", f"{source.get('kind')} {source.get('path')}"))
    if "task" in summary:
        rows += _task_rows(summary)
    else:
        rows += _corpus_rows(summary["corpus"]) + _vocabulary_rows(summary["vocabulary"])
    rows += [("note", note) for note in summary["notes"]]
    if summary.get("milestones"):
        rows.append(("milestones", ", ".join(entry["path"] for entry in summary["milestones"])))
    rows += _spent_rows(summary)
    if "task" not in summary:
        return [_facts(rows + _loss_rows(summary))]
    return [_facts(rows), *_dev_parts(summary), *_mix_parts(summary), *_ngram_parts(summary)]


def _task_rows(summary: Mapping[str, Any]) -> Rows:
    start = "random weights, the model of " if summary["from_scratch"] else ""
    how = "frozen encoder, learned mix of its layers" if summary["feature_based"] else "trained as a whole"
    if summary["ngrams"]:
        how = f"{count(summary['ngrams']['number'])} n-grams under a linear layer, solved for"
    examples = summary["examples"]
    return [
        ("task", f"{summary['task']}; {how}: {count(summary['trained_parameters'])} parameters trained"),
        ("from", f"{start}{summary['from']}"),
        ("examples", f"{examples['train']:,} to learn from, {examples['dev']:,} of dev"),
    ]


def _dev_parts(summary: Mapping[str, Any]) -> list[Part]:
    """The figures on dev, those of all seeds, how far a guess would come, and what decoding was chosen there."""
    figures, spread = dict(summary["dev"] or {}), (summary.get("seeds") or {}).get("dev") or {}
    loss = figures.pop("loss", summary["heldout_loss"])
    head = ["dev", "value", "95 % interval"]
    n = max((len(over["values"]) for over in spread.values()), default=0)
    head += [f"mean of {n} seeds"] if n else []
    rows = [["loss", f"{loss:.4f}", ""]] if loss is not None else []
    for name, value in figures.items():
        limits = (summary.get("dev_intervals") or {}).get(name) or {"low": None, "high": None}
        known = value is not None and limits["low"] is not None
        rows.append(
            [name, measure(value), f"{measure(limits['low'])} … {measure(limits['high'])}" if known else ""]
        )
        if over := spread.get(name):
            rows[-1].append(f"{measure(over['mean'])} ± {measure(over['deviation'])}")
    notes: list[Part] = []
    if loss is not None and summary["unigram_loss"] is not None:
        notes.append(f"loss without looking at the text: {summary['unigram_loss']:.4f}")
    if (note := useless(summary)) is not None:
        notes.append(note)
    for name, value in (summary["decoding"] or {}).items():
        notes.append(f"{name.replace('_', ' ')}: {f'{value:.4f}' if isinstance(value, float) else value}")
    rows = [row + [""] * (len(head) - len(row)) for row in rows]
    return [Table(head, rows), *notes] if rows else notes


def useless(summary: Mapping[str, Any]) -> str | None:
    """What is said of a head that is not above chance on dev: its layer weights, too, are luck; None of others."""
    for name, chance in (summary.get("dev_chance") or {}).items():
        value = (summary["dev"] or {}).get(name)
        if chance is not None and value is not None and not above(value, chance, name):
            mix = ": the layer mix is luck" if summary["mix"] else ""
            return f"not above {measure(chance)}, which no knowledge of the text gives{mix}"
    return None


def _mix_parts(summary: Mapping[str, Any]) -> list[Part]:
    """The weight of every layer as a bar, and γ; of several seeds the means with Student's intervals over them."""
    mix, seeds = summary["mix"], (summary.get("seeds") or {}).get("mix")
    if not mix:
        return []
    shares = [{"mean": weight} for weight in mix["weights"]] if seeds is None else seeds["weights"]
    gamma = {"mean": mix["gamma"]} if seeds is None else seeds["gamma"]
    most = max(share["mean"] for share in shares)
    rows = [
        [
            str(layer),
            f"{share['mean']:.3f}{_between(share, 3)}",
            "█" * max(1, round(_BAR * share["mean"] / most)),
        ]
        for layer, share in enumerate(shares)
    ]
    rows.append(["γ", f"{gamma['mean']:.3f}{_between(gamma, 3)}", ""])
    means = "" if seeds is None else f"means of {len(gamma['values'])} seeds"
    return [Table(["layer", "share in the mix", ""], rows, means, left=(0, 1, 2))]


def _ngram_parts(summary: Mapping[str, Any]) -> list[Part]:
    """Which n-grams speak most for each label, and under which penalty."""
    found = summary["ngrams"]
    if not found:
        return []
    rows = [[label, ", ".join(names)] for label, names in found["telling"].items()]
    penalty = f"penalty: {found['penalty']:g}"
    return [penalty, Table(["label", "n-grams that speak most for it"], rows, left=(0, 1))]


def _spent_rows(summary: Mapping[str, Any]) -> Rows:
    """What training took."""
    spent = []
    if summary["seconds"] is not None:
        spent.append(duration(summary["seconds"]))
    if summary["steps"] is not None:
        spent.append(f"{summary['steps']:,} steps")
    if summary["tokens_seen"] is not None:
        spent.append(f"{count(summary['tokens_seen'])} tokens")
    if summary["tokens_per_second"] is not None:
        spent.append(f"{count(summary['tokens_per_second'])} tokens/s")
    if summary["peak_memory_bytes"] is not None:
        spent.append(f"{size(summary['peak_memory_bytes'])} of memory at most")
    return [("training", ", ".join(spent))] if spent else []


def corpus_text(meta: Mapping[str, Any]) -> str:
    """Write the figures of a prepared corpus for a person."""
    return text([_facts(_corpus_rows(corpus_figures(meta)))])


def _model(summary: Mapping[str, Any]) -> str:
    parts = [str(summary["model"])]
    if summary["parameters"] is not None:
        parts.append(f"{count(summary['parameters'])} parameters")
    if summary["vocab_size"] is not None:
        parts.append(f"a vocabulary of {summary['vocab_size']:,}")
    return ", ".join(parts)


def _corpus_rows(corpus: Mapping[str, Any]) -> Rows:
    parts = [str(corpus["language"])] if corpus["language"] is not None else []
    parts += [f"{count(corpus[name])} {name}" for name in _COUNTED if corpus[name] is not None]
    rows = [("corpus", ", ".join(parts))] if parts else []
    heldout = corpus["splits"].get("valid", {})
    for number, line in enumerate(reading_lines(corpus["reading"])):
        rows.append(("read" if number == 0 else "", line))
    for number, line in enumerate(share_lines(corpus["shares"])):
        rows.append(("shares" if number == 0 else "", line))
    if heldout:
        figures = ", ".join(f"{count(number)} {name}" for name, number in heldout.items())
        rows.append(("held out", figures if any(heldout.values()) else "nothing"))
    for number, (kind, times) in enumerate(corpus["dirt"].items()):
        rows.append(
            ("cleaned" if number == 0 else "", f"{times:>9,}  {KINDS.get(kind, kind.replace('_', ' '))}")
        )
    return rows


def _vocabulary_rows(vocabulary: Mapping[str, Any]) -> Rows:
    """Of words alone: pieces know nearly everything, and their number says the rest."""
    if vocabulary["kind"] not in WORD_KINDS:
        return []
    text = (
        f"words that occur {vocabulary['min_count']} times or more"
        if vocabulary["min_count"] > 1
        else "words"
    )
    if vocabulary["unknown_share"] is not None:
        text += f"; {vocabulary['unknown_share']:.1%} of the tokens are others ([UNK])"
    return [("vocabulary", text)]


def _loss_rows(summary: Mapping[str, Any]) -> Rows:
    heldout, unigram = summary["heldout_loss"], summary["unigram_loss"]
    if heldout is None:
        return []
    by_words = summary.get("baseline") in (None, FREQUENCY)
    unit = "nats per predicted token" if by_words else "nats"
    text = f"{heldout:.3f}{_between(summary.get('heldout_interval'), 3)} {unit}"
    if unigram is not None:
        side = "below" if heldout <= unigram else "above"
        other = "the unigram baseline {}" if by_words else f"{{}} {summary['baseline']}"
        text += f", {abs(unigram - heldout):.3f} {side} {other.format(f'{unigram:.3f}')}"
    judged = summary.get("judged_on") or {}
    if judged.get("meaningless"):
        text += ", which says nothing about other text"
    if (part := part_evaluated(judged)) is not None:
        text += f"; of {part} of the {judged.get('text', 'held-out')} text"
    rows = [("training loss" if judged.get("text") == "training" else "held-out loss", text)]
    if summary["vocabulary"]["kind"] in WORD_KINDS:
        rows.append(
            ("", "to be compared with runs of the same vocabulary alone (pretrain … --tokenizer RUN)")
        )
    for part in summary.get("heldout_parts", ()):
        value = f"{part['loss']:.3f} nats, from word frequency alone {part['unigram_loss']:.3f}"
        rows.append((part["objective"].replace("_", " "), value))
    losses = [loss for loss in summary["losses"] if math.isfinite(loss)]
    if len(losses) > 2:
        rows.append(("", f"{sparkline(losses, 40)}  {losses[0]:.2f} → {losses[-1]:.2f}"))
    for name, accuracy in (summary.get("heldout_accuracy") or {}).items():
        if getattr(getattr(_objective(name), "build", None), "of_examples", False):
            value = f"{accuracy['value']:.3f}{_between(accuracy, 3)}"
            rows.append(
                (
                    name.replace("_", " "),
                    f"{value} of {accuracy['n']:,} held-out pairs are right, half by chance",
                )
            )
    if summary.get("perplexity") is not None:
        bits = summary.get("bits_per_character")
        per_character = f", {bits:.3f} bits per character" if bits is not None else ""
        rows.append(("perplexity", f"{summary['perplexity']:.1f}{per_character}"))
    return rows


def _between(figure: Mapping[str, Any] | None, digits: int) -> str:
    """An interval behind its figure; "" where there is none."""
    if not figure or figure.get("low") is None or figure.get("high") is None:
        return ""
    return f" ({figure['low']:.{digits}f} … {figure['high']:.{digits}f})"


def _facts(rows: Rows) -> Table:
    return Table(("", ""), [list(row) for row in rows], left=(0, 1))
