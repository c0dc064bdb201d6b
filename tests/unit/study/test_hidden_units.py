"""Whole units hidden: which they are, what a run says of them, and runs beside each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from decoding import make_loaded
from polyseme.cli import main
from polyseme.errors import ConfigError, InputError
from polyseme.infer.model import Model
from polyseme.study.hidden_units import Unit, _units, hidden_units
from trained import make_run

TEXTS = [
    "the cat sat on the mat, and it's a good day",
    "one two three, four",
    "a good cat sat on the mat",
] * 3


@pytest.fixture(scope="module")
def bert() -> Model:
    return make_loaded("bert")


def cut(text: str, known: dict[str, str]) -> list[tuple[str, str]]:
    return [(unit.kind, text[unit.start : unit.end]) for unit in _units(text, 0, known)]


def test_units_of_chinese_are_entities_first_then_phrases_words_and_characters() -> None:
    found = cut("我爱北京天安门，他今天很高兴", {"北京天安门": "entity", "很高兴": "phrase"})
    assert ("entity", "北京天安门") in found
    assert ("phrase", "很高兴") in found
    assert ("word", "今天") in found
    assert ("character", "我") in found
    inside = [shown for kind, shown in found if kind == "character" and shown in "今天"]
    assert len(inside) == 1  # one character of every word, the rest of which stays
    assert not any("北京" in shown for kind, shown in found if kind == "word")


def test_units_of_english_are_words_and_what_is_known_of_several_words() -> None:
    found = cut("She saw New York, new to 3 of us", {"newyork": "entity", "new": "phrase"})
    assert ("entity", "New York") in found
    assert ("word", "new") in found  # a single word is no phrase
    assert not any(shown == "3" for _, shown in found)


def test_nats_are_those_of_the_heads_softmax_at_the_hidden_places(bert: Model) -> None:
    result = hidden_units(bert, TEXTS, limit=1000)
    figures = result.runs[0]["kinds"]["word"]
    total = right = n = 0.0
    for number, text in enumerate(TEXTS):
        tokens = bert.tokenizer.encode(text)
        for unit in _units(text, number, {}):
            inside = [i for i, (a, b) in enumerate(tokens.offsets) if unit.start <= a and b <= unit.end]
            ids = [bert.tokenizer.mask_id if i in inside else id for i, id in enumerate(tokens.ids)]
            with torch.no_grad():
                hidden = bert.encoder.encode(bert.batch([ids])).last[0, 1:-1]
                logits = bert.masked_lm_head.logits(hidden).double()
            for i in inside:
                total -= float(logits[i].log_softmax(0)[tokens.ids[i]])
            right += all(int(logits[i].argmax()) == tokens.ids[i] for i in inside)
            n += 1
    assert figures["found"]["n"] == n
    assert figures["nats"]["value"] == pytest.approx(total / n, rel=1e-5)
    assert figures["found"]["value"] == pytest.approx(right / n)
    assert figures["nats"]["low"] < figures["nats"]["value"] < figures["nats"]["high"]


def test_what_two_runs_cannot_both_be_asked_is_left_out(bert: Model) -> None:
    other = make_loaded("modernbert")
    result = hidden_units([bert, other], [*TEXTS, "the ☂ word sat"], limit=1000)
    first, second = (run["kinds"]["word"] for run in result.runs)
    assert first["found"]["n"] == second["found"]["n"]
    assert "found_difference" not in first
    difference = second["nats_difference"]
    assert difference["value"] == pytest.approx(first["nats"]["value"] - second["nats"]["value"])
    assert all(len(example["answers"]) == 2 for example in result.examples)
    assert any("phrases or entities" in note for note in result.notes)


def test_a_lexicon_gives_entities(bert: Model, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("good day\tperson\n", "utf-8")
    kinds = hidden_units(bert, TEXTS, lexicon=tmp_path / "names.txt").runs[0]["kinds"]
    assert kinds["entity"]["found"]["n"] == 3
    assert kinds["entity"]["tokens"] >= 2


def test_the_draw_is_the_seeds(bert: Model) -> None:
    first, again, other = (hidden_units(bert, TEXTS, limit=6, seed=s).document() for s in (1, 1, 2))
    assert first == again
    assert first["examples"] != other["examples"]


def test_errors(bert: Model) -> None:
    with pytest.raises(ConfigError):
        hidden_units(make_loaded("gpt"), TEXTS)
    with pytest.raises(InputError, match="no run to look into"):
        hidden_units([], TEXTS)
    with pytest.raises(InputError, match="no unit to hide"):
        hidden_units(bert, ["", "…"])


def test_without_texts_a_run_is_asked_for_its_own_heldout_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    result = hidden_units(run)
    assert result.file is None
    assert result.runs[0]["kinds"]["word"]["found"]["n"] > 10
    shutil.rmtree(run / "store")
    with pytest.raises(InputError, match="no held-out text"):
        hidden_units(run)


def test_the_verb_goes_on_as_it_was_asked(
    bert: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("polyseme.study.hidden_units.opened", lambda run: bert)
    file = tmp_path / "texts.jsonl"
    file.write_text('{"body": "the cat sat on the mat"}\n', "utf-8")
    asked = f"{file} --limit 5 --field body --encoding utf-8 --seed 3"
    assert main(["units", "run", *asked.split(), "--report-lang", "zh"]) == 0
    said = capsys.readouterr().err
    assert f"{file} --limit 5 --field body --encoding utf-8 --seed 3 -o units" in said
    assert "-o FOLDER writes one" in said  # a language of a page, and no page


def test_runs_are_named_by_their_folders(bert: Model) -> None:
    document = hidden_units([bert, bert], TEXTS, limit=5, resamples=20).document()
    first, second = (run["name"] for run in document["runs"])
    assert first != second
    assert Path(bert.run.path).name in first
    assert "study" not in document


def test_a_unit_says_where_it_is() -> None:
    assert next(_units("cat", 7, {})) == Unit("word", 7, 0, 3)
