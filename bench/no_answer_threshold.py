"""Questions with and without an answer: what the threshold that was tuned on dev is worth.

    python bench/no_answer_threshold.py

SQuAD's new_wiki by articles (train, dev, test); every second question is put to another paragraph of the same article,
where it has no answer. all-MiniLM-L6-v2 learns to answer or to say none; beside it stand answering always and never.
`ours` is F1 with the threshold, `peer` the better of the two; the ratio is what it is worth.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from _finetune_tasks import CACHE, CASES, files
from finetune_vs_trainer import start
from polyseme.study.evaluate import evaluate
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest

FOLDER = CACHE / "no_answer"


def with_unanswerable(source: Path, target: Path) -> Path:
    """The same questions, every second one at its article's next paragraph, unless that holds an answer's text."""
    moved = 0
    articles: list[dict[str, Any]] = json.loads(source.read_text("utf-8"))["data"]
    for article in articles:
        paragraphs = article["paragraphs"]
        added: list[list[dict[str, Any]]] = [[] for _ in paragraphs]
        for number, paragraph in enumerate(paragraphs):
            kept = []
            for place, qa in enumerate(paragraph["qas"]):
                other = (number + 1) % len(paragraphs)
                context = paragraphs[other]["context"].lower()
                leaves = place % 2 == 1 and other != number
                if leaves and not any(a["text"].lower() in context for a in qa["answers"]):
                    added[other].append({**qa, "answers": [], "is_impossible": True})
                    moved += 1
                else:
                    kept.append({**qa, "is_impossible": False})
            paragraph["qas"] = kept
        for paragraph, more in zip(paragraphs, added, strict=True):
            paragraph["qas"] += more
    total = sum(len(p["qas"]) for a in articles for p in a["paragraphs"])
    print(f"{target.name}: {total:,} questions, {moved:,} without an answer")
    target.write_text(json.dumps({"version": "2.0", "data": articles}), "utf-8")
    return target


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=3000, help="training questions")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    FOLDER.mkdir(parents=True, exist_ok=True)
    case = next(case for case in CASES if case.name == "new_wiki")
    parts = {}
    for part in ("dev", "test"):
        sources = files(case, part)
        parts["train"] = with_unanswerable(CACHE / "new_wiki_train.json", FOLDER / "train.json")
        parts[part] = with_unanswerable(CACHE / f"new_wiki_{part}.json", FOLDER / f"{part}.json")
        assert sources.judged.exists()
    run = FOLDER / "run"
    resume = (run / "run.json").exists()
    try:
        finetune(_request(parts, run, options, resume))
    except Exception:
        if not resume:
            raise
        shutil.rmtree(run)
        finetune(_request(parts, run, options, False))
    found = evaluate(run, parts["test"]).figures
    print(f"{'':<28}{'value':>8}   95 % interval")
    for name, figure in found.items():
        print(
            f"{name:<28}{figure['value']:>8.4f}   {figure['low']:.4f} to {figure['high']:.4f}   n {figure['n']:,}"
        )
    best = max(found["answer_all_f1"]["value"], found["answer_none_f1"]["value"])
    ours = found["f1"]["value"]
    case_ = {
        "case": "new_wiki, half unanswerable",
        "ours": ours,
        "peer": best,
        "ratio": ours / best,
        "unit": "F1",
    }
    print(json.dumps({"bench": "no_answer_threshold", "cases": [case_]}))
    return 0 if ours > best else 1


def _request(parts: dict[str, Path], run: Path, options: argparse.Namespace, resume: bool) -> FinetuneRequest:
    return FinetuneRequest(
        task="qa",
        run=start(),
        train=parts["train"],
        dev=parts["dev"],
        output=run,
        epochs=options.epochs,
        batch_size=16,
        learning_rate=2e-4,
        max_length=384,
        examples=options.examples,
        resume=resume,
        threads=options.threads,
    )


if __name__ == "__main__":
    raise SystemExit(main())
