"""Learning units from text: what goes together, what is a name, what the lexicon names and the text holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polyseme.data.encoding import DocumentEncoder
from polyseme.data.mining import Mining, learn_units
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.data.units import Pattern, Units
from polyseme.errors import CheckpointError
from polyseme.text.config import TokenizerConfig
from polyseme.text.lexicon import Entry
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

PLACES = ("river", "house", "garden", "street", "market", "church")
PEOPLE = ("he", "she", "it", "they", "we")


def english() -> list[str]:
    random = np.random.default_rng(0)
    texts = []
    for _ in range(400):
        who, where = random.choice(PEOPLE), random.choice(PLACES)
        more = "of course" if random.random() < 0.2 else "very slowly now and then"
        name = "near New York City" if random.random() < 0.1 else "on the road"
        texts.append(f"So {who} went to the {where} {more} {name}. The end of the {random.choice(PLACES)}.")
    return texts


def corpus(folder: Path, texts: list[str], **config: object) -> tuple[TokenStore, Tokenizer]:
    tokenizer = train_tokenizer(texts, TokenizerConfig(**{"vocab_size": 600, **config}), 0)  # type: ignore[arg-type]
    tokenizer.save(folder / "tokenizer.json")
    with StoreWriter(folder / "train", tokenizer.vocab_size) as writer:
        writer.add_documents(*DocumentEncoder(folder / "tokenizer.json").encode(texts))
    return TokenStore.open(folder / "train"), tokenizer


def texts_of(units: Units, source: str) -> list[str]:
    return [p.text for p in units.patterns if p.source == source]


def test_collocations(tmp_path: Path) -> None:
    store, tokenizer = corpus(tmp_path, english())
    assert any("new york city" in p for p in texts_of(learn_units(store, tokenizer, [], Mining()), "mined"))
    units = learn_units(store, tokenizer, [], Mining(names=0, passes=1))
    mined = texts_of(units, "mined")
    assert "of course" in mined
    assert "the end" in mined
    assert "it went" not in mined
    assert all(len(phrase.split()) == 2 for phrase in mined)
    assert not any("." in phrase for phrase in mined)
    counts = {p.text: p.occurrences for p in units.patterns}
    assert counts["of course"] == sum("of course" in t for t in english())
    assert texts_of(learn_units(store, tokenizer, [], Mining(passes=0)), "mined") == []


def test_npmi_is_the_formula(tmp_path: Path) -> None:
    """Raising the threshold past a pair's association, computed here by hand, loses it."""
    store, tokenizer = corpus(tmp_path, english())
    words = " ".join(english()).lower().replace(".", "").split()
    n, pair = len(words), sum("of course" in t for t in english())
    p, x, y = pair / n, words.count("of") / n, words.count("course") / n
    npmi = np.log(p / (x * y)) / -np.log(p)
    for threshold, there in ((npmi - 0.001, True), (npmi + 0.001, False)):
        units = learn_units(store, tokenizer, [], Mining(min_npmi=threshold, names=0, passes=1))
        assert ("of course" in texts_of(units, "mined")) is there


@pytest.mark.parametrize("kind", ["wordpiece", "words", "byte-bpe"])
def test_the_lexicon(tmp_path: Path, kind: str) -> None:
    store, tokenizer = corpus(tmp_path, english(), kind=kind)
    lexicon = [
        Entry("New York City", "entity", "place", "l.txt"),
        Entry("of course", "phrase", "phrase", "l.txt"),
        Entry("Paris", "entity", "place", "l.txt"),
        Entry("the end", "phrase", "phrase", "l.txt"),
    ]
    units = learn_units(store, tokenizer, lexicon, Mining(names=0, passes=0))
    found = {p.text: (p.kind, p.type, p.occurrences) for p in units.patterns}
    assert found["of course"] == ("phrase", "phrase", sum("of course" in t for t in english()))
    if kind != "byte-bpe":  # it keeps case: the text has "The end"
        assert found["the end"][2] == 400
    assert found["New York City"] == ("entity", "place", sum("New York City" in t for t in english()))
    assert "Paris" not in found
    assert 0 < units.coverage["entities"]["entity"] < units.coverage["entities"]["basic"]
    assert units.coverage["phrases"]["entity"] == 0
    assert all(sum(shares.values()) == pytest.approx(1.0) for shares in units.coverage.values())


def test_capitals_where_the_vocabulary_keeps_case(tmp_path: Path) -> None:
    store, tokenizer = corpus(tmp_path, english(), lowercase=False)
    units = learn_units(store, tokenizer, [], Mining(passes=0))
    assert texts_of(units, "capitals") == ["New York City"]


def test_names_of_the_segmenter(tmp_path: Path) -> None:
    texts = ["哈尔滨是黑龙江的省会。他在北京大学学习。", "哈尔滨的冬天很冷，北京的冬天也冷。"] * 3
    store, tokenizer = corpus(tmp_path, texts)
    units = learn_units(store, tokenizer, [], Mining())
    names = {p.text: p.type for p in units.patterns if p.source == "segmenter"}
    assert names["哈尔滨"] == names["黑龙江"] == names["北京"] == "place"
    assert names["北京大学"] == "organisation"
    assert "冬天" not in names
    assert {p.kind for p in units.patterns if p.source == "segmenter"} == {"entity"}
    assert texts_of(learn_units(store, tokenizer, [], Mining(names=0)), "segmenter") == []


def test_the_lexicon_comes_before_other_sources_and_a_word_is_no_phrase(tmp_path: Path) -> None:
    store, tokenizer = corpus(tmp_path, ["哈尔滨是黑龙江的省会。"] * 9)
    lexicon = [Entry("哈尔滨", "word", "word", "l.txt"), Entry("省会", "entity", "title", "l.txt")]
    units = learn_units(store, tokenizer, lexicon, Mining(passes=0))
    kinds = {p.text: (p.kind, p.source) for p in units.patterns}
    assert kinds["哈尔滨"] == ("basic", "lexicon")
    assert kinds["省会"] == ("entity", "lexicon")
    assert kinds["黑龙江"] == ("entity", "segmenter")


def test_written_and_read_again(tmp_path: Path) -> None:
    store, tokenizer = corpus(tmp_path, english())
    lexicon = [Entry("of course", "phrase", "", "l")]
    units = learn_units(store, tokenizer, lexicon, Mining(passes=1))
    again = Units.from_bytes(units.as_bytes(), tokenizer)
    assert again.patterns == units.patterns
    assert again.as_bytes() == units.as_bytes()
    assert (again.single == units.single).all()
    assert again.coverage == units.coverage
    report = again.report()
    assert report["patterns"]["phrase"]["lexicon"] == 1
    assert report["patterns"]["phrase"]["mined"] > 1
    assert learn_units(store, tokenizer, lexicon, Mining(passes=1)).as_bytes() == units.as_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"#\nsomething else\n", Units(np.zeros(9, bool)).as_bytes() + b"a\tb\n"]
)
def test_a_damaged_table_is_refused(tmp_path: Path, data: bytes) -> None:
    _, tokenizer = corpus(tmp_path, english())
    with pytest.raises(CheckpointError, match="table of units"):
        Units.from_bytes(data, tokenizer)


def test_of_patterns_with_equal_tokens_the_first_counts() -> None:
    units = Units(
        np.zeros(9, bool),
        [Pattern("a", "entity", "lexicon", "", (5, 6)), Pattern("b", "phrase", "mined", "", (5, 6))],
    )
    assert [p.text for p in units.patterns] == ["a"]
