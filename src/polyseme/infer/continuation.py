"""A continuation, unfinished or finished: its tokens, its text, why it ended.

Stop strings are never part of the text; they are found even if they are split over pieces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from polyseme.core.result import Result
from polyseme.text.joining import Joiner
from polyseme.text.tokenizers import Tokenizer

__all__ = ["Choice", "Continuation", "Finish", "Generation", "Prompt", "Step", "StopFinder", "Token"]

Finish = Literal["stop", "length", "end"]


class Token(NamedTuple):
    """A token that was generated, as `Tokenizer.display` writes it, and its probability by the model."""

    token: str
    probability: float


class Choice(NamedTuple):
    """What the model could have written at a step, and how sure it was.

    Args:
        alternatives: the likeliest tokens, best first; that which was written is among them if it is one of them.
        entropy: of its distribution over the next token, in nats.
    """

    alternatives: tuple[Token, ...]
    entropy: float


class Step(NamedTuple):
    """A step of a stream.

    Args:
        piece: the text that is now known; "" while a character lacks bytes, or a stop string may have begun.
        token: the token that was written; None for what was held back, at the end.
        choice: the alternatives, where they were asked for.
    """

    piece: str
    token: Token | None
    choice: Choice | None

    def as_dict(self) -> dict[str, Any]:
        """{"piece", "token", "probability"}, and where they were asked for "entropy" and "alternatives"."""
        token = {"token": None, "probability": None} if self.token is None else self.token._asdict()
        return {"piece": self.piece, **token, **_choice_dict(self.choice)}


def _choice_dict(choice: Choice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    return {"entropy": choice.entropy, "alternatives": [token._asdict() for token in choice.alternatives]}


@dataclass(frozen=True, repr=False)
class Generation(Result):
    """A continuation.

    Args:
        prompt: the text that was continued, as it was given.
        text: what follows it: `prompt + text` reads on naturally. Stop strings are not in it.
        tokens: the tokens of `text`.
        finish: why it ended: a "stop" string, the "length" asked for, or the model's own "end" of the text.
        log_probability: sum over everything the model wrote, in nats; with "end", the end-of-text token too.
        others: further results of the same prompt.
        choices: for each of the tokens what else could have been written, where it was asked for.
    """

    kind = "generate"
    notes = ()

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    finish: Finish
    log_probability: float
    others: tuple[Generation, ...] = ()
    choices: tuple[Choice, ...] = ()

    def __repr__(self) -> str:
        return f"Generation({self.headline()})"  # of one line: `generate` gives lists of them

    def document(self) -> dict[str, Any]:
        """The prompt, and what `as_dict` gives."""
        return {"prompt": self.prompt, **self.as_dict()}

    def headline(self) -> str:
        """The prompt, what follows it, and why it ended."""
        return f"{self.prompt[-30:]!r}: {self.text[:40]!r}, {len(self.tokens)} tokens, {self.finish}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a token, with its alternatives where they were asked for."""
        return [
            {"step": n, **token._asdict()}
            | (
                {
                    "entropy": self.choices[n].entropy,
                    "alternatives": ", ".join(a.token.strip() for a in self.choices[n].alternatives),
                }
                if self.choices
                else {}
            )
            for n, token in enumerate(self.tokens)
        ]

    def as_dict(self) -> dict[str, Any]:
        """{"text", "tokens": [{"token", "probability"}], "finish"}, and "others" where there are any; with alternatives
        each token has "entropy" and "alternatives": [{"token", "probability"}].
        """
        choices = self.choices or (None,) * len(self.tokens)
        tokens = [t._asdict() | _choice_dict(choice) for t, choice in zip(self.tokens, choices, strict=True)]
        document = {"text": self.text, "tokens": tokens, "finish": self.finish}
        return document | ({"others": [g.as_dict() for g in self.others]} if self.others else {})


class Prompt(NamedTuple):
    """A text and what the model reads of it."""

    text: str
    window: list[int]


class StopFinder:
    """Passes text on, but holds back an end that may be the beginning of a stop string.

    Args:
        stops: non-empty strings.
    Example:
        >>> finder = StopFinder(["END"])
        >>> finder.push("the E"), finder.push("X and E"), finder.push("ND of it"), finder.found
        ('the ', 'EX and ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=1)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """The text that is now known to stand before any stop string; after one was found, always ""."""
        if self.found:
            return ""
        text = self._held + piece
        places = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        cut = len(text)
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                cut = len(text) - length
                break
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """The text that was held back; call it when no more text comes."""
        held, self._held = self._held, ""
        return held


class Continuation:
    """A text that is being continued, token by token.

    Args:
        prompt: what is continued.
        tokenizer: whose tokens come.
        stop: strings that end the text.
    Attributes:
        pieces: its text so far, without what may turn out to begin a stop string.
        finish: why it ended, or None while it goes on.
    """

    def __init__(self, prompt: Prompt, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._prompt, self._tokenizer = prompt, tokenizer
        self._joiner, self._stops = Joiner(tokenizer, prompt.text), StopFinder(stop)
        # id, probability, length of the text before it, alternatives
        self._tokens: list[tuple[int, float, int, Choice | None]] = []
        self._length = 0  # of the text, with what is held back
        self._log_probability = 0.0
        self.pieces: list[str] = []
        self.finish: Finish | None = None

    def take(self, id: int, log_probability: float, choice: Choice | None = None) -> None:
        """Add a token."""
        self._log_probability += log_probability
        if id in self._tokenizer.end_ids:
            self.close("end")
            return
        self._tokens.append((id, math.exp(log_probability), self._length, choice))
        self._add(self._joiner.push(id))
        if self._stops.found:
            self.finish = "stop"

    def close(self, finish: Finish) -> None:
        """End it here, unless it has ended."""
        if self.finish is None:
            self._add(self._joiner.flush())
            self.finish = "stop" if self._stops.found else finish
            self.pieces.append(self._stops.flush())

    def _add(self, text: str) -> None:
        self._length += len(text)
        self.pieces.append(self._stops.push(text))

    @property
    def n_tokens(self) -> int:
        """How many tokens it has."""
        return len(self._tokens)

    def last(self) -> tuple[Token, Choice | None]:
        """Its last token, with the alternatives."""
        id, probability, _, choice = self._tokens[-1]
        return Token(self._tokenizer.display(id), probability), choice

    def generation(self) -> Generation:
        """The finished continuation; `finish` must be known."""
        assert self.finish is not None
        text = "".join(self.pieces)
        kept = [t for t in self._tokens if self.finish != "stop" or t[2] < len(text)]
        tokens = tuple(Token(self._tokenizer.display(id), probability) for id, probability, _, _ in kept)
        choices = tuple(choice for *_, choice in kept if choice is not None)
        return Generation(
            self._prompt.text, text, tokens, self.finish, self._log_probability, choices=choices
        )
