"""The lecture on a tiny text: chapters are measured, kept, and shown in both languages."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme import Budget
from polyseme.cli import main
from polyseme.errors import ConfigError, Interrupted, RunError
from polyseme.lecture.answers import _parts as _answer_parts
from polyseme.lecture.chapter import figure, in_order, mean_of, more_often, share_of
from polyseme.lecture.giving import give
from polyseme.lecture.material import _each_once, labelled, marked_uses, spans_of
from polyseme.lecture.page import lecture_page
from polyseme.lecture.room import Room
from polyseme.lecture.task_mixes import _apart
from polyseme.lecture.texts import Texts
from polyseme.lecture.whole_units import _is_half
from polyseme.lecture.word_vectors import _alike, _answered
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure
from polyseme.text.config import TextConfig
from trained import SIZES

NOUNS = ["report", "answer", "call", "river", "garden", "letter", "market", "bridge", "window", "story"]
VERBS = ["sees", "likes", "finds", "keeps", "needs", "takes"]
PEOPLE = ["the teacher", "a farmer", "my friend", "the sailor", "her brother", "the doctor"]
STEPS = Budget(steps=2)
SMALL: dict[str, Any] = {
    "data.sequence_length": 32,
    "train.batch_size": 4,
    "train.heldout_tokens": 200,
    "train.evaluations": 1,
    "tokenizer.vocab_size": 400,
    "budget": STEPS,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "text": {"text.valid_share": 0.2},
    "elmo": {"hidden_size": 16, "train.heldout_tokens": 200, "budget": STEPS},
    "word2vec": {"hidden_size": 16, "budget": STEPS},
    "word-classes": {"num_classes": 12, "budget": STEPS},
    "bert": {**SIZES, **SMALL},
    "ernie": {**SIZES, **SMALL},
    "gpt": {**SIZES, **SMALL},
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty documents of plain sentences, with words that are a thing here and an action there."""
    folder = tmp_path_factory.mktemp("text")
    random = np.random.default_rng(5)

    def sentence() -> str:
        person, verb = random.choice(PEOPLE), random.choice(VERBS)
        noun, other = random.choice(NOUNS, 2, replace=False)
        form = random.integers(3)
        if form == 0:
            return f"{person} {verb} the {noun} and the {other}.".capitalize()
        if form == 1:
            return f"{person} wants to {random.choice(NOUNS[:3])} Anna, but not the {other}.".capitalize()
        return f"In the {noun} near Paris {person} {verb} a {other}, too."

    for number in range(20):
        (folder / f"book {number}.txt").write_text(" ".join(sentence() for _ in range(30)), "utf-8")
    return folder


