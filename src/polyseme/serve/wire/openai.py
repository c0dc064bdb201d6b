"""OpenAI's shapes, as its unmodified client speaks them; and the tokenizer routes that lm-eval's remote tokenizer asks.

    GET  /v1/models, /v1/models/NAME     POST /v1/embeddings    POST /v1/completions    POST /v1/chat/completions: 404
    GET  /tokenizer_info                 POST /tokenize         POST /detokenize

Fields that would change nothing are taken; others are refused by name. With `echo` and `logprobs` a prompt's own
tokens have log-probabilities: those of `polyseme score`, so that harnesses judge as `polyseme pairs` does.
"""

from __future__ import annotations

import base64
import math
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polyseme.serve.calls import Answer, Call, Chunks, Route, to_bytes
from polyseme.serve.errors import Body, Refused, document
from polyseme.serve.wire.ours import MOST_NEW, SEED, TEXTS, Embed, Stop, check_hidden, embedded, writing

if TYPE_CHECKING:
    from polyseme.infer.model import Model
    from polyseme.text.tokenizers import Tokenizer
    from polyseme.text.tokens import Tokens

__all__ = ["ROUTES", "VllmTokenize", "log_of", "vllm_tokenize"]

MOST_RESULTS = 16
MOST_LOGPROBS = 20
PROMPTS = 256
Ids = tuple[int, ...]


class _OpenAI(Body):
    """Fields that every client may send and that change nothing here."""

    user: str | None = None
    metadata: dict[str, Any] | None = None


class Embeddings(_OpenAI):
    """Texts, and in which form their vectors are wanted."""

    input: str | tuple[str, ...] | Ids | tuple[Ids, ...]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)


class StreamOptions(Body):
    """What a stream says at its end."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class Completions(_OpenAI):
    """Prompts, texts or ids of the run's vocabulary, and how they are gone on with."""

    prompt: str | tuple[str, ...] | Ids | tuple[Ids, ...] = ""
    max_tokens: int = Field(16, ge=0, le=MOST_NEW)
    temperature: float = Field(1.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1, le=MOST_RESULTS)
    stop: Stop | None = None
    seed: int | None = Field(None, ge=-SEED, le=SEED)
    stream: bool = False
    stream_options: StreamOptions | None = None
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    suffix: str | None = None
    best_of: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None


class VllmTokenize(Body):
    """A text to cut."""

    prompt: str
    add_special_tokens: bool = True
    return_token_strs: bool = False


class VllmDetokenize(Body):
    """Ids to join."""

    tokens: Ids = Field(max_length=1 << 20)


async def _models(call: Call) -> Answer:
    shelf = call.service.shelf

    def every() -> list[dict[str, Any]]:
        return [_model(call, name) for name in shelf.names]

    return Answer({"object": "list", "data": await call.service.side.count(every)})


def _model(call: Call, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": name, "object": "model", "owned_by": "polyseme"}
    try:
        about = call.service.shelf.about(name)
    except Exception:  # one that is damaged leaves the others alone
        return shown | {"created": 0, "abilities": [], "max_tokens": None}
    return shown | {
        "created": about["created"],
        "abilities": about["abilities"],
        "max_tokens": about["max_tokens"],
    }


async def _one_model(call: Call) -> Answer:
    return Answer(await call.service.side.count(_model, call, call.run))


async def _embeddings(call: Call) -> Answer:
    asked: Embeddings = call.asked
    given = [asked.input] if isinstance(asked.input, str) else list(asked.input)
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) != len(given):
        raise Refused(
            400,
            "input must be text: these are ids of another vocabulary",
            param="input",
            code="ids",
            fix="LangChain: check_embedding_ctx_length=False",
        )
    if not 1 <= len(texts) <= TEXTS:
        raise Refused(
            400,
            "too many texts or none",
            param="input",
            got=len(texts),
            expected=f"1 … {TEXTS}",
            fix="several requests",
        )
    lengths = await call.service.lengths(call.run, texts)
    wanted = Embed(texts=tuple(texts))
    outcome = await call.service.ask(
        call.run, sum(lengths), embedded, (wanted, lengths), ("embed", None, None, None)
    )
    vectors = outcome.value["vectors"]
    width = len(vectors[0])
    if asked.dimensions not in (None, width):
        raise Refused(
            400,
            "vectors of this run have another length",
            param="dimensions",
            code="dimensions",
            got=asked.dimensions,
            expected=width,
            fix="without dimensions",
        )

    def shown(vector: Any) -> Any:
        if asked.encoding_format == "float":
            return vector.tolist()
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()

    data = [
        {"object": "embedding", "index": i, "embedding": shown(vector)} for i, vector in enumerate(vectors)
    ]
    n = sum(lengths)
    usage = {"prompt_tokens": n, "total_tokens": n}
    answer = {"object": "list", "data": data, "model": call.run, "usage": usage}
    return Answer(answer, tokens=n).noted(outcome.notes, outcome.value["truncated"])


