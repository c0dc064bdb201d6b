"""What models know of grammar after so many words: ours beside transformers' GPT-2 and ModernBERT on the same words.

    python bench/pairs_vs_transformers.py STORE --words 1M 2M 3M -o FOLDER [--models gpt2 modernbert] [--limit 50]
    polyseme pretrain modernbert STORE -o RUN --words 3M --milestones 1M,2M,3M         ours, on the same words
    polyseme pairs RUN/milestones/1M ../shared/data/tasks/blimp --limit 50             and so on for each

The peers have our sizes (4 layers, width 256, 4 heads) and our vocabulary, and train under transformers.Trainer in
float32 on rows of 128 tokens of the store's training split: batches of 32, AdamW at 1e-3, weight decay 0.01, 5 % of
warm-up, linear decay to 0. ModernBERT hides 15 %. Their weights are kept when they have seen so many words, under one
schedule, as ours are, and every folder is judged by `polyseme.pairs`, after `polyseme import`.

Seconds are those of the training steps alone, on whatever the machine had to do beside it. A line for each point, and
FOLDER/pairs.json with all of them. A folder that is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from polyseme import import_model
from polyseme.core.counts import read_count
from polyseme.data.store import PreparedCorpus
from polyseme.study.pairs import pairs

BLIMP = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "tasks" / "blimp"
ROW, BATCH, RATE, WARM_UP, MASKED = 128, 32, 1e-3, 0.05, 0.15
SIZES = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 256}


def model_of(name: str, vocabulary: int, special: dict[str, int]) -> transformers.PreTrainedModel:
    """A peer with fresh weights."""
    first, last = special["[CLS]"], special["[SEP]"]
    ends: dict[str, Any] = {"bos_token_id": first, "eos_token_id": last, "pad_token_id": special["[PAD]"]}
    if name == "gpt2":
        sizes = {"n_layer": 4, "n_head": 4, "n_embd": 256, "n_positions": ROW}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        config = transformers.GPT2Config(vocab_size=vocabulary, **sizes, **dropout, **ends)
        return transformers.GPT2LMHeadModel(config)
    ends |= {"cls_token_id": first, "sep_token_id": last}
    config = transformers.ModernBertConfig(
        vocab_size=vocabulary,
        intermediate_size=768,
        max_position_embeddings=ROW,
        sparse_prediction=True,
        **SIZES,
        **ends,
    )
    return transformers.ModernBertForMaskedLM(config)


class Rows(torch.utils.data.Dataset):
    """The first rows of the training split, [CLS] + 126 tokens + [SEP], and how many words they hold up to each."""

    def __init__(self, store: Path, words: int, special: dict[str, int]) -> None:
        split = PreparedCorpus.open(store).train
        inner = ROW - 2
        rows = len(split.tokens) // inner
        tokens = np.asarray(split.tokens[: rows * inner]).astype(np.int64).reshape(rows, inner)
        starts = np.asarray(split.word_starts[: rows * inner]).reshape(rows, inner).sum(1, dtype=np.int64)
        order = np.random.default_rng(1).permutation(rows)  # documents lie in the order of the files
        passes = -(-words // int(starts.sum()))
        order = np.concatenate([order] * passes)
        self.words = starts[order].cumsum()
        last = int(np.searchsorted(self.words, words)) + 1
        self.rows, self.words = order[:last], self.words[:last]
        self.tokens = np.pad(tokens, ((0, 0), (1, 1)))
        self.tokens[:, 0], self.tokens[:, -1] = special["[CLS]"], special["[SEP]"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.tokens[self.rows[i]]


class Masks:
    """Rows as the models ask for them: of a decoder all tokens, of ModernBERT 15 % of them, by transformers' rules."""

    def __init__(self, name: str, tokenizer: transformers.PreTrainedTokenizerFast) -> None:
        self.causal = name == "gpt2"
        self.hide = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED)

    def __call__(self, rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(np.stack(rows))
        if self.causal:
            return {"input_ids": ids, "labels": ids.clone()}
        return self.hide([{"input_ids": row} for row in ids])


class Keeper(transformers.TrainerCallback):
    """Keeps the weights after so many updates, and the seconds of the steps before."""

    def __init__(self, at: dict[int, Path], tokenizer: transformers.PreTrainedTokenizerFast) -> None:
        self.at, self.tokenizer, self.seconds = at, tokenizer, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.mark = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Stop the clock; keep the weights where it is due."""
        self.seconds += time.perf_counter() - self.mark
        folder = self.at.get(state.global_step)
        if folder is not None:
            model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            (folder / "seconds.json").write_text(json.dumps(self.seconds))


def train(name: str, store: Path, words: list[int], folders: list[Path], threads: int) -> None:
    """Train one peer on the words of the longest budget and keep it at each."""
    torch.set_num_threads(threads)
    transformers.set_seed(0)
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    marks |= {"mask_token": "[MASK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(store / "tokenizer.json"), **marks)
    special = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in set(marks.values())}
    rows = Rows(store, words[-1], special)
    steps = [max(1, (int(np.searchsorted(rows.words, count)) + 1) // BATCH) for count in words]
    arguments = transformers.TrainingArguments(
        output_dir=str(folders[0].parent / "trainer"),
        max_steps=steps[-1],
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(WARM_UP * steps[-1])),
        train_sampling_strategy="sequential",
        seed=0,
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    transformers.Trainer(
        model=model_of(name, len(tokenizer), special),
        args=arguments,
        train_dataset=rows,
        data_collator=Masks(name, tokenizer),
        callbacks=[Keeper(dict(zip(steps, folders, strict=True)), tokenizer)],
    ).train()


def main() -> None:
    """Train what is not there, judge all of it, print a line each."""
    parser = argparse.ArgumentParser(description="Grammar over words, transformers' models")
    parser.add_argument("store", type=Path)
    parser.add_argument("--words", nargs="+", default=["1M", "2M", "3M"])
    parser.add_argument("--models", nargs="+", choices=("gpt2", "modernbert"), default=["gpt2", "modernbert"])
    parser.add_argument("--limit", type=int, default=50, help="pairs of a paradigm")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", "-o", type=Path, required=True)
    asked = parser.parse_args()
    words = [read_count(one) for one in asked.words]
    assert all(a < b for a, b in pairwise(words)), "--words rise"
    found = []
    for name in asked.models:
        folders = [asked.output / f"{name}-{one}" for one in asked.words]
        if not all((folder / "seconds.json").is_file() for folder in folders):
            train(name, asked.store, words, folders, asked.threads)
        for count, folder in zip(words, folders, strict=True):
            with tempfile.TemporaryDirectory() as scratch:
                run = import_model(folder, Path(scratch) / "run")
                figures = pairs(run, BLIMP, limit=asked.limit).document()["figures"]["accuracy"]
            seconds = json.loads((folder / "seconds.json").read_text())
            found.append({"model": name, "words": count, "seconds": seconds, "accuracy": figures})
            low, high = (100 * figures[end] for end in ("low", "high"))
            line = f"{name:12s} {count:11,d} words {seconds:7.0f} s  {100 * figures['value']:5.1f} %"
            print(f"{line} ({low:.1f} … {high:.1f})", flush=True)
    (asked.output / "pairs.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
