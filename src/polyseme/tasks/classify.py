"""Text → label: sentiment, topic, intent; several labels, or a number.

The label of two texts: tasks/pair.py.

Paper: Devlin et al. (2019), section 4.1: the vector of [CLS], one new layer, everything trained together.

    one label        p = softmax(W s + b),   loss = -log p(label)
    several labels   p = sigmoid(W s + b),   loss = -1/K Σ_k log p(k is there, or not)
    a number         y = W s + b,            loss = (y - value)²

where s is the vector of the text: of [CLS], of the last token, the mean, or of both texts
[u ; v ; |u - v| ; u ∘ v] (Conneau et al. 2017, section 3.1). A 1-of-N run can be read by its n-grams instead, whose W
and b are solved for: tasks/ngrams.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array, Float64Array
from polyseme.core.entries import TaskEntry
from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.wrapping import Wrapper, shares
from polyseme.errors import ConfigError, CorpusError
from polyseme.tasks.examples import LabelledExamples, TaskData, pieces
from polyseme.tasks.figures import labels_of, number_of, text_details, text_measures
from polyseme.tasks.heads import (
    Features,
    Head,
    Pool,
    TaskConfig,
    Transform,
    example_of,
    max_of,
    mean_of,
    mean_of_rows,
    transform_of,
)
from polyseme.tasks.metrics.measure import Resampled
from polyseme.tasks.ngrams import NgramHead, Spelled
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.records import Problems, TextRecord
from polyseme.text.labelled.tables import as_number, has_decimal_comma, may_be_thousands, read_texts
from polyseme.text.tokenizers import Tokenizer

Kind = Literal["auto", "single", "several", "number"]
PAIR_HIDDEN = 128
MOST_LABELS = 10_000
LONGEST = 8
"""Longest n-gram that can be asked for."""
PENALTIES = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.06, 0.03)
"""Those that are tried on dev."""


class TextConfig(TaskConfig):
    """Section [classify] or [pair] of a recipe.

    Args:
        kind: what is predicted: a "single" label, "several" labels or a "number"; "auto" = as the training file shows.
        labels: the label set; read from the training file.
        pool: how tokens become one vector; "auto" = [CLS] where the encoder has a pooler, the last token where its
            context is the left side only, else the mean; "pair" for pairs read by a frozen or context-free encoder.
        class_weights: "balanced" gives every label the same weight in the loss, however rare it is; for single labels.
        weights: of the labels, from the training file.
        separator: in tables, what stands between several labels; "" = a label may hold any character.
        ngrams: of a 1-of-N run, the strong form: a linear layer over n-grams of so many words, solved for; 0 = over
            words, learned by gradients. What follows belongs to it.
        characters: it also reads n-grams of so many characters; 0 = none.
        idf: n-grams that stand in few texts count more.
        penalty: of the squares of the weights, over the sum of the losses; "auto" = the one that is best on dev.
    """

    kind: Kind = "auto"
    labels: tuple[str, ...] = ()
    pool: Pool = "auto"
    class_weights: Literal["none", "balanced"] = "none"
    weights: tuple[float, ...] = ()
    separator: str = ""
    ngrams: int = Field(0, ge=0, le=LONGEST)
    characters: int = Field(5, ge=0, le=LONGEST)
    idf: bool = True
    penalty: Literal["auto"] | PositiveFloat = "auto"

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must differ, got {self.labels}")
        if self.weights and self.labels and len(self.weights) != len(self.labels):
            raise ValueError(f"{len(self.weights)} weights for {len(self.labels)} labels")
        if any(weight < 0 for weight in self.weights):
            raise ValueError("weights must not be negative")
        return self

    @model_validator(mode="after")
    def _belongs_to_ngrams(self) -> Self:
        fields = type(self).model_fields
        for name in ("characters", "idf", "penalty"):
            if not self.ngrams and getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} means something with n-grams alone: set ngrams, too, such as to 2")
        return self

    @property
    def outputs(self) -> int:
        """Number of outputs of the head."""
        return 1 if self.kind == "number" else len(self.labels)


class TextHead(Head):
    """Maps the tokens' vectors to scores of labels.

    Shapes:  encoding of (B, T), positions: (P,) -> (E, outputs)
    """

    def __init__(self, encoder: Encoder, config: TextConfig) -> None:
        super().__init__()
        self.pool = config.pool
        hidden = config.hidden if config.hidden is not None else PAIR_HIDDEN * (config.pool == "pair")
        theirs = encoder.pooler() if config.pool == "cls" and not config.mix and not config.lstm else None
        self._pooler = [theirs]  # in a list: the encoder owns it
        self.transform: Transform | None = None if hidden else transform_of(encoder, config)
        late = bool(hidden or theirs or self.transform)  # as in the families' own classifiers
        early = 0.0 if late else config.dropout
        self.features = Features(encoder, config, None if hidden else config.outputs, early)
        size = self.features.size * (4 if config.pool == "pair" else 1)
        self.hidden = nn.Linear(size, hidden) if hidden else None
        self.dropout = nn.Dropout(config.dropout if late else 0.0)
        direct = self.features.table is not None and not hidden and not config.lstm
        self.direct = nn.Parameter(torch.zeros(config.outputs)) if direct else None
        bias = encoder.reach != "left" or config.mix
        self.classifier = None if direct else nn.Linear(hidden or size, config.outputs, bias=bias)
        for module in (self.hidden, self.classifier):
            if module is not None:
                wide = module.weight.size(1) ** -0.5 if module is self.hidden else config.initializer_range
                nn.init.normal_(module.weight, std=wide)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    of_texts = True

    @property
    def reads_types(self) -> bool:
        """Whether the head compares two texts."""
        return self.pool == "pair"

    def forward(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        vectors = self.features(encoding, batch, positions)  # (P, size)
        return self._scored(self._joined(vectors, batch, positions))

    def _scored(self, s: Tensor) -> Tensor:
        return self.output(s if self._pooler[0] is None else self._pooler[0](s))

    def _joined(self, vectors: Tensor, batch: Batch, positions: Tensor) -> Tensor:
        """One vector per example; for a pair it is four times as wide.  Shapes: (P, size) -> (E, size)"""
        n = len(batch.first)
        if self.pool in ("cls", "last"):
            return self._transformed(vectors)
        group = example_of(positions, batch.first)
        if self.pool == "pair":
            both = mean_of(vectors, 2 * group + batch.type.reshape(-1)[positions], 2 * n).view(n, 2, -1)
            return compared(*both.unbind(1))
        return self._transformed((max_of if self.pool == "max" else mean_of)(vectors, group, n))

    def _transformed(self, s: Tensor) -> Tensor:
        return s if self.transform is None else self.transform(s)

    def columns(self, batch: Batch, separators: Sequence[int], static: bool) -> Tensor:
        """The columns that `encode` chooses; see `DenseHead`.  Shapes: -> (B, T)"""
        real = batch.segment > 0
        column = torch.arange(real.size(1), device=real.device)
        if self.pool == "cls":
            return real & (column == 0)
        if self.pool == "last":
            return real & (column == real.sum(1, keepdim=True) - 1)
        for id in separators if static or self.pool == "pair" else ():
            real = real & (batch.ids != id)
        return real

    def dense(self, encoding: Encoding, batch: Batch, columns: Tensor) -> Tensor:
        """Scores of every row; see `DenseHead`.  Shapes: -> (B, outputs)"""
        h = self.features.everywhere(encoding)  # (B, T, d)
        if self.pool == "pair":
            s = compared(*(mean_of_rows(h, columns & (batch.type == side)) for side in (0, 1)))
        elif self.pool == "cls":
            s = self._transformed(h[:, 0])
        elif self.pool == "last":
            last = (batch.segment.sum(1) - 1).clamp(min=0)
            s = self._transformed(h.gather(1, last[:, None, None].expand(-1, 1, h.size(-1)))[:, 0])
        elif self.pool == "max":
            s = self._transformed(h.masked_fill(~columns[..., None], -torch.inf).amax(1))
        else:
            s = self._transformed(mean_of_rows(h, columns))
        return self._scored(s)


def compared(u: Tensor, v: Tensor) -> Tensor:
    """[u ; v ; |u - v| ; u ∘ v].  Shapes: (E, d), (E, d) -> (E, 4 d)"""
    return torch.cat([u, v, (u - v).abs(), u * v], dim=1)


class Classify(LabelledExamples):
    """The objective; see the head of this file.

    Args:
        config: completed by `learn`.
        special: not needed.
        seed: not needed: nothing is drawn.
    """

    name = "classify"
    pair = False
    draws = False

    def __init__(self, config: TextConfig, special: SpecialTokens | None = None, seed: int = 0) -> None:
        self.config = config
        self._numbers = {label: i for i, label in enumerate(config.labels)}

    @classmethod
    def read(
        cls,
        path: Path | str,
        config: TextConfig,
        columns: Mapping[str, str] | ReadOptions,
        problems: Problems,
        labelled: bool = True,
    ) -> Iterator[TextRecord]:
        """Records of a file, one by one; learned labels are accepted unchanged."""
        options = ReadOptions.of(columns)
        for record in read_texts(
            path,
            pair=cls.pair,
            columns=options.columns,
            encoding=options.encoding,
            separator=options.separator,
            problems=problems,
            labelled=labelled,
            known=config.labels,
            numbers=config.kind == "number",
        ):
            if config.separator and isinstance(record.label, str):
                parts = tuple(part.strip() for part in record.label.split(config.separator))
                record = TextRecord(
                    record.id, record.text, record.text_b, tuple(filter(None, parts)), record.where
                )
                problems.forget("joined_label")
            yield record

    @classmethod
    def of_one_kind(
        cls, config: TextConfig, records: list[TextRecord], problems: Problems
    ) -> tuple[TextConfig, list[TextRecord]]:
        """The configuration with the kind of label of the training records, and the records of that kind.

        A few non-numbers among numbers are left out and counted, so that they do not turn all labels into classes. A
        comma is a decimal comma where numbers are asked for, or where semicolons separate the fields.
        """
        chose_number, kind = config.kind == "number", config.kind
        if kind == "auto":
            kind = _kind_of(records)
            if any(file.form.startswith("semicolons") for file in problems.files.values()):
                pointed = _with_points(records)
                if _kind_of(pointed) == "number":
                    kind, records = "number", pointed
            for record in records if kind == "single" else ():
                if has_decimal_comma(record.label) and record.label not in config.labels:
                    problems.add("comma_numbers", record.where, str(record.label))
        config = config.model_copy(update={"kind": kind})
        if kind != "number":
            return config, records
        problems.forget("doubtful_label")
        numeric = []
        for record in records:
            if as_number(record.label, commas=chose_number) is None:
                thousands = may_be_thousands(record.label)
                problems.add(
                    "ambiguous_number" if thousands else "not_a_number", record.where, str(record.label)
                )
            else:
                numeric.append(record)
        return config, numeric

    def described(self, records: Sequence[TextRecord]) -> str:
        """A description of the records' labels, for the report on how a file was read.

        Example:
            >>> ENTRY.build(ENTRY.config(kind="single", labels=("bad", "good"))).described(
            ...     [TextRecord("1", "x", label="good")]
            ... )
            '1 class: good'
        """
        if self.config.kind == "number":
            values = [number_of(record) for record in records]
            return f"numbers from {min(values):g} to {max(values):g} (regression)" if values else "numbers"
        names = sorted({label for record in records for label in labels_of(record)}, key=_in_order)
        shown = ", ".join(name if len(name) <= 30 else name[:29] + "…" for name in names[:6])
        noun = "class" if len(names) == 1 else "classes"
        several = ", several a text" if self.config.kind == "several" else ""
        return f"{len(names):,} {noun}{several}: {shown}" + (", …" if len(names) > 6 else "")

    @classmethod
    def learn(cls, config: TextConfig, records: Sequence[TextRecord], encoder: Encoder) -> TextConfig:
        """The configuration, completed from the training records and the encoder.

        Raises:  CorpusError: only one label, far too many, or no numbers where they are required.
        """
        if config.ngrams:
            cls._check_can_be_solved(config, encoder)
        kind = config.kind if config.kind != "auto" else _kind_of(records)
        pool = config.pool if config.pool != "auto" else cls._pool_of(encoder, config)
        learned: dict[str, Any] = {"kind": kind, "pool": pool}
        if pool == "pair" and not cls.pair:
            raise ConfigError("pool=pair joins two texts", where=f"{cls.name}.pool", fix="the task pair")
        if kind != "single" and (config.class_weights != "none" or config.weights):
            raise ConfigError(
                "class weights are for texts with one label each",
                got=f"kind {kind}",
                where=f"{cls.name}.class_weights",
                fix="leave it out",
            )
        if kind == "number":
            for record in records:
                number_of(record)
            return type(config).of({**config.model_dump(), **learned}, cls.name)
        counts = Counter(label for record in records for label in labels_of(record))
        labels = config.labels or tuple(sorted(counts, key=_in_order))
        if len(labels) < (2 if kind == "single" else 1):
            raise CorpusError(
                "a classifier needs at least two labels" if kind == "single" else "no text has a label",
                got=f"{len(records):,} examples, all of them {labels[0]!r}" if labels else "no label",
                fix="a training file with several labels, or another column for them",
            )
        if len(labels) > MOST_LABELS or (len(labels) > 50 and len(labels) > len(records) // 2):
            raise CorpusError(
                "nearly every example has a label of its own",
                got=f"{len(labels):,} labels of {len(records):,} examples, such as {labels[0][:60]!r}",
                fix=f"--set {cls.name}.kind=number"
                if all(as_number(label) is not None for label in labels)
                else "name the column that holds the labels",
            )
        if len(records) >= 10 and 2 * len(labels) > len(records) and sum(map(len, labels)) > 30 * len(labels):
            raise CorpusError(
                "the labels are texts of their own",
                got=f"{len(labels):,} labels of {len(records):,} examples, such as {labels[0][:60]!r}",
                fix="name the column that holds the classes; texts that answer texts (seq2seq) are no classes",
            )
        if config.class_weights == "balanced":
            total = sum(counts.values())
            learned["weights"] = tuple(total / (len(labels) * max(1, counts[label])) for label in labels)
        return type(config).of({**config.model_dump(), **learned, "labels": labels}, cls.name)

    @classmethod
    def _check_can_be_solved(cls, config: TextConfig, encoder: Encoder) -> None:
        """Raises:  ConfigError: n-grams are not the features of this task, encoder or head."""
        where = f"{cls.name}.ngrams"
        if cls.pair:
            raise ConfigError(
                "n-grams are those of one text, not of two",
                got=f"{cls.name}.ngrams={config.ngrams}",
                where="--set",
                fix="leave it out: the head of pairs compares the words of both texts",
            )
        if not getattr(encoder, "one_of_n", False):
            raise ConfigError(
                "n-grams stand in place of 1-of-N vectors",
                got=f"{where}={config.ngrams} on {type(encoder).__name__}",
                expected="a run of onehot",
                where="--set",
                fix="polyseme pretrain onehot CORPUS -o RUN, and finetune that; or leave it out",
            )
        if config.lstm or config.hidden:
            raise ConfigError(
                "only a linear layer over n-grams is solved for",
                got=f"{cls.name}.{'lstm' if config.lstm else 'hidden'}={config.lstm or config.hidden}",
                where="--set",
                fix=f"leave it out, or {where}",
            )

    @classmethod
    def _pool_of(cls, encoder: Encoder, config: TextConfig) -> Pool:
        whole = not config.mix and not config.lstm and encoder.reach != "none"
        if cls.pair and (not whole or getattr(encoder, "two_way", False)):
            return "pair"
        if not whole:
            return "mean"
        if encoder.reach == "left":
            return "last"
        return "cls" if encoder.pooler() is not None else "mean"

    def encode(self, records: Sequence[TextRecord], tokenizer: Tokenizer, encoder: Encoder) -> TaskData:
        """Examples of records."""
        data, wrapper = TaskData(records), Wrapper.of(tokenizer)
        length = min(self.config.max_length, encoder.max_length)
        room = length - wrapper.added(self.pair)
        firsts = pieces([record.text for record in records], tokenizer)
        seconds = pieces([record.text_b or "" for record in records], tokenizer) if self.pair else firsts
        for number, (record, a, b) in enumerate(zip(records, firsts, seconds, strict=True)):
            keep = shares(len(a), len(b), room) if self.pair else (room, 0)
            if len(a) > keep[0] or (self.pair and len(b) > keep[1]):
                data.cut.append(number)
                data.lost.append(len(a) - keep[0] + (len(b) - keep[1] if self.pair else 0))
            a, b = a.part(0, keep[0]), b.part(0, keep[1])
            wrapped = wrapper.wrap(a.ids, b.ids if self.pair else None)
            n = len(wrapped.ids)
            if self.config.pool in ("cls", "last"):
                places = np.array([0 if self.config.pool == "cls" else n - 1])
            elif encoder.reach == "none" or self.config.pool == "pair":
                places = np.flatnonzero(wrapped.text >= 0)
            else:
                places = np.arange(n)
            details = None
            if self.config.ngrams:
                cut = record.text[: int(a.offsets[-1, 1])] if keep[0] < len(firsts[number]) else record.text
                details = Spelled(a.ids, a.unknown, a.words, tokenizer.normalise(cut))
            data.add(number, wrapped, [a, b] if self.pair else [a], places, self._gold(record), details)
        return data

    def _gold(self, record: TextRecord) -> npt.NDArray[Any]:
        """The gold label of a record, as the loss reads it; -1 where it is unknown.  Shapes: -> (1,) or (1, K)"""
        if record.label is None:
            return np.empty(0, np.int64)
        if self.config.kind == "number":
            return np.array([number_of(record)], np.float32)
        labels = labels_of(record)
        if self.config.kind == "single" and len(labels) != 1:
            raise CorpusError(
                "a text with several labels, or none, where each should have one",
                got=", ".join(labels) or "no label",
                where=record.where,
                fix=f"--set {self.name}.kind=several",
            )
        known = [self._numbers[label] for label in labels if label in self._numbers]
        if self.config.kind == "single":
            return np.array([known[0] if known else -1], np.int64)
        hot = np.zeros((1, len(self.config.labels)), np.float32)
        hot[0, known] = 1.0
        return hot

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> TextHead | NgramHead:
        """A fresh head."""
        c = self.config
        if c.ngrams:
            return NgramHead(c.ngrams, c.characters, c.idf, encoder.config.vocab_size, c.outputs)
        return TextHead(encoder, c)

    @property
    def penalties(self) -> tuple[float, ...]:
        """The penalties under which the head is solved for, one after the other; none where gradients train it."""
        if not self.config.ngrams:
            return ()
        return PENALTIES if self.config.penalty == "auto" else (self.config.penalty,)

    @property
    def two_sided(self) -> bool:
        """Whether the loss depends on the difference of two scores alone."""
        return self.config.kind == "single" and self.config.outputs == 2

    def use(self, data: TaskData) -> None:
        """Set the examples that are read."""
        super().use(data)
        self._rows: Any = None  # of their n-grams; made when they are first asked for

    def _scores(self, encoding: Encoding, head: nn.Module, batch: Batch) -> Tensor:
        """What the head says of every example of a batch.  Shapes: -> (E, outputs)"""
        if not self.config.ngrams:
            return head(encoding, batch, batch.targets[self.name].positions).float()  # type: ignore[no-any-return]
        assert self._data is not None
        assert batch.numbers is not None
        if self._rows is None:
            self._rows = cast(NgramHead, head).rows(self._data.details)
        return head(self._rows[batch.numbers.numpy()])  # type: ignore[no-any-return]

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of the losses over the examples whose labels are known, and their number."""
        return self.loss_of(self._scores(encoding, head, batch), batch.targets[self.name].labels)

    def loss_of(self, logits: Tensor, gold: Tensor) -> tuple[Tensor, int]:
        """The same of the head's scores.  Shapes: (E, outputs), (E,) or (E, K)"""
        if self.config.kind == "number":
            return (logits[:, 0] - gold).square().sum(), len(gold)
        if self.config.kind == "several":
            losses = nn.functional.binary_cross_entropy_with_logits(logits, gold.to(logits), reduction="none")
            return losses.mean(1).sum(), len(gold)
        weight = logits.new_tensor(self.config.weights) if self.config.weights else None
        loss = nn.functional.cross_entropy(logits, gold, weight, ignore_index=-1, reduction="sum")
        return loss, int((gold >= 0).sum())  # labels outside the label set have no loss

    def baseline(self, data: TaskData) -> float:
        """The mean loss of predicting the label frequencies of these data.

        of weighted classes:  Σ_k w_k n_k (-log q_k) / Σ_k n_k,  q_k = w_k n_k / Σ_j w_j n_j, which is the lowest
        """
        gold = np.concatenate([g for g in data.gold if len(g)] or [np.zeros(1, np.float32)])
        if self.config.kind == "number":
            return float(gold.var())
        if self.config.kind == "several":
            p = gold.mean(0).clip(1e-6, 1 - 1e-6)
            return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
        labels = self.config.labels
        p = np.bincount(gold[gold >= 0].astype(np.int64), minlength=len(labels)) / max(1, (gold >= 0).sum())
        p = p * np.array(self.config.weights) if self.config.weights else p
        p = p[p > 0]
        return float(-(p * np.log(p / p.sum())).sum()) + 0.0  # not -0

    def outputs(self, encoding: Encoding, head: nn.Module, batch: Batch) -> list[Float32Array]:
        """Scores of every example of a batch.  Shapes: -> E × (outputs,)"""
        return list(self._scores(encoding, head, batch).cpu().numpy())

    def predictions(
        self, data: TaskData, outputs: Sequence[Float32Array], decoding: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The prediction for every record, JSON-able."""
        return [
            self._prediction(record, scores) for record, scores in zip(data.records, outputs, strict=True)
        ]

    def _prediction(self, record: TextRecord, scores: Float32Array) -> dict[str, Any]:
        texts = {"text": record.text} | ({"text_b": record.text_b} if self.pair else {})
        prediction: dict[str, Any] = {"id": record.id, **texts}
        if self.config.kind == "number":
            return prediction | {"value": float(scores[0])}
        if self.config.kind == "several":
            p = 1.0 / (1.0 + np.exp(-scores.astype(np.float64)))
            chosen = [label for label, share in zip(self.config.labels, p, strict=True) if share >= 0.5]
            return prediction | {"labels": chosen, "probabilities": self._named(p)}
        shifted = np.exp(scores.astype(np.float64) - scores.max())
        p = shifted / shifted.sum()
        best = int(p.argmax())
        return prediction | {
            "label": self.config.labels[best],
            "probability": float(p[best]),
            "probabilities": self._named(p),
        }

    def _named(self, p: Float64Array) -> dict[str, float]:
        return {label: float(f"{share:.6g}") for label, share in zip(self.config.labels, p, strict=True)}

    def measures(
        self, records: Sequence[TextRecord], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Resampled]:
        """The figures by name, the main one first."""
        return text_measures(self.config.kind, self.config.labels, records, predictions)

    def details(
        self, records: Sequence[TextRecord], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Tables: figures by label and the confusion matrix."""
        return text_details(self.config.kind, self.config.labels, records, predictions)

    def wrong(self, record: TextRecord, prediction: Mapping[str, Any]) -> bool:
        """Whether a prediction differs from the record's label."""
        if self.config.kind == "number":
            return abs(float(prediction["value"]) - number_of(record)) > 1.0
        if self.config.kind == "several":
            return set(prediction["labels"]) != set(labels_of(record))
        return (prediction["label"],) != labels_of(record)

    def gold_of(self, record: TextRecord) -> Any:
        """The record's gold label, JSON-able."""
        return list(record.label) if isinstance(record.label, tuple) else record.label

    def unknown_labels(self, records: Sequence[TextRecord]) -> Counter[str]:
        """Labels of the records that are not in the label set."""
        if self.config.kind == "number":
            return Counter()
        return Counter(
            label for record in records for label in labels_of(record) if label not in self._numbers
        )


def _kind_of(records: Sequence[TextRecord]) -> Literal["single", "several", "number"]:
    """Lists mean several labels; numbers with a fraction mean a number; everything else is a name.

    Lists with one label each are names, too: annotation tools export single classes in this form. A few exceptions do
    not count: one label, or one in twenty, may be no number, and as many may have a fraction.
    """
    few = max(len(records) >= 5, len(records) / 20)
    lists = [record.label for record in records if isinstance(record.label, tuple)]
    if len(lists) == len(records) and all(len(label) == 1 for label in lists):
        return "single"
    if 20 * len(lists) > len(records) or any(len(label) > 1 for label in lists):
        return "several"
    numbers = [as_number(record.label, commas=False) for record in records]  # "0,1" may be two classes
    values = [value for value in numbers if value is not None]
    fractions = sum(value != int(value) for value in values)
    odd = sum(
        value is None and not _is_float(record.label) for value, record in zip(numbers, records, strict=True)
    )
    if odd > few:
        return "single"
    return "number" if fractions > few or 2 * fractions >= len(values) > 0 else "single"


def _with_points(records: list[TextRecord]) -> list[TextRecord]:
    """Records with a point for every decimal comma of their labels; unchanged where a comma may mean something else."""
    with_commas = [r.label for r in records if isinstance(r.label, str) and "," in r.label]
    if not all(has_decimal_comma(label) and not may_be_thousands(label) for label in with_commas):
        return records
    return [
        replace(record, label=record.label.replace(",", "."))
        if isinstance(record.label, str) and "," in record.label
        else record
        for record in records
    ]


def _is_float(label: Any) -> bool:
    """Whether a label is written as a number; infinite numbers and nan count."""
    try:
        float(label)
    except (TypeError, ValueError):
        return False
    return True


def _in_order(label: str) -> tuple[float, str]:
    """Sorted: numbers by size, then names alphabetically."""
    try:
        value = float(label)
    except ValueError:
        value = math.inf
    return (value if math.isfinite(value) else math.inf, label)


ENTRY = TaskEntry(config=TextConfig, build=Classify)