def _prompts(asked: Completions) -> list[str | Ids]:
    """The prompts, one or several, as text or as ids."""
    given = asked.prompt
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        ids: Any = given
        return [tuple(ids)]
    several: list[Any] = list(given)
    return several


async def _completions(call: Call) -> Answer | Chunks:
    asked: Completions = call.asked
    _refuse_unknown(asked)
    prompts = _prompts(asked)
    if not 1 <= len(prompts) <= PROMPTS:
        raise Refused(
            400,
            "no prompt, or too many",
            param="prompt",
            got=len(prompts),
            expected=f"1 … {PROMPTS}",
            fix="several requests",
        )
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)
    for prompt in prompts:
        wrong = [] if isinstance(prompt, str) else [i for i in prompt if not 0 <= i < tokenizer.vocab_size]
        if wrong:
            raise Refused(
                400,
                "no such id in this run's vocabulary",
                param="prompt",
                got=wrong[0],
                code="ids",
                fix="POST /tokenize gives a text's ids",
            )
    texts = [p if isinstance(p, str) else tokenizer.decode(p, skip_special=False) for p in prompts]
    lengths = await call.service.lengths(call.run, texts)
    call.service.bounded(sum(lengths) + asked.max_tokens * asked.n * len(prompts))
    masked = "generate" not in await call.service.abilities(call.run)
    scored = asked.echo and (asked.max_tokens == 0 or (masked and asked.max_tokens == 1))
    if asked.max_tokens == 0 and not asked.echo:
        raise Refused(
            400, "no token is asked for", param="max_tokens", got=0, expected="1, or echo", fix="max_tokens 1"
        )
    if asked.echo:
        await call.service.side.count(check_hidden, call, lengths)
    writer = _Writer(call, asked, prompts, texts, lengths)
    if scored:
        if asked.stream:
            raise Refused(400, "a prompt alone is no stream", param="stream", fix="stream false")
        return await writer.scored()
    if asked.stream:
        return await writer.streamed()
    return await writer.whole()


def _refuse_unknown(asked: Completions) -> None:
    """Raises:  Refused: a field that would change the text and is not kept to."""
    changes = {
        "suffix": asked.suffix not in (None, ""),
        "best_of": asked.best_of not in (None, 1, asked.n),
        "presence_penalty": asked.presence_penalty not in (None, 0.0),
        "frequency_penalty": asked.frequency_penalty not in (None, 0.0),
        "logit_bias": bool(asked.logit_bias),
    }
    for name, given in changes.items():
        if given:
            raise Refused(400, f"{name} is not served", param=name, code="unsupported", fix="leave it out")


