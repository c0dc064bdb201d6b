"""Recipes resolve with defaults < file < --set, and refuse what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polyseme.core import registry
from polyseme.errors import ConfigError, PolysemeError, RunError
from polyseme.train.opening import check_same_request
from polyseme.train.recipe import from_dict, recipe_names, resolve
from polyseme.train.run import RunDirectory


@pytest.mark.parametrize("name", registry.models.names())
def test_every_model_has_a_recipe_that_resolves_and_comes_back(name: str) -> None:
    recipe = resolve(name)
    assert recipe.architecture == name
    assert from_dict(recipe.as_dict()).as_dict() == recipe.as_dict()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_ours_is_valid(name: str) -> None:
    from polyseme.core.config import read_toml
    from polyseme.train.recipe import FOLDER

    architecture = read_toml(FOLDER / f"{name}.toml")["architecture"]
    recipe = resolve(architecture, name)
    head = (FOLDER / f"{name}.toml").read_text("utf-8")
    assert head.startswith("# ")
    assert f"polyseme pretrain {architecture}" in head
    length = recipe.section("data").sequence_length
    assert length <= getattr(
        recipe.section("model"), "max_position_embeddings", length
    )  # some read any length


def test_settings_win_and_bare_names_are_the_models() -> None:
    recipe = resolve(
        "bert",
        settings={
            "hidden_size": 128,
            "train.learning_rate": 7e-4,
            "vocab_size": 3000,
            "masked_lm.unit": "word",
            "objectives": "masked_lm",
        },
    )
    assert recipe.section("model").hidden_size == 128
    assert recipe.section("train").learning_rate == 7e-4
    assert recipe.section("tokenizer").vocab_size == 3000
    assert recipe.section("masked_lm").unit == "word"
    assert recipe.objectives == ["masked_lm"]


@pytest.mark.parametrize(
    ("model", "settings", "says"),
    [
        ("brt", {}, "bert"),
        ("bert", {"hiden_size": 1}, "hidden_size"),
        ("bert", {"learning_rate": 1e-3}, "train.learning_rate"),
        ("bert", {"train.learning_rat": 1e-3}, "train.learning_rate"),
        ("bert", {"hidden_size": 100, "num_attention_heads": 3}, "divisible"),
        ("bert", {"hidden_size": "wide"}, "hidden_size"),
        ("bert", {"masked_lm.rate": 1.5}, "rate"),
        ("bert", {"objectives": "masked_ml"}, "masked-lm"),
        ("bert", {"objectives": "masked_lm,masked_lm"}, "twice"),
        ("bert", {"train.optimizer": "sgd"}, "adamw"),
    ],
)
def test_mistakes_name_what_was_meant(model: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(model, settings=settings)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_recipe_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown recipe"):
        resolve("bert", "bertt")
    with pytest.raises(ConfigError, match="no such file"):
        resolve("bert", str(tmp_path / "mine.toml"))
    file = tmp_path / "mine.toml"
    file.write_text('architecture = "modernbert"\n')
    with pytest.raises(ConfigError, match="another model"):
        resolve("bert", str(file))
    file.write_text("[train]\nlearning_rate = 3e-4\n[modl]\nx = 1\n")
    with pytest.raises(ConfigError, match="unknown section"):
        resolve("bert", str(file))
    file.write_text("[train]\nlearning_rate = 3e-4\n")
    assert resolve("bert", str(file)).section("train").learning_rate == 3e-4


def asked(**changes: Any) -> dict[str, Any]:
    base = {
        "recipe": {"train": {"learning_rate": 1e-3}},
        "seed": 1,
        "budget": "10 steps",
        "corpus": {"files": [["a.txt", 10, 1]], "python": "3"},
    }
    return base | changes


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (asked(recipe={"train": {"learning_rate": 2e-3}}), "train.learning_rate"),
        (asked(seed=2), "seed"),
        (asked(budget="20 steps"), "budget"),
        (asked(corpus={"files": [["a.txt", 11, 1]], "python": "3"}), "corpus has changed"),
        (asked(corpus={"files": [["a.txt", 10, 2]], "python": "3"}), "corpus has changed"),
    ],
)
def test_resuming_something_else_is_refused(tmp_path: Path, now: dict[str, Any], says: str) -> None:
    run = RunDirectory(tmp_path, {"asked": asked(), "corpus": {"fingerprint": "abc"}})
    check_same_request(run, asked())
    with pytest.raises(RunError, match=says):
        check_same_request(run, now, lambda: "other")


def test_a_touched_but_unchanged_corpus_is_accepted(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, {"asked": asked(), "corpus": {"fingerprint": "abc"}})
    touched = asked(corpus={"files": [["a.txt", 10, 99]], "python": "3"})
    with pytest.raises(RunError, match="corpus has changed"):
        check_same_request(run, touched, lambda: "other")
    looked: list[str] = []
    check_same_request(run, touched, lambda: looked.append("read") or "abc")
    assert looked == ["read"]
    check_same_request(run, asked(), lambda: looked.append("again") or "abc")
    assert looked == ["read"]  # a file that was not touched is not read


def test_our_errors_are_one_family() -> None:
    assert issubclass(ConfigError, PolysemeError)


def test_what_was_added_since_a_run_began_is_no_change(tmp_path: Path) -> None:
    recipe = resolve("bert", "bert-2018").as_dict()
    before = {**recipe, "train": {k: v for k, v in recipe["train"].items() if k != "attention_start"}}
    run = RunDirectory(tmp_path, {"asked": asked(recipe=before)})
    check_same_request(run, asked(recipe=recipe))
    assert "attention_start" not in run.meta["asked"]["recipe"]["train"]
    changed = {**recipe, "train": {**recipe["train"], "attention_start": "neighbours"}}
    with pytest.raises(RunError, match=r"another train\.attention_start"):
        check_same_request(run, asked(recipe=changed))


def test_a_run_with_a_recipe_that_was_the_default_names_it(tmp_path: Path) -> None:
    before, now = (resolve("gpt", name).as_dict() for name in ("gpt2-2019", None))
    run = RunDirectory(tmp_path, {"asked": asked(recipe=before)})
    with pytest.raises(RunError, match="--recipe gpt2-2019"):
        check_same_request(run, asked(recipe=now))
    check_same_request(run, asked(recipe=before))


@pytest.mark.parametrize(
    ("faithful", "ours"), [("bert-2018", "bert"), ("ernie-2019", "ernie"), ("gpt2-2019", "gpt")]
)
def test_a_recipe_under_a_year_starts_at_random_and_has_the_network_of_the_plain_one(
    faithful: str, ours: str
) -> None:
    theirs, plain = resolve(ours, faithful), resolve(ours)
    sizes = [config.section("model").model_dump(exclude={"initializer_range"}) for config in (theirs, plain)]
    assert sizes[0] == sizes[1]
    train = theirs.section("train")
    assert (train.embedding_start, train.attention_start, train.optimizer) == ("random", "random", "adamw")
