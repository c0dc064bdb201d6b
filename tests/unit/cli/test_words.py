"""Commands read as they were meant: the parts that need no run."""

from __future__ import annotations

from pathlib import Path

import pytest
from cyclopts import Token

from polyseme.cli import build_app
from polyseme.cli.options import _read_count, _read_file, is_text, text_or_file
from polyseme.cli.words import Shape, Typed, misused, understood
from polyseme.core import synonyms
from polyseme.core.registry import models, tasks
from polyseme.errors import ConfigError


def read(*words: str) -> list[str]:
    typed = understood(words, build_app())
    return typed.words() if isinstance(typed, Typed) else typed


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fill", "r", "- a"], ["fill", "--", "r", "- a"]),
        (["fill", "r", "--top", "3", "-5 degrees"], ["fill", "--top", "3", "--", "r", "-5 degrees"]),
        (["fill", "r", "t", "--top=3"], ["fill", "--top", "3", "r", "t"]),
        (["embed", "r", "f", "--layer", "-1", "-o", "v"], ["embed", "--layer=-1", "-o", "v", "r", "f"]),
        (["score", "r", "f", "--context", "- so"], ["score", "--context=- so", "r", "f"]),
        (["score", "r", "f", "--context", "--end"], ["score", "--context", "--end", "r", "f"]),
        (
            ["generate", "r", "p", "--stop", "a", "--stop", "-b"],
            ["generate", "--stop", "a", "--stop=-b", "r", "p"],
        ),
        (["fill", "--", "r", "--top"], ["fill", "--", "r", "--top"]),
        (["predict", "r", "-"], ["predict", "--", "r", "-"]),
        (["fill", "r", "t", "--JSON"], ["fill", "--json", "r", "t"]),
        (["fill", "r", "t", "-json"], ["fill", "--json", "r", "t"]),
        (["embed", "r", "f", "-o", "v", "--no-normalize"], ["embed", "-o", "v", "--no-normalize", "r", "f"]),
        (["pretrain", "bert", "c", "--set", "a=-1"], ["pretrain", "--set", "a=-1", "bert", "c"]),
        (["fill", "r", ""], ["fill", "r", ""]),
        (["embed", "r", "--normalize", "f", "-o", "v"], ["embed", "--normalize", "-o", "v", "r", "f"]),
        (
            ["probe", "r", "--controls", "f", "--no-cumulative"],
            ["probe", "--controls", "--no-cumulative", "r", "f"],
        ),
        (["embed", "r", "f", "-ov.npy"], ["embed", "-o", "v.npy", "r", "f"]),
        (["embed", "r", "f", "-output", "v"], ["embed", "--output", "v", "r", "f"]),
        (["fill", "r" * 5000, "t" * 5000], ["fill", "r" * 5000, "t" * 5000]),
        (["generate", "~" + "t" * 5000, "p"], ["generate", "~" + "t" * 5000, "p"]),
    ],
)
def test_options_and_texts_are_told_apart(words: list[str], meant: list[str]) -> None:
    assert read(*words) == meant


def test_a_folder_with_the_name_of_a_model_is_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    assert read("pretrain", "bert", "gpt") == ["pretrain", "bert", "gpt"]
    assert read("pretrain", "gpt", "bert") == ["pretrain", "gpt", "bert"]


def test_a_corpus_with_its_share_behind_a_setting_is_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "novels").mkdir()
    words = ["pretrain", "bert", "--set", "hidden_size=64", "novels=0.5", "seed_size=3", "-o", "run"]
    meant = read(*words)
    assert "novels=0.5" in meant
    assert meant[meant.index("novels=0.5") - 1] != "--set"


