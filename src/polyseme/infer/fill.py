"""Complete a text at its [MASK]s, and say how sure the model is and where it ranks the words that stood there.

    one mask     p = softmax of the head at the mask; entropy -Σ p log p; rank of a token = 1 + number of likelier ones
    whole hole   masks side by side are one word or name:  Σ_k log p(t_k | text, the masks filled before k)

The masks of a hole are filled one by one, always the one at which the model is most certain (its likeliest token has
the highest probability), by a beam over the candidates so far. A masked model has no joint probability of several
tokens: the sum depends on the order, so it is called a pseudo-log-likelihood.

Source: filling the most certain first is Ghazvininejad et al. (2019), Mask-Predict, in its one-token form.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from polyseme.core.pauses import pause
from polyseme.core.result import Result
from polyseme.core.synonyms import MASKS
from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import TOKENS_PER_BATCH
from polyseme.infer.inputs import at_least_one, check_loaded, texts_of
from polyseme.infer.loaded import Loaded, words_of
from polyseme.text.joining import Joiner
from polyseme.text.labelled.senses import occurrences
from polyseme.text.tokenizers import ABSENT
from polyseme.text.tokens import Tokens, meeting

__all__ = ["Filling", "Hide", "fill"]

Hide = str | Sequence[str | tuple[int, int]]

LEAST_BEAM = 10
"""Candidates of a whole hole that are followed, where fewer are asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class Filling(Result):
    """What `fill` finds in a text, with detail.

    Args:
        text: as it was read.
        masks: for each mask, or hole, in order: {"position", "candidates", "entropy"} and, where a word of the text was
            hidden, "original": {"token", "rank", "nats"}; of a whole hole see `fill`.
    """

    kind = "fill"
    notes = ()

    text: str
    masks: list[dict[str, Any]]

    def document(self) -> list[dict[str, Any]]:
        """The masks, JSON-able."""
        return self.masks

    def headline(self) -> str:
        """The text, and the likeliest token of every mask."""
        best = ", ".join(mask["candidates"][0]["token"].strip() for mask in self.masks)
        return f"{self.text[:40]!r}: {best}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a candidate; the word that stood there comes last, with its rank."""
        rows = []
        for mask in self.masks:
            for rank, candidate in enumerate(mask["candidates"], 1):
                rows.append(_row(mask["position"], candidate["token"], rank, share_of(candidate), False))
            if stood := mask.get("original"):
                share = None if stood["nats"] is None else float(np.exp(-stood["nats"]))
                rows.append(_row(mask["position"], stood["token"], stood["rank"], share, True))
        return rows


def _row(position: int, token: str, rank: int | None, share: float | None, original: bool) -> dict[str, Any]:
    return {"position": position, "token": token, "rank": rank, "probability": share, "original": original}


def share_of(candidate: dict[str, Any]) -> float:
    """A candidate's probability; of several tokens, the exponential of their pseudo-log-likelihood."""
    return float(candidate["probability" if "probability" in candidate else "pseudo_likelihood"])


