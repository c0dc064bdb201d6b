"""What a file of models/, objectives/ or tasks/ registers: one object, called ENTRY.

Everybody else reads an entry's fields; nobody asks what a model, an objective or a task is called. So a third party's
works as ours do: an entry point of the group `polyseme.models`, `polyseme.objectives` or `polyseme.tasks` names the
module that holds its ENTRY.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from polyseme.core.config import Config

Predicts = Literal["masked", "next", "both"]
"""Which tokens a head gives probabilities of: hidden ones from both sides, the next one from the left, or every one
from its left and from its right (ELMo)."""

Records = Literal["text", "pair", "tags", "question"]
"""What an example of a task is; text/labelled/records.py has their classes."""

VECTORS = ("feature-extraction", "embed RUN FILE -o vectors.npy")
"""The use of a run that is good for its vectors."""

FREQUENCY = "from word frequency alone"
"""What gives the loss that most objectives are compared with."""

UNREAD = "without reading"
"""The same for tasks: the frequencies of labels, their mean, or any token of the text alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A representation.

    Args:
        config: its configuration class.
        build: configuration -> encoder (a torch.nn.Module that satisfies `Encoder`).
        objectives: what it is pretrained with where a recipe does not say; the main one first.
        recipe: the file of settings that it is pretrained with where no other is named; None = ours of the same name,
            else the defaults.
        why_no_attention: of a model without attention, what it does instead; the end of a sentence.
    """

    config: type[Config]
    build: Callable[[Any], Any]
    objectives: tuple[str, ...] = ("masked_lm",)
    recipe: Path | None = None
    why_no_attention: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveEntry:
    """What is learned, from text.

    It has `build`, or `learner` where it needs no gradients and reads the token store itself.

    Args:
        config: the class of its section in a recipe.
        build: (config, special, seed) -> objective, which satisfies `Objective`.
        learner: a `CorpusLearner`; called as (encoder, config, train=TokenStore, valid=TokenStore,
            tokenizer=Tokenizer, seed=int, learning_rate=progress -> rate, heldout_tokens=int, threads=int).
        head: encoder -> the module that holds what such a learner has learned beside the encoder's weights.
        check: (encoder) -> None; raises ConfigError where such an encoder can never be trained with it, judged by what
            its class says (reach, two_way). Called with the class before any work.
        judged: settings under which every run is judged on held-out text, however it is trained.
        read: (config, store, tokenizer, lexicon) -> knowledge: what it must learn from the training text beforehand.
            Knowledge has as_bytes(), which the run keeps as OBJECTIVE.tsv, report(), JSON-able, and summary(), a line
            for people. The objective then has `use(knowledge)`, called once before it prepares a batch.
        parse: (bytes, tokenizer) -> the same knowledge.
        few_words: settings for a text of few words, where the recipe's default would leave most of it out.
        predicts: which tokens its head gives probabilities of, so that a run can fill, score or generate; its head
            then has logits(hidden states) -> (…, classes), and `weight`, a row for each class.
        neighbours: it brings words that are alike near to each other.
        perplexity: its loss is that of every token from those before it (or behind it), so e^loss is a perplexity.
        alone: what gives the loss that its own is compared with, in words.
        goes_on: alone it teaches weights that know words already, those of another run.
        parts: objectives that take turns, with batches and figures of their own, and share its head, which then gives
            what each of them predicts; `predicts` is that of the first.
    """

    config: type[Config]
    build: Callable[..., Any] | None = None
    learner: Callable[..., Any] | None = None
    head: Callable[[Any], Any] | None = None
    check: Callable[[Any], None] | None = None
    judged: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[..., Any] | None = None
    parse: Callable[..., Any] | None = None
    few_words: Mapping[str, Any] = field(default_factory=dict)
    predicts: Predicts | None = None
    neighbours: bool = True
    perplexity: bool = False
    alone: str = FREQUENCY
    goes_on: bool = False
    parts: tuple[str, ...] = ()

    @property
    def use(self) -> tuple[str, str]:
        """The pipeline tag of model hubs, and the command that shows what was learned."""
        if self.predicts == "masked":
            return "fill-mask", 'fill RUN "… [MASK] …"'
        if self.predicts == "next":
            return "text-generation", 'generate RUN "It was"'
        return VECTORS


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry(ObjectiveEntry):
    """What is learned from labels: an objective whose labels come from people.

    Args:
        build: (config, special, seed) -> task, which satisfies `Task`; a class, whose `read` and `learn` are called
            before there is an object.
        records: what an example is.
        tag: the pipeline tag of model hubs.
    """

    build: Any
    records: Records = "text"
    tag: str = "text-classification"
    alone: str = UNREAD

    @property
    def use(self) -> tuple[str, str]:
        """The pipeline tag of model hubs, and the command that shows what was learned."""
        return self.tag, "predict RUN FILE"