def test_every_synonym_leads_to_something_that_exists() -> None:
    app = build_app()
    verbs = [verb for verb in app if not verb.startswith("-")]
    assert set(synonyms.VERBS.values()) <= set(verbs)
    assert not set(synonyms.VERBS) & set(verbs)
    assert {name.partition(" ")[0] for name in synonyms.MODELS.values()} <= set(models.names())
    assert set(synonyms.KIN.values()) <= set(models.names())
    assert set(synonyms.TASKS.values()) == set(tasks.names())
    options = {name for verb in verbs for name in Shape.of(app, verb).options}
    for targets in synonyms.OPTIONS.values():
        assert {target.partition("=")[0] for target in targets if target.startswith("--")} <= options
    for table in (synonyms.VERBS, synonyms.TASKS, synonyms.MODELS, synonyms.FORMATS):
        assert all(synonyms.spelled(name) == name for name in table)


def test_settings_that_options_stand_for_exist() -> None:
    from polyseme.train.recipe import resolve

    keys = {target for targets in synonyms.OPTIONS.values() for target in targets if target.endswith("=")}
    values = {"hidden_size=": 32, "tokenizer.vocab_size=": 600, "data.sequence_length=": 64}
    shares = {"train.weight_decay=": 0.1, "train.warmup=": 0.1, "masked_lm.rate=": 0.2}
    asked = {key.rstrip("="): (values | shares).get(key, 2) for key in keys}
    for key, value in asked.items():
        section, _, name = key.rpartition(".")
        resolved = resolve("word2vec" if section == "context_window" else "bert", None, {key: value})
        assert resolved.as_dict()[section or "model"][name] == value


@pytest.mark.parametrize("verb", [verb for verb in build_app() if not verb.startswith("-")])
def test_a_verb_that_computes_takes_threads(verb: str) -> None:
    options = Shape.of(build_app(), verb).options
    without = {"doctor", "list", "inspect", "tidy", "tree", "uses"}
    assert ("--threads" in options or "--workers" in options) == (verb not in without)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("it was a good day", True),
        ("He went to the park/zoo.", True),
        ("很好", True),
        ("Great!", True),
        ("-", False),
        ("reviews", False),
        ("reviews.txt", False),
        ("my reviews.tsv.gz", False),
        ("../my reviews", False),
        ("/data/my reviews", False),
        ("~/my reviews", False),
        ("评论.txt", False),
        ("数据/评论", False),
        ("runs/mine data.7z", False),
        ("很好，真的 / 不错", True),
        ("a " * 3000, True),
    ],
)
def test_texts_and_paths_are_told_apart(word: str, expected: bool) -> None:
    assert is_text(Path(word)) == expected


def test_a_file_with_a_space_in_its_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "my reviews").write_text("a")
    assert not is_text(tmp_path / "my reviews")


def test_a_slash_behind_a_folder_that_is_there_makes_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_text(Path("my data/of reviews"))
    (tmp_path / "my data").mkdir()
    assert not is_text(Path("my data/of reviews"))


def test_a_text_in_place_of_a_file_keeps_every_character() -> None:
    """A path loses one of two slashes."""
    with text_or_file(_read_file(None, [Token(value="see http://x.org//a now")])) as path:
        assert path.read_text("utf-8") == "see http://x.org//a now\n"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("fill RUN TEXT --top 2.7", "--top 2"),
        ("classify RUN --train a.tsv -o X", "polyseme finetune classify RUN --train a.tsv -o X"),
        ("skipgram a.txt -o X", "polyseme pretrain skipgram a.txt -o X"),
        ("pretrain . -o X", "polyseme pretrain modernbert . -o X"),
    ],
)
def test_what_is_proposed_instead(words: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        understood(words.split(), build_app())
    assert caught.value.fix == fix


def test_a_format_that_was_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("{}", "utf-8")
    typed = understood(["export", "mine", "out2"], build_app())
    assert isinstance(typed, Typed)
    assert misused(typed) == (["FORMAT"], "polyseme export mine huggingface out2")


@pytest.mark.parametrize("value", ["1.5", "0.5", "2.7k5"])
def test_counts_are_integers(value: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        _read_count(None, [Token(value=value)])