@overload
def fill(  # type: ignore[overload-overlap]
    loaded: Loaded,
    texts: str,
    top: int = 5,
    *,
    hide: Hide = (),
    whole: bool = False,
    among: Sequence[str] = (),
    detail: Literal[False] = False,
) -> list[dict[str, Any]]: ...
@overload
def fill(
    loaded: Loaded,
    texts: Iterable[str],
    top: int = 5,
    *,
    hide: Hide = (),
    whole: bool = False,
    among: Sequence[str] = (),
    detail: Literal[False] = False,
) -> list[list[dict[str, Any]]]: ...
@overload
def fill(  # type: ignore[overload-overlap]
    loaded: Loaded,
    texts: str,
    top: int = 5,
    *,
    hide: Hide = (),
    whole: bool = False,
    among: Sequence[str] = (),
    detail: Literal[True],
) -> Filling: ...
@overload
def fill(
    loaded: Loaded,
    texts: Iterable[str],
    top: int = 5,
    *,
    hide: Hide = (),
    whole: bool = False,
    among: Sequence[str] = (),
    detail: Literal[True],
) -> list[Filling]: ...
def fill(
    loaded: Loaded,
    texts: str | Iterable[str],
    top: int = 5,
    *,
    hide: Hide = (),
    whole: bool = False,
    among: Sequence[str] = (),
    detail: bool = False,
) -> Any:
    """The likeliest tokens at every [MASK] of texts, each mask on its own.

    Args:
        loaded: a run trained with masked_lm or knowledge_masking.
        texts: one or several, each with at least one [MASK], unless something is hidden; where it has none, <mask>,
            [mask] and ___ are read as such, with a warning.
        top: candidates per mask.
        hide: words of the text that are hidden as if [MASK] stood there, one mask a token: wherever they stand as whole
            words, upper and lower case alike, or the [start, end) of their characters. Without `whole`, the tokens of
            one are masks of their own.
        whole: fill masks side by side together, as one word or name.
        among: candidates that alone are shown, each a token of the vocabulary; their probabilities stay what they are.
        detail: say also how sure the model is, and where it ranks what was hidden.
    Returns, for a text, a list with, per mask, {"position": character offset in the text as it is read, "candidates":
    [{"token", "probability", "sequence"}]}; in "sequence" the other masks stay as they are. A hole of several masks has
    "masks", how many, and candidates {"token": their text, "tokens", "pseudo_likelihood", "sequence"}.
    With detail a `Filling` of them, which have also "entropy" in nats (of a whole hole "entropies", a mask each), over
    every token, the special ones too, which candidates and ranks leave out; and,
    where a word was hidden, "original": {"token", "rank": 1 for the likeliest, "nats": its -log p}; of a whole hole the
    rank among the candidates that were followed, None if it is none of them.
    Raises:  InputError: not text, no [MASK], the text has no such word, or the vocabulary no such token, or the text
             is longer than the model reads.
             ConfigError: the run has no masked-LM head, top is no count, or whole words are asked for among some.

    Example:
        fill(load("runs/bert"), "The bank of the river was steep.", hide="bank", detail=True)
    """
    check_loaded(loaded)
    several, single = texts_of(texts)
    at_least_one("top", top)
    if whole and among:
        raise ConfigError("a whole hole is not filled among given words", fix="whole, or among, and not both")
    ids = _tokens_of(loaded, among) if among else None
    answers = [_fill_text(loaded, text, top, hide, whole, ids) for text in several]
    if not detail:
        plain = [[_without_detail(mask) for mask in answer.masks] for answer in answers]
        return plain[0] if single else plain
    return answers[0] if single else answers


def _without_detail(mask: dict[str, Any]) -> dict[str, Any]:
    return {name: mask[name] for name in ("position", "masks", "candidates") if name in mask}


@torch.no_grad()
def _fill_text(
    loaded: Loaded, text: str, top: int, hide: Hide, whole: bool, among: Tensor | None = None
) -> Filling:
    _ = loaded.masked_lm_head
    if loaded.tokenizer.mask_id == ABSENT:
        raise ConfigError(
            "the run's vocabulary has no token that hides others",
            expected="a tokenizer with a mask token",
            where=loaded.run.path,
        )
    text = _with_masks(text, loaded.tokenizer.token(loaded.tokenizer.mask_id))
    gap = _Text.of(loaded, text, hide)
    holes = gap.holes(whole)
    if not holes:
        mask = loaded.tokenizer.token(loaded.tokenizer.mask_id)
        raise InputError(
            f"there is no {mask} in the text", got=text, fix=f"write {mask} where a word is to be found"
        )
    answers: dict[int, dict[str, Any]] = {}
    single = [hole[0] for hole in holes if len(hole) == 1]
    if single:
        (probabilities,) = _probabilities(gap, [gap.masked], [single])
        answers |= {
            place: _one(gap, place, p, top, among) for place, p in zip(single, probabilities, strict=True)
        }
    answers |= {hole[0]: _together(gap, hole, top) for hole in holes if len(hole) > 1}
    return Filling(text, [answers[hole[0]] for hole in holes])


