"""The verbs' own work: options, what goes to stdout, how it comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decoding import make_loaded
from polyseme.cli import main
from polyseme.infer import model as load_module
from polyseme.infer.generate import generate


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded("gpt", "byte-bpe")
    monkeypatch.setattr(load_module, "load", lambda folder: loaded)


@pytest.mark.usefixtures("decoder")
def test_the_prompt_and_its_continuation_are_all_that_goes_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", "run", "the cat", "--max-new-tokens", "9", "--seed", "2"]) == 0
    out, err = capsys.readouterr()
    found = generate(make_loaded("gpt", "byte-bpe"), "the cat", max_new_tokens=9, seed=2)
    assert out == f"the cat{found.text}\n"
    assert "next:" in err


@pytest.mark.usefixtures("decoder")
def test_pieces_are_written_as_they_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    written: list[str] = []
    monkeypatch.setattr(sys.stdout, "write", lambda text: written.append(text) or len(text))
    assert main(["generate", "run", "the cat", "--max-new-tokens", "30", "--temperature", "0"]) == 0
    assert written[0] == "the cat"
    assert len(written) > 10


@pytest.mark.usefixtures("decoder")
def test_options_reach_the_generator(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--max-new-tokens 12 --top-k 9 --top-p 0.8 --temperature 1.3 --repetition-penalty 1.1 --seed 4 --results 2"
    assert main(["generate", "run", "a", *words.split(), "--stop", "\\n", "--stop", "zz", "--json"]) == 0
    options = {
        "top_k": 9,
        "top_p": 0.8,
        "temperature": 1.3,
        "repetition_penalty": 1.1,
        "seed": 4,
        "results": 2,
    }
    expected = generate(make_loaded("gpt", "byte-bpe"), "a", max_new_tokens=12, stop=("\n", "zz"), **options)
    document = json.loads(capsys.readouterr().out)
    assert document["text"] == expected.text
    assert document["others"][0]["finish"] == expected.others[0].finish


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-new-tokens", "0"], "max_new_tokens"),
        (["--beams", "2", "--top-k", "3"], "beam search does not sample"),
        (["--stop", ""], "a stop string must not be empty"),
    ],
)
def test_misuse(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "run", "a", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("decoder")
def test_score_goes_on_as_it_was_asked_and_refuses_an_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "run", "the cat sat", "--detail", "--end", "--context", "a day"]) == 0
    said = capsys.readouterr().err
    assert "polyseme score run 'the cat sat' --end --detail --context 'a day' --json" in said
    assert main(["score", "run", "", "--detail"]) == 2
    assert "an empty text has nothing to read" in capsys.readouterr().err


@pytest.mark.usefixtures("decoder")
def test_score_sums_up_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("the cat\n\na mat\n", "utf-8")
    assert main(["score", "run", str(file)]) == 0
    out, err = capsys.readouterr()
    rows = [row.split("\t") for row in out.splitlines()]
    assert [row[3] for row in rows] == ["the cat", "", "a mat"]
    assert rows[1][:3] == ["0.000", "0", "0.000"]
    total = sum(float(row[0]) for row in rows)
    assert f"log-likelihood: {total:,.1f} nats over {sum(int(row[1]) for row in rows)} tokens" in err


@pytest.mark.usefixtures("decoder")
def test_what_else_could_have_been_written(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "run", "the cat", "--max-new-tokens", "3", "--alternatives", "2"]
    assert main([*words, "--json"]) == 0
    tokens = json.loads(capsys.readouterr().out)["tokens"]
    assert [len(token["alternatives"]) for token in tokens] == [2] * len(tokens)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("the cat")
    assert "likeliest tokens" in out
    assert main([*words, "--results", "2"]) == 0
    assert capsys.readouterr().out.count("likeliest tokens") == 2
    assert main([*words, "--task", "summary"]) == 0
    assert "likeliest tokens" in capsys.readouterr().out
    assert main([*words, "--beams", "2"]) == 2
    assert main(["generate", "run", "the", "--alternatives", "21"]) == 2


@pytest.mark.usefixtures("decoder")
def test_the_next_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "run", "the cat", "--next", "4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"text", "entropy", "candidates"}
    assert len(document["candidates"]) == 4
    assert main(["generate", "run", "the cat", "--next", "4"]) == 0
    assert capsys.readouterr().out.startswith("Entropy ")
    for option, value in {
        "--beams": "2", "--max-new-tokens": "3", "--alternatives": "2", "--task": "summary", "--temperature": "0",
        "--top-k": "0", "--seed": "3", "--stop": "x", "--repetition-penalty": "1.2", "--length-penalty": "2",
    }.items():  # fmt: skip
        assert main(["generate", "run", "the cat", "--next", "4", option, value]) == 2
        assert "--next writes nothing" in capsys.readouterr().err
    assert main(["generate", "run", "the cat", "--next", "0"]) == 2
