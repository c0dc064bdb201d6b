"""On what a run is judged, what is said of it, and how sure held-out losses are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from polyseme import Budget, PretrainRequest, RunDirectory, pretrain
from polyseme.cli import main
from polyseme.core import registry
from polyseme.core.reporter import NullReporter
from polyseme.errors import CorpusError
from polyseme.objectives.unigram import BLOCKS, block_sums
from polyseme.report.run_summary import summarize, summary_text
from polyseme.tasks.metrics.intervals import wilson
from polyseme.text.unknown import UnknownShare
from polyseme.train import card
from polyseme.train.heldout import heldout_figures, loss_interval

LESSON = """the cat sat on the mat
the dog sat on the rug
a cat and a dog ran
the king rules the land
the queen rules the land
a man and a woman walk
the boy and the girl walk
the cat chases the dog
the dog chases the cat
the queen meets the king"""
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 32,
    "num_classes": 6,
    "filters": ((1, 8), (2, 8), (3, 16)),
    "projection_size": 16,
}


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(
    folder: Path, model: str, text: str, steps: int = 2, **options: Any
) -> tuple[RunDirectory, list[str]]:
    """A tiny run on a text."""
    (folder / "text.txt").write_text(text, "utf-8")
    fields = registry.models.load(model).config.model_fields
    settings = {name: value for name, value in SIZES.items() if name in fields}
    if model not in ("onehot", "word-classes", "word2vec"):
        settings |= {"train.batch_size": 4, "data.sequence_length": 32, "train.precision": "float32"}
    asked, notes = options.pop("settings", {}), Notes()
    request = PretrainRequest(
        model=model,
        corpus=[str(folder / "text.txt")],
        output=folder / "run",
        budget=Budget(steps=steps),
        settings=settings | asked,
        threads=1,
        **options,
    )
    return pretrain(request, notes), notes.notes


@pytest.mark.parametrize("model", registry.models.names())
def test_ten_sentences_train_every_model(tmp_path: Path, model: str) -> None:
    """As a document a line, of which one is held out, and as a single document."""
    for name, documents, judged in (("lines", "line", "held-out"), ("one", "auto", "training")):
        (tmp_path / name).mkdir()
        run, notes = train(tmp_path / name, model, LESSON, settings={"text.documents": documents})
        summary = summarize(run)
        assert summary["status"] == "finished"
        assert summary["judged_on"]["meaningless"]
        if model != "word2vec":  # a held-out line may have no word with another one beside it
            assert summary["judged_on"]["text"] == judged
        assert run.meta["published_step"] == summary["steps"]  # not the best by a figure that means nothing
        assert any("mean nothing" in note or "mean anything" in note for note in notes)
        assert any("mean nothing" in note or "mean anything" in note for note in summary["notes"])
        assert "says nothing about other text" in summary_text(summary)
        assert "mean nothing for other text" in (run.path / "README.md").read_text("utf-8")


@pytest.mark.parametrize("text", ["cat sat mat", "the cat sat on the mat", "我们在北京大学学习。"])
@pytest.mark.parametrize("model", ["onehot", "word-classes", "word2vec", "bert", "gpt"])
def test_a_sentence_and_three_words(tmp_path: Path, model: str, text: str) -> None:
    run, _ = train(tmp_path, model, text)
    assert run.meta["judged_on"]["text"] == "training"


@pytest.mark.parametrize("model", ["bert", "modernbert", "word2vec"])
def test_a_few_documents_of_many_words_and_none_held_out(tmp_path: Path, model: str) -> None:
    texts = [" ".join(f"w{(i * 7 + j * j) % 90}" for j in range(232)) + "." for i in range(25)]
    run, _ = train(tmp_path, model, "\n\n".join(texts), settings={"text.documents": "blank"})
    judged = run.meta["judged_on"]
    assert (judged["text"], judged["documents"], judged["meaningless"]) == ("held-out", 1, True)
    (tmp_path / "none").mkdir()
    settings = {"text.documents": "blank", "text.valid_share": 0}
    run, _ = train(tmp_path / "none", model, "\n\n".join(texts), settings=settings)
    judged = run.meta["judged_on"]
    assert (judged["text"], judged["documents"], judged["meaningless"]) == ("training", 25, True)


def test_enough_held_out_text_is_not_marked(tmp_path: Path) -> None:
    text = "\n".join(LESSON.split("\n")[i % 10] + f" {i}" for i in range(600))
    run, notes = train(tmp_path, "onehot", text, settings={"text.documents": "line", "text.valid_share": 0.2})
    assert run.meta["judged_on"]["text"] == "held-out"
    assert run.meta["judged_on"]["meaningless"] is False
    assert not any("mean" in note for note in notes)
    assert "says nothing" not in summary_text(summarize(run))


def test_an_objective_without_examples_is_left_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    run, notes = train(tmp_path, "bert", LESSON, settings={"text.documents": "line"})
    assert run.meta["recipe"]["objectives"] == ["masked_lm"]
    assert any(note.startswith("next_sentence is left out") for note in notes)
    (tmp_path / "asked").mkdir()
    settings = {"text.documents": "line", "objectives": "masked_lm,next_sentence"}
    with pytest.raises(CorpusError, match="several sentences"):
        train(tmp_path / "asked", "bert", LESSON, settings=settings)


def test_an_objective_that_held_out_text_cannot_judge_is_said(tmp_path: Path) -> None:
    """Two long documents train on pairs of sentences; the one that is held out has none."""
    texts = ["\n".join(f"w{(i * 7 + j) % 60} x{j % 40} y." for j in range(300)) for i in range(3)]
    settings = {"text.documents": "blank", "objectives": "masked_lm,next_sentence"}
    run, notes = train(tmp_path, "bert", "\n\n".join(texts), settings=settings)
    assert run.meta["judged_on"] | {"tokens": 0} == {
        "text": "held-out", "documents": 1, "tokens": 0, "meaningless": False, "left_out": ["next_sentence"]
    }  # fmt: skip
    assert any(note.startswith("next_sentence is not judged") for note in notes)
    assert "next_sentence_loss" not in run.meta["results"]["heldout"]
    assert run.meta["recipe"]["objectives"] == ["masked_lm", "next_sentence"]


def test_rare_words_of_a_small_text_are_kept(tmp_path: Path) -> None:
    run, notes = train(tmp_path, "word2vec", LESSON)
    assert run.meta["corpus"]["tokenizer"]["config"]["min_count"] == 2
    assert any("--set tokenizer.min_count=5" in note for note in notes)
    (tmp_path / "asked").mkdir()
    run, notes = train(tmp_path / "asked", "word2vec", LESSON * 5, settings={"tokenizer.min_count": 16})
    assert run.meta["corpus"]["tokenizer"]["config"]["min_count"] == 16
    assert any("unknown" in note for note in notes)


# Texts of another script

SCRIPTS = {
    "Cyrillic": "Привет мир, это просто текст. ",
    "Arabic": "مرحبا بالعالم هذا نص. ",
    "Thai": "สวัสดีชาวโลก นี่คือข้อความ ",
    "Devanagari": "नमस्ते दुनिया यह एक पाठ है। ",
    "Korean": "안녕하세요 세계 텍스트입니다. ",
    "Chinese": "我们在北京大学学习了很多年。",
    "emoji": "😀 🎉 🚀 ",
    "digits": "12345 67890 ",
}


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    return train(folder, "modernbert", "\n".join([LESSON] * 60), settings={"text.documents": "line"})[0].path


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("how", ["init", "tokenizer"])
def test_a_vocabulary_that_knows_nothing_of_the_text(
    tmp_path: Path, english: Path, script: str, how: str
) -> None:
    text = "\n\n".join(
        SCRIPTS[script].replace(".", "").replace(",", "") * 20 + str(i % 2) * 0 for i in range(40)
    )
    with pytest.raises(CorpusError, match="knows nothing of the training text") as caught:
        train(tmp_path, "modernbert", text, settings={"text.documents": "blank"}, **{how: str(english)})
    assert "100% of the training text's tokens" in str(caught.value.got)
    assert str(caught.value.fix).startswith(f"polyseme pretrain modernbert {tmp_path / 'text.txt'}")
    assert not (tmp_path / "run").exists()


def test_held_out_text_that_is_all_unknown(tmp_path: Path, english: Path) -> None:
    """Some of the training text is known; what is held out is not: the training text is judged, and that is said."""
    (tmp_path / "valid.txt").write_text("\n".join([SCRIPTS["Chinese"] * 9] * 20), "utf-8")
    text = "\n".join([SCRIPTS["Chinese"] * 3] * 50 + [LESSON])
    run, notes = train(
        tmp_path, "modernbert", text, init=str(english), valid=[str(tmp_path / "valid.txt")],
        settings={"text.documents": "line"},
    )  # fmt: skip
    assert run.meta["judged_on"]["text"] == "training"
    assert any("are unknown to the vocabulary" in note for note in notes)


@pytest.mark.parametrize("verb", ["embed", "score", "fill", "cka", "finetune"])
def test_verbs_say_what_a_run_does_not_know(
    tmp_path: Path, english: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    for script, known in (("Chinese", False), ("English", True)):
        text = "the king rules the land" if known else SCRIPTS[script]
        file, table = tmp_path / f"{script}.txt", tmp_path / f"{script}.tsv"
        file.write_text("\n".join([text] * 12), "utf-8")
        table.write_text("text\tlabel\n" + "".join(f"{text}\t{'ab'[i % 2]}\n" for i in range(12)), "utf-8")
        out = str(tmp_path / f"{script}.out.npy")
        words = {
            "embed": ["embed", str(english), str(file), "-o", out],
            "score": ["score", str(english), str(file)],
            "fill": ["fill", str(english), f"{text} [MASK]"],
            "cka": ["cka", str(english), str(file)],
            "finetune": [
                *("finetune", "classify", str(english), "--train", str(table), "--dev", str(table)),
                *("-o", out, "--epochs", "1", "--batch-size", "4"),
            ],
        }[verb]
        assert main(words) in (0, 2)
        said = capsys.readouterr().err
        assert ("of the text's tokens are unknown to the vocabulary ([UNK])" in said) != known, said
        assert "Traceback" not in said


def test_bytes_know_every_script(tmp_path: Path) -> None:
    first, _ = train(tmp_path, "gpt", LESSON)
    (tmp_path / "other").mkdir()
    _, notes = train(tmp_path / "other", "gpt", SCRIPTS["Thai"] * 60, init=str(first.path))
    assert not any("unknown" in note for note in notes)


def test_the_share_in_words() -> None:
    met = UnknownShare()
    assert (met.share, met.is_many) == (0.0, False)
    met.add([1, 1, 1, 7], 1)
    assert met.says("the text's") == "75% of the text's tokens are unknown to the vocabulary ([UNK])"
    assert met.is_many
    met = UnknownShare(10_000, 9_999)
    assert met.says("the text's").startswith("more than 99%")


def test_the_card_says_of_how_much_of_the_text_the_losses_are(tmp_path: Path) -> None:
    text = "\n".join(LESSON.split("\n")[i % 10] + f" {i}" for i in range(600))
    run, _ = train(tmp_path, "onehot", text, settings={"text.documents": "line", "text.valid_share": 0.2})
    assert "% of that text" not in card.text(run.meta)
    run.meta["judged_on"]["share"] = 4 / 7
    assert "losses in nats per prediction, of 57 % of that text." in card.text(run.meta)


def test_of_equal_blocks_it_is_students_interval() -> None:
    means = np.random.default_rng(0).normal(4.0, 0.3, 12)
    found = loss_interval([(50 * m, 50) for m in means])
    low, high = stats.t.interval(0.95, 11, means.mean(), stats.sem(means))
    assert found is not None
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["blocks"], found["method"]) == (12, "Student, blocks of held-out text")


def test_what_says_nothing_has_no_interval() -> None:
    assert loss_interval([]) is None
    assert loss_interval([(30.0, 10)]) is None
    assert loss_interval([(30.0, 10), (0.0, 0)]) is None
    assert loss_interval([(30.0, 10), (60.0, 20)]) == pytest.approx(
        {"low": 3.0, "high": 3.0, "blocks": 2, "method": "Student, blocks of held-out text"}
    )


def test_it_holds_as_often_as_it_says() -> None:
    """Texts differ from each other, tokens of one less: drawing tokens would hold in half of the cases."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        sizes = rng.integers(20, 80, 12)
        sums = [float(rng.normal(5.0 + rng.normal(0, 0.2), 1.0, n).sum()) for n in sizes]
        found = loss_interval(list(zip(sums, sizes.tolist(), strict=True)))
        assert found is not None
        held += found["low"] <= 5.0 <= found["high"]
    assert 0.91 <= held / 400 <= 0.98


