"""Texts and labels: what the training file shows, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adapting import tokenizer_of
from polyseme.core import registry
from polyseme.core.types import Encoding
from polyseme.data.labelled import ExampleLoader
from polyseme.errors import ConfigError, CorpusError, PolysemeError
from polyseme.tasks.classify import Classify, TextConfig
from polyseme.tasks.pair import Pair
from polyseme.text.labelled.records import Problems, TextRecord
from polyseme.train.build import special_ids
from small import make_encoder

BERT = make_encoder("bert")


def texts(*labels: Any) -> list[TextRecord]:
    return [
        TextRecord(str(n), f"the cat sees {n}", None, label, f"a.tsv:{n}") for n, label in enumerate(labels)
    ]


def learned(*labels: Any, **config: Any) -> TextConfig:
    return Classify.learn(TextConfig(**config), texts(*labels), BERT)


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        (("b", "a", "b"), "single", ("a", "b")),
        (("10", "9", "x"), "single", ("9", "10", "x")),
        (("0", "1"), "single", ("0", "1")),
        ((("a", "b"), (), "c"), "several", ("a", "b", "c")),
        (("1.5", "2"), "number", ()),
        ((0.5, 3.0), "number", ()),
        (("nan", "inf", "3"), "single", ("3", "inf", "nan")),
    ],
)
def test_labels_are_found(labels: Any, kind: str, names: tuple[str, ...]) -> None:
    for order in (labels, labels[::-1]):
        config = learned(*order)
        assert (config.kind, config.labels) == (kind, names)


@pytest.mark.parametrize(
    ("labels", "config", "says"),
    [
        (("a", "a"), {}, "at least two labels"),
        ((), {}, "at least two labels"),
        (((), ()), {}, "no text has a label"),
        (("a", "b"), {"kind": "number"}, "not a number"),
        (("1.5", "nan"), {}, "not a number"),
        (tuple(f"text {n}" for n in range(80)), {}, "label of its own"),
        (("a", "b"), {"weights": (1.0, 2.0, 3.0)}, "3 weights for 2 labels"),
        (("a", "b"), {"pool": "pair"}, "joins two texts"),
        ((("a", "b"), ("b",)), {"class_weights": "balanced"}, "one label each"),
        (("1.5", "2.5"), {"class_weights": "balanced"}, "one label each"),
    ],
)
def test_files_that_cannot_be_learned_from(labels: Any, config: dict[str, Any], says: str) -> None:
    with pytest.raises(PolysemeError, match=says):
        learned(*labels, **config)


def test_balanced_weights_make_labels_equal() -> None:
    config = learned(*["a"] * 6, *["b"] * 2, class_weights="balanced")
    assert config.weights == pytest.approx((8 / 12, 8 / 4))
    assert sum(n * w for n, w in zip((6, 2), config.weights, strict=True)) == pytest.approx(8)


def test_weights_count_in_the_loss() -> None:
    records = texts("a", "b")
    plain, weighted = (
        Classify(TextConfig(kind="single", pool="mean", labels=("a", "b"), weights=weights))
        for weights in ((), (0.5, 3.0))
    )
    batch, encoding = batch_of(plain, records)
    head = lambda *_: torch.tensor([[0.3, -0.2], [1.0, 0.1]])  # noqa: E731
    each = torch.nn.functional.cross_entropy(head(), torch.tensor([0, 1]), reduction="none")
    assert plain.loss(encoding, head, batch)[0].item() == pytest.approx(each.sum().item())
    found = weighted.loss(encoding, head, batch)[0].item()  # type: ignore[arg-type]
    assert found == pytest.approx((0.5 * each[0] + 3.0 * each[1]).item())


def batch_of(task: Any, records: list[TextRecord]) -> tuple[Any, Encoding]:
    tokenizer = tokenizer_of("words")
    data = task.encode(records, tokenizer, BERT)
    task.use(data)
    batch = ExampleLoader(data.examples, [task], special_ids(tokenizer)).of(range(len(records)))
    return batch, BERT.encode(batch)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("a", "b"), lambda z, n: torch.nn.functional.cross_entropy(z, n, reduction="sum")),
        ((1.5, 0.25), lambda z, n: ((z[:, 0] - torch.tensor([1.5, 0.25])) ** 2).sum()),
        (
            (("a",), ("a", "b")),
            lambda z, n: (
                torch.nn.functional.binary_cross_entropy_with_logits(
                    z, torch.tensor([[1.0, 0.0], [1.0, 1.0]])
                )
                * 2
            ),
        ),
    ],
)
def test_losses(labels: Any, expected: Any) -> None:
    task = Classify(Classify.learn(TextConfig(), texts(*labels), BERT))
    batch, encoding = batch_of(task, texts(*labels))
    head = task.build_head(BERT).eval()
    scores = head(encoding, batch, batch.targets["classify"].positions)
    loss, count = task.loss(encoding, head, batch)
    assert count == 2
    assert loss.item() == pytest.approx(expected(scores, torch.tensor([0, 1])).item(), rel=1e-5)


def test_unknown_labels_count_as_errors() -> None:
    task = Classify(TextConfig(kind="single", pool="mean", labels=("a", "b")))
    records = texts("a", "b", "zzz")
    assert task.unknown_labels(records) == {"zzz": 1}
    data = task.encode(records, tokenizer_of("words"), BERT)
    assert [gold.tolist() for gold in data.gold] == [[0], [1], [-1]]
    scores = [np.array(s, np.float32) for s in ([3, 0], [0, 3], [3, 0])]
    said = task.predictions(data, scores, {})
    assert task.measures(records, said)["accuracy"].value == pytest.approx(2 / 3)
    assert task.details(records, said)["confusion"]["labels"] == ["a", "b", "zzz"]


def test_unknown_labels_have_no_part_in_the_loss() -> None:
    task = Classify(TextConfig(kind="single", pool="mean", labels=("a", "b")))
    head = lambda *_: torch.tensor([[0.3, -0.2], [1.0, 0.1], [9.0, 0.0]])  # noqa: E731
    batch, encoding = batch_of(task, texts("a", "b", "zzz"))
    loss, count = task.loss(encoding, head, batch)  # type: ignore[arg-type]
    each = torch.nn.functional.cross_entropy(head()[:2], torch.tensor([0, 1]), reduction="sum")
    assert (loss.item(), count) == (pytest.approx(each.item()), 2)


@pytest.mark.parametrize("label", [(), ("a", "b")])
def test_lists_of_labels_where_one_is_expected(label: tuple[str, ...]) -> None:
    task = Classify(TextConfig(kind="single", pool="mean", labels=("a", "b")))
    with pytest.raises(CorpusError, match="several labels") as caught:
        task.encode(texts("a", label), tokenizer_of("words"), BERT)
    assert caught.value.where == "a.tsv:1"


def test_a_separator_makes_several_labels(tmp_path: Any) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("text\tlabel\na cat\tx; y\na dog\ty\n", "utf-8")
    records = list(Classify.read(file, TextConfig(separator=";"), {}, Problems()))
    assert [record.label for record in records] == [("x", "y"), ("y",)]
    assert Classify.learn(TextConfig(), records, BERT).kind == "several"


@pytest.mark.parametrize(("pair", "most"), [(False, 62), (True, 61)])
def test_long_texts_are_cut_to_what_the_model_reads(pair: bool, most: int) -> None:
    task = (Pair if pair else Classify)(
        TextConfig(kind="single", pool="mean", labels=("a", "b"), max_length=500)
    )
    long = TextRecord("1", "cat " * 100, "dog " * 30 if pair else None, "a")
    data = task.encode(
        [long, replace(long, text="cat", text_b="dog" if pair else None)], tokenizer_of("words"), BERT
    )
    assert data.cut == [0]
    cat, dog = tokenizer_of("words").encode("cat dog").ids
    ids = data.examples[0].ids.tolist()
    assert len(ids) == 64
    assert ids.count(cat) == (31 if pair else most)
    assert ids.count(dog) == (30 if pair else 0)


@pytest.mark.parametrize("model", registry.models.names())
@pytest.mark.parametrize("name", ["classify", "pair"])
def test_texts_without_any_token_have_a_vector(model: str, name: str) -> None:
    encoder = make_encoder(model).eval()
    task_class = registry.tasks.load(name).build
    record = TextRecord("1", "\u200b", "\u200b" if name == "pair" else None, "a")
    config = task_class.learn(TextConfig(), [record, replace(record, label="b")], encoder)
    task, tokenizer = task_class(config), tokenizer_of("words")
    data = task.encode([record], tokenizer, encoder)
    task.use(data)
    batch = ExampleLoader(data.examples, [task], special_ids(tokenizer)).of([0])
    head = task.build_head(encoder).eval()
    with torch.no_grad():
        (scores,) = task.outputs(encoder.encode(batch), head, batch)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_configurations_that_contradict_themselves() -> None:
    for values in ({"labels": ["a", "a"]}, {"weights": [-1.0, 1.0]}, {"max_length": 1}, {"dropout": 1.0}):
        with pytest.raises(ConfigError):
            TextConfig.of(values, "[classify]")


@pytest.mark.parametrize(("balanced", "expected"), [("none", 0.5623351446), ("balanced", np.log(2))])
def test_the_baseline_is_the_least_loss_of_a_constant(balanced: str, expected: float) -> None:
    """Labels of equal weight leave ln 2 to one who always says one half; of others three to one."""
    config = learned(*"aaab", class_weights=balanced)
    task, records = Classify(config), texts(*"aaab")
    batch, encoding = batch_of(task, records)
    baseline = task.baseline(task.encode(records, tokenizer_of("words"), BERT))
    assert baseline == pytest.approx(expected)
    losses = []
    for chance in np.linspace(0.01, 0.99, 99):
        logits = torch.tensor(np.log([chance, 1 - chance])).float().expand(4, 2)
        loss, n = task.loss(encoding, lambda *_, said=logits: said, batch)  # type: ignore[arg-type]
        losses.append(float(loss) / n)
    assert min(losses) == pytest.approx(expected, abs=1e-3)