@pytest.fixture(scope="module")
def room(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Room:
    folder = tmp_path_factory.mktemp("lecture") / "lecture"
    return Room(folder=folder, corpus=[str(text)], minutes=0.3, settings=SETTINGS)


def test_a_chapter_is_kept_and_shown_in_both_languages(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    document = give(room, ["one-of-n", "next-sentence"])
    first, second = document["chapters"]
    assert (first["name"], first["holds"]) == ("one-of-n", True)
    assert {"value", "low", "high", "n", "against", "holds", "name", "of", "percent"} == set(
        first["figures"][0]
    )
    assert second["figures"][0]["against"] == 0.5
    assert second["figures"][0]["n"] > 10
    for lang, title in (("en", "Equal distances"), ("zh", "距离相等")):
        page = lecture_page(json.loads(json.dumps(document)), lang)
        assert title in page.text()
        html = page.html()
        assert "polyseme cosines" in html
        assert len({one.name for one in page.figures}) == len(page.figures) >= 3
    monkeypatch.setattr("polyseme.lecture.giving._measured", lambda *_: pytest.fail("it is done"))
    again = give(replace(room), ["one-of-n"])
    assert again["chapters"] == document["chapters"]


def test_a_folder_is_of_one_text(room: Room) -> None:
    give(room, ["one-of-n"])
    with pytest.raises(RunError, match="another text"):
        give(replace(room, seed=2), ["one-of-n"])
    with pytest.raises(ConfigError, match="no chapter"):
        give(room, ["one-of-m"])


def test_a_chapter_that_a_text_cannot_show_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("A few words.\n\nAnd again a few.", "utf-8")
    room = Room(folder=tmp_path / "lecture", corpus=[str(tmp_path / "few.txt")], settings=SETTINGS)
    (one,) = give(room, ["next-sentence"])["chapters"]
    assert (one["found"], one["holds"]) == (None, None)
    assert "too few" in one["error"]
    assert "too few" in lecture_page(give(room, ["next-sentence"])).text()


def test_every_chapter_speaks_both_languages() -> None:
    say = Speaker("zh")
    orders = [chapter.order for chapter in in_order().values()]
    assert orders == sorted(set(orders))
    for chapter in in_order().values():
        for words in (chapter.title, chapter.claim, chapter.holds, chapter.fails, chapter.takes):
            assert say(words)


def test_a_figure_holds_where_its_whole_interval_is_above() -> None:
    right = [True] * 70 + [False] * 30
    assert figure("a", share_of(right), against=0.5)["holds"] is True
    assert figure("a", share_of(right), against=0.65)["holds"] is False
    assert figure("a", share_of([]), against=0.5)["holds"] is None
    assert figure("a", share_of(right))["holds"] is None
    mean = mean_of([1.0, 2.0, 3.0, 2.0] * 10)
    assert mean["low"] < 2.0 < mean["high"]
    # Newcombe (1998), table II: 56 of 70 against 48 of 80
    more = more_often([True] * 56 + [False] * 14, [True] * 48 + [False] * 32)
    assert [more[key] for key in ("value", "low", "high")] == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)


def test_every_chapter_is_measured_and_drawn(room: Room) -> None:
    """Those that train nothing more; the others have tests of their own below."""
    few = [
        "two-directions",
        "hidden-words",
        "same-hole",
        "whole-units",
        "who-looks",
        "written-texts",
        "word-vectors",
    ]
    document = give(room, few)
    told = {one["name"]: one for one in document["chapters"]}
    for name in few:
        assert "error" not in told[name], told[name]
        assert told[name]["figures"]
        assert told[name]["commands"][0].startswith("polyseme ")
    assert {figure["of"] for figure in told["same-hole"]["figures"]} == {"bert", "word2vec", "elmo"}
    page = lecture_page(document, "zh")
    assert "《" not in page.text()
    assert len({one.name for one in page.figures}) == len(page.figures) >= 7


def test_senses_are_clouds_and_one_vector_a_word_is_a_dot(room: Room) -> None:
    (one,) = [one for one in give(room, ["two-senses"])["chapters"] if one["name"] == "two-senses"]
    assert [run["static"] for run in one["found"]["labelled"]["runs"]] == [True, False, False]
    assert {figure["of"] for figure in one["figures"]} == {"elmo", "bert"}


def test_layers_are_mixed_for_each_task(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.lecture.task_mixes._EPOCHS", 1)
    monkeypatch.setattr("polyseme.lecture.task_mixes._SEEDS", 2)
    monkeypatch.setattr("polyseme.lecture.task_mixes.labelled", lambda room: labelled(room)[:3])
    (one,) = [one for one in give(room, ["task-mixes"])["chapters"] if one["name"] == "task-mixes"]
    assert len(one["found"]["mixes"]) == 3
    for mix in one["found"]["mixes"]:
        assert sum(weight["value"] for weight in mix["weights"]) == pytest.approx(1.0, abs=1e-4)


def test_four_tasks_are_learned_and_answers_are_drawn(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "polyseme.lecture.four_tasks._EPOCHS", dict.fromkeys(("classify", "tag", "pair", "qa"), 1)
    )
    document = give(room, ["four-tasks", "answers"])
    told = {one["name"]: one for one in document["chapters"]}
    tasks, answers = told["four-tasks"], told["answers"]
    assert {row["task"] for row in tasks["found"]["rows"]} == {"classify", "tag", "pair", "qa"}
    assert all(figure["against"] is not None for figure in tasks["figures"])
    for one in answers["found"]["shown"]:
        assert sum(token["start_probability"] for token in one["tokens"]) <= 1.0 + 1e-5
    assert lecture_page(document).html().count("<h2>") >= 3


def test_where_none_takes_all_the_words_are_drawn_among_themselves() -> None:
    sides = ("start_probability", "end_probability")
    tokens = [
        {"text": text, **dict(zip(sides, shares, strict=True))}
        for text, shares in (("we", (0.002, 0.006)), ("knew", (0.008, 0.004)))
    ]
    one = {
        "question": "?",
        "context": "we knew",
        "golds": [],
        "answer": "",
        "no_answer": 0.99,
        "tokens": tokens,
    }
    one = {**one, "none": dict.fromkeys(sides, 0.99)}

    def drawn(crossed: bool) -> dict[tuple[str, str], float]:
        (chart, _) = _answer_parts({"shown": [{**one, "crossed": crossed}]}, Speaker("en"))
        assert isinstance(chart, Figure)
        return {
            (row["token"].strip("\u200b"), row["side"]): row["share"]
            for row in chart.chart.spec["layer"][0]["data"]["values"]
        }

    alone = drawn(crossed=True)
    assert {token for token, _ in alone} == {"we", "knew"}
    assert alone["knew", "the answer begins"] == pytest.approx(0.8)
    assert alone["we", "the answer ends"] == pytest.approx(0.6)
    assert drawn(crossed=False)["(none)", "the answer ends"] == pytest.approx(0.99)


def test_two_tasks_differ_where_seeds_do_not() -> None:
    apart, p = _apart([[0.5, 0.51, 0.49], [1.5, 1.52, 1.49], [1.0, 1.01, 1.02]])
    assert p < 0.001
    assert 0.9 < apart["low"] < apart["value"] < apart["high"] < 1.1
    alike, p = _apart([[0.5, 1.5, 1.0], [1.0, 0.6, 1.4], [1.4, 0.5, 1.1]])
    assert p > 0.5
    assert alike["low"] < 0


def test_a_unit_is_hidden_in_part_where_some_of_it_is_seen() -> None:
    text = "in new york city"
    assert _is_half(text, (3, 11), [(3, 6)])
    assert not _is_half(text, (3, 11), [(3, 6), (7, 11)])
    assert not _is_half(text, (3, 11), [(0, 16)])


def test_labels_are_the_text_s_own(room: Room) -> None:
    files = {one.name: one for one in labelled(room)}
    assert set(files) == {"source", "order", "capitals", "punctuation", "follows", "cloze"}
    for name, task in (("order", "classify"), ("capitals", "tag"), ("follows", "pair"), ("cloze", "qa")):
        assert files[name].task == task
    (tagged, *_) = (json.loads(line) for line in files["capitals"].train.read_text().splitlines())
    assert tagged["text"] == tagged["text"].lower()
    assert {tagged["text"][s["start"] : s["end"]] for s in tagged["spans"]} <= {"anna", "paris"}
    (marked, *_) = (json.loads(line) for line in files["punctuation"].train.read_text().splitlines())
    assert not set(marked["text"]) & set(".,")
    assert {span["label"] for span in marked["spans"]} <= {"comma", "stop"}
    for article in json.loads(files["cloze"].test.read_text())["data"]:
        (paragraph,) = article["paragraphs"]
        (question,) = paragraph["qas"]
        for answer in question["answers"]:
            start = answer["answer_start"]
            assert paragraph["context"][start : start + len(answer["text"])] == answer["text"]
        assert bool(question["answers"]) is not question["is_impossible"]
    (learned, *_) = json.loads(files["cloze"].train.read_text())["data"]
    assert [one["is_impossible"] for one in learned["paragraphs"][0]["qas"]] == [False, False, True]
    assert set(spans_of(room)) == {"source", "order", "capitals", "punctuation"}


def test_no_sentence_is_in_two_pairs() -> None:
    pairs = [("a", "b", "x"), ("b", "c", "x"), ("c", "d", "x"), ("d", "a", "x"), ("e", "f", "y")]
    assert _each_once(pairs) == [("a", "b", "x"), ("c", "d", "x"), ("e", "f", "y")]


def test_names_of_tasks_are_in_the_language_of_the_text(room: Room) -> None:
    assert {one.shown for one in labelled(room)} == {one.name for one in labelled(room)}
    chinese = replace(room, lang="zh")
    assert {one.shown for one in labelled(chinese)} >= {"出处", "语序", "标点", "接续", "填空"}
    assert {one.train for one in labelled(chinese)} > {chinese.file("cloze.train.json")}


def test_a_direction_is_one_where_differences_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "questions.txt").write_text(": s\ncat cats dog dogs\ndog dogs cat cats\n", "utf-8")
    vectors = {
        "cat": [1.0, 0.0, 0.0],
        "cats": [1.0, 1.0, 0.0],
        "dog": [0.0, 0.0, 1.0],
        "dogs": [0.0, 1.0, 1.0],
    }

    def matrix(_: object, words: list[str]) -> tuple[Any, Any]:
        return np.array([vectors.get(word, [0.0] * 3) for word in words]), np.array(
            [w in vectors for w in words]
        )

    monkeypatch.setattr("polyseme.lecture.word_vectors.word_matrix", matrix)
    assert _alike(None, tmp_path / "questions.txt") == pytest.approx([1.0, 1.0])  # type: ignore[arg-type]
    (one,) = _answered(None, tmp_path / "questions.txt", [*vectors, "fish"])  # type: ignore[arg-type]
    assert (one["said"], one["right"]) == ("dogs", "dogs")
    vectors["dogs"] = [1.0, 0.0, 1.0]
    assert _alike(None, tmp_path / "questions.txt") == pytest.approx([0.0, 0.0])  # type: ignore[arg-type]


def test_senses_are_told_by_the_word_before(room: Room) -> None:
    made = marked_uses(room)
    assert made is not None
    path, words = made
    assert set(words) <= set(NOUNS[:3])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        assert row["text"][row["start"] : row["end"]].lower() == row["word"]
        assert row["text"][: row["start"]].endswith("to ") is (row["sense"] == "action")


def test_chinese_is_cut_into_sentences_words_and_labels(tmp_path: Path) -> None:
    people, places = ["孔明", "玄德", "曹操"], ["荆州", "许昌", "西川"]
    lines = [
        f"{a}引大军取{b}，众将皆不可言。{a}曰：“吾之言已定，不必再问也。”" for a, b in product(people, places)
    ]
    (tmp_path / "zh.txt").write_text("\n".join(lines * 3), "utf-8")
    texts = Texts([str(tmp_path / "zh.txt")], "zh", TextConfig.of({"language": "zh"}, "text"))
    sentences = texts.sentences()
    assert sentences
    assert all(sentence[-1] in "。！？”" for sentence in sentences)
    assert texts.words_of("孔明曰：好。")[-1] == (4, 5)


def test_the_verb_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, said in (
        (["--tasks", "parse=a.tsv"], "--tasks needs TASK=FILE"),
        (["--only", "one-of-m"], "no chapter"),
        (["--text", str(tmp_path / "absent")], "absent"),
    ):
        assert main(["lecture", "-o", str(tmp_path / "out"), "--only", "next-sentence", *words]) == 2
        assert said in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws: intervals are tested elsewhere."""
    monkeypatch.setattr("polyseme.lecture.chapter._ROUNDS", 200)


def test_an_interruption_says_that_the_same_command_goes_on(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise Interrupted("stopped", fix="the same command with --resume")

    monkeypatch.setattr("polyseme.lecture.giving.give", stopped)
    assert main(["lecture", "--text", str(text), "-o", str(tmp_path / "out")]) == 130
    told = capsys.readouterr().err
    assert "the same command goes on where it stopped" in told
    assert "--resume" not in told
