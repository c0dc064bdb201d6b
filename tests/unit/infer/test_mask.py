"""`mask` shows what the objective itself chooses, on the tokens that a store would hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polyseme.data.loader import special_tokens
from polyseme.errors import ConfigError, CorpusError, InputError, RunError
from polyseme.infer.mask import _rows, mask, text_tokens
from polyseme.objectives.knowledge_masking import STAGES
from polyseme.objectives.masked_lm import MaskedLM, MaskedLMConfig
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer

CHINESE = "哈尔滨是黑龙江的省会，国际冰雪文化名城。李宏毅在北京大学学习 Linux 操作系统。"
ENGLISH = "Harry Potter is a series of fantasy novels written by British author J. K. Rowling. It is long."


@pytest.fixture
def lexicon(tmp_path: Path) -> str:
    path = tmp_path / "names.txt"
    path.write_text("Harry Potter\tperson\nJ. K. Rowling\tperson\na series of\tphrase\n", "utf-8")
    return str(path)


def test_bert_above_ernie_at_its_three_stages() -> None:
    shown = mask("ernie", CHINESE).document()
    assert [(line["model"], line["stage"]) for line in shown["lines"]] == [
        ("bert", "single tokens"),
        *(("ernie", stage) for stage in STAGES),
    ]
    for line in shown["lines"]:
        assert line["tokens"] == 36
        assert 13 <= line["hidden"] <= 15  # 40 %
        assert sum(len(u["shown"]) for u in line["units"]) == line["hidden"]
        assert line["masked"].count("[MASK]") == sum(u["shown"].count("[MASK]") for u in line["units"])


def test_kinds_and_sources() -> None:
    seen = {}
    for seed in range(25):
        for line in mask("ernie", CHINESE, seed=seed).lines:
            for unit in line["units"]:
                assert unit["text"] == CHINESE[unit["start"] : unit["end"]]
                seen[line["stage"], unit["text"]] = (unit["kind"], unit["source"], unit["type"])
    phrases, entities = STAGES[1:]
    assert seen["single tokens", "哈"] == seen[STAGES[0], "哈"] == ("character", "", "")
    assert seen[phrases, "哈尔滨"] == ("phrase", "segmenter", "")
    assert seen[entities, "哈尔滨"] == ("entity", "segmenter", "place")
    assert seen[entities, "北京大学"] == ("entity", "segmenter", "organisation")
    assert seen[entities, "操作系统"] == ("phrase", "segmenter", "")
    assert seen[entities, "Linux"] == ("word", "", "")
    assert (entities, "哈") not in seen
    assert (phrases, "操") not in seen


def test_a_lexicon(lexicon: str) -> None:
    outcomes = set()
    found = {}
    for seed in range(25):
        line = mask("ernie", ENGLISH, seed=seed, lexicon=[lexicon]).lines[-1]
        assert [ENGLISH[a:b] for a, b, _ in line["cut"]] == ["Harry Potter", "a series of", "J. K. Rowling"]
        for unit in line["units"]:
            outcomes.add(unit["outcome"])
            found[unit["text"]] = (unit["kind"], unit["source"], unit["type"])
            assert not {"Harry", "Potter", "Rowling", "series"} & {unit["text"]}
    assert found["Harry Potter"] == ("entity", "lexicon", "person")
    assert outcomes == {"masked", "random", "kept"}


def test_bert_s_line_is_the_objective_s_own_choice() -> None:
    tokenizer = train_tokenizer([ENGLISH, ENGLISH], TokenizerConfig(vocab_size=32_000), 0)
    special = special_tokens(tokenizer.vocab_size, 0, 2, 3, 4, [0, 1, 2, 3, 4])
    tokens = text_tokens(ENGLISH, tokenizer)
    for seed in range(5):
        ids, positions, _ = MaskedLM(MaskedLMConfig(rate=0.4), special, seed).prepare(_rows(tokens, special))
        line = mask("bert", ENGLISH, seed=seed).lines[0]
        assert [u["start"] for u in line["units"]] == [tokens.offsets[p - 1][0] for p in positions]
        hidden = [ids[0, p] == special.mask for p in positions]
        assert [u["outcome"] == "masked" for u in line["units"]] == hidden
        assert (np.delete(ids[0, 1:-1], positions - 1) == np.delete(tokens.ids, positions - 1)).all()


def test_whole_words_of_other_models() -> None:
    (line,) = mask("modernbert", ENGLISH).lines
    assert line["stage"] == "single tokens"
    assert line["rate"] == 0.4
    assert line["cut"] == []


def test_as_text() -> None:
    text = str(mask("ernie", CHINESE, seed=1))
    assert "bert: single tokens (14 of 36 tokens)" in text
    assert "⟦哈尔滨⟧是⟦黑龙江⟧的⟨省会⟩，⟨国际⟩⟨冰雪⟩⟨文化名城⟩。" in text
    assert "entity (place), a name to the segmenter" in " ".join(text.split())  # lines of 80 columns


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="neither a run nor a model") as caught:
        mask("ernei", CHINESE)
    assert "ernie" in str(caught.value)
    with pytest.raises(InputError, match="no text to mask"):
        mask("ernie", " \n ")
    with pytest.raises(CorpusError, match="no such lexicon"):
        mask("ernie", CHINESE, lexicon=[str(tmp_path / "none.txt")])


def test_a_model_without_masks(tmp_path: Path) -> None:
    from polyseme.infer.mask import _masker
    from polyseme.train.recipe import resolve

    tokenizer = train_tokenizer([ENGLISH, ENGLISH], TokenizerConfig(vocab_size=200), 0)
    recipe = resolve("bert", settings={"objectives": "next_sentence"})
    with pytest.raises(ConfigError, match="bert masks nothing"):
        _masker(recipe, tokenizer, 1, {})
