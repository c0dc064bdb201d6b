"""Updates of a fine-tune equal those of transformers' classes with torch's AdamW, from equal weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from adapting import start_run, write_examples
from polyseme import load
from polyseme.core import registry
from polyseme.data.labelled import ExampleLoader
from polyseme.formats.registry import export_model
from polyseme.text.labelled.records import Problems
from polyseme.train.config import TrainConfig
from polyseme.train.gradient import GradientLearner

transformers = pytest.importorskip("transformers")

STEPS, BATCH = 3, 4
TRAIN = TrainConfig(
    precision="float32",
    schedule="constant",
    warmup=0.0,
    learning_rate=1e-2,
    weight_decay=0.05,
    epsilon=1e-3,  # gradients that are zero but for rounding must not become whole steps
    spike_factor=0.0,
)
BOTH = {"classifier": "classifier"}
CASES = [
    ("bert", "classify", "BertForSequenceClassification", {}, BOTH),
    ("bert", "pair", "BertForSequenceClassification", {}, BOTH),
    ("bert", "tag", "BertForTokenClassification", {}, BOTH),
    ("bert", "qa", "BertForQuestionAnswering", {}, {"classifier": "qa_outputs"}),
    (
        "modernbert",
        "classify",
        "ModernBertForSequenceClassification",
        {"classifier_pooling": "mean"},
        {**BOTH, "transform.dense": "head.dense", "transform.norm": "head.norm"},
    ),
    ("gpt", "classify", "GPT2ForSequenceClassification", {}, {"classifier": "score"}),
]


def inputs_of(data: Any, numbers: list[int], task: str, typed: bool) -> dict[str, torch.Tensor]:
    """A batch as transformers wants it: a row an example, padded."""
    examples = [data.examples[n] for n in numbers]
    longest = max(len(e.ids) for e in examples)
    ids, mask, types = (torch.zeros(len(examples), longest, dtype=torch.long) for _ in range(3))
    labels = torch.full((len(examples), longest), -100)
    for row, (number, e) in enumerate(zip(numbers, examples, strict=True)):
        n = len(e.ids)
        ids[row, :n], mask[row, :n], types[row, :n] = torch.from_numpy(e.ids), 1, torch.from_numpy(e.type)
        if task == "tag":
            labels[row, torch.from_numpy(data.places[number])] = torch.from_numpy(data.gold[number])
    given = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": types} if typed else {})
    if task == "tag":
        return given | {"labels": labels}
    gold = torch.stack([torch.from_numpy(data.gold[n][0:1]).reshape(-1) for n in numbers])
    if task == "qa":
        return given | {"start_positions": gold[:, 0], "end_positions": gold[:, 1]}
    return given | {"labels": gold[:, 0]}


def loss_of(theirs: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Their loss; of answers without the padding, where theirs may let an answer begin."""
    if "start_positions" not in inputs:
        loss: torch.Tensor = theirs(**inputs).loss
        return loss
    starts, ends = inputs.pop("start_positions"), inputs.pop("end_positions")
    said, padding = theirs(**inputs), inputs["attention_mask"] == 0
    return sum(
        torch.nn.functional.cross_entropy(logits.masked_fill(padding, -torch.inf), gold) / 2
        for logits, gold in ((said.start_logits, starts), (said.end_logits, ends))
    )  # type: ignore[return-value]


@pytest.mark.parametrize(("model", "task", "name", "changes", "heads"), CASES, ids=lambda c: str(c)[:40])
def test_updates(
    model: str, task: str, name: str, changes: dict[str, Any], heads: dict[str, str], tmp_path: Path
) -> None:
    start = start_run(tmp_path / "run", model)
    ours = load(start)
    export_model(start, "huggingface", tmp_path / "theirs")
    module = registry.tasks.load(task)
    file = write_examples(tmp_path / "a", task, STEPS * BATCH)
    config = module.config(dropout=0.0, initializer_range=0.3)
    records = list(module.build.read(file, config, {}, Problems()))
    learner_task = module.build(module.build.learn(config, records, ours.encoder))
    data = learner_task.encode(records, ours.tokenizer, ours.encoder)
    learner_task.use(data)
    loader = ExampleLoader(data.examples, [learner_task], ours.special)
    torch.manual_seed(4)
    learner = GradientLearner(
        ours.encoder, [learner_task], TRAIN, torch.device("cpu"), torch.zeros(0), seed=1
    )

    options = {} if task == "qa" else {"num_labels": 2}
    theirs = getattr(transformers, name).from_pretrained(
        tmp_path / "theirs", attn_implementation="eager", **options, **changes
    )
    theirs.train()
    theirs.config.pad_token_id = ours.tokenizer.pad_id
    head = dict(learner.heads[task].named_parameters())
    with torch.no_grad():
        for mine, other in heads.items():
            for key, p in theirs.get_submodule(other).named_parameters():
                p.copy_(head[f"{mine}.{key}"])
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": TRAIN.weight_decay},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=TRAIN.learning_rate, eps=TRAIN.epsilon)
    losses = []
    for step in range(STEPS):
        loss = learner.step([loader.batch(step * BATCH, BATCH)], 0.5)["loss"]
        numbers = loader.numbers(step * BATCH, BATCH)
        expected = loss_of(theirs, inputs_of(data, numbers, task, typed=model == "bert"))
        expected.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), TRAIN.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        losses.append(loss)
    assert len(set(losses)) == STEPS

    family = importlib.import_module(f"polyseme.formats.huggingface.{model}").FAMILY
    tensors = {k: v.detach() for k, v in theirs.state_dict().items()}
    after = family.to_ours(tensors, (), ours.encoder.config.model_dump())
    mine = {f"encoder.{k}": p.detach() for k, p in learner.encoder.named_parameters()}
    before = load(start).run.weights()[0]
    compared = [k for k in mine if k in after]
    assert set(mine) - set(compared) <= {"encoder.pool.dense.weight", "encoder.pool.dense.bias"}
    for key in compared:
        torch.testing.assert_close(
            mine[key], after[key], atol=1e-5, rtol=1e-5, msg=lambda m, k=key: f"{k}: {m}"
        )
    assert sum(not torch.equal(mine[k], before[k]) for k in compared) > 0.9 * len(compared)
    for part, other in heads.items():
        for key, p in theirs.get_submodule(other).named_parameters():
            torch.testing.assert_close(head[f"{part}.{key}"].detach(), p.detach(), atol=1e-5, rtol=1e-5)
