"""Small generated data in the place of the real sets, in their folders and forms: a user's clone has none of these.

Only what tests read that hold for any data of that form; counts of the real sets are checked where the sets are.
"""

from __future__ import annotations

import gzip
import json
from itertools import product
from pathlib import Path

import numpy as np

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
"""The real sets, beside some checkouts."""

GOOD = ["lovely", "clever", "warm", "funny", "moving", "bright"]
BAD = ["dull", "clumsy", "cold", "tired", "noisy", "empty"]
PLAIN = ["film", "story", "scene", "cast", "plot", "the", "a", "of", "with", "and", "its", "ending", "music"]
CHARACTERS = "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"


def write_stand_in(folder: Path) -> Path:
    """Everything, below a folder; always the same."""
    random = np.random.default_rng(0)
    _sentiment(folder / "tasks" / "sst2", random)
    _questions(folder / "tasks", random)
    _texts(folder / "text", random)
    _lexicons(folder / "lexicon")
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def _sentiment(folder: Path, random: np.random.Generator) -> None:
    """SST-2's tables: a sentence, a tab, 0 or 1. One word in eight speaks for the other side."""
    for name, n in (("train.tsv", 800), ("dev.tsv", 200)):
        rows = []
        for number in range(n):
            label = number % 2
            words = list(random.choice(PLAIN, 8))
            for at in random.permutation(8)[:3]:
                words[at] = random.choice((BAD, GOOD)[label ^ int(random.random() < 1 / 8)])
            rows.append(f"{' '.join(words)} .\t{label}")
        _write(folder / name, "\n".join(rows) + "\n")


def _questions(folder: Path, random: np.random.Generator) -> None:
    """SQuAD's JSON, in English and in Chinese, with answers cut out of their contexts."""
    english = [
        "The",
        "river",
        "St. John's",
        "in",
        "1889,",
        "a",
        "tower",
        "(of",
        "iron)",
        "cost",
        "$3.50",
        "an",
    ]
    for name, units, glue in (
        ("squad_shifts/new_wiki_v1.0.json.gz", english, " "),
        ("cmrc2018/cmrc2018_trial.json", [*CHARACTERS, "，", "《", "》", "1976年", "Inc.", "。"], ""),
    ):
        paragraphs = []
        for number in range(40):
            words = list(random.choice(units, 40))
            context = glue.join(words)
            asked = []
            for question in range(3):
                start = int(random.integers(0, 34))
                texts = [glue.join(words[start : start + length]) for length in (1, 2, 4)]
                answers = [{"text": text, "answer_start": context.find(text)} for text in texts]
                asked.append({"id": f"{number}-{question}", "question": "what?", "answers": answers})
            paragraphs.append({"context": context, "qas": asked})
        _write(folder / name, json.dumps({"data": [{"title": name, "paragraphs": paragraphs}]}))


def _texts(folder: Path, random: np.random.Generator) -> None:
    """Folders of running text as they were fetched: each with a description that is no text."""
    for name, file, units, glue in (
        ("en/tinyshakespeare", "input.txt", [*PLAIN, *GOOD, *BAD], " "),
        ("en/wikitext2_valid", "wiki.valid.txt", [*PLAIN, *GOOD, *BAD], " "),
        ("zh/laws", "laws.txt.gz", [*CHARACTERS], ""),
    ):
        lines = [glue.join(random.choice(units, 30)) + ("。" if not glue else ".") for _ in range(600)]
        _write(folder / name / file, "\n".join(lines) + "\n")
        _write(folder / name / "SOURCE.txt", "Generated for the tests.\n")


def _lexicons(folder: Path) -> None:
    """THUOCL's lists, a word and its count a line, and idioms as one JSON list."""
    words = [
        "字符串",
        "中国",
        "北京",
        "李世民",
        "坚定不移",
        *map("".join, product(CHARACTERS[:20], repeat=2)),
    ]
    for part, name in enumerate(("THUOCL_IT.txt", "THUOCL_diming.txt")):
        rows = [f"{word}\t{1000 + number}" for number, word in enumerate(words[part::2])]
        _write(folder / "zh_thuocl" / name, "\n".join(rows) + "\n")
    for name in ("zh_thuocl", "zh_idioms"):
        _write(folder / name / "SOURCE.txt", "Generated for the tests.\n")
        _write(folder / name / "LICENSE", "None.\n")
    idioms = [{"word": "".join(four), "explanation": "…"} for four in product(CHARACTERS[20:25], repeat=4)]
    _write(folder / "zh_idioms" / "idiom_first8449.json", json.dumps(idioms, ensure_ascii=False))
