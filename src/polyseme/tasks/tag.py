"""Text → a class for every token: slots, names, parts of speech.

Paper: Devlin et al. (2019), section 5.3: the class of a word is read from the vector of its first subword.

    p_t = softmax(W v_t + b),   or with crf = true the marginals of a linear chain (Lample et al. 2016, section 2.2)

The tokens are those of the labelled file, given as places in the text, so any encoder's subwords, characters or words
work. If an encoder's token covers several of the file's tokens, the later ones read the same vector plus a learned
vector for their place in it. Sentences longer than max_length are read in overlapping windows; every token is predicted
in the window where it has most context. Predicted BIO and BIOES tags are legal sequences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array, IntArray
from polyseme.core.entries import TaskEntry
from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.wrapping import Wrapper
from polyseme.errors import CorpusError
from polyseme.layers.crf import LinearChainCRF, marginals, viterbi
from polyseme.tasks.examples import LabelledExamples, TaskData, pieces, windows
from polyseme.tasks.figures import tag_details, tag_measures
from polyseme.tasks.heads import TaskConfig, TokenScores, by_example, example_of, in_rows
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tagging import allowed, scheme_of, spans
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import meeting

PLACES = 4
"""Places in an encoder's token that are distinguished: first, second, third, and later."""


class TagConfig(TaskConfig):
    """Section [tag] of a recipe.

    Args:
        labels: the tags; read from the training file.
        column: the column of the tags in CoNLL and CoNLL-U files; None = the last, or upos.
        crf: learn transitions between tags.
        constrained: predict only legal sequences, where the tags are BIO or BIOES.
        overlap: tokens that two windows of a long sentence share, at most half of a window.
    """

    labels: tuple[str, ...] = ()
    column: str | None = None
    crf: bool = False
    constrained: bool = True
    overlap: int = Field(32, ge=0)

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must differ, got {self.labels}")
        return self


