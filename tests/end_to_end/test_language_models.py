"""A small decoder on real text: generate and score, as a user types it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.cli import main

from .conftest import tiny


@pytest.fixture(scope="module")
def decoder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT after some updates."""
    folder = tmp_path_factory.mktemp("runs") / "gpt"
    recipe = folder.with_name("mine.toml")
    recipe.write_text('architecture = "gpt"\n[model]\nmax_position_embeddings = 64\n', "utf-8")
    options = tiny(**{"tokenizer.kind": "byte-bpe", "train.learning_rate": 5e-3})
    words = ["pretrain", "gpt", str(corpus), "-o", str(folder), "--recipe", str(recipe), "--steps", "60"]
    assert main([*words, *options]) == 0
    return folder


def output(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_generate(decoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("generate", decoder, "The statement", "--max-new-tokens", 12)
    text = output(capsys, *words, "--seed", 1)
    assert text.startswith("The statement")
    assert text == output(capsys, *words, "--seed", 1)
    assert text != output(capsys, *words, "--seed", 2)
    document = json.loads(output(capsys, *words, "--seed", 1, "--json"))
    assert set(document) == {"text", "tokens", "finish"}
    assert text == f"The statement{document['text']}\n"
    assert all(0 < t["probability"] <= 1 for t in document["tokens"])
    greedy = json.loads(output(capsys, *words, "--temperature", 0, "--json"))
    letter = next(c for c in greedy["text"] if not c.isspace())
    stopped = json.loads(output(capsys, *words, "--temperature", 0, "--json", "--stop", letter))
    assert stopped["finish"] == "stop"
    assert stopped["text"] == greedy["text"][: greedy["text"].index(letter)]
    beams = json.loads(output(capsys, *words, "--beams", 3, "--results", 2, "--json"))
    assert len(beams["others"]) == 1
    assert len(output(capsys, *words, "--results", 2).split("The statement")) == 3


def test_generate_with_every_option(decoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--max-new-tokens 5 --temperature 0.7 --top-k 20 --top-p 0.9 --repetition-penalty 1.2 --seed 3"
    assert output(capsys, "generate", decoder, "A class", *options.split(), "--stop", "\\n", "--stop", "x")


def test_score(decoder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["The statement is executed.", "", "executed. The is statement", "☃ é"]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    for folder, kind in ((decoder, "log-likelihood"), (run, "pseudo-log-likelihood")):
        document: dict[str, Any] = json.loads(output(capsys, "score", folder, file, "--json"))
        assert document["kind"] == kind
        assert len(document["lines"]) == 4
        assert document["lines"][1] == {"log_likelihood": 0.0, "tokens": 0, "per_token": 0.0, "unknown": 0}
        assert document["total"]["tokens"] == sum(line["tokens"] for line in document["lines"])
        table = output(capsys, "score", folder, file).split("\n")
        assert [row.split("\t")[-1] for row in table[:4]] == lines
    good, _, shuffled, _ = json.loads(output(capsys, "score", decoder, file, "--json"))["lines"]
    assert good["log_likelihood"] > shuffled["log_likelihood"]
    ended = json.loads(output(capsys, "score", decoder, file, "--end", "--json"))["lines"]
    assert ended[0]["tokens"] == good["tokens"] + 1
    given = json.loads(output(capsys, "score", decoder, file, "--context", "The with", "--json"))["lines"]
    assert given[0]["log_likelihood"] != good["log_likelihood"]
    each = json.loads(output(capsys, "score", decoder, file, "--detail", "--json"))["lines"]
    assert [line["text"] for line in each] == lines
    assert each[1]["token_scores"] == []
    assert lines[0][slice(*[each[0]["token_scores"][-1][place] for place in ("start", "end")])] == "."
    assert sum(t["nats"] for t in each[0]["token_scores"]) == pytest.approx(-good["log_likelihood"])
    strips = output(capsys, "score", decoder, file, "--detail")
    assert strips.startswith("Log-likelihood: -")
    assert strips.count(" a token.") == 4
    assert main(["score", str(decoder), str(file), "--detail", "--last-word"]) == 2


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_tokens_has_no_perplexity(
    text: str, decoder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty.txt"
    file.write_text(text, "utf-8")
    for folder in (decoder, run):
        document = json.loads(output(capsys, "score", folder, file, "--json"))
        assert document["total"] == {
            "log_likelihood": 0.0, "tokens": 0, "per_token": None, "unknown": 0, "perplexity": None,
        }  # fmt: skip
        assert main(["score", str(folder), str(file)]) == 0
        assert "the file has no tokens, so there is no perplexity" in capsys.readouterr().err


def test_what_a_run_cannot_do(
    decoder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(run), "The"]) == 2
    assert "polyseme fill RUN" in capsys.readouterr().err
    assert main(["generate", str(decoder), "The", "--beams", "2", "--temperature", "1"]) == 2
    assert "beam search does not sample" in capsys.readouterr().err
    assert main(["generate", str(decoder), "The", "--beams", "99999"]) == 2
    assert "less than or equal to 256" in capsys.readouterr().err
    assert main(["embed", str(decoder), __file__, "-o", str(tmp_path / "o.npy"), "--pool", "cls"]) == 2
    assert "mean, max, last, words" in capsys.readouterr().err
    assert not (tmp_path / "o.npy").exists()
    assert main(["score", str(decoder), str(tmp_path / "none.txt")]) == 2
    assert main(["score", str(run), __file__, "--end"]) == 2
    assert "--end" in capsys.readouterr().err


def test_a_long_prompt_is_noted(decoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="only its end is used"):
        assert main(["generate", str(decoder), "a class " * 2000, "--max-new-tokens", "2", "--debug"]) == 0


@pytest.fixture(scope="module")
def hybrid(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of the recipe hybrid after some updates, and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "hybrid"
    words = ["pretrain", "modernbert", str(corpus), "-o", str(folder), "--recipe", "hybrid", "--steps", "40"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", said := io.StringIO())
        assert main([*words, *tiny(**{"train.learning_rate": 5e-3})]) == 0
    return folder, said.getvalue()


def test_one_run_reads_and_writes(
    hybrid: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, said = hybrid
    assert "masked_lm" in said
    assert "causal_lm" in said
    heldout = json.loads((folder / "run.json").read_text())["results"]["heldout"]
    for name in ("masked_lm", "causal_lm"):
        assert heldout[f"{name}_loss"] < heldout[f"{name}_baseline"] + 0.5
    shown = output(capsys, "inspect", folder)
    assert "masked lm" in shown
    assert "causal lm" in shown
    parts = json.loads(output(capsys, "inspect", folder, "--json"))["heldout_parts"]
    assert [part["objective"] for part in parts] == ["masked_lm", "causal_lm"]
    assert output(capsys, "fill", folder, "The [MASK] is executed.")
    assert output(capsys, "generate", folder, "The statement", "--max-new-tokens", 90).startswith(
        "The statement"
    )
    file = tmp_path / "lines.txt"
    file.write_text("The statement is executed.\nexecuted. The is statement\n", "utf-8")
    left = json.loads(output(capsys, "score", folder, file, "--json"))
    masked = json.loads(output(capsys, "score", folder, file, "--json", "--masked"))
    assert (left["kind"], masked["kind"]) == ("log-likelihood", "pseudo-log-likelihood")
    assert left["lines"] != masked["lines"]
    output(capsys, "embed", folder, file, "-o", tmp_path / "vectors.npy")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("good\tbad\nThe statement is executed.\tThe statement are executed.\n", "utf-8")
    kinds = [
        json.loads(output(capsys, "pairs", folder, pairs, "--json", *options))
        for options in ((), ("--scoring", "original"))
    ]
    assert [(kind["kind"], kind["scoring"]) for kind in kinds] == [
        ("log-likelihood", None),
        ("pseudo-log-likelihood", "original"),
    ]
    output(capsys, "mask", folder, "The statement is executed.")
