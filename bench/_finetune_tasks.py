"""The five tasks of finetune_vs_trainer.py: their files, their hyper-parameters, and what they are made of.

SST-2 (sentiment), SNIPS intents and slots, SICK (inference) and SQuADShifts new_wiki (answers); see SOURCE.txt beside
each of them. SNIPS comes as three aligned files, which become a table and CoNLL columns; new_wiki has no split, so
one article of five is for testing, chosen by the hash of its title. Converted files lie in bench/.cache/finetune.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
DATA = BENCH.parent.parent / "shared" / "data" / "tasks"
CACHE = BENCH / ".cache" / "finetune"
WARM_UP = 0.1
WEIGHT_DECAY = 0.01
CLIP = 1.0


@dataclass(frozen=True)
class Case:
    """One task with everything that both sides are told.

    Args:
        name: in the table and in names of results.
        task: registry key.
        seeds: how many runs of each side.
        goal: what the main figure on the test set should reach; None = the peer's.
        train_examples, test_examples: only the first so many of the file; None = all.
        characters: only passages of at most so many characters; None = all.
        dropout: before the output layer, as transformers' head of that task has it.
    """

    name: str
    task: str
    learning_rate: float
    epochs: float
    seeds: int = 1
    goal: float | None = None
    batch_size: int = 32
    max_length: int = 128
    train_examples: int | None = None
    test_examples: int | None = None
    dropout: float = 0.1
    characters: int | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """What a kept result must agree with."""
        told = asdict(self) | {"warm_up": WARM_UP, "weight_decay": WEIGHT_DECAY, "clip_norm": CLIP}
        left_out = {"seeds", "goal", "columns"} | ({"characters"} if self.characters is None else set())
        return {k: v for k, v in told.items() if k not in left_out}


# Equal for both sides. What is cut keeps the bench to about an hour on two cores: SNIPS to its first 6,000 training
# utterances of 13,084 (the file is shuffled), SICK's test set to 1,500 pairs of 4,927, new_wiki to 1,600 training
# questions of 5,494, evenly from their articles: answers begin to be found after about a hundred updates, and twice as
# many compare what was learned. new_wiki_short has only passages of at most 600 characters (776 on
# average).
CASES = (
    Case("sst2", "classify", 2e-4, 3, seeds=3, goal=0.88, columns={"text": "1", "label": "2"}),
    Case(
        "intents",
        "classify",
        1e-4,
        1,
        seeds=3,
        train_examples=6000,
        columns={"text": "text", "label": "label"},
    ),
    Case("slots", "tag", 2e-4, 2, seeds=3, train_examples=6000),
    Case(
        "sick",
        "pair",
        1e-4,
        2,
        columns={"text": "sentence_A", "text_b": "sentence_B", "label": "entailment_judgment"},
        test_examples=1500,
    ),
    Case(
        "new_wiki",
        "qa",
        2e-4,
        2,
        batch_size=16,
        max_length=384,
        train_examples=1600,
        dropout=0.0,
    ),
    Case(
        "new_wiki_short",
        "qa",
        2e-4,
        3,
        batch_size=16,
        max_length=256,
        train_examples=1600,
        dropout=0.0,
        characters=600,
    ),
)


@dataclass(frozen=True)
class Files:
    """Where the training examples are, and those of the part that is judged."""

    train: Path
    judged: Path


def files(case: Case, part: str = "test", examples: int | None = None) -> Files:
    """Make or find a case's files.

    Args:
        part: what to judge on: "test", or "dev" to choose hyper-parameters (of new_wiki: other articles).
        examples: at most so many of each, for trials.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    sources = _SOURCES[case.name](part)
    train, judged = (_short(path, case.characters) for path in (sources.train, sources.judged))
    return Files(
        _first(train, _least(case.train_examples, examples)),
        _first(judged, _least(case.test_examples, examples)),
    )


def _least(*numbers: int | None) -> int | None:
    return min((n for n in numbers if n is not None), default=None)


def _sst2(part: str) -> Files:
    return Files(DATA / "sst2" / "train.tsv", DATA / "sst2" / f"{part}.tsv")


def _sick(part: str) -> Files:
    judged = {"test": "SICK_test_annotated.txt", "dev": "SICK_trial.txt"}[part]
    return Files(
        _copied(DATA / "sick" / "SICK_train.txt", "sick_train.tsv"),
        _copied(DATA / "sick" / judged, f"sick_{part}.tsv"),
    )