class TagHead(TokenScores):
    """Maps the tokens' vectors to scores of tags.

    Shapes:  encoding of (B, T), positions: (P,) -> (P, K)
    """

    def __init__(self, encoder: Encoder, config: TagConfig) -> None:
        k = len(config.labels)
        super().__init__(encoder, config, k)
        self.place = nn.Embedding(PLACES, k)  # of a token within the encoder's token; the first adds nothing
        nn.init.zeros_(self.place.weight)
        limits = allowed(config.labels) if config.constrained else None
        self.crf = LinearChainCRF(k, limits) if config.crf else None

    def forward(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        place = _place_within(positions)
        return self.scores(encoding, batch, positions) + self.place(place) * (place > 0)[:, None]  # type: ignore[no-any-return]


class Tag(LabelledExamples):
    """The objective; see the head of this file.

    Args:
        config: completed by `learn`.
        special, seed: not needed: nothing is drawn.
    """

    name = "tag"
    draws = False

    def __init__(self, config: TagConfig, special: SpecialTokens | None = None, seed: int = 0) -> None:
        self.config = config
        self._numbers = {label: i for i, label in enumerate(config.labels)}
        self._scheme = scheme_of(config.labels)

    @classmethod
    def read(
        cls,
        path: Path | str,
        config: TagConfig,
        columns: Mapping[str, str] | ReadOptions,
        problems: Problems,
        labelled: bool = True,
    ) -> Iterator[TagRecord]:
        """Records of a file, one by one; without labels the file needs no column of tags."""
        column = config.column if labelled else None
        options = ReadOptions.of(columns)
        return read_tags(
            path,
            columns=options.columns,
            column=column,
            encoding=options.encoding,
            separator=options.separator,
            problems=problems,
            labelled=labelled,
        )

    def described(self, records: Sequence[TagRecord]) -> str:
        """A description of the records' tags, for the report on how a file was read."""
        tags = {tag for record in records for tag in record.tags or ()}
        scheme = scheme_of(tags)
        kinds = sorted({tag.partition("-")[2] for tag in tags if "-" in tag}) if scheme else sorted(tags)
        summary = f"{scheme} tags of {len(kinds):,} kinds" if scheme else f"{len(kinds):,} plain tags"
        return f"{summary}: {', '.join(kinds[:6])}" + (", …" if len(kinds) > 6 else "")

    @classmethod
    def learn(cls, config: TagConfig, records: Sequence[TagRecord], encoder: Encoder) -> TagConfig:
        """The configuration with the tags of the training records.

        Raises:  CorpusError: there is only one tag.
        """
        counts = Counter(tag for record in records for tag in record.tags or ())
        labels = config.labels or tuple(sorted(counts, key=lambda tag: (tag != "O", tag)))
        if len(labels) < 2:
            raise CorpusError(
                "a tagger needs at least two tags",
                got=f"{len(records):,} sentences, all tokens {labels[0]!r}" if labels else "no tag",
                fix="other --train, or --columns tag=COLUMN",
            )
        return config.of({**config.model_dump(), "labels": labels}, cls.name)

    def encode(self, records: Sequence[TagRecord], tokenizer: Tokenizer, encoder: Encoder) -> TaskData:
        """Examples of records: windows where a sentence is long."""
        data, wrapper = TaskData(records), Wrapper.of(tokenizer)
        room = max(1, min(self.config.max_length, encoder.max_length) - wrapper.added(False))
        for number, (record, piece) in enumerate(
            zip(records, pieces([r.text for r in records], tokenizer), strict=True)
        ):
            places = _first_tokens(record.tokens, piece.offsets)
            tags = np.array([self._numbers.get(tag, -1) for tag in record.tags or ()], np.int64)
            parts = list(windows(len(piece), room, min(self.config.overlap, room // 2)))
            if len(parts) > 1:
                data.cut.append(number)
            best = _best_window(places, parts)
            for w, (start, end) in enumerate(parts):
                mine = np.flatnonzero(best == w)
                if len(parts) > 1 and not len(mine):
                    continue
                part = piece.part(start, end)
                wrapped = wrapper.wrap(part.ids)
                inside = np.flatnonzero(wrapped.text == 0)
                positions = inside[places[mine] - start] if len(inside) else np.zeros(len(mine), np.int64)
                gold = tags[mine] if record.tags is not None else np.empty(0, np.int64)
                data.add(number, wrapped, [part], positions, gold, mine)
        return data

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> TagHead:
        """A fresh head."""
        return TagHead(encoder, self.config)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p over the tokens, or with a chain over the sentences; and the number of tokens."""
        positions, gold = batch.targets[self.name]
        scores = head(encoding, batch, positions).float()
        known = gold >= 0
        if not bool(known.all()):  # tags outside the tag set have no probability
            scores, gold, positions = scores[known], gold[known], positions[known]
        if self.config.crf and len(gold):
            example, n = example_of(positions, batch.first), len(batch.first)
            padded, tags = in_rows(scores, example, n), in_rows(gold, example, n)
            mask = in_rows(torch.ones_like(gold, dtype=torch.bool), example, n)
            return head.crf(padded, tags, mask), len(gold)  # type: ignore[operator]
        return nn.functional.cross_entropy(scores, gold, reduction="sum"), len(gold)

    def baseline(self, data: TaskData) -> float:
        """The mean loss of predicting the tag frequencies of these data."""
        gold = np.concatenate([g for g in data.gold if len(g)] or [np.zeros(1, np.int64)])
        p = np.bincount(gold[gold >= 0], minlength=1) / max(1, (gold >= 0).sum())
        return float(-(p[p > 0] * np.log(p[p > 0])).sum()) + 0.0  # not -0

    def outputs(self, encoding: Encoding, head: nn.Module, batch: Batch) -> list[Float32Array]:
        """Scores of the tokens of every example; a chain's transitions are learned with them.  Shapes: -> E × (p, K)"""
        positions = batch.targets[self.name].positions
        scores = head(encoding, batch, positions).float()
        return by_example(scores, example_of(positions, batch.first), len(batch.first))

    def predictions(
        self, data: TaskData, outputs: Sequence[Float32Array], decoding: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The prediction for every record, JSON-able: tokens with tags and probabilities, and spans.

        The probability of a token's tag is its softmax value; with a CRF it is the marginal over all sequences with
        this tag there. With decoding["detail"] every token has the "probabilities" of all tags.
        """
        k = len(self.config.labels)
        scores = [np.zeros((len(record.tokens), k), np.float32) for record in data.records]
        for owner, mine, token_scores in zip(data.owners, data.details, outputs, strict=True):
            scores[owner][mine] = token_scores
        limits = self._limits(decoding)
        paths = viterbi(scores, *limits)
        chances: Sequence[npt.NDArray[np.floating]] = (
            marginals(scores, *limits) if "crf" in decoding else list(map(_softmax, scores))
        )
        return [
            self._prediction(record, path, p, bool(decoding.get("detail")))
            for record, path, p in zip(data.records, paths, chances, strict=True)
        ]

    def _limits(self, decoding: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """The scores of start, transition and end for tags: learned, or 0 and -∞."""
        start, transition, end = (
            np.where(legal, 0.0, -np.inf)
            for legal in (allowed(self.config.labels) if self.config.constrained else _anything(self.config))
        )
        if "crf" in decoding:
            learned = decoding["crf"]
            start = start + np.asarray(learned["start"])
            transition = transition + np.asarray(learned["transition"])
            end = end + np.asarray(learned["end"])
        return start, transition, end

    def _prediction(
        self, record: TagRecord, path: IntArray, p: npt.NDArray[np.floating], detail: bool
    ) -> dict[str, Any]:
        tags = [self.config.labels[i] for i in path]
        tokens: list[dict[str, Any]] = [
            {
                "start": start,
                "end": end,
                "text": record.text[start:end],
                "tag": tag,
                "probability": float(f"{p[t, path[t]]:.6g}"),
            }
            for t, ((start, end), tag) in enumerate(zip(record.tokens, tags, strict=True))
        ]
        if detail:
            for token, shares in zip(tokens, p.tolist(), strict=True):
                named = zip(self.config.labels, shares, strict=True)
                token["probabilities"] = {label: float(f"{share:.6g}") for label, share in named}
        prediction: dict[str, Any] = {"id": record.id, "text": record.text, "tokens": tokens}
        if self._scheme is not None:
            prediction["spans"] = [
                {
                    "start": record.tokens[first][0],
                    "end": record.tokens[last - 1][1],
                    "label": kind,
                    "text": record.text[record.tokens[first][0] : record.tokens[last - 1][1]],
                }
                for kind, first, last in spans(tags)
            ]
        return prediction

    def measures(
        self, records: Sequence[TagRecord], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Resampled]:
        """The figures by name, the main one first."""
        return tag_measures(self._scheme, self.config.labels, records, predictions)

    def details(
        self, records: Sequence[TagRecord], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Tables: figures by kind and the confusion matrix of tags."""
        return tag_details(self._scheme, records, predictions)

    def wrong(self, record: TagRecord, prediction: Mapping[str, Any]) -> bool:
        """Whether a prediction differs from the record's tags."""
        return [token["tag"] for token in prediction["tokens"]] != list(record.tags or ())

    def gold_of(self, record: TagRecord) -> Any:
        """The record's gold tags, JSON-able."""
        return list(record.tags or ())

    def unknown_labels(self, records: Sequence[TagRecord]) -> Counter[str]:
        """Tags of the records that are not in the tag set."""
        return Counter(t for record in records for t in record.tags or () if t not in self._numbers)


def _softmax(scores: Float32Array) -> Float32Array:
    """Probabilities of every token's tags, each token by itself.  Shapes: (N, K) -> (N, K)"""
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    result: Float32Array = shifted / shifted.sum(1, keepdims=True)
    return result


def _first_tokens(tokens: Sequence[tuple[int, int]], offsets: IntArray) -> IntArray:
    """The first encoder token that overlaps each token of the file; the nearest where none does.

    Shapes:  N spans, (n, 2) -> (N,)
    """
    if not len(offsets):
        return np.zeros(len(tokens), np.int64)
    first, _ = meeting(offsets, np.asarray(tokens, np.int64).reshape(-1, 2))
    return np.minimum(first, len(offsets) - 1)


def _best_window(places: IntArray, parts: Sequence[tuple[int, int]]) -> IntArray:
    """The window in which each token is farthest from an edge, not counting the edges of the text.

    Shapes:  (N,) -> (N,)
    """
    if len(parts) == 1:
        return np.zeros(len(places), np.int64)
    far = parts[-1][1]
    margins = []
    for start, end in parts:
        left = places - start if start else np.full(len(places), far)
        right = end - 1 - places if end < far else np.full(len(places), far)
        margins.append(np.where((places >= start) & (places < end), np.minimum(left, right), -1))
    best: IntArray = np.argmax(np.stack(margins), axis=0)
    return best


def _place_within(positions: Tensor) -> Tensor:
    """How many tokens before this one read the same position, at most PLACES - 1.  Shapes: (P,) -> (P,)"""
    index = torch.arange(len(positions), device=positions.device)
    begins = torch.ones_like(positions, dtype=torch.bool)
    begins[1:] = positions[1:] != positions[:-1]
    first = torch.where(begins, index, 0).cummax(0).values if len(index) else index
    return (index - first).clamp_max(PLACES - 1)


def _anything(config: TagConfig) -> tuple[Any, Any, Any]:
    k = len(config.labels)
    return np.ones(k, np.bool_), np.ones((k, k), np.bool_), np.ones(k, np.bool_)


ENTRY = TaskEntry(config=TagConfig, build=Tag, records="tags", tag="token-classification")
