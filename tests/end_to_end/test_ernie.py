"""ERNIE from text, lexicon and dialogues to a run that fills, masks and goes on, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.cli import main
from polyseme.train.run import RunDirectory

from .conftest import tiny

SENTENCES = (
    "哈尔滨是黑龙江的省会，冬天很冷。",
    "他在北京大学学习操作系统和人工智能。",
    "树莓派是一台很小的计算机，可以安装 Linux 发行版。",
    "开源软件的用户可以自由地修改源代码。",
    "我们今天去上海看电影，你想一起去吗？",
    "李宏毅老师讲的机器学习课程很受欢迎。",
)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zh")
    for i in range(80):
        order = [SENTENCES[(i * 5 + j * (1 + i % 4)) % 6] for j in range(8)]
        (folder / f"{i:02}.txt").write_text(f"第{i}章。" + "".join(order), "utf-8")
    return folder


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lexicon") / "it.txt"
    path.write_bytes("\ufeff树莓派 \t 12\r人工智能\t7\r源代码\tphrase\r量子计算\t3\r".encode())
    return path


def pretrain(corpus: Path, output: Path, *words: object) -> int:
    return main(["pretrain", "ernie", str(corpus), "-o", str(output), *map(str, words), *tiny()])


@pytest.fixture(scope="module")
def run(chinese: Path, lexicon: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ernie"
    assert pretrain(chinese, folder, "--lexicon", lexicon, "--steps", 6) == 0
    return folder


def test_the_run_keeps_its_units(run: Path) -> None:
    meta = RunDirectory.open(run).meta
    known = meta["knowledge"]["knowledge_masking"]
    assert known["patterns"]["entity"]["lexicon"] == 2  # 量子计算 is not in the text
    assert known["patterns"]["phrase"]["lexicon"] == 1
    assert known["patterns"]["entity"]["segmenter"] >= 2
    assert 0 < known["coverage"]["entities"]["entity"] < known["coverage"]["entities"]["phrase"]
    table = (run / "knowledge_masking.tsv").read_text("utf-8")
    assert "树莓派\tentity\tlexicon\t\t" in table
    assert "源代码\tphrase\tlexicon\tphrase\t" in table
    assert set(meta["files"]) == {
        "model.safetensors",
        "heads/knowledge_masking.safetensors",
        "heads/next_sentence.safetensors",
    }


def test_fill_and_neighbours_in_context(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", str(run), "哈尔[MASK]是黑龙江的省会", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["position"] == 2
    assert len(found["candidates"]) == 5
    assert main(["neighbours", str(run), "学", "--context", "他在北京大学学习"]) == 0


def test_mask_shows_the_units_of_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "树莓派可以学习人工智能。"
    capsys.readouterr()
    assert main(["mask", str(run), text, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert [line["model"] for line in lines] == ["ernie"] * 3
    assert [text[a:b] for a, b, kind in lines[2]["cut"] if kind == "entity"] == ["树莓派", "人工智能"]
    assert main(["mask", str(run), text]) == 0
    assert "⟦树莓派⟧" in capsys.readouterr().out


def test_it_is_judged_as_bert_is(run: Path, chinese: Path, tmp_path: Path) -> None:
    """The same held-out examples, the same masks, the same baseline."""
    bert = tmp_path / "bert"
    shared = ["--tokenizer", str(run), "--steps", "6", *tiny()]
    assert main(["pretrain", "bert", str(chinese), "-o", str(bert), *shared]) == 0
    ours = RunDirectory.open(run).meta["results"]["heldout"]
    theirs = RunDirectory.open(bert).meta["results"]["heldout"]
    assert ours["knowledge_masking_baseline"] == theirs["masked_lm_baseline"]
    assert ours["next_sentence_baseline"] == theirs["next_sentence_baseline"]


@pytest.mark.parametrize("deleted", [False, True])
def test_resume_uses_the_same_units(
    run: Path, chinese: Path, lexicon: Path, tmp_path: Path, deleted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.train import trainer

    folder = tmp_path / "again"

    class Stop(Exception):
        pass

    learned = trainer.Trainer._log

    def stop_after_three(self: trainer.Trainer, metrics: dict[str, float]) -> None:
        learned(self, metrics)
        if self.counters.step == 3:
            self.save("stopped")
            raise Stop

    words = ("--lexicon", lexicon, "--steps", 6)
    monkeypatch.setattr(trainer.Trainer, "_log", stop_after_three)
    with pytest.raises(Stop):
        pretrain(chinese, folder, *words)
    monkeypatch.undo()
    table = (folder / "knowledge_masking.tsv").read_bytes()
    if deleted:
        (folder / "knowledge_masking.tsv").unlink()
    assert pretrain(chinese, folder, *words, "--resume") == 0
    assert (folder / "knowledge_masking.tsv").read_bytes() == table
    straight, resumed = (
        [r["loss"] for r in RunDirectory.open(r).metrics() if "loss" in r] for r in (run, folder)
    )
    assert straight == resumed


def test_resume_with_another_lexicon_is_refused(
    run: Path, chinese: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("北京大学\n", "utf-8")
    assert pretrain(chinese, run, "--lexicon", other, "--steps", 6, "--resume") == 2
    assert "another lexicon" in capsys.readouterr().err


def test_lexicons_that_cannot_be_used(
    chinese: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n", "utf-8")
    binary = tmp_path / "binary.txt"
    binary.write_bytes(bytes(range(256)) * 9)
    for path, said in (
        (tmp_path / "none", "no such lexicon"),
        (empty, "no entry"),
        (binary, "not a text file"),
    ):
        assert pretrain(chinese, out, "--lexicon", path, "--steps", 6) == 2
        error = capsys.readouterr().err
        assert said in error
        assert str(path) in error
        assert not out.exists()
    assert main(["pretrain", "bert", str(chinese), "-o", str(out), "--lexicon", str(empty)]) == 2
    assert "lexicon" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["lines", "records"])
def test_dialogues(tmp_path: Path, form: str) -> None:
    dialogues = [[SENTENCES[(i + j) % 6] + f"好的{i}。" for j in range(4)] for i in range(120)]
    more = []
    if form == "lines":
        corpus = tmp_path / "dialogues.txt"
        corpus.write_text("\n\n".join("\n".join(turns) for turns in dialogues), "utf-8")
    else:
        corpus = tmp_path / "dialogues.jsonl"
        records = [{"messages": [{"message": turn} for turn in turns]} for turns in dialogues]
        corpus.write_text("\n".join(json.dumps(r) for r in records), "utf-8")
        more = ["--field", "messages.message"]
    run = tmp_path / "run"
    assert pretrain(corpus, run, "--recipe", "ernie-dialogue", "--steps", 4, *more) == 0
    meta = RunDirectory.open(run).meta
    splits = meta["corpus"]["splits"]
    assert sum(splits[s]["documents"] for s in splits) == 120
    assert sum(splits[s]["sentences"] for s in splits) == 480
    assert {"knowledge_masking_loss", "dialogue_loss", "dialogue_accuracy"} <= set(meta["results"]["heldout"])


def test_text_without_dialogues_is_refused(
    tmp_path: Path, chinese: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--set", "objectives=knowledge_masking,dialogue", "--set", "text.sentences=line", "--steps", "4"]
    assert main(["pretrain", "ernie", str(chinese), "-o", str(out), *tiny(), *words]) == 2
    assert "ernie-dialogue" in capsys.readouterr().err
    assert not out.exists()


def test_the_masks_train_another_encoder(
    chinese: Path, lexicon: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--recipe", "ernie-modern", "--lexicon", str(lexicon), "--steps", "6", *tiny()]
    assert main(["pretrain", "modernbert", str(chinese), "-o", str(out), *words]) == 0
    meta = RunDirectory.open(out).meta
    assert set(meta["files"]) == {"model.safetensors", "heads/knowledge_masking.safetensors"}
    assert "树莓派\tentity\tlexicon\t\t" in (out / "knowledge_masking.tsv").read_text("utf-8")
    assert main(["fill", str(out), "哈尔[MASK]是黑龙江的省会"]) == 0
    capsys.readouterr()
    assert main(["mask", str(out), "树莓派可以学习人工智能。"]) == 0
    assert "⟦树莓派⟧" in capsys.readouterr().out