def test_pairs_are_counted_one_by_one_and_tokens_by_blocks() -> None:
    blocks = {
        "masked_lm_loss": [(40.0, 10), (50.0, 10), (42.0, 12)],
        "masked_lm_accuracy": [(1.0, 10), (2.0, 10), (3.0, 12)],
        "masked_lm_baseline": [(60.0, 10), (60.0, 10), (60.0, 12)],
        "next_sentence_loss": [(6.0, 9), (6.0, 9)],
        "next_sentence_accuracy": [(6.0, 9), (5.0, 9)],
    }
    found = heldout_figures(blocks, ["next_sentence"])
    assert found["heldout_interval"] == loss_interval(blocks["masked_lm_loss"])
    pairs = found["heldout_accuracy"]["next_sentence"]
    assert (pairs["low"], pairs["high"]) == pytest.approx(wilson(11, 18))
    assert (pairs["value"], pairs["n"]) == (11 / 18, 18)
    tokens = found["heldout_accuracy"]["masked_lm"]
    assert tokens["value"] == pytest.approx(6 / 32)
    assert 0.0 <= tokens["low"] < tokens["value"] < tokens["high"]
    alone = heldout_figures({"masked_lm_accuracy": [(1.0, 2)]})
    assert alone["heldout_accuracy"]["masked_lm"]["low"] is None
    assert alone["heldout_interval"] is None


def test_blocks_of_tokens_add_up() -> None:
    losses = torch.arange(1.0, 1001.0)
    blocks = block_sums(losses)
    assert len(blocks) == BLOCKS
    assert math.fsum(total for total, _ in blocks) == 500500.0
    assert sum(count for _, count in blocks) == 1000
    assert len(block_sums(losses[:3])) == 3


@pytest.mark.parametrize(("documents", "known"), [(None, True), (1, False), (4, False), (5, True)])
def test_blocks_of_a_few_documents_have_no_interval(documents: int | None, known: bool) -> None:
    blocks = {"x_loss": [(30.0, 10.0), (20.0, 10.0)], "x_accuracy": [(3.0, 10.0), (5.0, 10.0)]}
    found = heldout_figures(blocks, documents=documents)
    assert (found["heldout_interval"] is not None) == known
    assert found["heldout_accuracy"]["x"]["value"] == 0.4
    assert (found["heldout_accuracy"]["x"]["low"] is not None) == known
