"""Folders and files may have any name that the system allows, in any locale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyseme.cli import main

from .conftest import tiny

NAMES = {
    "no text": b"caf\xe9 \xff\xfe\x80",
    "newline and quotes": b"it's\na [name] *?",
    "dash and emoji": "-中文😀".encode(),
}
EXAMPLES = "text\tlabel\n" + "a good day 中\t好\na bad day\tbad\n" * 8
SMALL = (
    "hidden_size=16",
    "num_hidden_layers=1",
    "num_attention_heads=2",
    "intermediate_size=16",
    "data.sequence_length=32",
)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> str:
        code = main(list(words))
        output = capsys.readouterr()
        assert code == 0, output.err
        output.err.encode("utf-8", "surrogateescape")
        return output.out

    return run


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_of_any_bytes_survives_every_verb(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.fsdecode(name)
    folder = Path(here)
    folder.mkdir()
    for file in sorted(corpus.iterdir())[:12]:
        (folder / f"{here}-{file.name}").write_bytes(file.read_bytes())
    (tmp_path / f"{here}.tsv").write_text(EXAMPLES, "utf-8")
    place, run, task = f"./{here}", f"./{here}-run", f"./{here}-task"
    options = tiny(**dict(part.split("=") for part in SMALL))
    pretrain = ["pretrain", "bert", place, "-o", run, "--steps", "1", "--threads", "1", *options]
    written = json.loads(said(*pretrain, "--json"))
    assert os.fsencode(written["path"]) == os.fsencode(Path(run))

    meta = json.loads((Path(run) / "run.json").read_bytes())
    assert here in meta["asked"]["corpus"]["files"][0][0]
    said(*pretrain, "--resume")  # what was asked is compared with what was kept
    assert json.loads(said("inspect", run, "--json"))["steps"] == 1
    assert "\ufffd" not in (Path(run) / "README.md").read_text("utf-8")

    labelled = f"./{here}.tsv"
    finetune = ["finetune", "classify", run, "--train", labelled, "--dev", labelled, "-o", task]
    said(*finetune, "--epochs", "1", "--threads", "1", "--json")
    assert json.loads(said("predict", task, labelled).split("\n")[0])["label"] in ("好", "bad")
    json.loads(said("evaluate", task, labelled, "--json", "-o", f"./{here}-page"))
    assert [p for p in (tmp_path / f"{here}-page").iterdir() if p.suffix == ".html"]
    json.loads(said("fill", run, "a [MASK] 中", "--json"))
    said("embed", run, labelled, "-o", f"./{here}.npy")
    said("export", run, "huggingface", f"./{here}-hf")
    said("import", f"./{here}-hf", "-o", f"./{here}-imported")
    said(
        "prepare",
        place,
        "-o",
        f"./{here}-store",
        "--tokenizer",
        run,
        "--workers",
        "2",
        "--set",
        "text.valid_share=0.4",
    )


LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    "ascii streams": {"LANG": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
}

BOTH = """
import sys
from polyseme.cli import main
words = sys.argv[1:]
at = words.index("then")
sys.argv[1:] = words[:at]
code = main()
print("then", flush=True)
sys.argv[1:] = words[at + 1 :]
sys.exit(code or main())
"""


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_a_locale_without_chinese_takes_and_gives_chinese(
    run: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    file = tmp_path / "中文😀.txt"
    file.write_text("a good day\n", "utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    fill = ["fill", str(run), "中é😀 [MASK]", "--top", "1", "--json"]
    command = [sys.executable, "-c", BOTH, *fill, "then", "score", str(run), str(file), "--json"]
    result = subprocess.run(command, env=clean | locale, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    filled, _, scored = result.stdout.partition(b"\nthen\n")
    assert "中é😀" in json.loads(filled)[0]["candidates"][0]["sequence"]
    json.loads(scored)
