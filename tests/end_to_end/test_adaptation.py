"""finetune → predict → evaluate → inspect, as a user types them: four tasks, two languages, two architectures."""

from __future__ import annotations

import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import polyseme
from polyseme.cli import main
from polyseme.errors import ConfigError, InputError
from trained import make_run

from .conftest import tiny

THINGS = ["statement", "class", "function", "module", "object", "value", "name", "list", "method", "string"]
GOOD, BAD = ["good", "clear", "simple"], ["bad", "wrong", "empty"]
SHORT = ["--epochs", "12", "--batch-size", "16", "--set", "train.precision=float32"]


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _squad(path: Path, rows: list[tuple[str, str, str | None]]) -> Path:
    """A file of SQuAD 2.0: (question, context, answer or None)."""
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": f"q{number}",
                    "question": question,
                    "is_impossible": answer is None,
                    "answers": []
                    if answer is None
                    else [{"text": answer, "answer_start": context.index(answer)}],
                }
            ],
        }
        for number, (question, context, answer) in enumerate(rows)
    ]
    document = {"version": "v2.0", "data": [{"title": "all", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A labelled file a task."""
    folder = tmp_path_factory.mktemp("labelled")
    judged = [(w, t) for w, t in product(GOOD + BAD, THINGS)]
    texts = [f"this {t} is {w}\t{'good' if w in GOOD else 'bad'}" for w, t in judged]
    pairs = [
        f"the {t} is {w}\ta {u}\t{'same' if t == u else 'other'}"
        for w in GOOD
        for t, u in product(THINGS, THINGS[:3])
    ]
    tags = [f"the\tO\n{t}\tB-THING\nname\tI-THING\nis\tO\n{w}\tO\n" for w, t in judged]
    asked = [
        (f"which {'thing' if known else 'colour'} is {w}?", f"the {t} is {w}, they say", t if known else None)
        for w, t, known in product(GOOD, THINGS, (True, False))
    ]
    return {
        "classify": _write(folder / "texts.tsv", ["text\tlabel", *texts]),
        "pair": _write(folder / "pairs.tsv", ["text\ttext_b\tlabel", *pairs]),
        "tag": _write(folder / "tags.conll", tags),
        "qa": _squad(folder / "qa.json", asked),
    }


@pytest.fixture(scope="module")
def adapted(run: Path, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of every task, one of them with a learned mix of layers."""
    folder = tmp_path_factory.mktemp("adapted")
    for task, file in files.items():
        more = (
            ["--feature-based", "--learning-rate", "0.02"] if task == "tag" else ["--learning-rate", "0.005"]
        )
        words = ["finetune", task, run, "--train", file, "--dev", file, *SHORT, *more, "-o", folder / task]
        assert main([str(word) for word in words]) == 0
    return {task: folder / task for task in files}


def _json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


@pytest.mark.parametrize("task", ["classify", "pair", "tag", "qa"])
def test_predict_and_evaluate(
    task: str,
    adapted: dict[str, Path],
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, file = adapted[task], files[task]
    assert main(["predict", str(run), str(file), "-o", str(tmp_path / "said.jsonl")]) == 0
    assert "predicted" in capsys.readouterr().err
    said = _lines(tmp_path / "said.jsonl")
    assert not list(tmp_path.glob(".*"))
    figures = _json(
        capsys, "evaluate", run, file, "--json", "-o", tmp_path / "out", "--errors", tmp_path / "e"
    )
    dev = polyseme.RunDirectory.open(run).meta["results"]["dev"]
    main_figure = next(iter(figures))
    assert main_figure == next(iter(dev))
    for name, one in figures.items():
        assert set(one) == {"value", "low", "high", "n"}
        assert one["low"] <= one["value"] <= one["high"], name
        assert one["value"] == pytest.approx(dev.get(name, one["value"])), "evaluate on dev is finetune's dev"
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    errors = _lines(tmp_path / "out" / "errors.jsonl")
    assert document["figures"] == figures
    assert document["examples"] == len(said)
    assert document["wrong"] == len(errors)
    assert (tmp_path / "e").read_bytes() == (tmp_path / "out" / "errors.jsonl").read_bytes()
    chances = [one["probability"] for one in errors]
    assert chances == sorted(chances, reverse=True)
    assert sum(map(sum, document["confusion"]["counts"])) == (
        len(said) if task != "tag" else sum(len(one["tokens"]) for one in said)
    )
    for kind in ("png", "svg", "html"):
        assert (tmp_path / "out" / f"confusion.{kind}").stat().st_size > 1000
    if task in ("classify", "pair"):
        assert figures["accuracy"]["value"] == pytest.approx(1 - len(errors) / len(said))
        assert all(sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4) for one in said)
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file)]) == 0
    text = capsys.readouterr().out
    assert main_figure in text
    assert "95 % interval" in text


