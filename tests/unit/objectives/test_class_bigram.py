"""The learner of word classes: plan, budgets, resume, the held-out model, the file of paths."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyseme import Budget, PretrainRequest, RunDirectory, load, neighbours, pretrain
from polyseme.core import registry
from polyseme.errors import ConfigError, Interrupted
from polyseme.objectives import class_bigram
from polyseme.objectives.class_bigram import ClassBigramHead, Task, finishing, full_plan, plan_from_classes

SETTINGS = {
    "num_classes": 12,
    "class_bigram.exchange_passes": 2,
    "tokenizer.min_count": 1,
    "train.heldout_tokens": 2000,
    "train.evaluations": 3,
}
WORDS = {
    "the": "DET",
    "a": "DET",
    "this": "DET",
    **dict.fromkeys(["cat", "dog", "bird", "man", "house", "river", "tree"], "NOUN"),
    **dict.fromkeys(["sees", "likes", "finds", "leaves", "draws"], "VERB"),
    **dict.fromkeys(["old", "small", "red", "quiet"], "ADJ"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences whose words fall into four classes, from a seed; and rare words, once or twice each."""
    random = np.random.default_rng(0)
    of = {kind: [w for w, k in WORDS.items() if k == kind] for kind in set(WORDS.values())}
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(40):
        lines = []
        for line in range(40):
            kinds = ["DET", "ADJ", "NOUN", "VERB", "DET", "NOUN"]
            words = [str(random.choice(of[k])) for k in kinds]
            if line % 4 == 0:
                words[2] = f"rare{chr(97 + number % 26)}{chr(97 + line % 26)}"
            lines.append(" ".join(words) + " .")
        (folder / f"{number:02d}.txt").write_text("\n".join(lines), "utf-8")
    return folder


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps even for a small text."""
    monkeypatch.setattr(class_bigram, "WORK", 2e5)
    monkeypatch.setattr(class_bigram, "SPAN", 2000)


def train(corpus: Path, output: Path, budget: Budget, **more: Any) -> RunDirectory:
    settings = SETTINGS | more.pop("settings", {})
    return pretrain(
        PretrainRequest(
            model="word-classes",
            corpus=[str(corpus)],
            output=output,
            budget=budget,
            settings=settings,
            **more,
        )
    )


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_bigram, "WORK", 2e5)
        patch.setattr(class_bigram, "SPAN", 2000)
        return train(corpus, tmp_path_factory.mktemp("run") / "run", Budget(epochs=1))


def classes_of(run: RunDirectory) -> dict[str, int]:
    loaded = load(run.path)
    classes = loaded.encoder.classes.tolist()
    return {loaded.tokenizer.token(i): classes[i] for i in range(loaded.tokenizer.vocab_size)}


def test_an_epoch_is_the_whole_algorithm(finished: RunDirectory) -> None:
    results = finished.meta["results"]
    assert results["tokens_seen"] <= finished.meta["corpus"]["splits"]["train"]["tokens"]
    assert results["heldout_loss"] < results["unigram_loss"] - 0.5
    assert results["heldout"]["class_bigram_mutual_information"] > 0.5
    assert results["heldout"]["class_bigram_left_out"] == 0
    metrics = [m for m in finished.metrics() if "task" in m]
    assert metrics[-1]["task"] == metrics[-1]["tasks"]
    counts = load(finished.path).encoder.counts
    assert max(m["words"] for m in metrics if "words" in m) == int((counts > 0).sum())
    assert any("moved" in m for m in metrics)


def test_words_of_a_kind_share_a_class(finished: RunDirectory) -> None:
    classes = classes_of(finished)
    kinds: dict[int, set[str]] = {}
    for word, kind in WORDS.items():
        kinds.setdefault(classes[word], set()).add(kind)
    assert all(len(found) == 1 for found in kinds.values())
    found = neighbours(load(finished.path), "cat", top=50)
    counts = [entry["count"] for entry in found]
    assert counts == sorted(counts, reverse=True)
    assert all(classes[entry["word"]] == classes["cat"] for entry in found)
    assert len({entry["path"] for entry in found}) <= 1


def test_paths_file(finished: RunDirectory) -> None:
    """bits, word, count; every word once; a prefix code of the classes; the counts of the training text."""
    lines = [line.split("\t") for line in (finished.path / "paths").read_text("utf-8").splitlines()]
    assert finished.meta["other_files"].keys() == {"paths"}
    assert lines == sorted(lines, key=lambda parts: (parts[0], -int(parts[2])))
    classes = classes_of(finished)
    assert {word for _, word, _ in lines} == {w for w, c in classes.items() if c >= 0}
    assert set(classes) - {word for _, word, _ in lines} == {"[PAD]", "[CLS]", "[SEP]", "[MASK]"}
    paths = sorted({bits for bits, _, _ in lines})
    assert all(set(bits) <= {"0", "1"} and bits for bits in paths)
    assert len(paths) == SETTINGS["num_classes"]
    assert sum(2.0 ** -len(bits) for bits in paths) == 1.0  # every branch ends in a class
    assert not any(b.startswith(a) for a, b in pairwise(paths))
    assert [classes[word] for _, word, _ in lines] == [paths.index(bits) for bits, _, _ in lines]
    assert sum(int(n) for _, _, n in lines) == finished.meta["corpus"]["splits"]["train"]["tokens"]


def test_words_stand_in_the_paths_file_as_people_read_them(corpus: Path, tmp_path: Path) -> None:
    """Of byte-level pieces too, whose stand-ins for spaces and line ends nobody reads."""
    (corpus / "odd.txt").write_text("the\tcat\n\nsees\x85 中文 café\u2028 the dog\n" * 40, "utf-8")
    settings = {"tokenizer.kind": "byte-bpe", "tokenizer.vocab_size": 330}
    run = train(corpus, tmp_path / "run", Budget(epochs=1), settings=settings)
    (corpus / "odd.txt").unlink()
    text = (run.path / "paths").read_text("utf-8")
    assert not {"Ġ", "Ċ", "ĉ"} & set(text)
    lines = [line.split("\t") for line in text.splitlines()]
    assert all(len(parts) == 3 for parts in lines)
    words = [word for _, word, _ in lines]
    assert {" the", " cat"} & set(words)
    assert "\\n" in words
    loaded = load(run.path)
    classes = loaded.encoder.classes.tolist()
    by_word: dict[str, set[int]] = {}
    paths = sorted({bits for bits, _, _ in lines})
    for i, c in enumerate(classes):
        by_word.setdefault(loaded.tokenizer.display(i), set()).add(c)
    assert all(paths.index(bits) in by_word[word] for bits, word, _ in lines if word in by_word)
    assert len(lines) == sum(c >= 0 for c in classes)


def test_vectors_mark_the_class_and_the_beginnings_of_its_path(finished: RunDirectory) -> None:
    encoder = load(finished.path).encoder
    paths = encoder.paths_of(encoder.tree)
    table = encoder.token_embedding().weight
    for i in range(len(encoder.classes)):
        of = int(encoder.classes[i])
        marked = {paths[node] for node in table[i].nonzero().squeeze(1).tolist()}
        path = paths[of] if of >= 0 else ""
        assert marked == ({path} | {path[:n] for n in (4, 6, 10, 20)} if path else set())


def test_the_held_out_model_sums_to_one(finished: RunDirectory) -> None:
    loaded = load(finished.path)
    head = loaded.heads["class_bigram"]
    words = (loaded.encoder.classes >= 0).nonzero().squeeze(1)
    for history in range(SETTINGS["num_classes"] + 1):
        p = head(torch.full_like(words, history), words).exp()
        assert float(p.sum()) == pytest.approx(1.0, abs=1e-9)
        assert bool((p > 0).all())


@pytest.mark.parametrize("seed", range(4))
def test_any_counts_give_probabilities(seed: int) -> None:
    """Classes without words, words and classes never seen, histories never seen."""
    entry = registry.models.load("word-classes")
    encoder = entry.build(entry.config(vocab_size=30, num_classes=7))
    generator = torch.Generator().manual_seed(seed)
    encoder.classes.copy_(torch.randint(-1, 5, (30,), generator=generator))
    encoder.counts.copy_(torch.randint(0, 3, (30,), generator=generator) * (encoder.classes >= 0))
    head = ClassBigramHead(encoder)
    head.bigrams.copy_(torch.randint(0, 3, (8, 7), generator=generator) * torch.tensor([1, 1, 1, 1, 1, 0, 0]))
    words = (encoder.classes >= 0).nonzero().squeeze(1)
    # bigrams into classes that have words only
    head.bigrams[:, torch.bincount(encoder.classes[words].long(), minlength=7) == 0] = 0
    for history in range(8):
        assert float(head(torch.full_like(words, history), words).exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("stop_after", [2, 9, 15, 24])
def test_interrupted_and_resumed_ends_the_same(
    corpus: Path, finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    from polyseme.train import trainer

    class Signals:
        def __init__(self) -> None:
            self.asked, self.save = 0, False

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        @property
        def stop(self) -> bool:
            self.asked += 1
            return self.asked >= stop_after

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "SignalRequests", Signals)
        with pytest.raises(Interrupted):
            train(corpus, tmp_path / "run", Budget(epochs=1))
    halfway = classes_of(RunDirectory.open(tmp_path / "run"))  # usable at any time
    assert all(c >= 0 for word, c in halfway.items() if not word.startswith("[") or word == "[UNK]")
    resumed = train(corpus, tmp_path / "run", Budget(epochs=1), resume=True)
    for name in ("model.safetensors", "heads/class_bigram.safetensors", "paths"):
        assert (resumed.path / name).read_bytes() == (finished.path / name).read_bytes(), name


@pytest.mark.parametrize("steps", [1, 4, 12, 20])
def test_a_budget_that_runs_out_leaves_a_usable_run(corpus: Path, tmp_path: Path, steps: int) -> None:
    run = train(corpus, tmp_path / "run", Budget(steps=steps))
    assert run.meta["results"]["steps"] == steps
    lines = (run.path / "paths").read_text("utf-8").splitlines()
    assert len(lines) == len(classes_of(run)) - 4
    assert len({line.split("\t")[0] for line in lines}) == SETTINGS["num_classes"]
    assert run.meta["results"]["heldout_loss"] < run.meta["results"]["unigram_loss"]
    assert run.meta["results"]["heldout"]["class_bigram_left_out"] > 0  # and it says so
    if steps == 20:  # rather than stop in the middle, the plan was cut short
        tasks = [m for m in run.metrics() if "task" in m]
        assert tasks[-1]["task"] == tasks[-1]["tasks"] == steps


def test_init_starts_from_the_classes_of_another_run(
    corpus: Path, finished: RunDirectory, tmp_path: Path
) -> None:
    run = train(corpus, tmp_path / "run", Budget(epochs=1), init=str(finished.path))
    before, after = (r.meta["results"]["heldout"]["class_bigram_mutual_information"] for r in (finished, run))
    assert after >= before - 1e-12
    tasks = [m for m in run.metrics() if "task" in m]
    assert not any("words" in m for m in tasks)  # nothing was put in again


def test_more_classes_than_words(corpus: Path, tmp_path: Path) -> None:
    run = train(corpus, tmp_path / "run", Budget(epochs=1), settings={"num_classes": 400})
    classes = classes_of(run)
    n_words = len((run.path / "paths").read_text("utf-8").splitlines())
    assert n_words == len(classes) - 4
    assert len(set(classes.values()) - {-1}) <= n_words


def test_bigrams_do_not_cross_documents(corpus: Path, finished: RunDirectory) -> None:
    splits = finished.meta["corpus"]["splits"]["train"]
    bigrams = load(finished.path).heads["class_bigram"].bigrams
    assert int(bigrams[:-1].sum()) == splits["tokens"] - splits["documents"]
    assert int(bigrams[-1].sum()) == splits["documents"]


def test_plan_and_its_short_form() -> None:
    frequencies = np.arange(300, 0, -1)
    plan = full_plan(9000, frequencies, 20, 2)
    for kind, end in (("count", 9000), ("insert", 300), ("exchange", 300), ("compare", 21), ("tree", 19)):
        pieces = [task for task in plan if task.kind == kind]
        times = 2 if kind == "exchange" else 1
        assert sum(task.end - task.start for task in pieces) == times * end
        assert [t.end for t in pieces[:-1]] == [t.start if t.start else end for t in pieces[1:]]
    for done in range(len(plan) + 1):
        short = finishing(plan, done, frequencies, 20)
        covered = [t for t in [*plan[:done], *short] if t.kind in ("insert", "rest")]
        assert sum(t.end - t.start for t in covered) == 300
        assert sum(t.end - t.start for t in [*plan[:done], *short] if t.kind == "tree") == 19
        assert not any(t.kind in ("count", "exchange") for t in short)
    assert not any(t.kind in ("insert", "rest") for t in plan_from_classes(9000, frequencies, 20, 0))
    assert full_plan(10, np.array([5, 5]), 2, 0)[-1] == Task("tree", 0, 1)


def test_a_learner_of_its_own_kind_is_learned_alone(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learned alone"):
        train(corpus, tmp_path / "run", Budget(epochs=1), settings={"objectives": "class_bigram,unigram"})
