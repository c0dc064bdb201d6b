"""Continue texts with a decoder: greedy, by sampling, or by beam search.

Prompts of different lengths form a batch, padded on the left; each gives the same result as alone. Random choices are
functions of (seed, number of the result, number of the token), so neither the batch nor the machine's threads change
them. A token's probability is the model's own, before temperature, filters and penalties; the sum of the logarithms
equals the score of `score_continuations` for the same text.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast, overload

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from polyseme.core.config import Config
from polyseme.core.protocols import DecodingEncoder, TokenHead
from polyseme.core.result import Result
from polyseme.core.rng import Random
from polyseme.errors import ConfigError
from polyseme.infer import sampling
from polyseme.infer.beams import beam_search
from polyseme.infer.contexts import Contexts
from polyseme.infer.continuation import Choice, Continuation, Generation, Prompt, Step, Token
from polyseme.infer.inputs import at_least_one, check_loaded, one_text, texts_of
from polyseme.infer.loaded import Loaded
from polyseme.text.joining import Joiner

__all__ = [
    "Choice",
    "Generation",
    "GenerationConfig",
    "NextTokens",
    "Step",
    "TextStream",
    "Token",
    "generate",
    "generate_stream",
    "next_tokens",
]

ROWS_AT_ONCE = 32
"""Texts that are continued side by side; more prompts are taken in turns."""

MOST_RESULTS = 256
"""Beams or results of a prompt: they are followed side by side, each with a cache of its own."""

MOST_ALTERNATIVES = 20
"""Tokens that are shown beside the one that was written."""

GREEDY = 1e-6
"""Temperatures below this take the most probable token: divided by them, logits would leave float32."""


class GenerationConfig(Config):
    """How texts are continued.

    Args:
        max_new_tokens: longest continuation.
        temperature: 0 takes the most probable token (greedy), as does less than a millionth; below 1 sharpens, above 1
            flattens.
        top_k: sample from the k most probable tokens only; None or 0 keeps all.
        top_p: sample from the most probable tokens that together have this probability; None or 1 keeps all.
        repetition_penalty: above 1 makes tokens of the prompt and of the continuation less likely to come again.
        beams: above 1, beam search with this many continuations, at most 256; the most probable is the result, and
            nothing is sampled.
        length_penalty: beam search ranks by log-probability / length^length_penalty.
        results: continuations per prompt: the best of the beams, or samples of their own; at most 256.
        seed: of the random choices.
        stop: a string, or several, that end the text; they are not part of it.
        alternatives: say of every token which so many were the likeliest in its place, and the entropy; at most 20.
    """

    max_new_tokens: int = Field(128, ge=1)
    temperature: float = Field(0.8, ge=0, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=1)
    top_p: float = Field(0.95, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, allow_inf_nan=False)
    beams: int = Field(1, ge=1, le=MOST_RESULTS)
    length_penalty: float = Field(1.0, allow_inf_nan=False)
    results: int = Field(1, ge=1, le=MOST_RESULTS)
    seed: int = 0
    stop: tuple[str, ...] = ()
    alternatives: int = Field(0, ge=0, le=MOST_ALTERNATIVES)

    @field_validator("stop", mode="before")
    @classmethod
    def _several(cls, stop: Any) -> Any:
        if stop is None or isinstance(stop, str):
            return () if stop is None else (stop,)
        if not isinstance(stop, list | tuple) or not all(isinstance(text, str) for text in stop):
            raise ConfigError("stop must be a string, or a list of strings", got=repr(stop)[:100])
        return stop

    @field_validator("alternatives", mode="before")
    @classmethod
    def _few(cls, alternatives: Any) -> Any:
        if type(alternatives) is int and not 0 <= alternatives <= MOST_ALTERNATIVES:
            raise ConfigError(
                "no such number of alternatives can be shown",
                got=f"alternatives {alternatives}",
                expected=f"0 … {MOST_ALTERNATIVES}",
                fix=f"--alternatives {MOST_ALTERNATIVES}",
            )
        return alternatives

    @field_validator("top_k", mode="before")
    @classmethod
    def _all(cls, top_k: Any) -> Any:
        return None if type(top_k) is int and top_k == 0 else top_k  # in other libraries 0 means all

    @field_validator("top_p", mode="before")
    @classmethod
    def _whole(cls, top_p: Any) -> Any:
        return 1.0 if top_p is None else top_p

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sampled = sorted({"temperature", "top_k", "top_p"} & self.model_fields_set)
        sampled = [n for n in sampled if not (n != "temperature" and getattr(self, n) in (None, 1.0))]
        if self.beams > 1 and sampled:
            raise ConfigError(
                f"beam search does not sample: {sampled[0]} has no place in it",
                got=f"beams {self.beams}, {sampled[0]} {getattr(self, sampled[0])}",
                fix=f"leave {sampled[0]} out, or the beams",
            )
        if self.beams > 1 and self.alternatives:
            raise ConfigError(
                "beam search weighs whole texts: its tokens have no alternatives",
                got=f"beams {self.beams}, alternatives {self.alternatives}",
                fix="leave the alternatives out, or the beams",
            )
        if self.beams > 1 and self.results > self.beams:
            raise ConfigError(
                "there are more results than beams",
                got=f"results {self.results}, beams {self.beams}",
                expected=f"at most {self.beams} results",
                fix=f"--beams {self.results}",
            )
        if self.beams == 1 and self.temperature == 0 and self.results > 1:
            raise ConfigError(
                "at temperature 0 there is one result: the most probable token every time",
                got=f"results {self.results}, temperature 0",
                fix="a temperature above 0; or several beams, which take no temperature",
            )
        if not all(self.stop):
            raise ConfigError(
                "a stop string must not be empty: every text would end at once",
                got=f"stop {list(self.stop)!r}"[:100],
                fix="leave stop out, or name the string",
            )
        return self


@overload
def generate(loaded: Loaded, prompts: str, **options: Any) -> Generation: ...
@overload
def generate(loaded: Loaded, prompts: Iterable[str], **options: Any) -> list[Generation]: ...
def generate(loaded: Loaded, prompts: str | Iterable[str], **options: Any) -> Generation | list[Generation]:
    """Continue one text or many.

    Args:
        loaded: a run of a decoder (gpt, qwen3 …).
        prompts: a text, or a list of texts of any lengths; "" begins a text of the model's own.
        options: the fields of `GenerationConfig` by name.
    Returns one `Generation` for a text, a list for a list, in its order.
    Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is unknown or out of range.

    Example:
        generate(load("runs/gpt"), "It was", max_new_tokens=20, temperature=0).text
    """
    config = GenerationConfig.of(options, "generate")
    texts, single = texts_of(prompts, "prompts")
    work = _Work(loaded, config)
    parts = [work.prompt(text) for text in texts]
    order = sorted(range(len(parts)), key=lambda i: len(parts[i].window))
    results: dict[int, Generation] = {}
    n = max(1, ROWS_AT_ONCE // max(config.beams, config.results))
    for batch in (order[start : start + n] for start in range(0, len(order), n)):
        rows = work.run([parts[i] for i in batch])
        results |= {i: _together(group) for i, group in zip(batch, rows, strict=True)}
    return results[0] if single else [results[i] for i in range(len(texts))]


def generate_stream(loaded: Loaded, prompt: str, **options: Any) -> TextStream:
    """Continue a text and give out its pieces as they come.

    Args:
        loaded, prompt, options: as for `generate`. Beams and several results are known only at the end: they come as
            one piece, that of the best.
    Returns an iterator of strings whose `result` is the `Generation` when it is through; `steps()` goes token by token.
    The pieces are whole characters and never hold the beginning of a stop string. Nothing is computed between two
    pieces: to stop is not to ask for the next.
    Raises:  InputError: not one text.  ConfigError: as for `generate`.
    """
    config, text = GenerationConfig.of(options, "generate"), one_text(prompt, "prompt")
    work = _Work(loaded, config)
    return TextStream(work, work.prompt(text))


class TextStream:
    """The pieces of a continuation; see `generate_stream`.

    Args:
        work, prompt: what to run.
    Attributes:
        result: the whole `Generation`, once the pieces are through; None of a stream that was left.
    """

    def __init__(self, work: _Work, prompt: Prompt) -> None:
        self.result: Generation | None = None
        self._steps = self._run(work, prompt)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(step.piece for step in self._steps if step.piece)

    def steps(self) -> Iterator[Step]:
        """The steps that are still to come, one a token: its piece of the text, its probability, its alternatives.

        Beams and several results have one step for all of their text.
        """
        return self._steps

    def close(self) -> None:
        """Leave the rest unwritten, and let go of what the model remembers of the text."""
        self._steps.close()

    def _run(self, work: _Work, prompt: Prompt) -> Generator[Step]:
        if work.config.beams > 1 or work.config.results > 1:
            self.result = _together(work.run([prompt])[0])
            if self.result.text:
                yield Step(self.result.text, None, None)
            return
        n_pieces = n_tokens = 0
        rows: list[Continuation] = []
        for rows in work.steps([prompt]):
            piece = "".join(rows[0].pieces[n_pieces:])
            n_pieces = len(rows[0].pieces)
            if rows[0].finish is not None:  # known before whoever reads the last piece asks for it
                self.result = rows[0].generation()
            if rows[0].n_tokens > n_tokens:
                yield Step(piece, *rows[0].last())
            elif piece:
                yield Step(piece, None, None)
            n_tokens = rows[0].n_tokens


@dataclass(frozen=True, eq=False, repr=False)
class NextTokens(Result):
    """What may follow a text: `next_tokens`.

    Args:
        text: as it was given.
        entropy: of the model's distribution over the next token, in nats: over every token, those that are never
            written too, which candidates leave out.
        candidates: the likeliest: [{"token", "probability", "sequence": the text with it}].
    """

    kind = "next"
    notes = ()

    text: str
    entropy: float
    candidates: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """{"text", "entropy", "candidates"}"""
        return {"text": self.text, "entropy": self.entropy, "candidates": self.candidates}

    def headline(self) -> str:
        """The text's end, and how sure the model is."""
        return f"{self.text[-40:]!r}, entropy {self.entropy:.2f} nats"

    def rows(self) -> list[dict[str, Any]]:
        """A row a candidate."""
        return self.candidates