def test_offsets_lead_back_to_the_text(
    adapted: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    for task in ("tag", "qa"):
        assert main(["predict", str(adapted[task]), str(files[task]), "-o", str(tmp_path / task)]) == 0
    tagged = _lines(tmp_path / "tag")
    assert all(t["text"] == one["text"][t["start"] : t["end"]] for one in tagged for t in one["tokens"])
    assert all(s["text"] == one["text"][s["start"] : s["end"]] for one in tagged for s in one["spans"])
    assert any(one["spans"] for one in tagged)
    contexts = {
        qa["id"]: paragraph["context"]
        for article in json.loads(files["qa"].read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }
    answers = _lines(tmp_path / "qa")
    assert [one["id"] for one in answers] == list(contexts)
    for one in answers:
        best = one["best"]
        assert best["answer"] == contexts[one["id"]][best["start"] : best["end"]]


def test_the_threshold_is_shown_beside_answering_all_and_none(
    adapted: dict[str, Path], files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = adapted["qa"], files["qa"]
    tuned = _json(capsys, "evaluate", run, file, "--json")
    everything = _json(capsys, "evaluate", run, file, "--json", "--threshold", "1e9")
    nothing = _json(capsys, "evaluate", run, file, "--json", "--threshold=-1e9")  # all predictions are empty
    assert everything["f1"] == everything["answer_all_f1"] == tuned["answer_all_f1"]
    assert nothing["f1"] == nothing["answer_none_f1"] == tuned["answer_none_f1"]
    assert nothing["f1"]["value"] == 0.5
    assert nothing["no_answer_accuracy"]["value"] == 1
    assert nothing["has_answer_f1"]["value"] == 0
    # the threshold was tuned on this very file, so neither can be better
    assert tuned["f1"]["value"] >= max(tuned["answer_all_f1"]["value"], tuned["answer_none_f1"]["value"])


def test_two_runs_of_different_architectures_are_tested_on_the_same_gold(
    adapted: dict[str, Path], files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decoder = make_run(tmp_path / "texts", "gpt")
    other = tmp_path / "other"
    words = [
        "classify",
        decoder,
        "--train",
        files["classify"],
        "--feature-based",
        "--epochs",
        "1",
        "-o",
        other,
    ]
    assert main(["finetune", *map(str, words)]) == 0
    both = _json(capsys, "evaluate", adapted["classify"], files["classify"], "--against", other, "--json")
    alone = _json(capsys, "evaluate", other, files["classify"], "--json")
    for name, one in both.items():
        difference = one["difference"]
        assert one["against"] == alone[name]
        assert difference["value"] == pytest.approx(one["value"] - alone[name]["value"])
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert 0 < difference["p"] <= 1
    same = _json(
        capsys, "evaluate", adapted["classify"], files["classify"], "--against", adapted["classify"], "--json"
    )
    assert same["accuracy"]["difference"]["value"] == 0
    assert same["accuracy"]["difference"]["p_randomisation"] == 1
    assert main(["evaluate", str(adapted["classify"]), str(files["classify"]), "--against", str(other)]) == 0
    assert "difference" in capsys.readouterr().out
    assert main(["evaluate", str(adapted["tag"]), str(files["tag"]), "--against", str(other)]) == 2
    assert "different things" in capsys.readouterr().err


def test_labels_that_were_not_learned_are_errors_and_named(
    adapted: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _write(tmp_path / "new.tsv", ["text\tlabel", "this list is good\tgood", "this list is odd\t奇怪"])
    figures = _json(capsys, "evaluate", adapted["classify"], file, "--json")
    assert figures["accuracy"]["value"] <= 0.5
    assert main(["evaluate", str(adapted["classify"]), str(file), "-o", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "奇怪 (not learned)" in out
    assert "'奇怪' (1)" in err
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert document["unknown_labels"] == {"奇怪": 1}


def test_predict_reads_plain_text_from_the_standard_input(
    adapted: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin(io.TextIOWrapper):
        pass

    text = "this method is clear\n\nthis value is wrong\n"
    monkeypatch.setattr("sys.stdin", Stdin(io.BytesIO(text.encode()), "utf-8"))
    capsys.readouterr()
    assert main(["predict", str(adapted["classify"]), "-"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.strip().split("\n")]
    assert [one["text"] for one in said] == ["this method is clear", "this value is wrong"]
    assert [one["id"] for one in said] == ["1", "3"]


def test_bad_rows_are_counted_and_told(
    adapted: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["text\tlabel", "this list is good\tgood", "\tgood", "one\ttwo\tthree\tfour", "bad list\tbad"]
    file = _write(tmp_path / "rows.tsv", rows)
    assert main(["predict", str(adapted["classify"]), str(file), "-o", str(tmp_path / "said")]) == 0
    err = capsys.readouterr().err
    assert "1 texts are empty: the rows are skipped" in err
    assert "more fields than the first one" in err
    assert len(_lines(tmp_path / "said")) == 2


def test_misuse_is_told_with_exit_code_2_and_nothing_is_written(
    run: Path,
    adapted: dict[str, Path],
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "said")
    empty = _write(tmp_path / "empty.tsv", [""])
    for words, message in (
        (["predict", str(run), str(files["classify"]), "-o", out], "was not adapted to a task"),
        (["predict", str(adapted["classify"]), str(tmp_path / "none.tsv"), "-o", out], "no such file"),
        (["predict", str(adapted["classify"]), str(empty), "-o", out], "no labelled text in this file"),
        (["predict", str(adapted["pair"]), str(files["classify"]), "-o", out], "text_b"),
        (["evaluate", str(run), str(files["classify"])], "was not adapted to a task"),
        (["evaluate", str(adapted["classify"]), str(empty)], "no labelled text in this file"),
        (["inspect", str(run), "--mix", str(tmp_path / "mix.svg")], "has learned no mix of layers"),
        (["inspect", str(adapted["tag"]), "--mix", str(tmp_path / "mix.pdf")], "unknown chart format"),
    ):
        capsys.readouterr()
        assert main(words) == 2, words
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.tsv"]


def test_inspect_shows_task_figures_and_mix(
    adapted: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = adapted["tag"]
    summary = _json(capsys, "inspect", run, "--json")
    for key in ("model", "parameters", "vocab_size", "tokens_seen", "steps", "seconds", "peak_memory_bytes"):
        assert summary[key], key
    assert summary["task"] == "tag"
    assert sum(summary["mix"]["weights"]) == pytest.approx(1, abs=1e-5)
    assert len(summary["mix"]["weights"]) == 3
    assert main(["inspect", str(run), "--mix", str(tmp_path / "mix.svg")]) == 0
    out = capsys.readouterr().out
    assert "frozen encoder" in out
    assert out.count("█") > 30
    assert "\n2      0." in out
    assert "tag, bert" in (tmp_path / "mix.svg").read_text("utf-8")
    assert main(["inspect", str(adapted["qa"]), "--chart", str(tmp_path / "loss.svg")]) == 0
    assert "threshold" in capsys.readouterr().out
    assert len(_json(capsys, "inspect", *adapted.values(), "--json")) == 4


def test_predict_as_a_method(adapted: dict[str, Path]) -> None:
    judge = polyseme.load(adapted["classify"])
    assert "predict" in judge.abilities
    one = judge.predict("this list is good")
    assert one["label"] in ("good", "bad")
    assert judge.predict(["this list is good"])[0]["label"] == one["label"]
    assert judge.predict([]) == []
    pair = polyseme.load(adapted["pair"])
    two = [("the list is good", "a list"), ("the list is good", "a name")]
    assert [said["label"] in ("same", "other") for said in pair.predict(two)] == [True, True]
    assert pair.predict(two[0])["text_b"] == "a list"
    asked = polyseme.load(adapted["qa"]).predict(("which thing is good?", "the list is good"), threshold=1e9)
    assert asked["answer"] == "the list is good"[asked["start"] : asked["end"]]
    assert [token["text"] for token in polyseme.load(adapted["tag"]).predict("the 清单!")["tokens"]] == [
        *("the", "清", "单", "!")
    ]
    with pytest.raises(InputError, match=r"pair reads tuples \(text, text\)"):
        pair.predict(["one text"])
    with pytest.raises(InputError, match="must be a string"):
        judge.predict(3)
    with pytest.raises(ConfigError, match="not adapted to a task"):
        polyseme.load(polyseme.RunDirectory.open(adapted["qa"]).meta["adapted"]["from"]).predict("a")


def test_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(20):
        (texts / f"{number}.txt").write_text(
            f"第{number}篇。今天天气很好，我们去公园散步。这本书不好看，我不喜欢。\n" * 12, "utf-8"
        )
    base = tmp_path / "base"
    sizes = tiny(**{"tokenizer.kind": "characters", "tokenizer.vocab_size": 200, "text.valid_share": 0.2})
    assert main(["pretrain", "bert", str(texts), "-o", str(base), "--steps", "3", *sizes]) == 0
    places = ["公园", "北京", "书店", "学校", "家里", "河边"]
    judged = [f"{p}{w}\t{'好评' if w == '很好' else '差评'}" for p in places for w in ("很好", "不好")]
    asked = [("在哪里散步？", f"我们去{p}散步，天气很好。", p) for p in places]
    tagged = [f"去 O\n{p[0]} B-地点\n{p[1]} I-地点\n吧 O\n" for p in places]
    pairs = [f"我去{p}\t我在{q}\t{'相同' if p == q else '不同'}" for p in places for q in places[:2]]
    files = {
        "classify": _write(tmp_path / "t.tsv", ["text\tlabel", *judged]),
        "pair": _write(tmp_path / "p.tsv", ["text\ttext_b\tlabel", *pairs]),
        "tag": _write(tmp_path / "t.conll", tagged),
        "qa": _squad(tmp_path / "q.json", [*asked]),
    }
    for task, file in files.items():
        run, out = tmp_path / task, tmp_path / f"{task}-out"
        words = ["finetune", task, base, "--train", file, "--dev", file, *SHORT, "-o", run]
        assert main([str(word) for word in words]) == 0
        assert main([str(word) for word in ["predict", run, file, "-o", tmp_path / f"{task}.jsonl"]]) == 0
        figures = _json(capsys, "evaluate", run, file, "--json", "-o", out)
        assert all(0 <= one["value"] <= 1 for name, one in figures.items() if name != "matthews")
    assert {one["label"] for one in _lines(tmp_path / "classify.jsonl")} <= {"好评", "差评"}
    assert "好评" in (tmp_path / "classify-out" / "confusion.svg").read_text("utf-8")
    assert "地点" in (tmp_path / "tag-out" / "confusion.html").read_text("utf-8")
    contexts = [context for _, context, _ in asked]
    for context, one in zip(contexts, _lines(tmp_path / "qa.jsonl"), strict=True):
        assert one["answer"] == context[one["start"] : one["end"]]
