"""Minimal pairs as other programs judge them: lm-eval and BabyLM's pipeline on exported runs, pair by pair.

    python bench/pairs_vs_harnesses.py RUN... [--limit 20] [--blimp FOLDER] [--babylm FOLDER] [--finetune | --served]

Each run is exported for transformers and the same pairs of BLiMP, the first of every paradigm, are judged three times:
by `polyseme.pairs(scoring="original")`, by BabyLM's `evaluation_pipeline.sentence_zero_shot` and, of decoders, by
lm-eval with a task file of its own; both as their authors wrote them. The bench fails where a pair is decided
otherwise, ties apart, or where lm-eval's margin is apart by more than 1e-3 nats. With --finetune the exported folder
is also trained by BabyLM's `evaluation_pipeline.finetune` for an epoch of a few examples: it must exit with 0.

With --served no run is exported: lm-eval's `local-completions` asks `polyseme serve`, with the server's own tokenizer,
of decoders and of masked models, and is held against `polyseme pairs`.

BabyLM's pipeline is no package: --babylm names a clone of github.com/babylm/evaluation-pipeline-2025. Where it or
lm-eval (`pip install 'polyseme[peers]'`) is missing, the bench says so and goes on with the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polyseme import export_model, load
from polyseme.study.pairs import pairs
from polyseme.text.labelled.minimal_pairs import pair_files

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "tasks"
FIELDS = ("sentence_good", "sentence_bad", "field", "linguistics_term", "UID", "pairID")
TOLERANCE = 1e-3
TIE = 1e-5
"""Nats within which a pair is a tie: texts of the same tokens, whose scores another program adds up otherwise."""
Pair = tuple[str, str, str]
TASK = """task: minimal_pairs_local
dataset_path: json
dataset_kwargs:
  data_files:
    test: {files}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[sentence_good, sentence_bad]}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""


def sample(blimp: Path, limit: int, folder: Path) -> Path:
    """The first pairs of every paradigm, in files of BLiMP's form that all have the same fields, as `datasets` asks."""
    folder.mkdir()
    for file in pair_files([blimp]):
        lines = Path(file).read_text("utf-8").splitlines()[:limit]
        kept = [{key: str(json.loads(line)[key]) for key in FIELDS} for line in lines]
        (folder / Path(file).name).write_text("".join(json.dumps(one) + "\n" for one in kept), "utf-8")
    return folder


def exported(run: Path, folder: Path) -> dict[str, Path]:
    """Folders of transformers by what they do: {"mlm": …} or {"causal": …}, of a hybrid both."""
    export_model(run, "huggingface", folder)
    found = {path.parent for path in folder.rglob("config.json")}
    return {
        "causal" if load(run).encoder.reach == "left" or _decodes(path) else "mlm": path for path in found
    }


def _decodes(folder: Path) -> bool:
    """Whether transformers reads the folder as a decoder."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return config.get("is_decoder", False) or "decoder" in config["model_type"]


def ours(run: Path, data: Path, backend: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Pairs by (paradigm, good text): the margin."""
    scoring: Any = "original" if backend == "mlm" else None
    rows = pairs(run, data, scoring=scoring).pairs
    return {(row["paradigm"], row["good"], row["bad"]): row for row in rows}  # type: ignore[misc]


def babylm(clone: Path, model: Path, backend: str, data: Path, folder: Path) -> dict[str, list[str]]:
    """What BabyLM's pipeline takes for the good text: paradigm -> texts in the order of its file."""
    command = [
        sys.executable, "-m", "evaluation_pipeline.sentence_zero_shot.run", "--model_path_or_name", str(model),
        "--backend", backend, "--task", "blimp", "--data_path", str(data), "--save_predictions",
        "--output_dir", str(folder),
    ]  # fmt: skip
    subprocess.run(command, cwd=clone, check=True, stdout=subprocess.DEVNULL, env=offline())
    (found,) = folder.rglob("predictions.json")
    answers = json.loads(found.read_text("utf-8"))
    return {uid: [one["pred"] for one in part["predictions"]] for uid, part in answers.items()}


