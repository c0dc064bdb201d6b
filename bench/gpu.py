"""What a GPU adds to pretraining: the same numbers in float32, then speed, memory, time to loss. Under eight minutes.

    python bench/gpu.py                      on a machine with a CUDA device
    python bench/gpu.py --tiny               the same steps on the CPU at a tiny size, in about two minutes: a rehearsal

1. float32: 50 updates of four models on CPU and GPU; losses apart by at most so much.
2. bfloat16, compiled, fused attention: tokens a second at 12 layers of 768, the share of what the device's own product
   of large matrices gives, and the peak of its memory.
3. Three minutes of training at that size: the held-out loss, and when it passed that of word frequency.
4. Reading: vectors of texts and greedy continuations by runs of that size, on CPU and GPU: how far apart, and how fast.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from polyseme import Model, load
from polyseme.data.prepare import prepare
from polyseme.train.pretrain import pretrain
from polyseme.train.recipe import resolve
from polyseme.train.request import Budget, PretrainRequest
from polyseme.train.run import RunDirectory

MODELS = ("modernbert", "bert", "elmo", "gpt")
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
LARGE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1152}
ROWS, LENGTH = 256, 512


def run(store: Path, folder: Path, model: str, budget: Budget, device: str, **settings: Any) -> RunDirectory:
    fields = resolve(model).section("model").model_dump()
    known = {k: v for k, v in settings.items() if "." in k or k in fields}
    request = PretrainRequest(
        model=model, corpus=[str(store)], output=folder, budget=budget, settings=known, device=device
    )
    return pretrain(request)


def same(store: Path, folder: Path, device: str, updates: int) -> list[dict[str, Any]]:
    """Losses of the same updates in float32 on both."""
    cases = []
    for model in MODELS:
        curves = []
        for name in ("cpu", device):
            place = folder / f"{model}-{len(curves)}-{name}"
            exact = {"train.precision": "float32", "train.products": "torch", "train.size": "given"}
            rest = {"train.batch_size": 16, "data.sequence_length": 64, "train.evaluations": 1}
            metrics = run(
                store, place, model, Budget(steps=updates), name, **SMALL, **exact, **rest
            ).metrics()
            curves.append([line["loss"] for line in metrics if "loss" in line])
        apart = max(abs(a - b) / abs(a) for a, b in zip(*curves, strict=True))
        print(
            f"{model:<12}float32, {updates} updates on cpu and {device}: losses apart by at most {apart:.1e}",
            flush=True,
        )
        cases.append(
            {
                "case": f"{model}: apart",
                "ours": apart,
                "peer": 1e-3,
                "ratio": 1e-3 / max(apart, 1e-12),
                "unit": "relative",
            }
        )
    return cases


def product_rate(device: str, size: int) -> float:
    """Operations a second of a bfloat16 product of two large matrices."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        wait(device)
        began = time.perf_counter()
        a @ a
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def large(store: Path, folder: Path, device: str, tiny: bool) -> list[dict[str, Any]]:
    """Speed and time to loss at a size for the device."""
    sizes, rows, length = (SMALL, 8, 64) if tiny else (LARGE, ROWS, LENGTH)
    settings: dict[str, Any] = {
        **sizes,
        "train.size": "given",
        "train.batch_size": rows,
        "data.sequence_length": length,
    }
    settings |= {"train.precision": "float32" if tiny else "bfloat16", "train.compile": not tiny}
    settings |= {"max_position_embeddings": 512, "train.learning_rate": 5e-4}
    budget = Budget(steps=6) if tiny else Budget(minutes=3.0)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    done = run(store, folder / "large", "modernbert", budget, device, **settings)
    lines = [line for line in done.metrics() if "loss" in line]
    rates = sorted(line["tokens_per_second"] for line in lines[len(lines) // 5 :])
    rate, parameters = rates[len(rates) // 2], done.meta["parameters"]
    # 6 operations a weight and token: forward 2, backward 4; embeddings are looked up
    body = parameters - done.meta["recipe"]["model"]["vocab_size"] * sizes["hidden_size"]
    share = 6 * body * rate / product_rate(device, 512 if tiny else 8192)
    loss, frequency = done.meta["results"]["heldout_loss"], done.meta["results"]["unigram_loss"]
    passed = next(
        (m["seconds"] for m in done.metrics() if m.get("heldout_loss", frequency) < frequency), None
    )
    memory = done.meta["results"]["peak_memory_bytes"] / 2**30
    print(
        f"modernbert {sizes['num_hidden_layers']} × {sizes['hidden_size']}, {parameters / 1e6:.0f} M parameters: "
        f"{rate:,.0f} tokens/s, "
        f"{share:.0%} of the product's rate, {memory:.1f} GiB",
        flush=True,
    )
    print(
        f"after {budget} {loss:.3f} nats, word frequency {frequency:.3f}, passed after {passed} s", flush=True
    )
    return [
        {"case": "tokens a second", "ours": rate, "peer": None, "ratio": None, "unit": "tokens/s"},
        {"case": "share of the product's rate", "ours": share, "peer": 1.0, "ratio": share, "unit": "share"},
        {
            "case": f"held-out loss after {budget}",
            "ours": loss,
            "peer": frequency,
            "ratio": frequency / loss,
            "unit": "nats",
        },
        {"case": "memory", "ours": memory, "peer": None, "ratio": None, "unit": "GiB"},
    ]


def reading(store: Path, folder: Path, device: str, tiny: bool) -> list[dict[str, Any]]:
    """Vectors of texts and continuations on both: the same, and how much faster."""
    texts = [f"{name} is {len(name)} letters long and {name.upper()} in capitals" for name in dir(torch)]
    texts, new = (texts[:64], 8) if tiny else (texts, 128)
    sizes: dict[str, Any] = {
        **(SMALL if tiny else LARGE),
        "train.size": "given",
        "train.precision": "float32",
    }
    budget, cases = Budget(steps=2), []
    for model, name in (("modernbert", "vectors"), ("gpt", "continuations")):
        trained = run(
            store, folder / f"read-{model}", model, budget, device, **sizes, **{"train.batch_size": 4}
        )
        found: list[Any] = []
        seconds: list[float] = []
        for there in ("cpu", device):
            some = texts if model == "modernbert" else texts[:8]
            loaded = load(trained.path, device=there)

            def ask(some: list[str], loaded: Model = loaded, vectors: bool = model == "modernbert") -> Any:
                if vectors:
                    return loaded.embed(some)
                return loaded.generate(some, max_new_tokens=new, temperature=0)

            ask(some[:4])  # what is made once is not counted
            wait(there)
            began = time.perf_counter()
            found.append(ask(some))
            wait(there)
            seconds.append(time.perf_counter() - began)
        if model == "modernbert":
            apart = float(abs(found[0] - found[1]).max())
        else:  # where two tokens are nearly equal, rounding may choose: so many texts differ
            apart = sum(a != b for a, b in zip(*found, strict=True)) / len(found[0])
        faster = seconds[0] / seconds[1]
        print(f"{name}: apart by {apart:.1e}, {faster:.1f} times as fast on {device} as on cpu", flush=True)
        cases.append(
            {
                "case": f"{name}: seconds",
                "ours": seconds[1],
                "peer": seconds[0],
                "ratio": faster,
                "unit": "s",
                "apart": apart,
            }
        )
    return cases


def main() -> None:
    """Print what is found, and as the last line all of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    device = "cpu" if tiny else "cuda"
    if not tiny and not torch.cuda.is_available():
        print("no CUDA device: --tiny rehearses it on the CPU")
        return
    with tempfile.TemporaryDirectory() as place:
        store = Path(place, "store")
        prepare(
            ["python-docs"],
            store,
            text=resolve("modernbert").section("text"),
            tokenizer=resolve("modernbert").section("tokenizer"),
        )
        cases = same(store, Path(place), device, 3 if tiny else 50)
        cases += large(store, Path(place), device, tiny)
        cases += reading(store, Path(place), device, tiny)
    print(
        json.dumps(
            {
                "bench": "gpu",
                "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
                "cases": cases,
            }
        )
    )


if __name__ == "__main__":
    main()
