"""What a run in memory can do, as methods: texts in, NumPy arrays out.

The functions of this room do the work, each in its own file; a method says what may be handed over, calls one of them
and makes arrays of the answers. One string in gives one result, several give several.

    encode      hidden states of every token      infer/encode.py
    embed       one vector a text                 infer/embed.py
    similarity  cosines of texts                  here, of embed's vectors
    fill        words for [MASK]s                 infer/fill.py
    generate    continuations                     infer/generate.py
    score       log-likelihoods                   infer/score.py
    neighbours  words near a word                 infer/neighbours.py
    predict     labels, tags, answers             infer/predict.py

and, in infer/zero_shot.py, choose, summarize, answer and translate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, overload

import numpy as np
import numpy.typing as npt

from polyseme.errors import PolysemeError
from polyseme.infer.inputs import one_of, texts_of
from polyseme.infer.zero_shot import ZeroShot

if TYPE_CHECKING:
    from polyseme.infer.embed import Pool, Pooling
    from polyseme.infer.encode import EncodedText, Layers
    from polyseme.infer.generate import Generation, TextStream
    from polyseme.infer.load import Loaded
    from polyseme.kernels.packed import Precision

__all__ = ["Methods", "OneVector", "cosines"]

Layer = int | Literal["mix"] | None
OneVector = Literal["mean", "cls", "max", "last"]
FloatArray = npt.NDArray[np.float32]


class Methods(ZeroShot):
    """The methods of `Loaded`; see the head of this file."""

    @property
    def _loaded(self) -> Loaded:
        return cast("Loaded", self)

    @overload
    def encode(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
        self, texts: str, layers: Layers = "all", separators: bool = False
    ) -> EncodedText: ...
    @overload
    def encode(
        self, texts: Iterable[str], layers: Layers = "all", separators: bool = False
    ) -> list[EncodedText]: ...
    def encode(
        self, texts: str | Iterable[str], layers: Layers = "all", separators: bool = False
    ) -> EncodedText | list[EncodedText]:
        """Tokens of texts with their ids, character offsets and hidden states.

        Args:
            texts: one or several; what is longer than the model reads is cut.
            layers: a number, several, or "all": 0 is the embedding layer, -1 the last one.
            separators: keep [CLS] in front and [SEP] behind.
        Returns an `EncodedText` a text.
        Raises:  InputError: not text.  ConfigError: there is no such layer.
        """
        from polyseme.infer.encode import encode

        return encode(self._loaded, texts, layers, separators)

    @overload
    def embed(
        self,
        texts: str | Iterable[str],
        pool: OneVector | None = None,
        layer: Layer = None,
        precision: Precision = "float32",
    ) -> FloatArray: ...
    @overload
    def embed(
        self,
        texts: str | Iterable[str],
        pool: Pool | Pooling | None = None,
        layer: Layer = None,
        precision: Precision = "float32",
    ) -> FloatArray | list[FloatArray]: ...
    def embed(
        self,
        texts: str | Iterable[str],
        pool: Pool | Pooling | None = None,
        layer: Layer = None,
        precision: Precision = "float32",
    ) -> FloatArray | list[FloatArray]:
        """Vectors of texts.

        Args:
            texts: one or several; what is longer than the model reads is cut; an empty text gives zeros.
            pool: how a text's tokens become one vector: mean, max, cls, last, or words for a vector a word; None = the
                run's own way, which is the mean unless an imported model says otherwise. A `Pooling` says more.
            layer: 0 is the embedding layer, -1 the last one, "mix" the mean of all; None = the last one.
            precision: of the linear layers: float32, bfloat16 or int8.
        Shapes:  N texts -> (N, hidden_size); one text -> (hidden_size,); pool words: (words, hidden_size) a text
        Raises:  InputError: not text.  ConfigError: no such layer or precision, or a pool that means nothing here.
        """
        from polyseme.infer.embed import Embedder
        from polyseme.kernels.packed import Precision

        one_of("precision", precision, get_args(Precision))
        some, single = texts_of(texts)
        embedder = Embedder(self._loaded, pool, layer, precision)
        found = embedder.vectors(some)
        if single:
            return found[0]
        if embedder.pooling.pool == "words":
            return found
        return np.stack(found) if found else np.zeros((0, embedder.hidden_size), np.float32)

    def similarity(
        self,
        texts: str | Iterable[str],
        others: str | Iterable[str] | None = None,
        pool: OneVector | None = None,
        layer: Layer = None,
        precision: Precision = "float32",
    ) -> Any:
        """Cosines of texts' vectors; 0 where a text has no token.

        Args:
            texts, others: what to compare with what; without others, the texts among themselves.
            pool, layer, precision: as for `embed`; pool words gives no vector of a text.
        Shapes:  N texts, M others -> (N, M); a single text takes its dimension away: two single ones give a float
        Raises:  InputError, ConfigError: as for `embed`.
        """
        some, single = texts_of(texts)
        more, alone = texts_of(others, "others") if others is not None else (some, single)
        one_of("pool", pool, (None, *get_args(OneVector)))
        vectors = self.embed([*some, *more] if others is not None else some, pool, layer, precision)
        found = cosines(vectors[: len(some)], vectors[-len(more) :] if more else vectors[:0])
        found = found[0] if single else found
        found = found[..., 0] if alone else found
        return found if found.ndim else float(found)

    @overload
    def fill(self, texts: str, top: int = 5) -> list[dict[str, Any]]: ...  # type: ignore[overload-overlap]
    @overload
    def fill(self, texts: Iterable[str], top: int = 5) -> list[list[dict[str, Any]]]: ...
    def fill(
        self, texts: str | Iterable[str], top: int = 5
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """The likeliest tokens at every [MASK] of texts.

        Args:
            texts: one or several, each with at least one [MASK].
            top: candidates per mask.
        Returns, for a text, {"position", "candidates": [{"token", "probability", "sequence"}]} for each of its masks.
        Raises:  InputError: not text, without [MASK], or too long.  ConfigError: the run fills no masks.
        """
        from polyseme.infer.fill import fill

        some, single = texts_of(texts)
        found = [fill(self._loaded, text, top) for text in some]
        return found[0] if single else found

    @overload
    def generate(self, prompts: str, **options: Any) -> Generation: ...
    @overload
    def generate(self, prompts: Iterable[str], **options: Any) -> list[Generation]: ...
    def generate(self, prompts: str | Iterable[str], **options: Any) -> Generation | list[Generation]:
        """Continue texts.

        Args:
            prompts: one or several; "" begins a text of the model's own.
            options: max_new_tokens, temperature, top_k, top_p, repetition_penalty, beams, length_penalty, results,
                seed, stop: the fields of `GenerationConfig`.
        Returns a `Generation` a prompt: its `text`, `tokens` with probabilities, why it ended.
        Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is wrong.
        """
        from polyseme.infer.generate import generate

        return generate(self._loaded, prompts, **options)

    def generate_stream(self, prompt: str, **options: Any) -> TextStream:
        """Continue one text and give out its pieces as they come; see `polyseme.generate_stream`."""
        from polyseme.infer.generate import generate_stream

        return generate_stream(self._loaded, prompt, **options)

    def score(
        self,
        texts: str | Iterable[str],
        context: str | None = None,
        per_token: bool = False,
        end: bool = False,
        within_word: bool = False,
    ) -> Any:
        """How probable texts are: log-likelihoods in nats; of masked models pseudo-log-likelihoods.

        Args:
            texts: one or several.
            context: a text that each goes on: it is given, only they are scored.
            per_token: divide by the number of tokens; NaN for a text without tokens, which has no mean.
            end: count the end of the text as a token, too (decoders).
            within_word: hide with a token the rest of its word (masked models); see `polyseme.score`.
        Shapes:  N texts -> (N,) float64; one text -> float
        Raises:  InputError: not text.  ConfigError: the run gives texts no probability.
        """
        from polyseme.infer.score import score, score_continuations

        some, single = texts_of(texts)
        if context is None:
            found = score(self._loaded, some, end, within_word)
        else:
            found = score_continuations(self._loaded, context, some, end, within_word)
        sums = np.array([one.log_likelihood for one in found], np.float64)
        if per_token:
            counts = np.array([one.tokens for one in found], np.float64)
            sums = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return float(sums[0]) if single else sums

    @overload
    def neighbours(  # type: ignore[overload-overlap]
        self, words: str, context: str | None = None, top: int = 10
    ) -> list[dict[str, Any]]: ...
    @overload
    def neighbours(
        self, words: Iterable[str], context: str | None = None, top: int = 10
    ) -> list[list[dict[str, Any]]]: ...
    def neighbours(
        self, words: str | Iterable[str], context: str | None = None, top: int = 10
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """The words nearest to words by cosine, alone or in a sentence.

        Args:
            words: one or several.
            context: a text that holds the word.
            top: how many.
        Returns, for a word, [{"word", "similarity"}], best first.
        Raises:  InputError: not text, or a word is not in the vocabulary or the context.
                 ConfigError: a context is given and the run fills no masks.
        """
        from polyseme.infer.neighbours import neighbours

        some, single = texts_of(words, "words")
        found = [neighbours(self._loaded, word, context, top) for word in some]
        return found[0] if single else found

    def predict(self, texts: Any, threshold: float | None = None) -> Any:
        """What a run that was adapted to a task says of texts.

        Args:
            texts: one or several; for the task pair tuples of two texts, for qa tuples (question, context): a tuple
                is one, a list of tuples are several. For tag, words and single Chinese characters are tagged.
            threshold: of questions without an answer, in place of the one that was tuned on dev.
        Returns a dict an input: for classify and pair label, probability and probabilities (or labels, or value), for
        tag tokens and spans with places in the text, for qa the answer with its place and probability.
        Raises:  InputError: not what the task reads.  ConfigError: the run was not adapted to a task.
        """
        from polyseme.infer.predict import Predictor, records_of

        predictor = Predictor(self._loaded, threshold)
        records, single = records_of(predictor.name, texts)
        found = list(predictor.predict(records))
        return found[0] if single else found

    @property
    def abilities(self) -> tuple[str, ...]:
        """The methods that this run has an answer for."""
        from polyseme.infer.generate import decoder_head
        from polyseme.infer.predict import task_of
        from polyseme.infer.score import kind_of
        from polyseme.train.card import has_neighbours

        def can(question: Any) -> bool:
            try:
                question(self._loaded)
            except PolysemeError:
                return False
            return True

        loaded = self._loaded
        found = {
            "fill": loaded.fills_masks,
            "generate": can(decoder_head),
            "summarize": can(decoder_head),
            "answer": can(decoder_head),
            "translate": can(decoder_head),
            "score": can(kind_of),
            "choose": can(kind_of),
            "neighbours": has_neighbours({"objectives": loaded.recipe.objectives}),
            "predict": can(task_of),
        }
        return ("encode", "embed", "similarity", *(name for name, has in found.items() if has))

    def __repr__(self) -> str:
        loaded = self._loaded
        config = loaded.encoder.config
        rounded = "" if loaded.precision == "float32" else f", weights in {loaded.precision}"
        trained = f" trained with {', '.join(loaded.recipe.objectives)}" if loaded.recipe.objectives else ""
        reads = (
            "" if loaded.encoder.max_length >= 1 << 30 else f", reads {loaded.encoder.max_length:,} tokens"
        )
        return (
            f"<polyseme run {str(loaded.run.path)!r}: {loaded.recipe.architecture}{trained}; "
            f"{config.num_hidden_layers} layers of {config.hidden_size:,} numbers, "
            f"{loaded.tokenizer.vocab_size:,} entries in the vocabulary{reads}{rounded}; "
            f"can {', '.join(self.abilities)}>"
        )


def cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cosine of every row of a with every row of b; 0 where one is zero.  Shapes: (N, d), (M, d) -> (N, M)"""

    def unit(rows: FloatArray) -> FloatArray:
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        result: FloatArray = np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)
        return result

    return unit(a) @ unit(b).T
