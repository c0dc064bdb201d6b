"""A trained run and what it can do, as methods: texts in, NumPy arrays out.  `load` opens one.

The functions of this package do the work, each in its own file. Where a function's first argument is the run and its
answer is what a method gives, the function is the method. The other methods make arrays of a function's answers. One
string in gives one result, several give several.

    tokenize    what the model reads               infer/tokenize.py
    encode      hidden states of every token       infer/hidden.py
    embed       one vector a text                  infer/embed.py
    similarity  cosines of texts                   infer/embed.py
    fill        words for [MASK]s                  infer/fill.py
    generate    continuations                      infer/generate.py
    next_tokens what may follow a text             infer/generate.py
    follows     whether a text follows another     infer/next_sentence.py
    score       log-likelihoods                    infer/score.py
    neighbours  words near a word                  infer/neighbours.py
    predict     labels, tags, answers              infer/predict.py
    choose      one of several labels              infer/zero_shot.py
    summarize, answer, translate                   infer/zero_shot.py
"""

from __future__ import annotations

import os
import re
import shlex
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from polyseme.errors import InputError, PolysemeError, RunError
from polyseme.infer import embed as _embed
from polyseme.infer import fill as _fill
from polyseme.infer import generate as _generate
from polyseme.infer import hidden as _hidden
from polyseme.infer import neighbours as _neighbours
from polyseme.infer import next_sentence as _next_sentence
from polyseme.infer import tokenize as _tokenize
from polyseme.infer.inputs import texts_of
from polyseme.infer.loaded import Loaded
from polyseme.infer.loaded import Precision as WeightPrecision
from polyseme.infer.score import kind_of, score, score_continuations
from polyseme.infer.zero_shot import Chooser, Normalize, Task, reply
from polyseme.train.build import rebuild, special_ids
from polyseme.train.card import has_neighbours
from polyseme.train.machine import resolve_device
from polyseme.train.run import RunDirectory

__all__ = ["Model", "load"]


_HUB_NAME = re.compile(r"(?!runs/)[A-Za-z0-9][\w.]*[-/][\w.-]+")
"""A model's name on a hub, which has a hyphen or an owner; a folder of ours may have none."""