@overload
def next_tokens(loaded: Loaded, texts: str, top: int = 10) -> NextTokens: ...  # type: ignore[overload-overlap]
@overload
def next_tokens(loaded: Loaded, texts: Iterable[str], top: int = 10) -> list[NextTokens]: ...
def next_tokens(loaded: Loaded, texts: str | Iterable[str], top: int = 10) -> NextTokens | list[NextTokens]:
    """The likeliest next tokens of texts, and how sure the model is; the end of the text may be among them.

    Args:
        loaded: a run of a decoder (gpt, qwen3), or a hybrid one.
        texts: one or several; "" asks how texts begin.
        top: how many tokens.
    Returns a `NextTokens` for one text, a list for several.
    Raises:  InputError: not text.  ConfigError: the run cannot generate, or top is no count.

    Example:
        next_tokens(load("runs/gpt"), "It was a").candidates[0]["token"]
    """
    several, single = texts_of(texts)
    at_least_one("top", top)
    work = _Work(loaded, GenerationConfig())
    answers = [work.next_tokens(text, top) for text in several]
    return answers[0] if single else answers


def likeliest_tokens(loaded: Loaded, ids: Sequence[int], top: int) -> list[list[Token]]:
    """The likeliest tokens in the place of every token of a text that a decoder reads.

    Args:
        ids: of the text, without what opens texts; at most as many as the model reads.
    Returns a list a token; where nothing stands before the first, its list is empty.
    Raises:  ConfigError: the run cannot generate.
    """
    return _Work(loaded, GenerationConfig()).likeliest(ids, top)