def lm_eval_margins(model: str, options: dict[str, Any], data: Path, folder: Path) -> dict[Pair, float]:
    """What lm-eval makes of every pair: log p(good) - log p(bad).

    Args:
        model, options: the kind of model that lm-eval asks, and its arguments.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    folder.mkdir()
    files = json.dumps(sorted(str(file) for file in data.glob("*.jsonl")))
    (folder / "minimal_pairs_local.yaml").write_text(TASK.format(files=files), "utf-8")
    result = lm_eval.simple_evaluate(
        model=model,
        model_args=options,
        tasks=["minimal_pairs_local"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        device="cpu",
        batch_size=32,
        log_samples=True,
        bootstrap_iters=0,
    )
    margins = {}
    for one in result["samples"]["minimal_pairs_local"]:
        good, bad = (float(answer[0][0]) for answer in one["resps"])
        doc = one["doc"]
        margins[doc["UID"], doc["sentence_good"], doc["sentence_bad"]] = good - bad
    return margins


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of a run that `polyseme serve` serves in another process."""
    command = [sys.executable, "-m", "polyseme", "serve", f"run={run}", "--port", "0", "--log", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def served_row(run: Path, data: Path, folder: Path) -> dict[str, Any]:
    """lm-eval's local-completions with the server's tokenizer beside `polyseme pairs`, pair by pair."""
    known = {(row["paradigm"], row["good"], row["bad"]): row["margin"] for row in pairs(run, data).pairs}
    began = time.perf_counter()
    with served(run) as address:
        base = f"{address}models/run/v1/completions"
        options = {"model": "run", "base_url": base, "tokenizer_backend": "remote"}
        margins = lm_eval_margins("local-completions", options, data, folder)
    return {
        "run": run.name,
        "backend": "served",
        "pairs": len(known),
        "accuracy": sum(map(verdict, known.values())) / len(known),
        "lm_eval_accuracy": sum(verdict(margins[key]) for key in known) / len(known),
        "lm_eval_apart": max(abs(margins[key] - known[key]) for key in known),
        "lm_eval_differs": sum(verdict(margins[key]) != verdict(known[key]) for key in known),
        "seconds": time.perf_counter() - began,
    }


def verdict(margin: float) -> float:
    """1, ½ or 0, as `polyseme pairs` counts."""
    return 1.0 if margin > TIE else 0.5 if margin > -TIE else 0.0


def finetuned(clone: Path, model: Path, folder: Path, causal: bool) -> int:
    """The exit code of BabyLM's fine-tuning on a few examples, by the command of its eval_finetuning.sh."""
    lines = [
        json.dumps({"idx": i, "sentence": text, "label": i % 2})
        for i, text in enumerate(["a good day", "bad"] * 16)
    ]
    for part in ("train", "valid"):
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    command = [
        sys.executable, "-m", "evaluation_pipeline.finetune.run", "--model_name_or_path", str(model),
        "--train_data", str(folder / "train.jsonl"), "--valid_data", str(folder / "valid.jsonl"),
        "--predict_data", str(folder / "valid.jsonl"), "--task", "cola", "--num_labels", "2", "--batch_size", "16",
        "--learning_rate", "1e-5", "--num_epochs", "1", "--sequence_length", "512", "--results_dir", str(folder),
        "--metrics", "accuracy", "--metric_for_valid", "accuracy", *(["--take_final"] if causal else []),
    ]  # fmt: skip
    return subprocess.run(command, cwd=clone, check=False, env=offline()).returncode


def offline() -> dict[str, str]:
    """The environment of the peers: nothing is fetched or reported."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}


def judged(run: Path, asked: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Compare all judges of one run."""
    data = sample(asked.blimp, asked.limit, folder / "data")
    if asked.served:
        return [shown(served_row(run, data, folder / "lm-eval"))]
    rows = []
    for backend, model in exported(run, folder / "hf").items():
        known = ours(run, data, backend)
        row: dict[str, Any] = {"run": run.name, "backend": backend, "pairs": len(known)}
        row["accuracy"] = sum((r["margin"] > 0) + 0.5 * (r["margin"] == 0) for r in known.values()) / len(
            known
        )
        if asked.babylm is not None:
            said = babylm(asked.babylm.resolve(), model, backend, data, folder / f"babylm-{backend}")
            by_paradigm: dict[str, list[Any]] = {}
            for (paradigm, _, _), r in known.items():  # type: ignore[misc]
                by_paradigm.setdefault(paradigm, []).append(r)
            row["babylm_differs"] = sum(
                (answer == r["good"]) != (r["margin"] > 0)
                for paradigm, answers in said.items()
                for answer, r in zip(answers, by_paradigm[paradigm], strict=True)
                if abs(r["margin"]) > TOLERANCE
            )
            if asked.finetune:
                (folder / f"tuned-{backend}").mkdir()
                code = finetuned(
                    asked.babylm.resolve(), model, folder / f"tuned-{backend}", backend == "causal"
                )
                row["babylm_finetune_exit"] = code
        if backend == "causal" and find_spec("lm_eval") is not None:
            options = {"pretrained": str(model), "dtype": "float32"}
            margins = lm_eval_margins("hf", options, data, folder / "lm-eval")
            row["lm_eval_apart"] = max(abs(margins[key] - known[key]["margin"]) for key in known)  # type: ignore[index]
            row["lm_eval_differs"] = sum(
                (margins[key] > 0) != (r["margin"] > 0)  # type: ignore[index]
                for key, r in known.items()
                if abs(r["margin"]) > TOLERANCE
            )
        rows.append(shown(row))
    return rows


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row, printed."""
    print(
        "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True
    )
    return row


def main() -> int:
    """Judge every run, and fail where a judge differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=20, help="pairs of a paradigm")
    parser.add_argument("--blimp", type=Path, default=DATA / "blimp")
    parser.add_argument("--babylm", type=Path, help="a clone of its pipeline of 2025")
    parser.add_argument(
        "--served", action="store_true", help="lm-eval asks `polyseme serve`, and nothing else"
    )
    parser.add_argument("--finetune", action="store_true", help="run BabyLM's fine-tuning, too")
    asked = parser.parse_args()
    if asked.babylm is None and not asked.served:
        print("BabyLM's pipeline is left out: --babylm names a clone of it")
    if find_spec("lm_eval") is None:
        print("lm-eval is left out: pip install 'polyseme[peers]'")
    rows = []
    for run in asked.runs:
        with tempfile.TemporaryDirectory() as folder:
            rows += judged(run, asked, Path(folder))
    print(json.dumps({"bench": "pairs_vs_harnesses", "rows": rows}))
    wrong = [
        row
        for row in rows
        if row.get("babylm_differs")
        or row.get("lm_eval_differs")
        or row.get("lm_eval_apart", 0.0) > TOLERANCE
        or row.get("babylm_finetune_exit")
    ]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