class Model(Loaded):
    """A `Loaded` with methods; see the head of this file.

    It is pickled and copied by its path: who unpickles it loads the run again.
    """

    embed = _embed.embed
    encode = _hidden.encode
    fill = _fill.fill
    generate = _generate.generate
    generate_stream = _generate.generate_stream
    neighbours = _neighbours.neighbours
    next_tokens = _generate.next_tokens
    follows = _next_sentence.follows
    similarity = _embed.similarity
    tokenize = _tokenize.tokenize

    def score(
        self,
        texts: str | Iterable[str],
        context: str | None = None,
        per_token: bool = False,
        end: bool = False,
        within_word: bool = False,
        masked: bool = False,
        detail: bool = False,
    ) -> Any:
        """How probable texts are: log-likelihoods in nats; of masked models pseudo-log-likelihoods.

        Args:
            texts: one or several.
            context: a text that each goes on: it is given, only they are scored.
            per_token: divide by the number of tokens; NaN for a text without tokens, which has no mean.
            end: count the end of the text as a token, too (decoders).
            within_word: hide with a token the rest of its word (masked models); see `polyseme.score`.
            masked: hide each token in turn, where the run could also read from the left (hybrid).
            detail: say it of every token.
        Shapes:  N texts -> (N,) float64; one text -> float; with detail a `Scoring` each, with the nats of every token
        Raises:  InputError: not text.  ConfigError: the run gives texts no probability.
        """
        if detail:
            how: dict[str, Any] = {"end": end, "within_word": within_word, "masked": masked, "detail": True}
            if context is None:
                return score(self, texts, **how)
            return score_continuations(self, context, texts, **how)
        several, single = texts_of(texts)
        if context is None:
            scores = score(self, several, end, within_word, masked)
        else:
            scores = score_continuations(self, context, several, end, within_word, masked)
        sums = np.array([each.log_likelihood for each in scores], np.float64)
        if per_token:
            counts = np.array([each.tokens for each in scores], np.float64)
            sums = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return float(sums[0]) if single else sums

    def predict(self, texts: Any, threshold: float | None = None, detail: bool = False) -> Any:
        """What a run that was adapted to a task says of texts.

        Args:
            texts: one or several; for the task pair tuples of two texts, for qa tuples (question, context): a tuple
                is one, a list of tuples are several. For tag, words and single Chinese characters are tagged.
            threshold: of questions without an answer, in place of the one that was tuned on dev.
            detail: say more: of tags the probability of each; of answers where they may begin and end, and the best.
        Returns a dict an input: for classify and pair label, probability and probabilities (or labels, or value), for
        tag tokens and spans with places in the text, for qa the answer with its place and probability.
        Raises:  InputError: not what the task reads.  ConfigError: the run was not adapted to a task.
        """
        from polyseme.infer.predict import Predictor, records_of  # which loads the tasks, too

        predictor = Predictor(self, threshold, detail)
        records, single = records_of(predictor.name, texts)
        answers = list(predictor.predict(records))
        return answers[0] if single else answers

    def choose(
        self,
        texts: str | Iterable[str],
        choices: Sequence[str],
        template: str,
        texts_b: str | Iterable[str] | None = None,
        normalize: Normalize = "sum",
        neutral: str = "",
    ) -> Any:
        """How probable each choice is in its place of a template: classification without training.

        Args:
            texts: one or several; what is longer than the model reads loses its beginning.
            choices: words for {label}, two at least.
            template: such as "{text} It was {label}."; doubled braces stand for themselves.
            texts_b: second texts, for a template with {text_b}.
            normalize: "sum" of the log-likelihoods of a choice's tokens, their "mean", or "pmi": the sum minus what it
                is for a text without content.
            neutral: that text; "" leaves the place empty, others say "N/A".
        Shapes:  N texts, K choices -> (N, K), rows sum to 1; one text -> (K,)
        Raises:  InputError: not text, or a choice that the vocabulary does not know.
                 ConfigError: the template is wrong, or the run gives texts no probability.

        Example:
            model.choose(["I slept."], ["bad", "good"], "{text} It was {label}.")
        """
        several, single = texts_of(texts)
        second = None if texts_b is None else texts_of(texts_b, "texts_b")[0]
        chooser = Chooser(self, choices, template, normalize, neutral)
        shares = chooser.probabilities(several, second)
        return shares[0] if single else shares

    @overload
    def summarize(self, texts: str, template: str | None = None, **options: Any) -> str: ...
    @overload
    def summarize(self, texts: Iterable[str], template: str | None = None, **options: Any) -> list[str]: ...
    def summarize(
        self, texts: str | Iterable[str], template: str | None = None, **options: Any
    ) -> str | list[str]:
        r"""What a decoder writes after "TL;DR:": the first three sentences of 100 tokens, sampled with top-k 2.

        Args:
            texts: one or several; their beginnings are left out where they are too long.
            template: another prompt than "{text}\nTL;DR:".
            options: the fields of `GenerationConfig`.
        Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("summary", texts, template=template, **options)

    @overload
    def answer(self, texts: str, question: str, template: str | None = None, **options: Any) -> str: ...
    @overload
    def answer(
        self, texts: Iterable[str], question: str, template: str | None = None, **options: Any
    ) -> list[str]: ...
    def answer(
        self, texts: str | Iterable[str], question: str, template: str | None = None, **options: Any
    ) -> str | list[str]:
        r"""What a decoder writes after a text, "Q: question" and "A:", to the end of the line; greedy.

        Args:
            texts: one or several; their beginnings are left out where they are too long, the question never.
            question: about each of them.
            template: another prompt than "{text}\n\nQ: {question}\nA:".
            options: the fields of `GenerationConfig`.
        Raises:  InputError: not text, or the question alone is too long.
                 ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("answer", texts, question=question, template=template, **options)

    @overload
    def translate(
        self,
        texts: str,
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> str: ...
    @overload
    def translate(
        self,
        texts: Iterable[str],
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> list[str]: ...
    def translate(
        self,
        texts: str | Iterable[str],
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> str | list[str]:
        """What a decoder writes after "text =", to the first sentence's end; greedy.

        Args:
            texts: one or several sentences.
            examples: pairs of a sentence and its translation, shown before as "sentence = translation".
            source, target: names of the languages, shown first as one more pair.
            options: the fields of `GenerationConfig`, and `template`, another prompt than "{text} =".
        Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("translate", texts, examples=examples, source=source, target=target, **options)

    def _reply(self, task: Task, texts: str | Iterable[str], **options: Any) -> str | list[str]:
        several, single = texts_of(texts)
        replies = [each.text for each in reply(self, task, several, **options)]
        return replies[0] if single else replies

    @property
    def abilities(self) -> tuple[str, ...]:
        """The methods that this run has an answer for."""
        from polyseme.infer.predict import task_of

        def can(question: Any) -> bool:
            try:
                question(self)
            except PolysemeError:
                return False
            return True

        abilities = {
            "fill": self.fills_masks,
            "follows": "next_sentence" in self.heads,
            "generate": can(_generate.decoder_head),
            "next_tokens": can(_generate.decoder_head),
            "summarize": can(_generate.decoder_head),
            "answer": can(_generate.decoder_head),
            "translate": can(_generate.decoder_head),
            "score": can(kind_of),
            "choose": can(kind_of),
            "neighbours": has_neighbours({"objectives": self.recipe.objectives}),
            "predict": can(task_of),
        }
        return (
            "encode",
            "embed",
            "similarity",
            "tokenize",
            *(name for name, has in abilities.items() if has),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_again, (
            str(self.run.path.resolve()),
            self.run.meta.get("files"),
            self.precision,
            str(self.device),
        )

    def __repr__(self) -> str:
        config = self.encoder.config
        rounded = "" if self.precision == "float32" else f", weights in {self.precision}"
        reads = "" if self.encoder.max_length >= 1 << 30 else f", reads {self.encoder.max_length:,} tokens"
        return (
            f"<polyseme run {str(self.run.path)!r}: {self.recipe.architecture}, "
            f"{sum(p.numel() for p in self.encoder.parameters()):,} parameters{rounded}, "
            f"{config.num_hidden_layers} layers of {config.hidden_size:,} values, "
            f"vocabulary of {self.tokenizer.vocab_size:,}{reads}\n"
            f" trained with {', '.join(self.recipe.objectives) or 'nothing'}\n"
            f" can {', '.join(self.abilities)}>"
        )


_CHOSEN = {"device": "cpu"}  # where runs compute that are opened without being told


def use_device(name: str) -> None:
    """Say where runs compute that are opened from now on, where `load` is not told: "cpu", "cuda", "auto".

    Raises:  ConfigError: no such device.
    """
    resolve_device(name)
    _CHOSEN["device"] = name


def load(path: Path | str, device: str | torch.device | None = None) -> Model:
    """Open a run for use.

    Args:
        path: the run directory; other programs' models are imported first, with `polyseme import`.
        device: where it computes: "cpu", "cuda", "cuda:1", or "auto", a GPU where there is one. None = what
            `use_device` was told last, else the CPU. Models that only count stay on the CPU.
    Raises:  RunError: there is no run.  InputError: not a path.  ConfigError: no such device.
             CheckpointError: its files are damaged beyond the checkpoints, or hold weights that are no numbers.

    Example:
        model = load("runs/demo")
        model.fill("a list of [MASK]")
    """
    run = _open(path)
    tensors, warning = run.weights()
    if warning:
        warnings.warn(warning, stacklevel=2)
    recipe, tokenizer, encoder, heads = rebuild(run, tensors)
    there = device if isinstance(device, torch.device) else resolve_device(device or _CHOSEN["device"])
    if there.type != "cpu" and encoder.config.num_hidden_layers:
        for module in (encoder, *heads.values()):
            module.to(there)
    return Model(run, encoder, {n: heads[n] for n in heads}, tokenizer, recipe, special_ids(tokenizer))


def _open(path: Path | str) -> RunDirectory:
    """The run directory; says how to import a model that is another program's."""
    if not isinstance(path, str | os.PathLike):
        raise InputError("the path of a run must be a string or a Path", got=repr(path)[:80])
    try:
        return RunDirectory.open(path)
    except RunError:
        folder = Path(path)
        marks = ("config.json", "modules.json", "model.safetensors", "model.safetensors.index.json")
        foreign = any((folder / mark).is_file() for mark in (*marks, "pytorch_model.bin"))
        if (folder / "run.json").exists():
            raise
        if foreign or folder.is_file():
            raise RunError(
                "not a run, but perhaps a model of another program",
                got="a file" if folder.is_file() else "a folder without run.json",
                where=path,
                fix=f"polyseme {shlex.join(['import', str(path), '-o', 'RUN'])}, then load RUN",
            ) from None
        if (
            not folder.exists()
            and _HUB_NAME.fullmatch(name := str(path))
            and not Path(folder.parts[0]).exists()
        ):
            raise RunError(
                "not a run",
                got="no such folder; if it is a model's name on a hub, it must be fetched and imported first",
                where=path,
                fix=f"hf download {name} --local-dir {folder.name} && polyseme import {folder.name} -o RUN, "
                "then load RUN",
            ) from None
        raise


def _load_again(
    path: str, files: dict[str, str] | None, precision: WeightPrecision, device: str = "cpu"
) -> Model:
    """What pickle calls; `files`, the digests of the weights, tells different states of a run apart."""
    loaded = load(path, device)
    if files is not None and loaded.run.meta.get("files") != files:
        warnings.warn(f"the run at {path} has other weights than when it was pickled", stacklevel=2)
    return loaded.prepared(precision)
