"""ELMo's two directions: each side's expectation is the head's, and what it has not read does not change it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import polyseme
from english import english_in
from polyseme.cli import main
from polyseme.errors import ConfigError, InputError
from polyseme.report.directions import directions_page
from trained import make_run
from vector_runs import random_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("directions")
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "filters": [[1, 8], [2, 8]],
        "bidirectional_lm.samples": 0,
    }
    neural = {"data.sequence_length": 32, "train.batch_size": 4, "train.heldout_tokens": 300}
    return make_run(folder, "elmo", **sizes, **neural)


def test_both_sides_together_are_the_score(run: Path) -> None:
    text = "the cat sees a small river"
    model = polyseme.load(run)
    result = polyseme.directions(model, text)
    nats = sum(token[side]["nats"] for token in result.tokens for side in ("left", "right"))
    assert -nats == pytest.approx(model.score(text), abs=1e-3)
    assert [token["token"] for token in result.tokens] == text.split()
    for token in result.tokens:
        for side in ("left", "right"):
            shares = [one["probability"] for one in token[side]["candidates"]]
            assert shares == sorted(shares, reverse=True)
            assert (token[side]["rank"] == 1) == (token[side]["candidates"][0]["token"] == token["token"])


def test_what_a_side_has_not_read_does_not_change_it(run: Path) -> None:
    first = polyseme.directions(run, "the cat sees a *small* river", top=3)
    second = polyseme.directions(run, "the cat sees a *good* day and a dog", top=3)
    assert first.chosen == second.chosen == 4
    one, two = (result.tokens[4] for result in (first, second))
    for a, b in zip(one["left"]["candidates"], two["left"]["candidates"], strict=True):
        assert a["token"] == b["token"]
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-6)
    assert one["right"]["candidates"] != two["right"]["candidates"]
    assert first.text[slice(*one["left"]["read"])] == "the cat sees a "
    assert first.text[slice(*one["right"]["read"])] == " river"
    assert (
        polyseme.directions(run, "the cat sees a small river", word="small", top=3).document()
        == first.document()
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_in_both_languages(run: Path, lang: str) -> None:
    document = json.loads(json.dumps(polyseme.directions(run, "the cat sees a *small* zyx").document()))
    page = directions_page(document, lang)
    assert (english_in(page, document) == []) == (lang == "zh")
    assert [figure.name for figure in page.figures] == ["directions_place", "directions"]
    assert "small" in page.text(80)


def test_the_verb_and_what_it_refuses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["directions", str(run), "the *cat* sees", "-o", str(out), "--report-lang", "zh"]) == 0
    assert (out / "directions_place.svg").is_file()
    capsys.readouterr()
    assert main(["directions", str(run), "the cat sees", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chosen"] is None
    for words in ([""], ["the cat", "--word", "zz"]):
        assert main(["directions", str(run), *words]) == 2
        assert "try:" in capsys.readouterr().err
    with pytest.raises(InputError, match="does not hold") as caught:
        polyseme.directions(run, "the cat", word="dog")
    assert caught.value.fix
    with pytest.raises(InputError, match="does not hold"):
        polyseme.directions(run, "the cat", word="")
    with pytest.raises(InputError, match="nothing to read") as caught:
        polyseme.directions(run, " ")
    assert caught.value.fix
    with pytest.raises(ConfigError, match="two directions"):
        polyseme.directions(random_run(tmp_path, "bert"), "the cat")
