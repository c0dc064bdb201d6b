"""`polyseme senses`, as a user types it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from polyseme.cli import main


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Uses of object: passed to a function, or of grammar."""
    rows = []
    for i in range(30):
        rows.append((f"{i} the function takes an object as its argument", "thing") if i % 3 else
                    (f"{i} a verb has a subject and an object in grammar", "grammar"))  # fmt: skip
    file = tmp_path / "object.tsv"
    lines = [f"{text}\tobject\t{sense}\n" for text, sense in rows]
    file.write_text("text\tword\tsense\n" + "".join(lines), "utf-8")
    return file


def test_labelled_uses(run: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "senses"
    assert main(["senses", str(run), str(labelled), "-o", str(out), "--json", "--report-lang", "zh"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document == json.loads((out / "senses.json").read_text("utf-8"))
    assert document["labelled"]
    best = document["runs"][0]["words"][0]["best"]["nearest"]["accuracy"]
    assert set(best) == {"value", "low", "high", "n"}
    assert best["n"] == 30
    for name in ("senses.html", "senses_layers.png", "senses_map_object.svg"):
        assert (out / name).stat().st_size > 1000
        assert name in printed.err
    html = (out / "senses.html").read_text("utf-8")
    assert 'lang="zh"' in html
    assert "https://" not in html.split("</script>")[-1]


def test_running_text_and_two_runs(run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["senses", str(run), str(corpus), "--word", "object", "--against", str(run), "--limit", "60"])
        == 0
    )
    printed = capsys.readouterr()
    assert "60 uses of object" in printed.out
    assert "typical uses" in printed.out
    assert "next:" in printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "top"], "--layer is a number or all"),
        (["--layer", "9"], "no such layer"),
        (["--word", "subject"], "no use of 'subject'"),
        (["--limit", "0"], "--limit must be above zero"),
        (["--columns", "sense=gloss"], "no column 'gloss'"),
    ],
)
def test_misuse_is_explained(
    words: list[str], message: str, run: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["senses", str(run), str(labelled), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["senses", str(run), str(tmp_path / "none.tsv")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes")
def test_names_that_are_no_text(
    run: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder and a file that were named in another encoding: figures, page and pictures are written all the same."""
    folder, file = (tmp_path / os.fsdecode(name) for name in (b"\xc4\xe3", b"\xba\xc3.tsv"))
    folder.symlink_to(run)
    file.write_bytes(labelled.read_bytes())
    out = tmp_path / "senses"
    assert main(["senses", str(folder), str(file), "--layer", "-1", "-o", str(out)]) == 0
    assert "surrogate" not in capsys.readouterr().err
    page = (out / "senses.html").read_text("utf-8")
    assert "\ufffd\ufffd" in page
    assert json.loads((out / "senses.json").read_text("utf-8"))["file"] == str(file)
    assert (out / "senses_map_object.png").stat().st_size > 1000
