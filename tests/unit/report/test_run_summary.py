"""A run in a dozen figures."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from polyseme.report.run_summary import corpus_text, summarize, summary_text
from polyseme.train.run import RunDirectory

STORE: dict[str, Any] = {
    "language": "en",
    "fingerprint": "f00d",
    "splits": {
        "train": {"documents": 95, "words": 9500, "characters": 57_000, "tokens": 12_000},
        "valid": {"documents": 5, "words": 500, "characters": 3000, "tokens": 640},
    },
    "dirt": {"counts": {"crlf": 1200, "encoding_gb18030": 1}, "examples": {"crlf": "a.txt, character 7"}},
}
RESULTS = {
    "steps": 20,
    "tokens_seen": 81_920,
    "seconds": 60.0,
    "tokens_per_second": 1365.3,
    "peak_memory_bytes": 700_000_000,
    "heldout_loss": 5.0,
    "unigram_loss": 6.0,
    "heldout": {"masked_lm_loss": 5.0, "masked_lm_accuracy": 0.2},
}


def _run(tmp_path: Path, *, results: dict[str, Any] | None, last_step: int, status: str) -> RunDirectory:
    meta = {
        "format_version": 1,
        "model": "bert",
        "status": status,
        "parameters": 3_000_000,
        "asked": {"budget": "2 minutes"},
        "recipe": {"model": {"vocab_size": 8000}},
        "corpus": STORE,
    }
    if results is not None:
        meta["results"] = results
    (tmp_path / "run.json").write_text(json.dumps(meta))
    lines = []
    for step in range(1, last_step + 1):
        lines.append(
            {"step": step, "tokens": 4096 * step, "seconds": 3.0 * step, "progress": step / 40, "loss": 6.0}
        )
        if step % 5 == 0:
            lines.append({"step": step, "heldout_loss": 6.0 - step / 20, "unigram_loss": 6.0})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunDirectory.open(tmp_path)


def test_the_json_has_what_was_promised(tmp_path: Path) -> None:
    summary = summarize(_run(tmp_path, results=RESULTS, last_step=20, status="finished"))
    promised = {
        "model": "bert",
        "parameters": 3_000_000,
        "vocab_size": 8000,
        "tokens_seen": 81_920,
        "steps": 20,
        "seconds": 60.0,
        "tokens_per_second": 1365.3,
        "peak_memory_bytes": 700_000_000,
        "heldout_loss": 5.0,
        "unigram_loss": 6.0,
        "status": "finished",
    }
    assert {name: summary[name] for name in promised} == promised
    corpus = summary["corpus"]
    assert (corpus["documents"], corpus["words"], corpus["fingerprint"]) == (100, 10_000, "f00d")
    assert corpus["dirt"] == {"crlf": 1200, "encoding_gb18030": 1}
    assert "perplexity" not in summary
    assert summary["notes"] == []
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(("least", "says"), [(5, "words that occur 5 times or more"), (1, "words;")])
def test_the_vocabulary_of_words_is_told(tmp_path: Path, least: int, says: str) -> None:
    run = _run(tmp_path, results=RESULTS, last_step=20, status="finished")
    plain = summarize(run)
    assert plain["vocabulary"] == {"kind": None, "min_count": None, "unknown_share": None}
    assert "same vocabulary" not in summary_text(plain)
    config = {"kind": "words", "min_count": least}
    splits = {name: split | {"unknown": split["tokens"] // 40} for name, split in STORE["splits"].items()}
    run.meta["corpus"] = STORE | {"tokenizer": {"config": config}, "splits": splits}
    summary = summarize(run)
    assert summary["vocabulary"] == config | {"unknown_share": 0.025}
    text = summary_text(summary)
    assert says in text
    assert "2.5% of the tokens" in text
    assert "same vocabulary alone" in text
    run.meta["corpus"]["tokenizer"] = {"config": {"kind": "wordpiece", "min_count": 2}}
    pieces = summarize(run)
    assert pieces["vocabulary"] == {"kind": "wordpiece", "min_count": None, "unknown_share": 0.025}
    assert "same vocabulary" not in summary_text(pieces)


def test_notes_are_shown(tmp_path: Path) -> None:
    run = _run(tmp_path, results=RESULTS, last_step=20, status="finished")
    run.meta["notes"] = ["25% of the training text's tokens are unknown"]
    assert re.search("^note +25% of the training", summary_text(summarize(run)), re.MULTILINE)


def test_a_run_in_progress_shows_where_it_is_now_not_its_last_save(tmp_path: Path) -> None:
    summary = summarize(_run(tmp_path, results=RESULTS, last_step=30, status="training"))
    assert (summary["steps"], summary["tokens_seen"], summary["progress"]) == (30, 122_880, 0.75)
    assert summary["heldout_loss"] == 4.5
    assert summary["peak_memory_bytes"] == 700_000_000


def test_a_run_that_was_never_saved_has_its_metrics(tmp_path: Path) -> None:
    summary = summarize(_run(tmp_path, results=None, last_step=7, status="training"))
    assert (summary["steps"], summary["heldout_loss"], summary["peak_memory_bytes"]) == (7, 5.75, None)
    assert "18% of its budget" in summary_text(summary)


@pytest.mark.parametrize("objective", ["causal_lm", "bidirectional_lm", "class_bigram", "masked_lm"])
def test_a_language_model_has_a_perplexity(tmp_path: Path, objective: str) -> None:
    run = _run(tmp_path, results=RESULTS, last_step=20, status="finished")
    run.meta["recipe"]["objectives"] = [objective]
    summary = summarize(run)
    if objective == "masked_lm":
        assert "perplexity" not in summary
        assert "bits_per_character" not in summary
        return
    assert summary["perplexity"] == pytest.approx(math.exp(5.0))
    assert ("bits_per_character" in summary) == (objective == "causal_lm")
    if objective == "causal_lm":
        assert summary["bits_per_character"] == pytest.approx(5.0 / math.log(2) * 645 / 3000)
        assert "148.4, 1.551 bits per character" in summary_text(summary)


def test_figures_of_a_part_of_the_held_out_text_say_so(tmp_path: Path) -> None:
    run = _run(tmp_path, results=RESULTS, last_step=20, status="finished")
    run.meta["recipe"]["objectives"] = ["causal_lm"]
    run.meta["judged_on"] = {"text": "held-out", "documents": 9, "tokens": 645, "meaningless": False}
    assert "% of the held-out text" not in summary_text(summarize(run))
    run.meta["judged_on"]["share"] = 4 / 7
    summary = summarize(run)
    assert "bits_per_character" not in summary  # the characters of a part are not counted
    assert "; of 57 % of the held-out text" in summary_text(summary)
    # runs of before kept it among their results alone
    del run.meta["judged_on"]["share"]
    run.meta["results"] = run.meta["results"] | {"heldout_share": 0.0625}
    assert "; of 6 % of the held-out text" in summary_text(summarize(run))


def test_the_text_for_people(tmp_path: Path) -> None:
    text = summary_text(summarize(_run(tmp_path, results=RESULTS, last_step=20, status="finished")))
    for words in (
        "bert, 3.00 M parameters, a vocabulary of 8,000",
        "en, 100 documents, 10,000 words",
        "1,200  CRLF line ends",
        "1  files in GB18030",
        "1 min 0 s, 20 steps, 81,920 tokens",
        "5.000 nats per predicted token, 1.000 below the unigram baseline 6.000",
        "█",
    ):
        assert " ".join(words.split()) in " ".join(text.split())


def test_a_loss_above_the_baseline_is_called_so(tmp_path: Path) -> None:
    text = summary_text(
        summarize(_run(tmp_path, results={**RESULTS, "heldout_loss": 6.5}, last_step=1, status="finished"))
    )
    assert "0.500 above the unigram baseline" in text


def test_chance_is_not_called_word_frequency(tmp_path: Path) -> None:
    run = _run(tmp_path, results=RESULTS, last_step=20, status="finished")
    run.meta["recipe"]["objectives"] = ["contrastive"]
    summary = summarize(run)
    assert summary["baseline"] == "by chance"
    text = " ".join(summary_text(summary).split())
    assert "5.000 nats, 1.000 below 6.000 by chance" in text
    assert "unigram" not in text
    run.meta["recipe"]["objectives"] = ["masked_lm"]
    assert summarize(run)["baseline"] == "from word frequency alone"


@pytest.mark.parametrize("meta", [{}, {"splits": {"train": {}}}])
def test_little_is_known_of_a_bare_store(meta: dict[str, Any]) -> None:
    assert corpus_text(meta) == ""
