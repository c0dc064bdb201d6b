"""Class bigrams: the next word's class from this word's, and the word from its class; the classes are what is learned.

Paper: Brown, Della Pietra, deSouza, Lai and Mercer (1992), "Class-Based n-gram Models of Natural Language", section 3.

    loss = -Σ_t log p(c_t | c_{t-1}) + log p(w_t | c_t),        c_t = class(w_t)

The classes that make the training text likeliest are those of the largest average mutual information. They are
sought by the algorithm with a bounded window (Brown et al. 1992; Liang 2005): the C most frequent words are the
first classes; each further word, in the order of frequency, becomes class C + 1, and of all pairs the one whose
merge loses least is merged. On request exchange (Kneser and Ney 1993; Martin et al. 1998) then moves single words
while that gains. At last the classes are merged down to one, which makes a binary tree of them. Bigrams do not
cross documents; [UNK] is a word like the others.

    count ─► insert and merge ─► (exchange, passes) ─► (compare all pairs) ─► tree           see Task

Where the budget ends first, the words that are not in yet, the rarest, are put one by one into the class where the
mutual information gains most, without any merge; the tree is made all the same. Every word always has a path.

p(c | c') is smoothed by absolute discounting (Ney, Essen and Kneser 1994), the mass going to the classes' unigrams;
p(w | c) likewise, the mass going evenly to the words of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import Int32Array, IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder, Span
from polyseme.data.store import TokenStore
from polyseme.errors import CorpusError
from polyseme.objectives.masked_lm import log_unigram
from polyseme.objectives.unigram import block_sums, heldout_tokens
from polyseme.text.tokenizers import Tokenizer

if TYPE_CHECKING:
    from polyseme.objectives.brown import Clustering

Kind = Literal["count", "insert", "rest", "exchange", "compare", "tree"]

NONE = -1
"""The class of what has none, and the parent of the tree's root."""
SPAN = 1 << 21
"""Tokens counted in a step."""

WORK = 3e8
"""Nanoseconds of a step, by estimates below that were measured on one AVX2 core."""
PACE = 15
"""Steps by whose median the pace of a run is judged."""


class ClassBigramConfig(Config):
    """Section [class_bigram] of a recipe.

    Args:
        exchange_passes: how often every word may move to a better class after Brown's algorithm; 0 = the paper's
            classes. A pass in which no word moves is the last.
    """

    exchange_passes: int = Field(0, ge=0)


class ClassEncoder(Encoder, Protocol):
    """An encoder whose vector of a word is its class.

    Attributes:
        classes: of every id, or none; (vocab_size,).
        counts: how often each occurs in the training text; (vocab_size,).
    """

    classes: Tensor
    counts: Tensor

    def paths_of(self, tree: Tensor) -> Any:
        """Where the classes are in a tree of merges."""
        ...


class ClassBigramHead(nn.Module):
    """Class bigrams of the training text, and the smoothed model that follows from them and the encoder's counts.

    Shapes:  bigrams: (C + 1, C), the last row for beginnings of documents
    """

    def __init__(self, encoder: ClassEncoder) -> None:
        super().__init__()
        c = encoder.config.num_classes
        self.bigrams = nn.Parameter(torch.zeros(c + 1, c, dtype=torch.int64), requires_grad=False)
        self.encoder = [encoder]  # in a list, so that it is not part of this module

    def forward(self, history: Tensor, words: Tensor) -> Tensor:
        """Log p(word | the class before), nats; C stands for the beginning of a document.

        Shapes: (N,), (N,) -> (N,)
        """
        transition, emission = self.tables()
        return transition[history, self.encoder[0].classes.long()[words]] + emission[words]

    def tables(self) -> tuple[Tensor, Tensor]:
        """Log p(c | c') and log p(w | c(w)), -inf for words without a class.  Shapes: -> (C + 1, C), (vocab_size,)"""
        classes, counts = self.encoder[0].classes.long(), self.encoder[0].counts.double()
        c = self.bigrams.size(1)
        has = classes != NONE
        members = torch.bincount(classes[has], minlength=c).double()
        size = torch.zeros(c, dtype=torch.float64).index_add_(0, classes[has], counts[has])
        seen = torch.bincount(classes[has & (counts > 0)], minlength=c).double()
        used = (members > 0).double()
        unigram = (size + used) / (size + used).sum()

        n = self.bigrams.double()
        total, kinds, discount = n.sum(1, keepdim=True), (n > 0).sum(1, keepdim=True), _discount(self.bigrams)
        left = torch.where(total > 0, discount * kinds / total.clamp(min=1), 1.0)
        transition = (n - discount).clamp(min=0) / total.clamp(min=1) + left * unigram

        discount = _discount(counts[has])
        left = torch.where(size > 0, discount * seen / size.clamp(min=1), 1.0) / members.clamp(min=1)
        of = classes.clamp(min=0)
        emission = (counts - discount).clamp(min=0) / size.clamp(min=1)[of] + left[of]
        return transition.log(), torch.where(has, emission, 0.0).log()


