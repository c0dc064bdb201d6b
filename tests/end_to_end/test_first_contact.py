"""What a newcomer types: other programs' words, things in another order, something forgotten.

Each is typed here as it was; it is read as it was meant, and that is said, or it is refused with a command that works.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from polyseme.cli import main

from .conftest import tiny

FILL = "'a [MASK] is'"
PRETRAIN = "--steps 1 " + " ".join(tiny())
QWEN = f"{PRETRAIN} --set num_key_value_heads=2"
WITHOUT_BATCH = PRETRAIN.replace("--set train.batch_size=8", "")

# what is typed, and what is said about it on stderr ("" = nothing besides what the command says anyway)
READ = [
    ("help", ""),
    ("help fill", ""),
    ("fill -h", ""),
    ("-V", ""),
    ("version", ""),
    ("--hlep", ""),
    (f"pretrain bert my-texts -o out --learning-rate 1e-3 --batch-size 4 {WITHOUT_BATCH}", ""),
    (f"pretrain bert my-texts -o out --learning_rate 1e-3 {PRETRAIN}", ""),
    (f"pretrain bert my-texts -o out --lr 1e-3 --bs 4 {WITHOUT_BATCH}", "--lr is read as --learning-rate"),
    (f"pretrain bert my-texts --output_dir out {PRETRAIN}", "--output_dir is read as --output"),
    (f"pretrain bert my-texts -o out --cpu {PRETRAIN}", "--cpu is read as --device cpu"),
    (f"pretrain bert my-texts -o out {PRETRAIN} --vocab-size 600", "--set tokenizer.vocab_size=600"),
    (f"pretrain BERT my-texts -o out {PRETRAIN}", ""),
    (f"pretrain gpt2 my-texts -o out {PRETRAIN}", "gpt2 is read as gpt; it is trained from nothing"),
    (
        "pretrain word2vec my-texts -o out --epochs 1 --window 3 --min-count 1 --negative 4 --vector-size 8",
        "--window is read as --set context_window.window=3",
    ),
    (
        "pretrain skipgram my-texts -o out --steps 1 --set text.valid_share=0.2",
        "skipgram is read as word2vec",
    ),
    (f"pretrain bert-2018 my-texts -o out {PRETRAIN}", "bert --recipe bert-2018"),
    ("pretrain cbow my-texts -o out --steps 1 --set text.valid_share=0.2", "word2vec --recipe word2vec-cbow"),
    ("pretrain one-hot my-texts -o out --steps 1 --set text.valid_share=0.2", "read as onehot"),
    (
        f"pretrain my-texts bert -o out {PRETRAIN}",
        "MODEL comes first: read as polyseme pretrain bert my-texts",
    ),
    (
        "finetune sentiment runs/bert --train train.tsv -o out --num-epochs 1",
        "sentiment is a task of the kind",
    ),
    ("finetune text_classification runs/bert --train train.tsv -o out --epochs 1", "of the kind classify"),
    ("finetune nli runs/bert --train pairs.tsv -o out --epochs 1", "nli is a task of the kind pair"),
    ("finetune ner runs/bert --train entities.conll -o out --epochs 1", "ner is a task of the kind tag"),
    ("finetune classify runs/bert --train train.tsv -o out --num_train_epochs 1 --max_length 32", "--epochs"),
    ("finetune runs/bert classify --train train.tsv -o out --epochs 1", "TASK comes first"),
    (f"fill {FILL} runs/bert", "RUN comes first"),
    (f"fill runs/bert {FILL} --top_k 3", "--top_k is read as --top"),
    (f"fill runs/bert {FILL} -k 3", "-k is read as --top"),
    ("fill runs/bert 'a <mask> is'", "<mask> is read as [MASK]"),
    ("fill runs/bert 'a [mask] is'", "[mask] is read as [MASK]"),
    ("fill runs/bert 'a ____ is'", "____ is read as [MASK]"),
    ("fill runs/bert '- he said [MASK]'", ""),
    (f"fill runs/bert/ {FILL}", ""),
    (f"fill runs/bert/run.json {FILL}", "runs/bert/run.json is a file of the run runs/bert"),
    (f"fill ~/runs/bert {FILL}", ""),
    (f"fill runs/bert {FILL} --threads 1", ""),
    ("generate runs/gpt '-- and so' --max_new_tokens 2", ""),
    ("generate 'It was' runs/gpt --max_tokens 2", "RUN comes first"),
    ("score runs/gpt lines.txt --context '- he said'", ""),
    ("score runs/gpt 'a good day'", "read as a text by itself"),
    ("attention runs/bert '- he said' '- she said'", ""),
    ("attention runs/bert lines.txt", "lines.txt is read as a text, although there is a file"),
    ("attention runs/bert 'a class' --lang zh", "--lang is read as --report-lang"),
    ("neighbours class runs/bert", "RUN comes first"),
    ("mask 'a text of words' bert", "MODEL comes first"),
    ("embed lines.txt runs/bert -o out.npy --pooling mean", "--pooling is read as --pool"),
    ("embed runs/bert 'a good day' -o out.npy", "read as a text by itself"),
    ("predict runs/sent 'a good day'", "read as a text by itself"),
    ("predict runs/sent 今天天气很好", "read as a text by itself"),
    ("predict lines.txt runs/sent", "RUN comes first"),
    ("export huggingface runs/bert out", "RUN comes first"),
    ("export runs/bert hf out", "hf is read as huggingface"),
    (f"pretrain --model bert --corpus my-texts -o out {PRETRAIN}", "read as polyseme pretrain bert my-texts"),
    (
        "finetune --task classify --run runs/bert --train train.tsv -o out --epochs 1",
        "finetune classify runs/bert",
    ),
    ("fill --model runs/bert --text 'a [MASK] is'", "arguments have no names here"),
    ("predict --run runs/sent --text 'a good day'", "arguments have no names here"),
    ("embed runs/bert --input lines.txt -o out.npy", "arguments have no names here"),
    (f"pretrain bert my-texts -oout {PRETRAIN}", ""),
    (f"pretrain bert my-texts -o out {PRETRAIN} hidden_dropout_prob=0.2", "as --set hidden_dropout_prob=0.2"),
    (f"pretrain bert my-texts -o out {PRETRAIN} --train.weight_decay 0.1", "--set train.weight_decay=0.1"),
    (f"pretrain bert my-texts -o out {PRETRAIN} --device CPU --lang EN", ""),
    (f"pretrain bert my-texts -o out {PRETRAIN} --documents paragraphs", "is read as blank"),
    (f"fill runs/bert {FILL} —top 3", "—top is read as --top"),
    (f"fill runs/bert {FILL} -top 3", "-top is read as --top"),
    ("fill runs/bert '天气很［mask］'", "［mask］ is read as [MASK]"),
    ("fill runs/bert 'a [blank] is'", "[blank] is read as [MASK]"),
    ("embed runs/bert lines.txt -o out.npy --pool avg --layer last", "--layer last is read as -1"),
    ("attention runs/bert 'a class' --report-lang chinese", "is read as zh"),
    ("list model", "KIND model is read as models"),
    ("fill help", ""),
    ("--help fill", ""),
]

# what is typed, and the command that the error has for it
REFUSED = [
    (f"train bert my-texts -o out {PRETRAIN}", f"pretrain bert my-texts -o out {PRETRAIN}"),
    (
        "train classify runs/bert --train train.tsv -o out",
        "finetune classify runs/bert --train train.tsv -o out",
    ),
    (
        "fine-tune classify runs/bert --train train.tsv -o out",
        "finetune classify runs/bert --train train.tsv -o out",
    ),
    ("eval runs/sent train.tsv", "evaluate runs/sent train.tsv"),
    ("test runs/sent train.tsv", "evaluate runs/sent train.tsv"),
    ("encode runs/bert lines.txt -o out.npy", "embed runs/bert lines.txt -o out.npy"),
    ("nearest runs/bert class", "neighbours runs/bert class"),
    ("neighbors runs/bert class", "neighbours runs/bert class"),
    (f"complete runs/bert {FILL}", f"fill runs/bert {FILL}"),
    (f"predict_mask runs/bert {FILL}", f"fill runs/bert {FILL}"),
    (f"fil runs/bert {FILL}", f"fill runs/bert {FILL}"),
    ("ppl runs/gpt lines.txt", "score runs/gpt lines.txt"),
    ("help fil", "fill --help"),
    ("xyzzy", "--help"),
    (f"pretrain bert-base-uncased my-texts -o out {PRETRAIN}", f"pretrain bert my-texts -o out {PRETRAIN}"),
    (
        f"pretrain hfl/chinese-macbert-base my-texts -o out {PRETRAIN}",
        f"pretrain bert my-texts -o out {PRETRAIN}",
    ),
    (f"pretrain llama my-texts -o out {QWEN}", f"pretrain qwen3 my-texts -o out {QWEN}"),
    ("pretrain nonsense my-texts -o out", "list models"),
    (
        "finetune clasify runs/bert --train train.tsv -o out",
        "finetune classify runs/bert --train train.tsv -o out",
    ),
    ("finetune poetry runs/bert --train train.tsv -o out", "list tasks"),
    (f"fill {FILL}", f"fill RUN {FILL}"),
    ("fill", "fill RUN TEXT"),
    ("fill runs/bert", "fill runs/bert TEXT"),
    (f"fill runs/bret {FILL}", f"fill runs/bert {FILL}"),
    (f"fill bert {FILL}", f"fill runs/bert {FILL}"),
    (f"fill runs/bert {FILL} --tpo 3", f"fill runs/bert {FILL} --top 3"),
    (f"fill runs/bert {FILL} --colour", "fill --help"),
    ("neighbours runs/bert -ing", "neighbours -- runs/bert -ing"),
    ("generate runs/gpt", "generate runs/gpt PROMPT"),
    ("embed runs/bert lines.txt", "embed runs/bert lines.txt -o vectors.npy"),
    ("pretrain bert my-texts", "pretrain bert my-texts -o runs/bert-2"),
    (
        "finetune classify runs/bert --train train.tsv",
        "finetune classify runs/bert --train train.tsv -o runs/classify",
    ),
    ("finetune classify runs/bert -o out", "finetune classify runs/bert -o out --train FILE"),
    ("export runs/bert", "export runs/bert huggingface OUTPUT"),
    ("predict runs/sent", "predict runs/sent FILE"),
    ("inspect", "inspect RUN"),
    ("list", "list models"),
    ("fill runs/bert a [MASK] is", f"fill runs/bert {FILL}"),
    ("fill runs/bert “a [MASK] is”", f"fill runs/bert {FILL}"),
    ("attention runs/bert a text of words", "attention runs/bert 'a text of words'"),
    (
        "generate runs/gpt It was a dark --max-new-tokens 2",
        "generate runs/gpt 'It was a dark' --max-new-tokens 2",
    ),
    (f"pretrain bert my-texts out {PRETRAIN}", f"pretrain bert my-texts {PRETRAIN} -o out"),
    ("embed runs/bert lines.txt out.npy", "embed runs/bert lines.txt -o out.npy"),
    ("finetune classify runs/bert train.tsv out", "finetune classify runs/bert --train train.tsv -o out"),
    ("list models --jsn", "list models --json"),
    ("list models tasks", "list models"),
    (f"--threads 1 fill runs/bert {FILL}", f"fill runs/bert {FILL} --threads 1"),
]
CAPITALS = {
    "RUN": "runs/bert",
    "TEXT": "a [MASK] is",
    "FILE": "train.tsv",
    "PROMPT": "It was",
    "OUTPUT": "exported",
}

# Warnings are errors in the tests; a person sees them as notes.
pytestmark = pytest.mark.filterwarnings("default:.*is read as")


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="module")
def template(run: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a newcomer has: texts, a few labelled files, runs of theirs."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(corpus, folder / "my-texts")
    shutil.copytree(run, folder / "runs" / "bert")
    write(folder / "lines.txt", "The first line.", "The second line.")
    days = [
        f"a {word} day {n}\t{label}" for n in range(12) for word, label in (("good", "pos"), ("bad", "neg"))
    ]
    write(folder / "train.tsv", "text\tlabel", *days)
    write(folder / "pairs.tsv", "text\ttext_b\tlabel", *(f"a class {n}\tan object\tyes" for n in range(12)))
    with (folder / "pairs.tsv").open("a", encoding="utf-8") as file:
        file.writelines(f"a string {n}\tan object\tno\n" for n in range(12))
    write(folder / "entities.conll", *(f"Anna{n} B-PER\nsaw O\nBerlin B-LOC\n" for n in range(12)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(shlex.split(f"pretrain gpt my-texts -o runs/gpt {PRETRAIN}")) == 0
        assert main(shlex.split("finetune classify runs/bert --train train.tsv -o runs/sent --epochs 1")) == 0
    return folder


@pytest.fixture
def newcomer(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, which is also the home folder."""
    folder = tmp_path / "newcomer"
    folder.mkdir()
    for path in template.iterdir():
        if path.name == "runs":
            shutil.copytree(path, folder / "runs")
        else:
            (folder / path.name).symlink_to(path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.usefixtures("newcomer")
@pytest.mark.parametrize(("typed", "said"), READ, ids=[typed[:60] for typed, _ in READ])
def test_it_is_read_as_it_was_meant(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(typed)) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert said in err
    if not said:
        assert "is read as" not in err
        assert "comes first" not in err
    assert out


@pytest.mark.usefixtures("newcomer")
@pytest.mark.parametrize(("typed", "hint"), REFUSED, ids=[typed[:60] for typed, _ in REFUSED])
def test_it_is_refused_with_a_command_that_works(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(typed)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (command,) = re.findall(r"^ {2}try: {6}(polyseme .*)$", err, re.MULTILINE)
    assert shlex.split(command) == ["polyseme", *shlex.split(hint)]
    words = [CAPITALS.get(word, word) for word in shlex.split(hint)]
    if words[:2] == ["pretrain", "bert"] and "--steps" not in words:
        words += shlex.split(PRETRAIN)
    assert main(words) == 0, capsys.readouterr().err


def test_quiet_leaves_results_alone(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["-q", "fill", "runs/bert", "a <mask> is"],
        ["score", "runs/gpt", "lines.txt", "--quiet"],
        ["predict", "runs/sent", "a good day", "-q"],
        ["embed", "lines.txt", "runs/bert", "-o", "out.npy", "-q"],
        ["list", "models", "-q"],
        shlex.split(f"pretrain gpt2 my-texts -o out {PRETRAIN} -q"),
        shlex.split("finetune nli runs/bert --train pairs.tsv -o out2 --epochs 1 -q"),
    ):
        assert main(words) == 0
        out, err = capsys.readouterr()
        assert out
        # that a text stands where a file was expected may be a mistake, which nobody else would tell
        assert err == (
            "note: there is no such file: it is read as a text by itself\n" if words[0] == "predict" else ""
        )
    assert main(["fill", "runs/nothing-like-it", "a [MASK]", "-q"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert main(["fill", "runs/bert", "--json=1"]) == 2  # a switch with a value: no traceback
    assert "fill needs TEXT" in capsys.readouterr().err
    assert main(["fill", "runs/bert", "a [MASK] is"]) == 0
    assert "next:" in capsys.readouterr().err  # the next command is not quiet


@pytest.mark.usefixtures("newcomer")
@pytest.mark.parametrize(
    "name", ["nothere.txt", "./nothere", "my reviews.tsv", "nothere", "/tmp/no such/file"]
)
def test_a_path_that_does_not_exist_is_no_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "runs/sent", name]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.usefixtures("newcomer")
def test_an_option_and_a_setting_that_differ_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pretrain", "bert", "my-texts", "-o", "out", "--steps", "1"]
    assert main([*words, "--lr", "1e-3", "--set", "train.learning_rate=2e-3"]) == 2
    assert "say different things" in capsys.readouterr().err
    assert not Path("out").exists()
    assert main([*words, *tiny(), "--batch-size", "8"]) == 0  # the same thing twice


@pytest.mark.usefixtures("newcomer")
def test_a_folder_of_runs_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "runs"]) == 2
    err = capsys.readouterr().err
    assert "a folder of runs" in err
    assert re.search(r"try: +polyseme inspect runs/(bert|gpt|sent)$", err, re.MULTILINE)