def _intents(part: str) -> Files:
    return Files(_intent_table("train"), _intent_table(part))


def _slots(part: str) -> Files:
    return Files(slot_columns("train"), slot_columns(part))


def _new_wiki(part: str) -> Files:
    with gzip.open(DATA / "squad_shifts" / "new_wiki_v1.0.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    parts: dict[str, list[Any]] = {"train": [], "test": [], "dev": []}
    for article in articles:
        tenth = hashlib.blake2b(article["title"].encode(), digest_size=8).digest()[0] % 10
        parts["test" if tenth < 2 else "dev" if tenth == 2 else "train"].append(article)
    for name, some in parts.items():
        _write(CACHE / f"new_wiki_{name}.json", json.dumps({"version": "1.1", "data": some}))
    return Files(CACHE / "new_wiki_train.json", CACHE / f"new_wiki_{part}.json")


_SOURCES = {
    "sst2": _sst2,
    "intents": _intents,
    "slots": _slots,
    "sick": _sick,
    "new_wiki": _new_wiki,
    "new_wiki_short": _new_wiki,
}


def _snips(part: str) -> Iterator[tuple[list[str], list[str], str]]:
    """Words, tags and the intent of every utterance.

    Raises:  ValueError: the three files are not aligned.
    """
    folder = DATA / "snips" / {"train": "train", "dev": "valid", "test": "test"}[part]
    texts, tags, labels = (
        (folder / name).read_text("utf-8").rstrip("\n").split("\n") for name in ("seq.in", "seq.out", "label")
    )
    for text, tag, label in zip(texts, tags, labels, strict=True):
        words, kinds = text.split(), tag.split()
        if len(words) != len(kinds):
            raise ValueError(f"{folder}: {len(words)} words and {len(kinds)} tags: {text[:80]!r}")
        yield words, kinds, label.strip()


def _intent_table(part: str) -> Path:
    lines = ["text\tlabel", *(f"{' '.join(words)}\t{label}" for words, _, label in _snips(part))]
    return _write(CACHE / f"intents_{part}.tsv", "\n".join(lines) + "\n")


def slot_columns(part: str) -> Path:
    """The slots of SNIPS as CoNLL columns."""
    sentences = (
        "\n".join(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True))
        for words, tags, _ in _snips(part)
    )
    return _write(CACHE / f"slots_{part}.conll", "\n\n".join(sentences) + "\n")


def _copied(source: Path, name: str) -> Path:
    return _write(CACHE / name, source.read_text("utf-8"))


def _write(path: Path, text: str) -> Path:
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8", newline="\n")
    return path


def _short(path: Path, characters: int | None) -> Path:
    """A file of questions with only those on passages of at most so many characters."""
    if characters is None:
        return path
    articles = json.loads(path.read_text("utf-8"))["data"]
    for article in articles:
        article["paragraphs"] = [p for p in article["paragraphs"] if len(p["context"]) <= characters]
    kept = [a for a in articles if a["paragraphs"]]
    target = CACHE / f"{path.stem}_{characters}c{path.suffix}"
    return _write(target, json.dumps({"version": "1.1", "data": kept}))


def _first(path: Path, examples: int | None) -> Path:
    """A file with the first examples of another one; questions evenly from all articles."""
    if examples is None:
        return path
    target = CACHE / f"{path.stem}_{examples}{path.suffix}"
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return _write(
            target, json.dumps({"version": "1.1", "data": _some(json.loads(text)["data"], examples)})
        )
    if path.suffix == ".conll":
        return _write(target, "\n\n".join(text.rstrip("\n").split("\n\n")[:examples]) + "\n")
    header = 0 if path.parent.name == "sst2" else 1
    return _write(target, "\n".join(text.rstrip("\n").split("\n")[: examples + header]) + "\n")


def _some(articles: list[Any], examples: int) -> list[Any]:
    """Every k-th question of articles."""
    total = sum(len(p["qas"]) for a in articles for p in a["paragraphs"])
    chosen = {i * total // examples for i in range(min(examples, total))}
    number, found = -1, []
    for article in articles:
        paragraphs = []
        for paragraph in article["paragraphs"]:
            kept = []
            for qa in paragraph["qas"]:
                number += 1
                if number in chosen:
                    kept.append(qa)
            if kept:
                paragraphs.append({**paragraph, "qas": kept})
        if paragraphs:
            found.append({**article, "paragraphs": paragraphs})
    return found
