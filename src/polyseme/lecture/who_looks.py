"""GPT: which words a word looks at while the next one is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.core.shell import command
from polyseme.infer.generate import generate
from polyseme.lecture.chapter import Chapter, Found, figure, mean_of
from polyseme.lecture.room import Room
from polyseme.report.attention import attention_parts
from polyseme.report.charts import Axis, Rule, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Either, Figure, Part, View
from polyseme.study.attention import attend, attention

_SENTENCES, _FUNCTION = 200, 60


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("gpt"), room.texts
    sentences = list(texts.enough(texts.sentences(True) or texts.sentences(), 10, "plain sentences"))
    sentences = sentences[: room.scaled(_SENTENCES, 12)]
    said_little = {word for word, _ in texts.counts.most_common(min(_FUNCTION, len(texts.counts) // 20))}
    ratios = []  # (text, layer, head): share on content words, over what a uniform one would have
    for number, attended in attend(run, sentences):
        text = sentences[number]
        last = len(attended.tokens) - 1
        while last > 0 and not any(c.isalnum() for c in text[slice(*attended.offsets[last])]):
            last -= 1  # marks at the end
        content = np.zeros(last, np.bool_)
        for i in range(last):
            a, b = attended.offsets[i]
            word = text[a:b].strip().lower()
            content[i] = bool(word) and word[:1].isalpha() and len(word) > 1 and word not in said_little
        if not 0 < content.sum() < last:
            continue
        shares = attended.probabilities[:, :, last, :last]
        given = shares[:, :, content].sum(-1) / np.maximum(shares.sum(-1), 1e-9)  # without its look at itself
        ratios.append(given / content.mean())
    texts.enough(ratios, 8, "sentences with words that say something")
    values = np.array(ratios)  # (N, L, H)
    half = len(values) // 2
    layer, head = np.unravel_index(int(values[:half].mean(0).argmax()), values.shape[1:])
    chosen = mean_of(values[half:, layer, head].tolist())
    every = mean_of(values.mean((1, 2)).tolist())
    prompt = " ".join(sentences[0].split()[:6]) if room.lang == "en" else sentences[0][:8]
    written = generate(run, prompt, max_new_tokens=14, temperature=0.7, top_k=20, seed=room.seed).text
    whole = " ".join((written if written.startswith(prompt) else prompt + written).split())[:160]
    view = attention(run, whole, layer=int(layer) + 1, head=int(head) + 1)
    heads = [
        {"head": f"{i + 1}.{j + 1}", **mean_of(values[:, i, j].tolist())}
        for i in range(values.shape[1])
        for j in range(values.shape[2])
    ]
    return {
        "commands": [command("polyseme", "attention", room.path("gpt"), whole)],
        "figures": [
            # the head was chosen on one half of the sentences and is judged on the other
            figure(
                "look of the last word at content words, over a uniform one: best head", chosen, against=1.0
            ),
            figure("the same, mean of all heads", every),
        ],
        "heads": heads,
        "attention": view.document(),
        "chosen": f"{layer + 1}.{head + 1}",
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    shown: list[Part] = []
    for part in attention_parts(found["attention"], say):
        if isinstance(part, Either):
            shown += [one for one in part.page if isinstance(one, View)]
    rows = [{key: one[key] for key in ("head", "value", "low", "high")} for one in found["heads"]]
    chart = bars(rows, Axis("head"), Axis("value", say("over a uniform look"), ".2f"), rule=Rule(1.0))
    return [
        say(
            "The first words are given, the rest the model wrote itself. A line is the look of a word at one before it."
        ),
        *shown,
        Figure(
            "content",
            chart,
            say.sentences(
                say(
                    "How much of its look the last word of a sentence gives to words that say something, by layer and "
                    "head; 1 = as much as to any other word."
                ),
                say("The best head was chosen on one half of the sentences and is judged on the other."),
            ),
            say("Bars of the look at content words by head"),
        ),
    ]


ENTRY = Chapter(
    order=140,
    runs=("gpt",),
    title="Who looks at whom while it writes",
    claim="“The tide went out, and we knew”: to write what comes next, the last word looks back at the words that say "
    "it, such as “tide”.",
    holds="A head looks from the last word at words that say something more than a uniform look would.",
    fails="No head surely looks at words that say something more than a uniform look would.",
    takes="It holds as soon as the model is better than counting pairs of words.",
    measure=_measure,
    parts=_parts,
)
