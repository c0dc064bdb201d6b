"""The example in the help of every verb is run as it is printed, on tiny runs; the budgets alone are smaller."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from itertools import product
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from polyseme import cli

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "tokenizer.vocab_size": 600,
    "data.sequence_length": 48,
    "train.precision": "float32",
    "train.heldout_tokens": 500,
    "train.evaluations": 1,
    "train.batch_size": 4,
    "text.valid_share": 0.3,
}
_BUDGET = re.compile(r"--minutes \S+")

pytestmark = pytest.mark.docs


def example_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The example as the help prints it."""
    assert cli.main([verb, "--help"]) == 0
    match = re.search(r"^Example:\n {2}(polyseme .*)$", capsys.readouterr().out, re.MULTILINE)
    assert match, "the help of a verb ends with an example, on one line"
    return match[1].rstrip()


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples speak of."""
    folder = tmp_path_factory.mktemp("examples")
    texts = folder / "my-texts"
    texts.mkdir()
    for number, name in enumerate(sorted(topics)):
        (texts / f"{number:03}.txt").write_text(f"It was a good day. {topics[name][:9000]}", "utf-8")
    write(folder / "lines.txt", "The first line.", "The second line.")
    write(folder / "reviews.txt", "the class is clear", "the class is wrong")
    words = product(["list", "class", "module", "string"], ["clear", "fast", "wrong", "slow"])
    rows = [f"the {a} is {b}\t{'good' if b in ('clear', 'fast') else 'bad'}" for a, b in words]
    for name in ("train.tsv", "test.tsv"):
        write(folder / name, "text\tlabel", *rows)
    places = [("of the river", "river"), ("with the money", "money")]
    uses = product(["we", "they"], ["saw", "left", "passed", "found", "like"], places)
    write(
        folder / "uses.tsv",
        "text\tword\tsense",
        *(f"{a} {b} the bank {c}\tbank\t{s}" for a, b, (c, s) in uses),
    )
    pairs = [
        {"sentence_good": f"the {a} is here", "sentence_bad": f"the {a} are here", "UID": "agreement"}
        for a in ("list", "class", "module", "string")
    ]
    write(folder / "pairs.jsonl", *map(json.dumps, pairs))
    sentences = product(["Anna", "Peter"], ["saw", "met", "left"], ["Berlin", "Paris"])
    write(
        folder / "entities.conll",
        *(f"{a} B-PER\n{b} O\n{c} B-LOC\nthere O\n" for a, b, c in [*sentences] * 2),
    )
    write(folder / "similar-words.tsv", "class\tobject\t7.0", "list\tstring\t5.0", "name\tvalue\t3.0")
    write(folder / "questions-words.txt", ": names", "list string class object", "name value list string")
    task = 'task = "classify"\ntrain = "train.tsv"\ndev = "train.tsv"\ntest = "test.tsv"\nepochs = 1\n'
    write(folder / "compared.toml", "seeds = [1]", "[tasks.judged]", task)
    row = '[rows.mine]\nruns = { en = "runs/mine" }\nways = ["frozen"]'
    write(folder / "tasks.toml", "seeds = [1]", row, "[tasks.judged]", task)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, name in (("bert", "mine"), ("gpt", "gpt")):
            run(f"polyseme pretrain {model} my-texts -o runs/{name} --steps 2 {tiny()}")
        shutil.copytree("runs/mine", "runs/bert")
        run("polyseme pretrain word2vec my-texts -o runs/word2vec --steps 2 --set text.valid_share=0.3")
        run("polyseme pretrain word-classes my-texts -o runs/classes --steps 2 --set num_classes=8")
        small = "--set hidden_size=16 --set intermediate_size=24 --set input=words"
        run(f"polyseme pretrain elmo my-texts -o runs/elmo --steps 2 {small}")
        run("polyseme finetune classify runs/mine --train train.tsv -o runs/sentiment --epochs 1")
        run("polyseme export runs/mine huggingface downloaded-model")
    return folder


def tiny() -> str:
    return " ".join(f"--set {key}={value}" for key, value in TINY.items())


def run(command: str) -> None:
    assert cli.main(shlex.split(command)[1:]) == 0, command


VERBS = [
    pytest.param(verb, marks=pytest.mark.slow) if verb in ("demo", "mask", "probe") else verb
    for verb, _, _ in cli.VERBS
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_a_verb_runs(
    verb: str,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = example_of(verb, capsys)
    assert command.startswith(f"polyseme {verb}")
    folder = tmp_path / "folder"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    words = shlex.split(command)
    output = Path(words[words.index("-o") + 1]) if "-o" in words else None
    if output is not None and output.is_dir():  # what an example writes is another example's input
        shutil.rmtree(output)
    if verb == "serve":  # which would go on until it is ended
        monkeypatch.setattr("polyseme.serve.serve", lambda config, told: told(config.address))
    if verb in ("demo", "lecture"):
        command = _BUDGET.sub("--minutes 0.02", command) + (" --only one-of-n" if verb == "lecture" else "")
    elif "--minutes" in command:
        command = _BUDGET.sub(f"--steps 2 {tiny()}", command)
    run(command)
    assert output is None or output.exists()


@pytest.mark.parametrize("verb", [verb for verb, _, _ in cli.VERBS])
def test_the_help_of_a_verb_names_its_arguments_and_fits_eighty_columns(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    example = example_of(verb, capsys)
    assert len(example) <= 78
    assert cli.main([verb, "--help"]) == 0
    usage = capsys.readouterr().out.partition("\n")[0]
    assert usage.startswith(f"Usage: polyseme {verb} ")
    assert "ARGS" not in usage