def entropies(logits: Tensor) -> Tensor:
    """-Σ p log p of every row's softmax, nats.  Shapes: (R, V) -> (R,)"""
    terms: Tensor = torch.special.entr(torch.softmax(logits, dim=1, dtype=torch.float64))
    return terms.sum(1)


def _together(rows: Sequence[Continuation]) -> Generation:
    """The results of one prompt as one `Generation`: the best, or first, with the others in it."""
    first, *others = [row.generation() for row in rows]
    return Generation(**{**vars(first), "others": tuple(others)})


class _Work:
    """A run and the options it continues texts with.

    Raises:  ConfigError: the run cannot generate.
    """

    def __init__(self, loaded: Loaded, config: GenerationConfig) -> None:
        check_loaded(loaded)
        self.loaded, self.config = loaded, config
        self._head = decoder_head(loaded)
        tokenizer, entries = loaded.tokenizer, loaded.encoder.token_embedding().num_embeddings
        never = set(tokenizer.special_ids) - {*tokenizer.end_ids} | {*range(tokenizer.vocab_size, entries)}
        self._never = torch.tensor(sorted(never), dtype=torch.long, device=loaded.device)
        self._random = Random(config.seed, "generate")

    def prompt(self, text: str) -> Prompt:
        """[CLS] (if texts begin so) and the tokens of a text, or their end where the model cannot read all of it."""
        window = self.loaded.tokenizer.opening(self.loaded.tokenizer.encode(text).ids)
        most = int(self.loaded.encoder.max_length)
        if len(window) > most:
            n = len(window) - self.loaded.prefix_length
            warnings.warn(
                f"the prompt has {n:,} tokens and the model reads {most:,}: only its end is used",
                stacklevel=4,
            )
        return Prompt(text, window[-most:])

    @torch.inference_mode()
    def next_tokens(self, text: str, top: int) -> NextTokens:
        """What may follow a text."""
        tokenizer, encoder = self.loaded.tokenizer, cast(DecodingEncoder, self.loaded.encoder)
        window = torch.tensor([self.prompt(text).window], device=self._never.device)
        hidden = encoder.decode(window, encoder.new_cache(1, window.size(1)))[:, -1]
        logits = self._head.logits(hidden).float()
        log_p = sampling.forbid(logits - logits.logsumexp(1, keepdim=True), self._never)[0]
        best = log_p.topk(min(top, int(log_p.isfinite().sum())))
        candidates = []
        for value, id in zip(best.values.exp().tolist(), best.indices.tolist(), strict=True):
            joiner = Joiner(tokenizer, text)
            sequence = text + joiner.push(id) + joiner.flush()
            candidates.append({"token": tokenizer.display(id), "probability": value, "sequence": sequence})
        return NextTokens(text, float(entropies(logits)[0]), candidates)

    @torch.inference_mode()
    def likeliest(self, ids: Sequence[int], top: int) -> list[list[Token]]:
        """`likeliest_tokens`."""
        encoder, display = cast(DecodingEncoder, self.loaded.encoder), self.loaded.tokenizer.display
        opened = [*self.loaded.tokenizer.prefix_ids, *ids]
        if len(opened) < 2:
            return [[] for _ in ids]
        window = torch.tensor([opened[:-1]], device=self._never.device)
        hidden = encoder.decode(window, encoder.new_cache(1, window.size(1)))[0]
        logits = self._head.logits(hidden).float()
        best = (logits - logits.logsumexp(1, keepdim=True)).topk(min(top, logits.size(1)), dim=1)
        rows = zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
        found = [[Token(display(i), p) for i, p in zip(*row, strict=True)] for row in rows]
        return [*[[] for _ in range(len(ids) - len(found))], *found]

    def _choices(self, logits: Tensor) -> list[Choice]:
        """The likeliest tokens of every row.  Shapes: (R, V) -> R"""
        display = self.loaded.tokenizer.display
        allowed = sampling.forbid(logits, self._never)
        best = allowed.topk(min(self.config.alternatives, allowed.size(1)), dim=1)
        shares = (best.values - logits.logsumexp(1, keepdim=True)).exp()
        rows = zip(best.indices.tolist(), shares.tolist(), entropies(logits).tolist(), strict=True)
        return [
            Choice(tuple(Token(display(i), p) for i, p in zip(ids, values, strict=True) if p > 0), entropy)
            for ids, values, entropy in rows
        ]

    def run(self, prompts: Sequence[Prompt]) -> list[list[Continuation]]:
        """Continue every prompt to its end; for each the results, best first."""
        if self.config.beams > 1:
            return self._search(prompts)
        *_, rows = self.steps(prompts)
        n = self.config.results
        return [rows[start : start + n] for start in range(0, len(rows), n)]

    def _contexts(self, prompts: Sequence[Prompt]) -> Contexts:
        windows = [prompt.window for prompt in prompts]
        steps = self.config.max_new_tokens - 1
        encoder = cast(DecodingEncoder, self.loaded.encoder)
        return Contexts(encoder, self._head, self.loaded.special, windows, steps)

    def _row(self, prompt: Prompt) -> Continuation:
        return Continuation(prompt, self.loaded.tokenizer, self.config.stop)

    def _seen(self, prompts: Sequence[Prompt], vocabulary: int) -> Tensor:
        """Which tokens stand in each prompt: (B, V)"""
        seen = torch.zeros(len(prompts), vocabulary, dtype=torch.bool, device=self._never.device)
        for row, prompt in zip(seen, prompts, strict=True):
            row[prompt.window] = True
        return seen

    @torch.inference_mode()
    def steps(self, prompts: Sequence[Prompt]) -> Iterator[list[Continuation]]:
        """Add token after token, `results` rows a prompt; yields all rows after every token."""
        c = self.config
        contexts = self._contexts(prompts)
        rows = [self._row(prompt) for prompt in prompts for _ in range(c.results)]
        active = rows  # row i of the contexts continues active[i]
        number = np.tile(np.arange(c.results), len(prompts))  # which result of its prompt a row is
        seen: Tensor | None = None
        if c.results > 1:
            contexts.select(
                torch.arange(len(prompts), device=self._never.device).repeat_interleave(c.results)
            )
        for step in range(c.max_new_tokens):
            with contexts.between_steps():
                logits = contexts.logits()
                scores = sampling.forbid(logits, self._never)
                if c.repetition_penalty != 1.0:
                    if seen is None:
                        seen = self._seen(prompts, logits.size(1)).repeat_interleave(c.results, dim=0)
                    scores = sampling.penalise(scores, seen, c.repetition_penalty)
                ids = self._choose(scores, number, step)
                log_p = logits.gather(1, ids[:, None]).squeeze(1) - logits.logsumexp(1)
                choices = self._choices(logits) if c.alternatives else [None] * len(active)
            for row, id, log_probability, choice in zip(
                active, ids.tolist(), log_p.tolist(), choices, strict=True
            ):
                if row.finish is None:
                    row.take(id, log_probability, choice)
            if step == c.max_new_tokens - 1:
                break
            going = [i for i, row in enumerate(active) if row.finish is None]
            if not going:
                break
            yield rows
            if seen is not None:
                seen.scatter_(1, ids[:, None], True)
            if 2 * len(going) <= len(active):  # most have ended: go on without them
                keep = torch.tensor(going, device=ids.device)
                contexts.select(keep)
                ids, number, active = ids[keep], number[going], [active[i] for i in going]
                seen = None if seen is None else seen[keep]
            contexts.push(ids)
        for row in rows:
            row.close("length")
        yield rows

    def _choose(self, scores: Tensor, number: np.ndarray[Any, Any], step: int) -> Tensor:
        """The next token of every row: (R, V) -> (R,)"""
        c = self.config
        if c.temperature < GREEDY:
            # numpy's is ten times as fast as torch's on CPUs
            return torch.from_numpy(scores.numpy().argmax(1)) if scores.is_cpu else scores.argmax(1)
        scores = sampling.temper(scores, c.temperature)
        if c.top_k is not None:
            scores = sampling.keep_top_k(scores, c.top_k)
        scores = sampling.keep_top_p(scores, c.top_p)
        uniform = torch.from_numpy(self._random.uniform(number, step))
        return sampling.draw(scores, uniform.to(scores.device))

    @torch.inference_mode()
    def _search(self, prompts: Sequence[Prompt]) -> list[list[Continuation]]:
        c = self.config
        seen: Tensor | None = None

        def adjust(log_p: Tensor, ids: Tensor, owner: Tensor) -> Tensor:
            nonlocal seen
            if c.repetition_penalty != 1.0:
                if seen is None:
                    seen = self._seen(prompts, log_p.size(1))
                seen_by_row = seen[owner].scatter_(1, ids, True)
                log_p = sampling.penalise(log_p, seen_by_row, c.repetition_penalty)
            return sampling.forbid(log_p, self._never)

        def ends(ids: Tensor, owner: Tensor) -> Tensor:
            complete = torch.isin(
                ids[:, :, -1],
                torch.tensor(self.loaded.tokenizer.end_ids, dtype=torch.long, device=ids.device),
            )
            for b, candidates in enumerate(ids.tolist() if c.stop else ()):
                for k, candidate in enumerate(candidates):
                    complete[b, k] |= self._written(prompts[b], candidate).finish == "stop"
            return complete

        contexts = self._contexts(prompts)
        with contexts.between_steps():
            results = beam_search(contexts, c.beams, c.max_new_tokens, adjust, ends, c.length_penalty)
        return [
            [self._written(prompt, f.ids, f.log_probabilities, True) for f in best[: c.results]]
            for prompt, best in zip(prompts, results, strict=True)
        ]

    def _written(
        self, prompt: Prompt, ids: Sequence[int], log_p: Sequence[float] | None = None, close: bool = False
    ) -> Continuation:
        """A row with all these tokens."""
        row = self._row(prompt)
        for id, value in zip(ids, log_p or [0.0] * len(ids), strict=True):
            row.take(id, value)
        if close:
            row.close("length")
        return row


def decoder_head(loaded: Loaded) -> TokenHead:
    """The head for the next token of a run whose encoder can decode token by token.

    Raises:  ConfigError: the run has none; the error says what it can do.
    """
    if "next" in loaded.predicting and hasattr(loaded.encoder, "decode"):
        return loaded.predicting["next"]
    other = "polyseme fill RUN 'text with [MASK]', or " if loaded.fills_masks else ""
    raise ConfigError(
        "this run cannot generate text",
        got=f"{loaded.recipe.architecture}, trained with {', '.join(loaded.recipe.objectives)}",
        expected="a run trained with causal_lm or hybrid",
        where=loaded.run.path,
        fix=f"{other}polyseme pretrain gpt CORPUS -o RUN",
    )
