"""Interfaces: what an encoder, an objective and a learner promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from polyseme.core.types import Batch, Encoding, Keep, Reach


@dataclass(frozen=True, slots=True)
class HeadStyle:
    """How a model family shapes its token prediction head: dense → activation → norm → tied decoder + bias.

    With `classifier_transform` its classifiers also read what dense → activation → norm gives.
    """

    activation: str = "gelu"
    dense_bias: bool = True
    norm_bias: bool = True
    norm_eps: float = 1e-12
    decoder_bias: bool = True
    initializer_range: float = 0.02
    classifier_transform: bool = False


class Encoder(Protocol):
    """Turns a batch into hidden states. Every encoder is also a torch.nn.Module.

    Attributes:
        config: the frozen configuration it was built from; it has at least `vocab_size` and `hidden_size`.
        reach: which neighbours a token's vector may depend on.
        max_length: longest example it can encode, tokens.
        head_style: how its family shapes a token prediction head.
    """

    config: Any
    reach: Reach
    max_length: int
    head_style: HeadStyle

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch: the last layer, or all of them, embedding layer first.

        With `at`, flat positions (P,), an encoder may compute the last layer at those positions only.
        """
        ...

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, to which prediction heads are tied."""
        ...

    def pooler(self) -> nn.Module | None:
        """The family's own map from [CLS] vectors to sentence vectors, or None."""
        ...

    # Of a torch.nn.Module, what its users call.

    training: bool

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """All weights."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All weights with their names."""
        ...

    def children(self) -> Iterator[nn.Module]:
        """Its parts."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Itself and all its parts."""
        ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Itself and all its parts with their names."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Compute as in training, with dropout."""
        ...

    def eval(self) -> Any:
        """Compute without dropout."""
        ...

    def to(self, device: Any) -> Any:
        """Move to a device."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Put weights in place."""
        ...

    # An encoder that must know how its tokens are spelled also has `read_vocabulary(tokens: Sequence[str])`; it is
    # called once, before weights are loaded, with the vocabulary's entries in the order of their ids.
    #
    # An encoder whose hidden states are two halves, one that has seen the left side only and one that has seen the
    # right side only, also has `two_way = True`.
    #
    # An encoder whose vector of a token says which token it is and nothing else also has `one_of_n = True`.
    #
    # An encoder for which cosine says nothing also has `neighbours(id, top) -> [(id, {"similarity": …, …})]`: its own
    # answer to which words belong with a word, best first.