class _Writer:
    """The answers to one request for completions.

    Args:
        prompts, texts, lengths: the prompts, the same as text, and their tokens.
    """

    def __init__(
        self,
        call: Call,
        asked: Completions,
        prompts: Sequence[str | Ids],
        texts: Sequence[str],
        lengths: Sequence[int],
    ) -> None:
        self._call, self._asked, self._prompts = call, asked, prompts
        self._texts, self._lengths = texts, lengths
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": call.run,
        }

    def _usage(self, written: int) -> dict[str, int]:
        n = sum(self._lengths)
        return {"prompt_tokens": n, "completion_tokens": written, "total_tokens": n + written}

    async def scored(self) -> Answer:
        """Only what the prompts' own tokens say.

        A masked model that is asked for one token more writes none: an empty one stands for it, as harnesses expect
        the one that was written behind those that they ask for.
        """
        call, top = self._call, self._asked.logprobs
        wants = top is not None
        outcome = await call.service.ask(
            call.run,
            sum(self._lengths),
            lambda model, _: [_echoes(model, self._prompts, self._texts, top or 0)],
        )
        if self._asked.max_tokens:
            for echo in outcome.value:
                empty = {"tokens": "", "token_logprobs": 0.0, "top_logprobs": {"": 0.0}}
                for name, value in {**empty, "text_offset": len(echo["text"])}.items():
                    echo["logprobs"][name].append(value)
        choices = [
            {
                "text": echo["text"],
                "index": i,
                "finish_reason": "length",
                "logprobs": echo["logprobs"] if wants else None,
            }
            for i, echo in enumerate(outcome.value)
        ]
        answer = {**self._head, "choices": choices, "usage": self._usage(0)}
        return Answer(answer, tokens=sum(self._lengths)).noted(outcome.notes)

    def _options(self, number: int) -> dict[str, Any]:
        asked = self._asked
        options: dict[str, Any] = {"max_new_tokens": asked.max_tokens, "temperature": asked.temperature}
        if asked.temperature > 0:
            options["top_p"] = asked.top_p
        seed = asked.seed if asked.seed is not None else secrets.randbelow(1 << 31)
        options["seed"] = seed + number
        if asked.stop is not None:
            options["stop"] = [asked.stop] if isinstance(asked.stop, str) else list(asked.stop)
        if asked.logprobs:
            options["alternatives"] = asked.logprobs
        return options

    async def _begin(self, prompt: int, number: int) -> tuple[Any, list[Any]]:
        length, options = self._lengths[prompt], self._options(number)
        return await writing(self._call, self._texts[prompt], length, options)

    async def whole(self) -> Answer:
        """All at once."""
        choices, written, notes = list[dict[str, Any]](), 0, list[str]()
        for prompt in range(len(self._texts)):
            echo = await self._echo(prompt)
            for number in range(self._asked.n):
                stream, holder = await self._begin(prompt, number)
                try:
                    async for _ in stream:
                        pass
                finally:
                    stream.close()
                notes += [note for note in stream.notes if note not in notes]
                result = holder[0].result
                written += len(result.tokens)
                choices.append(self._choice(len(choices), result, echo))
        answer = {**self._head, "choices": choices, "usage": self._usage(written)}
        return Answer(answer, tokens=sum(self._lengths) + written).noted(notes)

    async def _echo(self, prompt: int) -> dict[str, Any] | None:
        if not self._asked.echo:
            return None
        call, text = self._call, self._texts[prompt]
        if self._asked.logprobs is None:
            return {"text": text, "logprobs": None}
        outcome = await call.service.ask(
            call.run,
            self._lengths[prompt],
            lambda model, _: _echoes(model, [self._prompts[prompt]], [text], self._asked.logprobs or 0),
        )
        found: dict[str, Any] = outcome.value
        return found

    def _choice(self, index: int, result: Any, echo: dict[str, Any] | None) -> dict[str, Any]:
        before = "" if echo is None else echo["text"]
        logprobs = None
        if self._asked.logprobs is not None:
            own = _logprobs(result.tokens, result.choices, len(before))
            if echo is not None and echo["logprobs"] is not None:
                own = {name: [*echo["logprobs"][name], *own[name]] for name in own}
            logprobs = own
        return {
            "text": before + result.text,
            "index": index,
            "finish_reason": "length" if result.finish == "length" else "stop",
            "logprobs": logprobs,
        }

    async def streamed(self) -> Chunks:
        """Piece by piece: the first stream begins before the answer, so that its errors have a status."""
        asked = self._asked
        if asked.echo and asked.logprobs is not None:
            raise Refused(400, "echo with logprobs is no stream", param="stream", fix="stream false")
        first, holder = await self._begin(0, 0)
        wants = asked.stream_options is not None and asked.stream_options.include_usage

        def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
            usage = {"usage": None} if wants else {}
            return b"data: " + to_bytes({**self._head, "choices": choices, **usage, **more}) + b"\n\n"

        async def events() -> AsyncIterator[bytes]:
            written = 0
            for index in range(len(self._texts) * asked.n):
                prompt, number = divmod(index, asked.n)
                stream, held = (first, holder) if index == 0 else await self._begin(prompt, number)
                place = 0
                try:
                    if asked.echo:
                        yield event([_part(index, self._texts[prompt])])
                        place = len(self._texts[prompt])
                    async for step in stream:
                        logprobs = None
                        if asked.logprobs is not None and step.token is not None:
                            chosen = () if step.choice is None else (step.choice,)
                            logprobs = _logprobs((step.token,), chosen, place)
                        place += len(step.piece)
                        yield event([_part(index, step.piece, logprobs)])
                finally:
                    stream.close()
                result = held[0].result
                written += len(result.tokens)
                reason = "length" if result.finish == "length" else "stop"
                yield event([_part(index, "", None, reason)])
            if wants:
                yield event([], usage=self._usage(written))
            yield b"data: [DONE]\n\n"

        def broken(error: Refused) -> bytes:
            return b"data: " + to_bytes(document(error)) + b"\n\n"

        headers = Answer().noted(first.notes).headers
        return Chunks(events(), broken, headers, "text/event-stream", sum(self._lengths), first.close)