class _Text(NamedTuple):
    """A text in which tokens are hidden.

    Args:
        loaded: the run.
        text: as it is read.
        tokens: its tokens as they stand there.
        masked: the ids that the model reads.
        places: numbers of the masks among them.
    """

    loaded: Loaded
    text: str
    tokens: Tokens
    masked: list[int]
    places: list[int]

    @classmethod
    def of(cls, loaded: Loaded, text: str, hide: Hide) -> _Text:
        """Raises:  InputError: what is to be hidden is not in the text."""
        tokens = loaded.tokenizer.encode(text, special=True)
        mask = loaded.tokenizer.mask_id
        hidden: set[int] = set()
        offsets = np.array(tokens.offsets, np.int64).reshape(-1, 2)
        for start, end in _spans(text, hide):
            first, behind = (int(n[0]) for n in meeting(offsets, np.array([(start, end)])))
            if first >= behind:
                raise InputError("no token to hide stands there", got=f"characters {start} to {end}")
            hidden |= {*range(first, behind)}
        masked = [mask if i in hidden else id for i, id in enumerate(tokens.ids)]
        return cls(loaded, text, tokens, masked, [i for i, id in enumerate(masked) if id == mask])

    def holes(self, whole: bool) -> list[list[int]]:
        """The masks that are filled together, by number of their tokens."""
        if not whole:
            return [[place] for place in self.places]
        runs = groupby(enumerate(self.places), lambda at: at[1] - at[0])
        return [[place for _, place in run] for _, run in runs]

    def span(self, place: int) -> tuple[int, int]:
        """[start, end) of a token, without the space that some tokens include."""
        start, end = self.tokens.offsets[place]
        return start + len(self.text[start:end]) - len(self.text[start:end].lstrip()), end

    def around(self, hole: Sequence[int]) -> tuple[str, str]:
        """The text before a hole and behind it, in which the other masks stay."""
        start, end = self.span(hole[0])[0], self.span(hole[-1])[1]
        earlier = [place for place in self.places if place < hole[0]]
        later = [place for place in self.places if place > hole[-1]]
        return self._between(0, start, earlier), self._between(end, len(self.text), later)

    def _between(self, start: int, end: int, hidden: Sequence[int]) -> str:
        mask, parts = self.loaded.tokenizer.token(self.loaded.tokenizer.mask_id), []
        for place in hidden:
            first, behind = self.span(place)
            parts += [self.text[start:first], mask]
            start = behind
        return "".join([*parts, self.text[start:end]])

    def filled(self, hole: Sequence[int], ids: Sequence[int]) -> tuple[str, str]:
        """What tokens are as text in a hole, and the whole text with them."""
        before, behind = self.around(hole)
        first = self.loaded.tokenizer.display(ids[0])
        if first.startswith("##"):
            before = before.rstrip()
        if len(ids) == 1:
            piece = first.removeprefix("##") if first != "##" else first
        else:
            joiner = Joiner(self.loaded.tokenizer, before)
            piece = "".join([*map(joiner.push, ids), joiner.flush()])
        return piece.strip(), before + (piece.lstrip() if before.endswith(" ") else piece) + behind

    def stood(self, hole: Sequence[int]) -> str | None:
        """The characters that were hidden in a hole; None where masks stood."""
        if any(self.tokens.ids[place] == self.masked[place] for place in hole):
            return None
        return self.text[self.span(hole[0])[0] : self.span(hole[-1])[1]]


def _spans(text: str, hide: Hide) -> Iterator[tuple[int, int]]:
    """[start, end) of everything that is to be hidden.

    Raises:  InputError: the text has no such word or place.
    """
    if not isinstance(hide, Iterable):
        raise InputError(
            "nothing that can be hidden", got=repr(hide)[:80], expected="a word, or a list of words or places"
        )
    for asked in [hide] if isinstance(hide, str) else hide:
        if isinstance(asked, str):
            found = occurrences(text, asked.strip())
            if not found:
                raise _not_there(text, asked)
            yield from found
            continue
        place: Any = asked
        pair = isinstance(place, Sequence | np.ndarray) and len(place) == 2
        if not pair or not all(isinstance(n, int | np.integer) for n in place):
            raise InputError(
                "neither a word to hide nor its place",
                got=repr(asked)[:80],
                expected="(start, end) in characters",
            )
        start, end = asked
        if not 0 <= start < end <= len(text):
            raise InputError("no such place in the text", got=asked, expected=f"0 to {len(text)}")
        yield start, end