class SparseEncoder(Encoder, Protocol):
    """An encoder whose vectors are zeros with ones in a few columns: texts become sparse matrices."""

    def active(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Where the ones are.  Shapes:  ids: (N,) -> rows, columns: (number of ones,)"""
        ...


class StaticEncoder(Encoder, Protocol):
    """An encoder that is a table: a token has one vector in every text."""

    def means(self, ids: Tensor, starts: Tensor) -> Tensor:
        """The mean of each text's vectors; of a text without tokens zeros.

        Shapes:  ids: (N,) of all texts, one behind the other.  starts: (B,) of each text in them -> (B, hidden_size)
        """
        ...


class DecodingEncoder(Encoder, Protocol):
    """An encoder that reads to the left, and goes on from what it has read."""

    def new_cache(self, rows: int, capacity: int, start: Tensor | None = None) -> Any:
        """Room for `rows` sequences of at most `capacity` tokens; `start`: each row's first real slot."""
        ...

    def decode(self, ids: Tensor, cache: Any) -> Tensor:
        """Last-layer states of new tokens, which are added to the cache.

        Shapes:  ids: (B, T_new) -> (B, T_new, hidden_size)
        """
        ...


class Objective(Protocol):
    """What is learned: how a batch is prepared, which head predicts, how the loss counts.

    Attributes:
        name: registry key; also the key of its targets in a batch and of its head's file.
        draws: True when the objective itself says what an example is: it then has
            `examples(store, length) -> ExampleSource`. Of a recipe's objectives at most one does.
        hides: (only where it is so) True when `prepare` hides tokens of the text; at most one objective does.
        causal: (only where it is so) True when its batches must be read from the left alone (`Batch.causal`).
    """

    name: str
    draws: bool
    config: Any

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> nn.Module:
        """A fresh head for this encoder; `counts` are the training text's unigram counts, (vocab_size,)."""
        ...

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of the losses in nats, and how many predictions they are over. Never a mean."""
        ...

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums and counts by metric, "loss" among them."""
        ...

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """The loss of predicting from frequency alone: sum in nats and count."""
        ...

    # An objective whose batches are of several kinds has `parts: tuple[Objective, ...]`, one for each kind, and
    # `shares: tuple[float, ...]`, of the batches: each prepares and scores batches of its own, gives its name to their
    # figures, and reads the head that the whole builds.
    #
    # An objective that predicts tokens which are not in the text, such as its ends, also has
    # `counts(store: TokenStore) -> (vocab_size,)`: how often each entry is to be predicted, for heads and baselines.
    # One that hides tokens, which `polyseme mask` shows, may have `stages: dict[str, float]`: what it hides, and from
    # which share of the budget on; one that hides units, `find(rows) -> data.units.RowUnits` and
    # `units: data.units.Units`.


class Task(Objective, Protocol):
    """An objective whose labels come from people: it also reads files, decodes what its head says, and names figures.

    Its section of a recipe holds what was learned about the labels, so that a run needs no file to be used. Records are
    those of text/labelled. Its head is a `TaskHead`.
    """

    @classmethod
    def read(
        cls, path: Any, config: Any, columns: Any, problems: Any, labelled: bool = True
    ) -> Iterator[Any]:
        """Records of a file, one by one; what is wrong is counted in `problems`.

        Args:
            columns: our names of columns to the file's, or `text.labelled.opening.ReadOptions` with them, an encoding
                and a separator.
        """
        ...

    @classmethod
    def learn(cls, config: Any, records: Sequence[Any], encoder: Encoder) -> Any:
        """The configuration with what training records and encoder decide: labels, pooling.

        Raises:  CorpusError: nothing can be learned from them.
        """
        ...

    def encode(self, records: Sequence[Any], tokenizer: Any, encoder: Encoder) -> Any:
        """Examples of records, one each or several windows, with what the head should say."""
        ...

    def use(self, data: Any) -> None:
        """The examples that `prepare` is asked about, by their numbers."""
        ...

    def baseline(self, data: Any) -> float:  # type: ignore[override]  # of all its examples, not of a batch
        """The mean loss of predicting from the labels alone."""
        ...

    def outputs(self, encoding: Encoding, head: nn.Module, batch: Batch) -> list[Any]:
        """What the head says of every example of a batch, as arrays."""
        ...

    def tune(self, data: Any, outputs: Sequence[Any]) -> dict[str, Any]:
        """What is decided on dev, such as a threshold; JSON-able."""
        ...

    def predictions(
        self, data: Any, outputs: Sequence[Any], decoding: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """What is said of every record, JSON-able, with probabilities and character offsets."""
        ...

    # A task whose training file may hold labels of another kind than most also has the class method
    # `of_one_kind(config, records, problems) -> (config, records)`, and one that can say in a few words what the labels
    # of records are has `described(records) -> str`.

    def measures(self, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Figures by name, the main one first, each of which can be resampled (tasks/metrics/measure.py)."""
        ...

    def details(self, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Tables for people: figures by label, a confusion matrix; JSON-able."""
        ...

    def wrong(self, record: Any, prediction: Mapping[str, Any]) -> bool:
        """Whether a prediction is not what the record says."""
        ...

    def gold_of(self, record: Any) -> Any:
        """What the record says, JSON-able."""
        ...

    def unknown_labels(self, records: Sequence[Any]) -> Mapping[str, int]:
        """How often records have each label that was not learned."""
        ...


class SolvedTask(Task, Protocol):
    """A task whose head can be linear in the features of a text, so that its weights are solved for.

    Its head is then a `SolvedHead`.
    """

    @property
    def penalties(self) -> Sequence[float]:
        """Of the squares of the weights: those that are tried on dev; none where gradients train the head."""
        ...

    @property
    def two_sided(self) -> bool:
        """Whether the loss depends on the difference of two scores alone."""
        ...

    def loss_of(self, logits: Tensor, gold: Tensor) -> tuple[Tensor, int]:
        """The loss of scores: their sum, and how many examples it is over."""
        ...


class SolvedHead(Protocol):
    """The head of a `SolvedTask`: a linear layer over features of texts; a torch.nn.Module.

    Attributes:
        outputs: numbers a text.
        weight, bias: (features, outputs) and (outputs,).
    """

    outputs: int
    weight: Tensor
    bias: Tensor

    def learn(self, details: Sequence[Any]) -> Any:
        """Take the features from the details of the training examples, as the task's `encode` gives them.

        Returns them as a scipy CSR matrix.  Shapes: E details -> (E, features)
        """
        ...

    def take_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Make room for the weights of a run: a recipe does not tell how many features there are."""
        ...

    def telling(self, most: int, word: Callable[[int], str]) -> list[list[str]]:
        """The features that speak most for each output, best first.

        Args:
            most: how many.
            word: how an id of the run's vocabulary is spelled.
        """
        ...


class TokenHead(Protocol):
    """The head of an objective that predicts tokens (`ObjectiveEntry.predicts`); a torch.nn.Module."""

    @property
    def weight(self) -> Tensor:
        """A row for each class: (classes, size of a hidden state)."""
        ...

    def logits(self, h: Tensor) -> Tensor:
        """Scores of all classes.  Shapes:  (…, size) -> (…, classes)"""
        ...


class TaskHead(Protocol):
    """The head of a task; a torch.nn.Module.

    Attributes:
        reads: what it needs of an encoder: the last layer "at" the targets, the whole "last" layer, "all", or "none".
    """

    @property
    def reads(self) -> str:
        """See above."""
        ...

    def __call__(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        """Scores of every example, or of the tokens at flat positions.  Shapes: positions: (P,) -> (E or P, …)"""
        ...


class DenseHead(TaskHead, Protocol):
    """A head that can also be computed of whole rows, an example each: what ONNX can hold.

    Attributes:
        of_texts: it scores examples, not tokens.
        reads_types: it asks which of two texts a token belongs to.
        recurrent: what it holds reads step by step, so that there is no form of whole rows after all.
    """

    of_texts: bool

    @property
    def reads_types(self) -> bool:
        """See above."""
        ...

    @property
    def recurrent(self) -> bool:
        """See above."""
        ...

    def columns(self, batch: Batch, separators: Sequence[int], static: bool) -> Tensor:
        """Which tokens it reads, an example a row, as the task's `encode` chooses them.

        Args:
            separators: ids that stand around and between texts.
            static: the encoder sees no context, so that separators say nothing.
        Shapes:  -> (B, T) boolean
        """
        ...

    def dense(self, encoding: Encoding, batch: Batch, columns: Tensor) -> Tensor:
        """What `__call__` gives, by steps that do not depend on the values in the tensors.

        Shapes:  columns: (B, T) -> (B, outputs) of texts, (B, T, outputs) of tokens
        """
        ...


class Learner(Protocol):
    """What the trainer drives: one update at a time, with a state that can be saved."""

    def step(self, batches: Sequence[Batch], progress: float) -> Mapping[str, float]:
        """Make one update from micro-batches; `progress` in [0, 1] is the share of the budget spent."""
        ...

    def evaluate(self, batches: Sequence[Batch]) -> Mapping[str, float]:
        """Held-out metrics; changes nothing."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights on the CPU, by name."""
        ...

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to go on: tensors, and a JSON-able part."""
        ...

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...


class Span(NamedTuple):
    """What a corpus learner takes for one step: tokens start … end-1 of the training split."""

    start: int
    end: int

    @property
    def n_tokens(self) -> int:
        """Tokens of the span."""
        return self.end - self.start


class CorpusLearner(Protocol):
    """A learner without gradients that reads the token store itself: counts, kernels, merges.

    The same trainer drives it: clock, budget, evaluations, checkpoints, resume, signals. `ObjectiveEntry` says
    how it is called.

    Attributes:
        steps_per_epoch: steps that read the training text once.
        tokens_per_step: tokens of a step on average.
        n_parameters: numbers learned.
        finished: True when there is nothing left to do, whatever the budget.
    """

    steps_per_epoch: float
    tokens_per_step: float
    n_parameters: int
    finished: bool

    def stream(self, step: int, progress: Callable[[int], float]) -> Iterator[Span]:
        """Endless spans from a step on; a pure function of the seed and the step."""
        ...

    def step(self, batches: Sequence[Span], progress: float) -> Mapping[str, float]:
        """Learn from the spans; `progress` in [0, 1] is the share of the budget spent."""
        ...

    def evaluate(self, batches: Sequence[Any]) -> Mapping[str, float]:
        """Held-out metrics OBJECTIVE_loss and OBJECTIVE_baseline (nats per prediction), and others; changes nothing."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights, by name: "encoder.…" and "heads.OBJECTIVE.…"."""
        ...

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put weights in place."""
        ...

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to go on: tensors, `weights()` among them, and a JSON-able part."""
        ...

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...

    # A learner that teaches one thing after another has `stages -> Sequence[float]`: the shares of the budget at which
    # it goes on to the next; from the second one on the newest weights are the best. A learner whose result has a text
    # form also has `files(weights) -> dict[str, bytes]`: what to write into the run folder beside these weights, by
    # file name; a pure function of them.