def _discount(counts: Tensor) -> float:
    """n₁ / (n₁ + 2 n₂), within 0.1 … 0.9 (Ney, Essen and Kneser 1994, equation 26)."""
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    return min(0.9, max(0.1, once / max(1.0, once + 2 * twice)))


class Task(NamedTuple):
    """One step: a piece of a phase, about a third of a second of work.

    count     bigrams of the training text                       tokens start … end-1
    insert    a word becomes a class; past the first C, a merge  words
    rest      a word joins the best class, without a merge       words (in a plan cut short)
    exchange  a word may move to a better class                  words
    compare   D of all pairs, written out                        slots (after rest and exchange, which do not keep it)
    tree      the best merge                                     merges
    """

    kind: Kind
    start: int
    end: int


def full_plan(n_tokens: int, frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    """Everything, when there are no classes yet.

    Args:
        frequencies: of the words, in falling order.
        n_classes: C, at most the number of words.
        passes: of exchange.
    """
    work = _insert_work(frequencies, n_classes)
    return [
        *_counting(n_tokens),
        *_pieces("insert", 0, work),
        *_exchanging(frequencies, n_classes, passes),
        *(_comparing(n_classes) if passes else []),
        *_merging_down(n_classes),
    ]


def plan_from_classes(n_tokens: int, frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    """Everything, when there are classes to start from: exchange at least once, and a new tree."""
    return [
        *_counting(n_tokens),
        *_exchanging(frequencies, n_classes, max(1, passes)),
        *_comparing(n_classes),
        *_merging_down(n_classes),
    ]


def finishing(tasks: Sequence[Task], done: int, frequencies: IntArray, n_classes: int) -> list[Task]:
    """The shortest way to a class and a path for every word when `done` tasks of a plan are done."""
    before, after = tasks[:done], list(tasks[done:])
    if not any(task.kind in ("count", "insert", "rest", "exchange") for task in after):
        return after
    inserts = any(task.kind == "insert" for task in tasks)
    position = max(
        (t.end for t in before if t.kind in ("insert", "rest")), default=0 if inserts else len(frequencies)
    )
    rest = _rest_work(frequencies, n_classes)
    left: list[Task] = []
    if position < n_classes:
        left += _pieces("insert", position, _insert_work(frequencies, n_classes)[position:n_classes])
        position = n_classes
    left += _pieces("rest", position, rest[position:])
    stale = not inserts or any(t.kind in ("rest", "exchange") for t in [*before, *left])
    return [*left, *(_comparing(n_classes) if stale else []), *_merging_down(n_classes)]


def _counting(n_tokens: int) -> list[Task]:
    return [Task("count", start, min(start + SPAN, n_tokens)) for start in range(0, max(1, n_tokens), SPAN)]


def _exchanging(frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    return _pieces("exchange", 0, _rest_work(frequencies, n_classes)) * passes


def _comparing(n_classes: int) -> list[Task]:
    return _pieces("compare", 0, 10.0 * n_classes * np.arange(n_classes + 1))


def _merging_down(n_classes: int) -> list[Task]:
    return _pieces("tree", 0, np.full(n_classes - 1, 10.0 * n_classes**2))


def _insert_work(frequencies: IntArray, n_classes: int) -> npt.NDArray[Any]:
    """A frequent word has all classes for neighbours; for every word the best pair is sought."""
    work: npt.NDArray[Any] = (
        np.minimum(30.0 * n_classes * frequencies, 5.0 * n_classes**2) + 1.5 * n_classes**2 + 10_000
    )
    return work


def _rest_work(frequencies: IntArray, n_classes: int) -> npt.NDArray[Any]:
    work: npt.NDArray[Any] = (
        np.minimum(6.0 * n_classes * frequencies, n_classes**2) + 50.0 * n_classes + 4.0 * frequencies
    )
    return work


def _pieces(kind: Kind, first: int, work: npt.NDArray[Any]) -> list[Task]:
    """Consecutive pieces of about equal work."""
    if not len(work):
        return []
    piece = (np.cumsum(work) // WORK).astype(np.int64)
    begins = first + np.flatnonzero(np.diff(piece, prepend=-1))
    ends = np.append(begins[1:], first + len(work))
    return [Task(kind, int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


class BigramCounts:
    """The bigrams of a text within documents; a stretch's first word follows the last one of the stretch before it.

    Args:
        store: the text.

    Attributes:
        starts: first tokens of documents, in order.
        keys, numbers: the different bigrams, as first * vocab_size + second, in order, and how often each occurs.

    Shapes:  starts: (documents with text,).  keys, numbers: (different bigrams,)
    """

    def __init__(self, store: TokenStore) -> None:
        self._tokens, self._size = store.tokens, store.vocab_size
        bounds = np.asarray(store.sentences)[np.asarray(store.documents)]
        self.starts: IntArray = np.unique(bounds[:-1][np.diff(bounds) > 0])
        self.keys: IntArray = np.zeros(0, np.int64)
        self.numbers: IntArray = np.zeros(0, np.int64)

    def clear(self) -> None:
        """Forget what was counted."""
        self.keys, self.numbers = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def restore(self, keys: IntArray, numbers: IntArray) -> None:
        """Go on from what was counted before."""
        self.keys, self.numbers = keys.copy(), numbers.copy()

    def add(self, start: int, end: int) -> None:
        """Count the bigrams whose second word is one of tokens start … end-1."""
        before = max(0, start - 1)
        ids = self._tokens[before:end].astype(np.int64)
        inner = np.ones(len(ids), np.bool_)
        first = self.starts[np.searchsorted(self.starts, before) :]
        inner[first[first < end] - before] = False
        keys = np.sort((ids[:-1] * self._size + ids[1:])[inner[1:]])
        begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
        numbers = np.diff(np.append(begins, len(keys)))
        keys = np.concatenate([self.keys, keys[begins]])
        self.keys, where = np.unique(keys, return_inverse=True)
        weights = np.concatenate([self.numbers, numbers])
        self.numbers = np.bincount(where, weights, minlength=len(self.keys)).astype(np.int64)

    def words(self) -> tuple[IntArray, IntArray]:
        """The first and the second word of each different bigram."""
        return np.divmod(self.keys, self._size)


def _on_a_line(word: str) -> str:
    """A word with its control characters and line ends escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in word)


class ClassBigramLearner:
    """Brown clustering as a learner: every step is a piece of a plan made from the words' frequencies.

    The training text is counted in the first steps. So that an epoch is the whole algorithm, each step answers for
    an equal share of the text: after half of an epoch's tokens half of the plan is done.

    Args:
        encoder: ClassEncoder.
        config: section [class_bigram].
        train, valid: the tokens.
        tokenizer: names the words in the file of paths.
        heldout_tokens: bound on what is scored.
    """

    def __init__(
        self, encoder: ClassEncoder, config: ClassBigramConfig, *, train: TokenStore, valid: TokenStore,
        tokenizer: Tokenizer, heldout_tokens: int, **_: Any,
    ) -> None:  # fmt: skip
        if train.n_tokens >= 2**31:
            raise CorpusError(
                "word classes are made from fewer than 2³¹ tokens",
                got=f"{train.n_tokens:,}",
                fix="a share of the text is enough",
            )
        self.encoder, self.config, self.head = encoder, config, ClassBigramHead(encoder)
        self._train, self._valid, self._tokenizer = train, valid, tokenizer
        self._heldout_tokens = heldout_tokens
        counts = np.array(train.counts)
        order = np.lexsort((np.arange(len(counts)), -counts))
        self._words = order[: int((counts > 0).sum())]  # ids by frequency
        self._counts = counts
        self._special = [i for i in tokenizer.special_ids if i != tokenizer.unk_id]
        self._bigrams = BigramCounts(train)
        self._given: Int32Array | None = None
        self._clustering: Clustering | None = None
        self._merged: list[list[int]] = []
        self._moved = 0
        self._plan(full_plan(train.n_tokens, self._frequencies, self._n_classes, config.exchange_passes))
        self._whole: tuple[int, dict[str, Tensor]] | None = None
        self._progress: list[float] = []  # the newest
        c = encoder.config.num_classes
        self.n_parameters = len(counts) + 2 * (c - 1) + c * (c + 1)
        encoder.counts.copy_(torch.from_numpy(counts))
        encoder.classes[self._special] = NONE

    def _plan(self, tasks: list[Task]) -> None:
        self._tasks, self._done = tasks, 0
        self.steps_per_epoch = float(len(tasks))
        self.tokens_per_step = self._train.n_tokens / len(tasks)

    @property
    def _frequencies(self) -> IntArray:
        return self._counts[self._words]

    @property
    def _n_classes(self) -> int:
        if self._given is not None:
            return int(self.encoder.config.num_classes)
        return min(int(self.encoder.config.num_classes), len(self._words))

    @property
    def finished(self) -> bool:
        """Whether every word has a class and the tree is whole."""
        return self._done >= len(self._tasks)

    def stream(self, step: int, progress: Callable[[int], float]) -> Iterator[Span]:
        """The share of the text that each step answers for; then empty spans."""
        n, parts = self._train.n_tokens, int(self.steps_per_epoch)
        while True:
            yield Span(n * min(step, parts) // parts, n * min(step + 1, parts) // parts)
            step += 1

    def step(self, batches: Sequence[Span], progress: float) -> dict[str, float]:
        """Do the next task of the plan, or, where the budget will not last, make the plan shorter first."""
        if self._falls_short(progress):
            rest = finishing(self._tasks, self._done, self._frequencies, self._n_classes)
            self._tasks = self._tasks[: self._done] + rest
        task = self._tasks[self._done]
        self._done += 1
        metrics: dict[str, float] = {"task": float(self._done), "tasks": float(len(self._tasks))}
        if task.kind == "count":
            self._bigrams.add(task.start, task.end)
            return metrics
        clustering = self._ready()
        if task.kind in ("insert", "rest"):
            if task.kind == "insert":
                clustering.insert(task.start, task.end)
            else:
                clustering.exchange(task.start, task.end)
            metrics["words"] = float(task.end)
        elif task.kind == "exchange":
            moved = clustering.exchange(task.start, task.end)
            self._moved = moved if task.start == 0 else self._moved + moved
            metrics["moved"] = float(self._moved)
            if task.end == clustering.n_words and not self._moved:  # nothing is left to gain
                later = self._tasks[self._done :]
                self._tasks = self._tasks[: self._done] + [t for t in later if t.kind != "exchange"]
        elif task.kind == "compare":
            clustering.compare_all(task.start, task.end)
        else:
            self._merged += clustering.merge_down(task.end - task.start).tolist()
        if task.kind != "tree":
            metrics["mutual_information"] = clustering.mutual_information
        return metrics

    def _falls_short(self, progress: float) -> bool:
        """Whether the plan does not fit into what is left of the budget, and putting off what remains cannot wait."""
        self._progress = [*self._progress[-PACE:], progress]
        kind = self._tasks[self._done].kind
        if kind not in ("insert", "exchange") or len(self._progress) < 2:
            return False
        pace = float(np.median(np.diff(self._progress)))  # a share of the budget per step
        left = len(self._tasks) - self._done
        if progress + pace * left <= 1 + 1e-9:
            return False
        needed = len(finishing(self._tasks, self._done + 1, self._frequencies, self._n_classes))
        return progress + pace * (1 + needed) > 1 + 1e-9

    def _ready(self) -> Clustering:
        """The clustering, begun from the counts where it has not been yet."""
        if self._clustering is not None:
            return self._clustering
        from polyseme.objectives.brown import Clustering, bigrams_of

        rank = np.full(len(self._counts), -1, np.int64)
        rank[self._words] = np.arange(len(self._words))
        first, second = self._bigrams.words()
        bigrams = bigrams_of(rank[first], rank[second], self._bigrams.numbers, len(self._words))
        clustering = Clustering(bigrams, self._n_classes)
        if self._given is not None:
            clustering.restore(self._given[self._words])
        if not any(task.kind == "count" for task in self._tasks[self._done :]):
            self._clustering = clustering
        return clustering

    def _finish(self, clustering: Clustering) -> list[list[int]]:
        """Do what is left of the plan in its shortest form; returns the merges of the tree."""
        merged = list(self._merged)
        for task in finishing(self._tasks, self._done, self._frequencies, self._n_classes):
            if task.kind == "insert":
                clustering.insert(task.start, task.end)
            elif task.kind == "rest":
                clustering.exchange(task.start, task.end)
            elif task.kind == "compare":
                clustering.compare_all(task.start, task.end)
            else:
                merged += clustering.merge_down(task.end - task.start).tolist()
        return merged

    def weights(self) -> dict[str, Tensor]:
        """The whole result as of now: what is still to be done is done in short, on a copy."""
        if self._whole is None or self._whole[0] != self._done:
            if not len(self._bigrams.keys):
                tensors = {f"encoder.{k}": v.detach() for k, v in self.encoder.named_parameters()}
                tensors |= {f"heads.class_bigram.{k}": v.detach() for k, v in self.head.named_parameters()}
            elif self.finished:
                tensors = self._result(self._ready().slot_of, self._merged)
            else:
                clustering = self._ready().copy()
                tensors = self._result(clustering.slot_of, self._finish(clustering))
            self._whole = self._done, tensors
        return {name: tensor.clone() for name, tensor in self._whole[1].items()}

    def _result(self, slot_of: Int32Array, merged: list[list[int]]) -> dict[str, Tensor]:
        """Classes numbered in the order of their paths, words that the text does not have included."""
        c = int(self.encoder.config.num_classes)
        from polyseme.objectives.brown import tree_of

        leaf, tree = tree_of(slot_of, merged, c)
        paths = self.encoder.paths_of(torch.from_numpy(tree))
        number = np.arange(2 * c - 1)
        number[sorted(range(len(leaf)), key=paths.__getitem__)] = np.arange(len(leaf))
        tree = np.where(tree == NONE, NONE, number[tree]).astype(np.int32)

        classes = np.full(len(self._counts), NONE, np.int32)
        classes[self._words] = number[[leaf[slot] for slot in slot_of.tolist()]]
        rarest = classes[self._words[self._frequencies == self._frequencies[-1]]]
        unseen = self._counts == 0
        unseen[self._special] = False
        classes[unseen] = np.bincount(rarest).argmax()

        bigrams = np.zeros((c + 1, c), np.int64)
        first, second = self._bigrams.words()
        cells = classes[first].astype(np.int64) * c + classes[second]
        bigrams[:c] = np.bincount(cells, self._bigrams.numbers, c * c).reshape(c, c)
        bigrams[c] = np.bincount(classes[self._train.tokens[self._bigrams.starts]], minlength=c)
        return {
            "encoder.classes": torch.from_numpy(classes),
            "encoder.tree": torch.from_numpy(tree),
            "encoder.counts": torch.from_numpy(self._counts.copy()),
            "heads.class_bigram.bigrams": torch.from_numpy(bigrams),
        }

    def _show(self, tensors: Mapping[str, Tensor]) -> None:
        """Put a result into the encoder and the head."""
        for name, parameter in self.encoder.named_parameters():
            parameter.copy_(tensors[f"encoder.{name}"])
        self.head.bigrams.copy_(tensors["heads.class_bigram.bigrams"])

    def _whole_plan(self) -> list[Task]:
        """What was done, and what is left in its shortest form."""
        rest = finishing(self._tasks, self._done, self._frequencies, self._n_classes)
        return [*self._tasks[: self._done], *rest]

    def evaluate(self, batches: Sequence[Any]) -> dict[str, float]:
        """Held-out loss and baseline, the training text's mutual information, and what the budget left out.

        class_bigram_left_out: words that were (or, if the run ended now, would be) put in without a merge.
        """
        from polyseme.objectives.brown import average_mutual_information

        self._show(self.weights())
        positions = heldout_tokens(self._valid, self._heldout_tokens)
        tokens = np.asarray(self._valid.tokens).astype(np.int64)
        words = torch.from_numpy(tokens[positions])
        history = self.encoder.classes.numpy()[tokens[positions - 1]]
        bounds = np.asarray(self._valid.sentences)[np.asarray(self._valid.documents)]
        history = np.where(np.isin(positions, bounds), self.encoder.config.num_classes, history)
        loss = -self.head(torch.from_numpy(history.astype(np.int64)), words)
        self.heldout_blocks = {"class_bigram_loss": block_sums(loss)}
        return {
            "class_bigram_loss": float(loss.mean()),
            "class_bigram_baseline": float(
                -log_unigram(torch.from_numpy(self._counts))[words].double().mean()
            ),
            "class_bigram_mutual_information": average_mutual_information(self.head.bigrams[:-1].numpy()),
            "class_bigram_left_out": float(
                sum(t.end - t.start for t in self._whole_plan() if t.kind == "rest")
            ),
        }

    def files(self, weights: Mapping[str, Tensor]) -> dict[str, bytes]:
        """ "paths": a line a word, its bits, itself and how often it occurs; by path, most frequent first.

        Words stand there as people read them; line ends and tabs in them are escaped as in Python.
        """
        classes, counts = weights["encoder.classes"].tolist(), weights["encoder.counts"].tolist()
        paths = self.encoder.paths_of(weights["encoder.tree"])
        words = [i for i, c in enumerate(classes) if c != NONE]
        words.sort(key=lambda i: (paths[classes[i]], -counts[i], i))
        lines = [
            f"{paths[classes[i]]}\t{_on_a_line(self._tokenizer.display(i))}\t{counts[i]}\n" for i in words
        ]
        return {"paths": "".join(lines).encode()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Start from given classes: they are improved by exchange on this text, and get a new tree."""
        self._show(tensors)
        self._given = tensors["encoder.classes"].numpy().copy()
        self._clustering, self._merged, self._whole = None, [], None
        self._bigrams.clear()
        self._plan(
            plan_from_classes(
                self._train.n_tokens, self._frequencies, self._n_classes, self.config.exchange_passes
            )
        )

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The result as of now, the counts, the classes so far and D; the plan and where in it we are."""
        tensors = self.weights() | {
            "state.keys": torch.from_numpy(self._bigrams.keys.copy()),
            "state.numbers": torch.from_numpy(self._bigrams.numbers.copy()),
        }
        if self._given is not None:
            tensors["state.given"] = torch.from_numpy(self._given.copy())
        if self._clustering is not None:
            tensors["state.slot_of"] = torch.from_numpy(self._clustering.slot_of.copy())
            tensors["state.d"] = torch.from_numpy(self._clustering.tables.d.copy())
        return tensors, {
            "tasks": [list(task) for task in self._tasks],
            "done": self._done,
            "merged": [list(pair) for pair in self._merged],
            "moved": self._moved,
            "progress": self._progress,
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._show(tensors)
        self._bigrams.restore(tensors["state.keys"].numpy(), tensors["state.numbers"].numpy())
        given = tensors.get("state.given")
        self._given = None if given is None else given.numpy().copy()
        self._tasks, self._done = [Task(*task) for task in extra["tasks"]], int(extra["done"])
        self._merged, self._moved = [list(pair) for pair in extra["merged"]], int(extra["moved"])
        self._progress = list(extra["progress"])
        self._clustering, self._whole = None, None
        if "state.slot_of" in tensors:
            self._ready().restore(tensors["state.slot_of"].numpy(), tensors["state.d"].numpy(), self._merged)


ENTRY = ObjectiveEntry(
    config=ClassBigramConfig, learner=ClassBigramLearner, head=ClassBigramHead, perplexity=True
)
