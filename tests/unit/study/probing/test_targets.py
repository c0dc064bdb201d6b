from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapting import tokenizer_of
from polyseme.errors import ConfigError, CorpusError
from polyseme.study.probing.targets import (
    ProbeConfig,
    ProbeTask,
    Spans,
    aligned,
    read_parts,
    read_probes,
    tasks_of_files,
)
from polyseme.text.labelled.records import Edge, EdgeRecord, Problems


def record(text: str, *targets: tuple[str, str | None, str]) -> EdgeRecord:
    """Spans by their words."""

    def place(word: str | None) -> tuple[int, int] | None:
        return None if word is None else (text.index(word), text.index(word) + len(word))

    edges = [Edge(place(a) or (0, 0), place(b), (label,)) for a, b, label in targets]
    return EdgeRecord(text, text, tuple(edges), "here")


def test_rows_of_spans_one_after_another() -> None:
    spans = Spans(np.array([4, 0, 7]), np.array([2, 1, 3]))
    rows, owner = spans.rows(np.array([2, 0, 1]))
    assert rows.tolist() == [7, 8, 9, 4, 5, 0]
    assert owner.tolist() == [0, 0, 0, 1, 1, 2]


def test_spans_find_their_tokens_and_only_those_are_kept() -> None:
    tokenizer = tokenizer_of()
    train = [
        record("the old cat sees a dog", ("old cat", None, "A"), ("cat", None, "B"), ("dog", None, "A")),
        record("a bird likes the river", ("bird", None, "B")),
    ]
    targets = aligned({"train": train, "dev": train[1:], "test": train[1:]}, tokenizer, 100)
    assert targets.labels == ("A", "B")
    assert targets.single
    part = targets.parts["train"]
    kept = [[t.ids[i] for i in t.kept] for t in targets.texts]
    assert [tokenizer.decode(ids) for ids in kept[:2]] == ["old cat dog", "bird"]
    flat = [id for ids in kept for id in ids]
    assert len(flat) == targets.rows
    for number, wanted in enumerate(["old cat", "cat", "dog", "bird"]):
        rows, _ = part.first.rows(np.array([number]))
        assert tokenizer.decode([flat[row] for row in rows]) == wanted
    assert part.types == ("old cat", "cat", "dog", "bird")
    assert part.sentence.tolist() == [0, 0, 0, 1]
    assert part.gold.tolist() == [[True, False], [False, True], [True, False], [False, True]]
    assert part.second is None


def test_pairs_have_two_sides_and_what_is_beyond_is_counted() -> None:
    tokenizer = tokenizer_of()
    text = "the old cat sees a dog"
    train = [
        record(text, ("cat", "old", "x"), ("dog", "old", "y"), ("old", "dog", "x"), ("old", "sees", "y"))
    ]
    before_dog = tokenizer.encode(text[: text.index("dog")])
    targets = aligned({"train": train, "dev": train, "test": train}, tokenizer, len(before_dog.ids))
    part = targets.parts["train"]
    assert len(part) == 2
    assert part.left_out == {"beyond": 2}
    assert part.second is not None
    rows, _ = part.second.rows(np.array([0]))
    text_ids, kept = targets.texts[0].ids, targets.texts[0].kept
    assert tokenizer.decode([text_ids[kept[row]] for row in rows]) == "old"


def test_targets_without_tokens_are_counted() -> None:
    edges = [Edge((3, 5), None, ("x",)), Edge((6, 9), None, ("y",)), Edge((10, 14), None, ("z",))]
    spaces = EdgeRecord("1", "the   cat sees", tuple(edges), "here")
    targets = aligned({"train": [spaces], "dev": [spaces], "test": [spaces]}, tokenizer_of(), 9)
    assert targets.parts["test"].left_out == {"no_token": 1}


def test_what_cannot_be_probed_is_refused() -> None:
    one, two = record("the cat", ("cat", None, "a")), record("the cat", ("cat", "the", "b"))
    with pytest.raises(CorpusError, match="one span and others two"):
        aligned({"train": [one], "dev": [two], "test": [one]}, tokenizer_of(), 9)
    with pytest.raises(CorpusError, match="too few labels"):
        aligned({"train": [one], "dev": [one], "test": [one]}, tokenizer_of(), 9)
    other = record("the cat", ("cat", None, "b"))
    far = record("the the the the cat", ("cat", None, "b"))
    room = len(tokenizer_of().encode("the cat").ids)
    with pytest.raises(CorpusError, match="no target of test"):
        aligned({"train": [one, other], "dev": [other], "test": [far]}, tokenizer_of(), room)


def test_parts_without_a_file_are_held_out_and_equal_texts_stay_together(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"w{n % 60} A\nx B\n" for n in range(120)))
    task, parts, notes = read_parts(ProbeTask(train=str(path)), None, Problems())
    assert task == "pos"
    texts = {name: {r.text for r in records} for name, records in parts.items()}
    assert sum(map(len, texts.values())) == 60
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]
    assert "held out" in notes[0]
    again = read_parts(ProbeTask(train=str(path)), 5, Problems())[1]
    assert len(again["train"]) == 5
    assert 1 <= min(map(len, again.values())) <= max(map(len, again.values())) == 5


def test_a_file_without_a_span_says_what_was_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a b", "targets": [{"span1": [0, 9], "label": "x"}]}\n')
    with pytest.raises(CorpusError, match="no labelled span") as caught:
        read_parts(ProbeTask(task="edges", train=str(path)), None, Problems())
    assert "reach outside the text" in str(caught.value)


def test_files_are_named_and_a_toml_file_says_everything(tmp_path: Path) -> None:
    named = tasks_of_files([Path("x/a.conllu"), Path("y/a.conllu")], "pos", None, None, "xpos")
    assert list(named) == ["a", "a'"]
    assert named["a"].column == "xpos"
    with pytest.raises(ConfigError, match="several files"):
        tasks_of_files([Path("a"), Path("b")], "pos", None, Path("c"), None)
    file = tmp_path / "probes.toml"
    file.write_text('seeds = 2\n[tasks.POS]\ntask = "pos"\ntrain = "a.conllu"\nexamples = 7\n')
    tasks, config = read_probes(file, {"epochs": 4})
    assert tasks["POS"].train == str(tmp_path / "a.conllu")
    assert (config.seeds, config.epochs, tasks["POS"].examples) == (2, 4, 7)
    file.write_text("seeds = 2\n")
    with pytest.raises(ConfigError, match="without tasks"):
        read_probes(file, {})
    file.write_text('[tasks.POS]\ntrian = "a"\n')
    with pytest.raises(ConfigError, match="unknown key 'trian'"):
        read_probes(file, {})


def test_few_targets_are_read_more_often() -> None:
    config = ProbeConfig(batch_size=100, updates=1000)
    assert [config.epochs_of(n) for n in (100, 10_000, 10_000_000)] == [50, 10, 3]