def _part(index: int, text: str, logprobs: Any = None, reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "finish_reason": reason, "logprobs": logprobs}


def _logprobs(tokens: Sequence[Any], choices: Sequence[Any], place: int) -> dict[str, list[Any]]:
    """OpenAI's four lists for tokens that were written; the first begins at character `place`."""
    found: dict[str, list[Any]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    for number, token in enumerate(tokens):
        found["tokens"].append(token.token)
        found["token_logprobs"].append(log_of(token.probability))
        best = choices[number].alternatives if number < len(choices) else ()
        top = {other.token: log_of(other.probability) for other in reversed(best)}
        found["top_logprobs"].append(top if top else {token.token: log_of(token.probability)})
        found["text_offset"].append(place)
        place += len(token.token)
    return found


def log_of(probability: float) -> float:
    """The logarithm of a probability, which JSON must be able to hold."""
    return math.log(probability) if probability > 0 else -9999.0


def _echoes(model: Model, prompts: Sequence[str | Ids], texts: Sequence[str], top: int) -> list[Any]:
    """What the tokens of prompts say of themselves, by the functions of `polyseme score`.

    Prompts of ids are scored as those ids. Separators in front of them, such as [CLS], have no log-probability.
    """
    from polyseme.infer.generate import likeliest_tokens
    from polyseme.infer.score import kind_of, token_log_probabilities

    kind, tokenizer, answers = kind_of(model), model.tokenizer, list[Any]()
    within_word = kind == "pseudo-log-likelihood"
    for prompt, text in zip(prompts, texts, strict=True):
        before = 0
        if isinstance(prompt, str):
            encoded = tokenizer.encode(prompt)
        else:
            while prompt[before : before + 1] and prompt[before] in tokenizer.prefix_ids:
                before += 1
            encoded = tokenizer.encode(tokenizer.decode(prompt[before:], skip_special=False))
            if encoded.ids != list(prompt[before:]):
                encoded = bare(prompt[before:], tokenizer)
        (values,) = token_log_probabilities(model, [encoded], within_word)
        names = [tokenizer.display(i) for i in encoded.ids]
        short = len(encoded.ids) < model.max_content
        tops: list[Any] = [
            None if value is None else {name: value} for name, value in zip(names, values, strict=True)
        ]
        if kind == "log-likelihood" and top and short and hasattr(model.encoder, "decode"):
            for at, likely in enumerate(likeliest_tokens(model, encoded.ids, top)):
                if tops[at] is not None:
                    others = {token.token: log_of(token.probability) for token in likely}
                    tops[at] = others | tops[at]
        opening = [tokenizer.token(i) for i in prompt[:before]] if not isinstance(prompt, str) else []
        none = [None] * before
        logprobs = {
            "tokens": [*opening, *names],
            "token_logprobs": [*none, *values],
            "top_logprobs": [*none, *tops],
            "text_offset": [*[0] * before, *(start for start, _ in encoded.offsets)],
        }
        answers.append({"text": text, "logprobs": logprobs})
    return answers


def bare(ids: Sequence[int], tokenizer: Tokenizer) -> Tokens:
    """Ids as a text that has no places."""
    from polyseme.text.tokens import Tokens

    continues = tokenizer.continues
    return Tokens(list(ids), [(0, 0)] * len(ids), [not bool(continues[i]) for i in ids])


async def _chat(call: Call) -> Answer:
    raise Refused(
        404,
        "there is no chat: these models continue texts, and were not trained to converse",
        code="no_chat",
        fix="POST /v1/completions with a prompt",
    )


async def _tokenizer_info(call: Call) -> Answer:
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)

    def token(id: int) -> str | None:
        return tokenizer.token(id) if id >= 0 else None

    before, ends = tokenizer.prefix_ids, tokenizer.end_ids
    return Answer(
        {
            "tokenizer_class": "polyseme",
            "bos_token": token(before[0]) if before else None,
            "eos_token": token(ends[0]) if ends else None,
            "pad_token": token(tokenizer.pad_id),
            "unk_token": token(tokenizer.unk_id),
            "eos_token_id": ends[0] if ends else None,
            "vocab_size": tokenizer.vocab_size,
            "chat_template": None,
        }
    )


