"""Sizes that follow the budget: which are chosen, what wins over them, and that a run keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from polyseme import Budget, PretrainRequest, RunDirectory, pretrain
from polyseme.core.reporter import NullReporter
from polyseme.errors import ConfigError, RunError
from polyseme.report.commands import pretrain_command
from polyseme.train import sizes
from polyseme.train.recipe import recipe_names, resolve
from polyseme.train.sizes import LADDER, Size, chosen_size, worth

SMALL = (Size(8, 1, 0), Size(16, 1, 900), Size(24, 2, 4000))
AUTO: dict[str, Any] = {
    "train.size": "auto",
    "data.sequence_length": 16,
    "train.batch_size": 4,
    "train.heldout_tokens": 300,
    "train.precision": "float32",
    "text.valid_share": 0.2,
    "text.documents": "line",
    "tokenizer.vocab_size": 330,
}


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    path.write_text("\n".join(f"the old cat sees {n} birds and the river" for n in range(300)))
    return str(path)


@pytest.fixture
def small_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "LADDER", SMALL)
    monkeypatch.setattr(sizes, "MEASURED", SMALL[:2])


def request(texts: str, output: Path, model: str = "modernbert", **changes: Any) -> PretrainRequest:
    asked = PretrainRequest(
        model=model, corpus=[texts], output=output, budget=Budget(steps=2), settings=AUTO, threads=1
    )
    return replace(asked, **changes)


def test_the_ladder_rises() -> None:
    for small, large in pairwise(LADDER):
        assert (small.width, small.layers, small.tokens) <= (large.width, large.layers, large.tokens)
    assert LADDER[0].tokens == 0


def test_more_tokens_never_make_a_smaller_model_and_repeated_ones_count_less() -> None:
    widths = [chosen_size(lambda _, t=t: 10.0**t, unique=10**10).width for t in range(3, 11)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]
    again = [chosen_size(lambda _, t=t: 10.0**t, unique=10**5).width for t in range(3, 11)]
    assert again[-1] < widths[-1]  # a small text does not pay for a large model, however long it is read
    assert worth(7.0, 10.0) == 7.0
    assert 10.0 < worth(20.0, 10.0) < 20.0


def test_a_size_must_be_worth_it_at_its_own_speed() -> None:
    needed = LADDER[1].tokens

    def buys(size: Size) -> float:  # the second size is twice as slow as the first
        return needed * (1.9 if size is LADDER[0] else 0.95)

    assert chosen_size(buys, unique=10**9) is LADDER[0]


@pytest.mark.parametrize("name", recipe_names())
def test_every_size_fits_every_recipe(name: str) -> None:
    from polyseme.core.config import read_toml
    from polyseme.train.recipe import FOLDER

    recipe = resolve(read_toml(FOLDER / f"{name}.toml")["architecture"], name)
    if "hidden_size" not in type(recipe.section("model")).model_fields or recipe.architecture == "word2vec":
        return
    before = recipe.section("model")
    for size in LADDER:
        model = sizes.with_values(recipe, sizes.values_for(recipe, size)).section("model")
        if hasattr(model, "num_attention_heads"):
            assert (model.hidden_size, model.num_hidden_layers) == (size.width, size.layers)
            assert model.hidden_size % model.num_attention_heads == 0
        # what is not a size stays
        chosen = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}
        chosen |= {"num_key_value_heads"}
        assert model.model_dump(exclude=chosen) == before.model_dump(exclude=chosen)


def test_heads_at_neighbours_stay() -> None:
    values = sizes.values_for(resolve("bert"), Size(128, 4, 0))
    assert values["model.num_attention_heads"] == 4  # of 32 numbers: two neighbours on either side
    assert values["train.learning_rate"] == pytest.approx(3e-3)
    paper = sizes.values_for(resolve("bert", "bert-2018"), Size(128, 4, 0))
    assert paper["model.num_attention_heads"] == 2


@pytest.mark.usefixtures("small_ladder")
def test_a_run_says_keeps_and_repeats_what_was_chosen(texts: str, tmp_path: Path) -> None:
    told = Notes()
    run = pretrain(request(texts, tmp_path / "a"), told)
    assert run.meta["recipe"]["model"]["hidden_size"] == 8  # 2 updates of 4 rows of 16 tokens
    kept = run.meta["sizes"]
    assert kept["tokens"] == 128
    assert kept["chosen"]["model.hidden_size"] == 8
    (note,) = [note for note in told.notes if note.startswith("sizes for 2 steps")]
    settings = dict(word.split("=") for word in note.split() if "=" in word)
    given = {**AUTO, **{key: json.loads(value) for key, value in settings.items()}}
    again = pretrain(request(texts, tmp_path / "b", settings=given))
    assert "sizes" not in again.meta
    assert {**again.meta["recipe"]} == {**run.meta["recipe"]}
    assert again.meta["results"]["heldout_loss"] == run.meta["results"]["heldout_loss"]
    # the same command goes on with it
    resumed = pretrain(request(texts, tmp_path / "a", resume=True))
    assert resumed.meta["sizes"] == kept


@pytest.mark.usefixtures("small_ladder")
def test_minutes_are_measured(texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    measured = sizes._seconds

    def seconds(*args: Any) -> float:
        rates.append(measured(*args))
        return 1e-2  # 100 tokens a second at every size

    monkeypatch.setattr(sizes, "_seconds", seconds)
    run = pretrain(request(texts, tmp_path / "a", budget=Budget(minutes=0.02)))
    assert all(rate > 0 for rate in rates)
    assert len(rates) == 2
    assert run.meta["sizes"]["tokens"] == pytest.approx(0.9 * 1.2 * 100, abs=1)


@pytest.mark.usefixtures("small_ladder")
@pytest.mark.parametrize(
    ("budget", "width"),
    [
        (Budget(tokens=800), 8),
        (Budget(tokens=1000), 16),
        (Budget(epochs=0.1), 8),
        (Budget(words=1500), 16),
    ],
)
def test_tokens_words_and_passes_tell_it_too(texts: str, tmp_path: Path, budget: Budget, width: int) -> None:
    run = pretrain(request(texts, tmp_path / "a", budget=budget))
    assert run.meta["recipe"]["model"]["hidden_size"] == width


@pytest.mark.usefixtures("small_ladder")
def test_what_is_named_wins(texts: str, tmp_path: Path) -> None:
    rate = {**AUTO, "train.learning_rate": 4e-3}
    run = pretrain(request(texts, tmp_path / "a", settings=rate))
    assert run.meta["recipe"]["train"]["learning_rate"] == 4e-3
    assert run.meta["recipe"]["model"]["hidden_size"] == 8
    # weights that are there have their sizes
    on = pretrain(
        request(
            texts,
            tmp_path / "c",
            init=str(run.path),
            budget=Budget(tokens=5000),
            settings={k: v for k, v in AUTO.items() if k != "train.size"},
        )
    )
    assert on.meta["recipe"]["model"] == run.meta["recipe"]["model"]
    with pytest.raises(ConfigError, match="--init fixes the sizes"):
        pretrain(request(texts, tmp_path / "d", init=str(run.path)))


def test_a_size_that_is_named_wins() -> None:
    asked = {"train.size": "auto", "model.hidden_size": 64}
    recipe = resolve("modernbert", None, asked)
    assert (recipe.section("train").size, recipe.section("model").hidden_size) == ("given", 64)
    assert (
        resolve("modernbert", None, {"train.size": "auto", "vocab_size": 999}).section("train").size == "auto"
    )
    # and the command of the run says so, even where the size is the recipe's own
    kept = resolve("modernbert", None, {"hidden_size": 256}).as_dict()
    command = pretrain_command({"asked": {"recipe": kept, "budget": "1 steps"}}, Path("run"))
    assert "--set train.size=given" in (command or "")


def test_a_run_begun_before_there_was_a_choice_goes_on(tmp_path: Path) -> None:
    from polyseme.train.opening import check_same_request

    old = resolve("modernbert", None, {"train.size": "given"}).as_dict()
    del old["train"]["size"]
    run = RunDirectory(tmp_path, {"asked": {"recipe": old}})
    check_same_request(run, {"recipe": resolve("modernbert", None, {"train.size": "auto"}).as_dict()})
    with pytest.raises(RunError, match="hidden_size"):
        check_same_request(run, {"recipe": resolve("modernbert", None, {"hidden_size": 64}).as_dict()})


@pytest.mark.parametrize("model", ["word2vec", "onehot", "word-classes"])
def test_models_without_a_width_are_refused(texts: str, tmp_path: Path, model: str) -> None:
    with pytest.raises(ConfigError, match="no sizes that could be chosen"):
        pretrain(
            request(texts, tmp_path / "a", model, settings={"train.size": "auto", "text.documents": "line"})
        )
    assert not (tmp_path / "a").exists()