def _not_there(text: str, word: str) -> InputError:
    """The error for a word that is to be hidden and does not stand in the text as a word of its own."""
    if not text.strip():
        return InputError(
            "there is nothing to hide in an empty text", got=text, fix="give a text with the word"
        )
    return InputError(
        "the word that is to be hidden is not in the text",
        got=word,
        expected=f"a word of: {text}",
        fix="--hide with a word as it stands there, or write [MASK] in the text",
    )


def _probabilities(
    gap: _Text, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]
) -> list[Tensor]:
    """The distribution at some places of every row, which are equally long; special tokens have none of it.

    Shapes:  -> N × (places, V) float32
    """
    loaded, found = gap.loaded, list[Tensor]()
    at_once = max(1, TOKENS_PER_BATCH // max(1, len(rows[0])))
    for start in range(0, len(rows), at_once):
        pause()
        some, of_some = rows[start : start + at_once], places[start : start + at_once]
        batch = loaded.batch(some, [words_of(gap.text, gap.tokens)] * len(some))
        width = batch.ids.size(1)
        flat = [n * width + loaded.prefix_length + place for n, row in enumerate(of_some) for place in row]
        hidden = loaded.encoder.encode(batch).at(torch.tensor(flat, device=loaded.device))
        probabilities = torch.softmax(loaded.masked_lm_head.logits(hidden).float(), dim=1).cpu()
        found += torch.split(probabilities, [len(row) for row in of_some])
    return found


def _allowed(loaded: Loaded, probabilities: Tensor) -> Tensor:
    """The distribution without special tokens, which are never an answer, nor rows of the table without a token."""
    allowed = probabilities.clone()
    allowed[..., loaded.special.special.nonzero()[0]] = 0.0
    allowed[..., loaded.tokenizer.vocab_size :] = 0.0
    return allowed


def _entropy(probabilities: Tensor) -> float:
    """-Σ p log p, nats.  Shapes: (V,)"""
    return float(torch.special.entr(probabilities.double()).sum())


def _tokens_of(loaded: Loaded, words: Sequence[str]) -> Tensor:
    """The tokens that words are, each once.

    Raises:  InputError: one is no word, or not one token of the vocabulary.
    """
    tokenizer, found = loaded.tokenizer, dict[int, str]()
    for word in [words] if isinstance(words, str) else words:
        if not isinstance(word, str):
            raise InputError("a candidate must be a word", got=repr(word)[:80])
        ids = tokenizer.lookup(word)
        known = ids[0] if len(ids) == 1 and ids[0] != tokenizer.unk_id else tokenizer.id(word)
        if known is None or known in tokenizer.special_ids:
            pieces = " ".join(tokenizer.display(id).strip() for id in ids)
            raise InputError(
                "a candidate must be one token of the vocabulary",
                got=f"{word}, which is {pieces}" if pieces else repr(word),
                where=loaded.run.path,
                fix="another word for it, or `choose`, which takes words of any length",
            )
        found.setdefault(known, word)
    return torch.tensor([*found])


def _one(gap: _Text, place: int, p: Tensor, top: int, among: Tensor | None = None) -> dict[str, Any]:
    """Candidates at one mask.  Shapes: p: (V,), among: (n,)"""
    allowed, tokenizer = _allowed(gap.loaded, p), gap.loaded.tokenizer
    places = torch.arange(len(allowed)) if among is None else among
    best = allowed[places].topk(min(top, len(places)))
    candidates = [
        {
            "token": tokenizer.display(token),
            "probability": value,
            "sequence": gap.filled([place], [token])[1],
        }
        for value, token in zip(best.values.tolist(), places[best.indices].tolist(), strict=True)
    ]
    answer = {"position": gap.span(place)[0], "candidates": candidates, "entropy": _entropy(p)}
    if (stood := gap.stood([place])) is not None:
        id = gap.tokens.ids[place]
        known = float(allowed[id]) > 0.0
        answer["original"] = {
            "token": tokenizer.display(id) if known else stood,
            "rank": int((allowed > allowed[id]).sum()) + 1 if known else None,
            "nats": -float(allowed[id].log()) if known else None,
        }
    return answer


def _together(gap: _Text, hole: Sequence[int], top: int) -> dict[str, Any]:
    """Candidates for several masks as one word or name."""
    (first,) = _probabilities(gap, [gap.masked], [hole])
    followed = _beam(gap, hole, max(top, LEAST_BEAM))
    candidates = []
    for ids, total in followed[:top]:
        token, sequence = gap.filled(hole, ids)
        tokens = [gap.loaded.tokenizer.display(id) for id in ids]
        share = float(np.exp(total))
        candidates.append(
            {"token": token, "tokens": tokens, "pseudo_likelihood": share, "sequence": sequence}
        )
    answer: dict[str, Any] = {
        "position": gap.span(hole[0])[0],
        "masks": len(hole),
        "candidates": candidates,
        "entropies": [_entropy(p) for p in first],
    }
    if (stood := gap.stood(hole)) is not None:
        held = {place: gap.tokens.ids[place] for place in hole}
        ((ids, total),) = _beam(gap, hole, 1, held)
        known = total > -torch.inf
        ranks = [rank for rank, (others, _) in enumerate(followed, 1) if others == ids]
        nats = -total if known else None
        answer["original"] = {"token": stood, "rank": next(iter(ranks), None), "nats": nats}
    return answer


def _beam(
    gap: _Text, hole: Sequence[int], beams: int, held: dict[int, int] | None = None
) -> list[tuple[list[int], float]]:
    """Tokens of a hole and the sum of their log p, best first; the most certain mask is filled first.

    Args:
        beams: how many are followed.
        held: tokens that are put in, whatever the model would have there; None = the likeliest ones.
    """
    states: dict[tuple[tuple[int, int], ...], float] = {
        (): 0.0
    }  # (place, token) pairs in order of place -> Σ log p
    for _ in hole:
        rows, open_places = [], []
        for state in states:
            row = list(gap.masked)
            for place, token in state:
                row[place] = token
            rows.append(row)
            open_places.append([place for place in hole if place not in dict(state)])
        longer: dict[tuple[tuple[int, int], ...], float] = {}
        read = zip(states.items(), open_places, _probabilities(gap, rows, open_places), strict=True)
        for (state, total), places, probabilities in read:
            allowed = _allowed(gap.loaded, probabilities)
            surest = int(allowed.max(1).values.argmax())
            log_p = allowed[surest].log()
            if held is None:
                best = log_p.topk(min(beams, len(log_p))).indices.tolist()
            else:
                best = [held[places[surest]]]
            for token in best:
                key = tuple(sorted([*state, (places[surest], token)]))
                # two orders may lead to the same tokens: the better one counts
                longer[key] = max(longer.get(key, -torch.inf), total + float(log_p[token]))
        ranked = sorted(longer.items(), key=lambda item: (-item[1], item[0]))
        states = dict(ranked[:beams])
    return [([token for _, token in state], total) for state, total in states.items()]


def _with_masks(text: str, mask: str) -> str:
    """The text with the run's own mask. If it has none, the masks of other vocabularies are replaced."""
    if mask in text:
        return text
    foreign_masks = sorted(set(re.findall(MASKS, text, re.IGNORECASE)))
    if foreign_masks:
        warnings.warn(f"{' and '.join(foreign_masks)} is read as {mask}", stacklevel=4)
    return re.sub(MASKS, lambda _: mask, text, flags=re.IGNORECASE)
