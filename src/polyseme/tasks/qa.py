"""Question and passage → the answer, a stretch of the passage, or none.

Paper: Devlin et al. (2019), sections 4.2 and 4.3.

    p_start(i) = softmax_i(S · v_i),   p_end(j) = softmax_j(E · v_j)
    best span    ŝ = max_{i ≤ j < i + cap} S·v_i + E·v_j          over tokens i, j of the passage
    no answer    s_null = S·v_0 + E·v_0;   none is predicted where s_null > ŝ + τ,   τ tuned on dev

v_0 is the vector of [CLS], or of the last token where the encoder sees the left side only. Passages longer than
max_length are read in overlapping windows, so that every answer of at most overlap + 1 tokens lies entirely in one.
Very short windows share half of their tokens, or as many as an answer may have, in place of `overlap`. Answers are cut
out of the passage by character offsets, so they are exactly the user's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array, IntArray
from polyseme.core.entries import TaskEntry
from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.wrapping import Wrapper
from polyseme.errors import CorpusError
from polyseme.tasks.examples import LabelledExamples, Piece, TaskData, pieces, windows
from polyseme.tasks.heads import TaskConfig, TokenScores, by_example, example_of, in_rows
from polyseme.tasks.metrics import answers as metrics
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.questions import read_questions
from polyseme.text.labelled.records import Problems, QuestionRecord
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import meeting
from polyseme.text.words import has_cjk

CANDIDATES = 20
"""Spans whose probabilities add up to one."""

SPANS = 5
"""Spans that are shown with detail."""


class QAConfig(TaskConfig):
    """Section [qa] of a recipe.

    Args:
        max_length: longest window, tokens of the question, the passage and separators.
        dropout: before the output layer; the paper's question answering has none.
        overlap: tokens of the passage that neighbouring windows share, at most.
        question_length: tokens of a question that are read, at most.
        answer_length: longest predicted answer in tokens; None = 30, or 60 for Chinese characters, since 5 % of the
            answers of CMRC 2018 are longer than 30.
        no_answer: the mark in a table for a question without an answer.
        unanswerable: whether some questions have no answer; read from the training file.
        rules: the official rules that compare answers: SQuAD's (words) or CMRC's (Chinese characters).
    """

    max_length: int = Field(384, ge=16)
    dropout: float = Field(0.0, ge=0, lt=1)
    overlap: int = Field(128, ge=1)
    question_length: int = Field(64, ge=1)
    answer_length: int | None = Field(None, ge=1)
    no_answer: str = ""
    unanswerable: bool | None = None
    rules: Literal["auto", "squad-1.1", "squad-2.0", "cmrc-2018"] = "auto"


class QAHead(TokenScores):
    """Maps the tokens' vectors to scores of the start and the end of an answer.

    Shapes:  encoding of (B, T), positions: (P,) -> (P, 2)
    """

    def __init__(self, encoder: Encoder, config: QAConfig) -> None:
        super().__init__(encoder, config, 2)

    def forward(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        return self.scores(encoding, batch, positions)


class QA(LabelledExamples):
    """The objective; see the head of this file.

    Args:
        config: completed by `learn`.
        special, seed: not needed: nothing is drawn.
    """

    name = "qa"
    draws = False

    def __init__(self, config: QAConfig, special: SpecialTokens | None = None, seed: int = 0) -> None:
        self.config = config
        self._rules: metrics.Rules = "squad-2.0" if config.rules == "auto" else config.rules
        self._longest = config.answer_length or 30

    @classmethod
    def read(
        cls,
        path: Path | str,
        config: QAConfig,
        columns: Mapping[str, str] | ReadOptions,
        problems: Problems,
        labelled: bool = True,
    ) -> Iterator[QuestionRecord]:
        """Records of a file, one by one."""
        options = ReadOptions.of(columns)
        return read_questions(
            path,
            columns=options.columns,
            encoding=options.encoding,
            separator=options.separator,
            problems=problems,
            labelled=labelled,
            no_answer=config.no_answer,
        )

    def described(self, records: Sequence[QuestionRecord]) -> str:
        """A description of the records' answers, for the report on how a file was read."""
        none = sum(record.answers == () for record in records)
        return f"{len(records):,} questions, {none:,} of them without an answer" if none else ""

    @classmethod
    def learn(cls, config: QAConfig, records: Sequence[QuestionRecord], encoder: Encoder) -> QAConfig:
        """The configuration, completed from the training records.

        Raises:  CorpusError: no question has an answer.
        """
        if not any(record.answers for record in records):
            raise CorpusError("no question has an answer", got=f"{len(records):,} questions")
        none = any(record.answers == () for record in records)
        chinese = sum(has_cjk(record.question) for record in records) > len(records) / 2
        rules = config.rules if config.rules != "auto" else ("cmrc-2018" if chinese else "squad-2.0")
        learned = {
            "unanswerable": none if config.unanswerable is None else config.unanswerable,
            "rules": rules,
            "answer_length": config.answer_length or (60 if rules == "cmrc-2018" else 30),
        }
        return config.of({**config.model_dump(), **learned}, cls.name)

    def encode(self, records: Sequence[QuestionRecord], tokenizer: Tokenizer, encoder: Encoder) -> TaskData:
        """Examples of records: windows of passages."""
        data, wrapper = TaskData(records), Wrapper.of(tokenizer)
        length = min(self.config.max_length, encoder.max_length)
        most = max(1, min(self.config.question_length, (length - wrapper.added(True)) // 2))
        questions = pieces([record.question for record in records], tokenizer)
        different = list(dict.fromkeys(record.context for record in records))
        contexts = dict(zip(different, pieces(different, tokenizer), strict=True))
        for number, record in enumerate(records):
            question, context = questions[number].part(0, most), contexts[record.context]
            room = max(1, length - wrapper.added(True) - len(question))
            answer = _tokens_of(record, context)
            parts = list(windows(len(context), room, self._shared(room)))
            if len(parts) > 1:
                data.cut.append(number)
            regular = len(parts)
            if answer is not None:  # an answer longer than a window is cut to it
                answer = answer[0], min(answer[1], answer[0] + room - 1)
            if answer is not None and not any(s <= answer[0] and answer[1] < e for s, e in parts):
                begin = max(0, min(answer[0] - (room - (answer[1] - answer[0])) // 2, len(context) - room))
                # an answer longer than the overlap gets a separate window in training, which prediction does not have
                parts.append((begin, min(begin + room, len(context))))
            for window, (start, end) in enumerate(parts):
                part = context.part(start, end)
                wrapped = wrapper.wrap(question.ids, part.ids)
                n = len(wrapped.ids)
                null = n - 1 if encoder.reach == "left" else 0
                inside = np.flatnonzero(wrapped.text == 1)
                gold = np.empty((0, 2), np.int64)
                if record.answers is not None:
                    gold = np.array([[null, null]])
                    if answer is not None and start <= answer[0] and answer[1] < end:
                        gold = inside[np.array(answer) - start][None]
                first = int(inside[0]) if len(inside) else 0
                details = (null, first, part.offsets) if window < regular else None
                data.add(number, wrapped, [question, part], np.arange(n), gold, details)
        return data

    def _shared(self, room: int) -> int:
        """Tokens that windows of `room` tokens share; more would need far too many windows."""
        return min(self.config.overlap, max(room // 2, min(self._longest, room) - 1))

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> QAHead:
        """A fresh head."""
        return QAHead(encoder, self.config)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum over the windows of -(log p_start + log p_end) / 2, and their number."""
        positions, gold = batch.targets[self.name]
        scores = head(encoding, batch, positions).float()  # (P, 2)
        example = example_of(positions, batch.first)
        rows = in_rows(scores, example, len(batch.first), -torch.inf).transpose(1, 2)  # (E, 2, longest)
        losses = nn.functional.cross_entropy(rows.flatten(0, 1), gold.flatten(), reduction="sum")
        return losses / 2, len(gold)

    def baseline(self, data: TaskData) -> float:
        """The mean loss of a uniform distribution over the tokens."""
        return float(np.mean([np.log(len(example.ids)) for example in data.examples]))

    def outputs(self, encoding: Encoding, head: nn.Module, batch: Batch) -> list[Float32Array]:
        """Scores of beginning and ending at every token of every example.  Shapes: -> E × (n, 2)"""
        positions = batch.targets[self.name].positions
        scores = head(encoding, batch, positions).float()
        return by_example(scores, example_of(positions, batch.first), len(batch.first))

    def predictions(
        self, data: TaskData, outputs: Sequence[Float32Array], decoding: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The prediction for every question, JSON-able: the answer, its place and its probability.

        Args:
            decoding: "threshold": τ of the head of this file; 0 where it was not tuned.
                "detail": with "tokens" of the passage: [{"start", "end", "start_probability", "end_probability"}],
                that an answer begins and ends there; "spans": the best five; "no_answer": the probability of none, and
                "threshold": what "no_answer_score" is held against; both None where there always is an answer.
        """
        detail = bool(decoding.get("detail"))
        lanes = [_Lanes() for _ in data.records]
        candidates_of: list[list[tuple[float, int, int]]] = [[] for _ in data.records]
        nulls = [np.inf] * len(data.records)
        for owner, details, scores in zip(data.owners, data.details, outputs, strict=True):
            if details is None:
                continue
            null, first, offsets = details
            nulls[owner] = min(nulls[owner], float(scores[null].sum()))
            inside = scores[first : first + len(offsets)]
            if detail:
                lanes[owner].add(offsets, inside, scores[null])
            for score, i, j in best_spans(inside[:, 0], inside[:, 1], self._longest):
                candidates_of[owner].append((score, int(offsets[i, 0]), int(offsets[j, 1])))
        threshold = float(decoding.get("threshold", 0.0))
        return [
            self._prediction(
                record, sorted(candidates, reverse=True), null, threshold, lane if detail else None
            )
            for record, candidates, null, lane in zip(data.records, candidates_of, nulls, lanes, strict=True)
        ]

    def _prediction(
        self,
        record: QuestionRecord,
        candidates: Sequence[tuple[float, int, int]],
        null: float,
        threshold: float,
        lanes: _Lanes | None = None,
    ) -> dict[str, Any]:
        candidates = list({(start, end): (s, start, end) for s, start, end in reversed(candidates)}.values())
        candidates.sort(reverse=True)
        scores = np.array(
            [s for s, _, _ in candidates[:CANDIDATES]] + [null] * bool(self.config.unanswerable)
        )
        p = np.exp(scores - scores.max()) if len(scores) else scores
        p = p / p.sum() if len(p) else p
        best = candidates[0] if candidates else (-np.inf, 0, 0)
        difference = null - best[0]
        none = not candidates or (bool(self.config.unanswerable) and difference > threshold)
        _, start, end = best
        answer = {"answer": record.context[start:end], "start": start, "end": end} if candidates else {}
        prediction: dict[str, Any] = {"id": record.id, "question": record.question}
        chosen = {"answer": "", "start": None, "end": None} if none else answer
        prediction |= chosen | {"probability": float(p[-1] if none and len(p) else p[0] if len(p) else 1.0)}
        if self.config.unanswerable:
            best_answer = answer or {"answer": "", "start": None, "end": None}
            prediction |= {"no_answer_score": float(difference) if candidates else None, "best": best_answer}
        if lanes is not None:
            may_be_none = bool(self.config.unanswerable)
            prediction |= lanes.probabilities(may_be_none)
            prediction["spans"] = [
                {"text": record.context[a:b], "start": a, "end": b, "probability": float(share)}
                for (_, a, b), share in zip(candidates[:SPANS], p, strict=False)
            ]
            prediction["no_answer"] = float(p[-1]) if may_be_none else None
            prediction["threshold"] = threshold if may_be_none else None
        return prediction

    def tune(self, data: TaskData, outputs: Sequence[Float32Array]) -> dict[str, Any]:
        """The threshold τ with the highest F1 on dev, where some questions have no answer."""
        if not self.config.unanswerable:
            return {}
        predictions = self.predictions(data, outputs, {"threshold": np.inf})
        golds = [self.gold_of(record) for record in data.records]
        scores = [
            metrics.score(p["best"]["answer"], g, self._rules)[1]
            for p, g in zip(predictions, golds, strict=True)
        ]
        differences = [np.inf if (d := p["no_answer_score"]) is None else d for p in predictions]
        answered = [bool(p["best"]["answer"]) for p in predictions]
        threshold, value = metrics.best_threshold(differences, [bool(g) for g in golds], scores, answered)
        if not np.isfinite(threshold):
            return {}
        return {"threshold": metrics.clear_of(threshold, differences), "dev_f1": value}

    def measures(
        self, records: Sequence[QuestionRecord], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Resampled]:
        """The figures by name, the main one first."""
        golds = [self.gold_of(record) for record in records]
        measures = metrics.measures([p["answer"] for p in predictions], golds, self._rules)
        return {"f1": measures.pop("f1"), **measures}

    def wrong(self, record: QuestionRecord, prediction: Mapping[str, Any]) -> bool:
        """Whether a prediction matches none of the answers, by the rules of exact match."""
        return metrics.score(prediction["answer"], self.gold_of(record), self._rules)[0] == 0.0

    def gold_of(self, record: QuestionRecord) -> Any:
        """The record's gold answers, JSON-able."""
        return [text for text, _ in record.answers or ()]


class _Lanes:
    """The scores of every token of a passage as beginning and end of an answer, of all windows that hold it."""

    def __init__(self) -> None:
        self._scores: dict[tuple[int, int], Float32Array] = {}
        self._null = np.full(2, np.inf, np.float32)

    def add(self, offsets: IntArray, scores: Float32Array, null: Float32Array) -> None:
        """A window: of a token in several windows the higher score counts, of no answer the lowest.

        Shapes:  offsets: (n, 2).  scores: (n, 2).  null: (2,)
        """
        for (start, end), score in zip(offsets.tolist(), scores, strict=True):
            known = self._scores.get((start, end))
            self._scores[start, end] = score if known is None else np.maximum(known, score)
        if null.sum() < self._null.sum():
            self._null = null

    def probabilities(self, may_be_none: bool) -> dict[str, Any]:
        """Softmax over the passage's tokens and, where there may be no answer, the place that stands for it."""
        places = sorted(self._scores)
        scores = np.array([self._scores[place] for place in places], np.float64).reshape(-1, 2)
        rows = np.concatenate([scores, self._null[None]]) if may_be_none else scores
        p = np.exp(rows - rows.max(0, initial=-np.inf)) if len(rows) else rows
        p = p / p.sum(0, keepdims=True)
        shares = [[float(f"{value:.6g}") for value in row] for row in p[: len(places)].tolist()]
        return {
            "tokens": [
                {"start": start, "end": end, "start_probability": first, "end_probability": last}
                for (start, end), (first, last) in zip(places, shares, strict=True)
            ]
        }


def best_spans(
    start: Float32Array, end: Float32Array, cap: int, most: int = 5
) -> list[tuple[float, int, int]]:
    """The spans i … j with the highest start_i + end_j, i ≤ j < i + cap, best first.

    Shapes:  start, end: (n,)
    """
    n = len(start)
    if not n:
        return []
    width = min(cap, n)
    padded = np.concatenate([end, np.full(width - 1, -np.inf, end.dtype)])
    sums = start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)  # (n, width)
    flat = sums.ravel()
    count = min(most, int(np.isfinite(flat).sum()))
    top = np.argpartition(-flat, count - 1)[:count] if count else np.empty(0, np.int64)
    top = top[np.lexsort((top, -flat[top]))]
    return [(float(flat[k]), int(k // width), int(k // width + k % width)) for k in top]


def _tokens_of(record: QuestionRecord, context: Piece) -> tuple[int, int] | None:
    """The first and the last token, inclusive, of the first answer; None where there is no answer."""
    if not record.answers or not len(context):
        return None
    text, begin = record.answers[0]
    first, behind = (int(n[0]) for n in meeting(context.offsets, np.array([(begin, begin + len(text))])))
    return (first, max(first, behind - 1)) if first < len(context) else None


ENTRY = TaskEntry(config=QAConfig, build=QA, records="question", tag="question-answering")
