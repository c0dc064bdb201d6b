"""A text that it wrote, next to real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.core.shell import command
from polyseme.data.store import PreparedCorpus
from polyseme.infer.generate import generate
from polyseme.infer.score import score
from polyseme.lecture.chapter import Chapter, Found, figure, mean_of, share_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table

_TEXTS, _TOKENS, _LINES, _RUN = 6, 60, 200, 4


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("gpt"), room.texts
    real = list(texts.enough(texts.sentences(True) or texts.sentences(), 8, "plain sentences"))
    real = real[: room.scaled(_LINES, 12)]
    starts = [" ".join(s.split()[:3]) if room.lang == "en" else s[:4] for s in real[:_TEXTS]]
    written = []
    length = room.scaled(_TOKENS, 12)
    for number, start in enumerate(starts):
        text = generate(
            run, start, max_new_tokens=length, temperature=0.8, top_p=0.95, seed=room.seed + number
        ).text
        written.append(" ".join((text if text.startswith(start) else start + text).split()))
    known = set(texts.counts)
    trained = {run for sentence in texts.sentences(False) for run in _runs(_words(room, sentence))}
    rows: list[dict[str, Any]] = []
    for name, some in (("written", written), ("real", real)):
        words = [_words(room, text) for text in some]
        flat = [word for one in words for word in one]
        copied = [four in trained for one in words for four in _runs(one)]
        rows.append(
            {"of": name, "known": share_of([word in known for word in flat]), "copied": share_of(copied)}
        )
    name = "nats a token below word frequency, on text that it never read"
    figures = [
        figure(name, mean_of(_gains(room, real)), against=0.0),
        figure("words of its text that the training text has", rows[0]["known"], percent=True),
        figure("words of real text that the training text has", rows[1]["known"], percent=True),
        figure("runs of four words that are copied, of its text", rows[0]["copied"], percent=True),
        figure("runs of four words that are copied, of real text", rows[1]["copied"], percent=True),
    ]
    return {
        "commands": [
            command(
                "polyseme", "generate", room.path("gpt"), starts[0], "--temperature", 0.8, "--top-p", 0.95
            )
        ],
        "figures": figures,
        "written": written,
        "real": real[_TEXTS : 2 * _TEXTS],
        "rows": rows,
    }


def _gains(room: Room, texts: list[str]) -> list[float]:
    """Nats a token by which each text is more probable to the run than by how often its tokens occur."""
    run = room.run("gpt")
    store = run.run.store
    if store is None:  # the text that it was trained on is gone
        return []
    counts = PreparedCorpus.open(store).train.counts.astype(np.float64) + 1
    frequency = np.log(counts / counts.sum())
    ids = [run.tokenizer.encode(text).ids for text in texts]
    return [
        float(each.per_token - frequency[tokens].mean())
        for each, tokens in zip(score(run, texts), ids, strict=True)
        if len(tokens)
    ]


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    """Every four words in a row."""
    return [tuple(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)]


def _words(room: Room, text: str) -> list[str]:
    return [text[a:b].lower() for a, b in room.texts.words_of(text)]


def _parts(found: Found, say: Speaker) -> list[Part]:
    names = {"written": say("written by GPT"), "real": say("real text")}
    kinds = {"known": say("known words"), "copied": say("copied runs of four")}
    rows = [
        {
            "kind": f"{kinds[key]}: {names[row['of']]}",
            **{limit: row[key][limit] for limit in ("value", "low", "high")},
        }
        for key in ("known", "copied")
        for row in found["rows"]
        if row[key]["value"] is not None
    ]
    chart = bars(rows, Axis("kind"), Axis("value", "", ".0%", (0.0, 1.0)))
    pairs = zip(found["written"], found["real"], strict=False)
    return [
        Table(
            [names["written"], names["real"]],
            [[a, b] for a, b in pairs],
            say("The first words are given; the rest is its own."),
            left=(0, 1),
        ),
        Figure(
            "texts",
            chart,
            say("Of all words, and of all runs of four words."),
            say("Bars of known words and copied runs"),
        ),
    ]


ENTRY = Chapter(
    order=160,
    runs=("gpt",),
    title="A text that it wrote",
    claim="Word after word, a model writes texts that look real: the unicorns of GPT-2.",
    holds="Real text that it never read is more probable to it than by word frequency; its own texts are of known "
    "words, and not copied.",
    fails="Real text is no more probable to it than by word frequency.",
    takes="Texts that hold together over sentences take a hundred times this size, and a thousand times the text.",
    measure=_measure,
    parts=_parts,
)