async def vllm_tokenize(call: Call) -> Answer:
    """The ids of a text, in vLLM's shape."""
    asked: VllmTokenize = call.asked
    await call.service.lengths(call.run, [asked.prompt])
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)
    special = tokenizer.id(asked.prompt)
    if special is not None and special in {*tokenizer.special_ids, *tokenizer.end_ids}:
        ids = [special]  # harnesses ask so for the id of a token that begins or ends texts
    else:
        ids = list(tokenizer.encode_ids([asked.prompt])[0])
        if asked.add_special_tokens:
            ids = [*tokenizer.prefix_ids, *ids]
    about = await call.service.side.count(call.service.shelf.about, call.run)
    names = [tokenizer.token(i) for i in ids] if asked.return_token_strs else None
    return Answer(
        {"count": len(ids), "max_model_len": about["max_tokens"], "tokens": ids, "token_strs": names}
    )


async def _vllm_detokenize(call: Call) -> Answer:
    asked: VllmDetokenize = call.asked
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)
    wrong = [i for i in asked.tokens if not 0 <= i < tokenizer.vocab_size]
    if wrong:
        raise Refused(
            400,
            "no such id in this run's vocabulary",
            param="tokens",
            got=wrong[0],
            code="ids",
            fix="POST /tokenize gives a text's ids",
        )
    return Answer({"prompt": tokenizer.decode(asked.tokens)})


ROUTES = [
    Route("GET", "/v1/models", _models, protocol="openai"),
    Route("GET", "/v1/models/{run}", _one_model, protocol="openai"),
    Route("POST", "/v1/embeddings", _embeddings, Embeddings, "embed", "openai", "model"),
    Route("POST", "/v1/completions", _completions, Completions, "generate", "openai", "model"),
    Route("POST", "/v1/chat/completions", _chat, None, None, "openai", "model"),
    Route("GET", "/tokenizer_info", _tokenizer_info, protocol="openai"),
    Route("POST", "/detokenize", _vllm_detokenize, VllmDetokenize, None, "openai", "model"),
]
