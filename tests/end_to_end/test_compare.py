"""compare, as a user types it: a page in both languages, kept pieces, and what a browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import browser, find_browser
from compared import NAMES, make_runs, write_files
from english import english_in
from polyseme.cli import main
from polyseme.report.compare import compare_page
from polyseme.study import compare as work
from polyseme.study import grid
from trained import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, files and the page that was made of them."""
    folder = tmp_path_factory.mktemp("compared")
    make_runs(folder)
    file = write_files(folder)
    runs = [str(folder / name) for name in NAMES]
    page = ["--tasks", str(file), "-o", str(folder / "report.html"), "--figures", str(folder / "figures")]
    assert main(["compare", *runs, *page, "--json", "--threads", "1"]) == 0
    return folder


def _compare(folder: Path, *more: str, runs: tuple[str, ...] = NAMES) -> int:
    named = [str(folder / name) for name in runs]
    file = str(folder / "compared.toml")
    return main(["compare", *named, "--tasks", file, "-o", str(folder / "report.html"), *more])


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    """What --json prints."""
    from polyseme.report.compare import compare_document
    from polyseme.study.compare import open_comparison

    runs = [folder / name for name in NAMES]
    comparison = open_comparison(runs, folder / "compared.toml", folder / "report.html.cells")
    assert comparison.left() == 0
    return json.loads(json.dumps(compare_document(comparison, "polyseme compare …"), allow_nan=False))


def test_every_figure_is_there_or_says_why_not(document: dict[str, Any]) -> None:
    assert list(document["runs"]) == list(NAMES)
    for task in document["tasks"]:
        assert {*task["rows"], *task["absent"]} == set(NAMES)
        assert sum(row["best"] for row in task["rows"].values()) == 1
        for row in task["rows"].values():
            assert row["low"] <= row["value"] <= row["high"]
            assert len(row["values"]) == row["seeds"] == 2
            assert row["best"] == (row["difference"] is None)
    ways = [(task["name"], task["way"]) for task in document["tasks"]]
    assert ways == [("good <b>or</b> bad", "frozen"), ("good <b>or</b> bad", "whole"), ("animals", "frozen")]
    assert document["tasks"][1]["absent"]["onehot"]["code"] == "nothing to train"
    assert set(document["tasks"][1]["rows"]) == {"bert", "gpt", "word2vec"}
    probe, senses, pairs = document["studies"]
    assert (probe["name"], senses["name"], pairs["name"]) == ("probes.animals", "senses", "pairs")
    assert set(probe["documents"]) == set(senses["documents"]) == set(NAMES)
    assert {run: why["code"] for run, why in pairs["absent"].items()} == {
        "word2vec": "no probability",
        "onehot": "no probability",
    }
    standings = pairs["standings"]
    best = max(standings, key=lambda run: standings[run]["value"])
    assert standings[best]["best"]
    assert set(standings) == {"bert", "gpt"}


def test_pairs_are_tested_on_the_same_pairs(folder: Path, document: dict[str, Any]) -> None:
    """The test from kept answers is the one that the study makes with both runs at hand."""
    from polyseme.study.pairs import pairs

    standings = document["studies"][-1]["standings"]
    best = next(run for run, row in standings.items() if row["best"])
    other = next(run for run in standings if run != best)
    found = pairs(folder / best, [folder / "pairs.tsv"], against=folder / other, resamples=200).figures
    kept = standings[other]["difference"]
    expected = found["difference"]
    for name in ("value", "low", "high"):
        assert kept[name] == pytest.approx(expected[name])
    assert kept["p"] == pytest.approx(max(expected["p"], expected["p_randomisation"]))


def test_senses_are_tested_on_the_same_uses(folder: Path, document: dict[str, Any]) -> None:
    """The difference from kept answers is that of the study with both runs at hand."""
    from polyseme.study.senses import senses
    from polyseme.text.labelled.senses import read_uses

    standings = document["studies"][1]["standings"]
    (best,) = (run for run, row in standings.items() if row["best"])
    uses = read_uses(folder / "uses.tsv")
    for other in set(standings) - {best}:
        found = senses([folder / best, folder / other], uses, folds=3).differences
        whole = next(one for one in found if one["word"] == "")
        kept = standings[other]["difference"]
        assert kept["value"] == pytest.approx(whole["value"])
        assert kept["low"] == pytest.approx(whole["low"], abs=0.05)
        assert kept["high"] == pytest.approx(whole["high"], abs=0.05)
        assert standings[other]["below"] == (kept["p_holm"] < 0.05)


def test_probes_are_tested_on_the_same_texts(document: dict[str, Any]) -> None:
    probe = document["studies"][0]
    (best,) = (run for run, row in probe["standings"].items() if row["best"])
    for run, row in probe["standings"].items():
        (task,) = probe["documents"][run]["tasks"].values()
        hits, said, gold = np.array(task["by_text"], float).sum(1).T
        assert row["values"] == pytest.approx(2 * hits / (said + gold))
        if run != best:
            ours = probe["standings"][best]["value"]
            assert row["difference"]["value"] == pytest.approx(ours - row["value"])
            assert row["difference"]["p"] <= row["difference"]["p_holm"]


def test_probes_of_other_labels_are_not_tested(document: dict[str, Any]) -> None:
    from polyseme.study.standings import probe_standings

    documents = json.loads(json.dumps(document["studies"][0]["documents"]))
    (best,) = (run for run, row in document["studies"][0]["standings"].items() if row["best"])
    (task,) = documents[best]["tasks"].values()
    for seed in task["by_text"]:
        seed[0][2] += 1  # a label that the other runs did not read
    found = probe_standings(documents)
    assert {run: row["difference"] for run, row in found.items()} == dict.fromkeys(documents)
    assert not any(row["below"] for row in found.values())


def test_probes_of_one_text_are_not_tested(document: dict[str, Any]) -> None:
    from polyseme.study.standings import probe_standings

    documents = json.loads(json.dumps(document["studies"][0]["documents"]))
    for one in documents.values():
        (task,) = one["tasks"].values()
        task["by_text"] = [
            [[0, 1, 1]] if one is documents["onehot"] else [[1, 1, 1]] for _ in task["by_text"]
        ]
    found = probe_standings(documents)
    assert {run: row["difference"] for run, row in found.items()} == dict.fromkeys(documents)


class _Reader(HTMLParser):
    """Elements, attributes that name other places, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag if tag in ("script", "style") else self._inside
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "data", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        self.text += "" if self._inside else data


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_in_both_languages(document: dict[str, Any], lang: str) -> None:
    page = compare_page(document, lang)
    text = page.html()
    reader = _Reader()
    reader.feed(text)
    assert f'<html lang="{lang}">' in text
    assert all(address.startswith(("#", "data:")) for address in reader.addresses)
    assert not re.search(r"url\((?!\s*['\"]?(?:data:|#))|@import", text.split("</style>")[0])
    assert "b" not in [tag for tag in reader.tags if tag == "or"]
    assert "good <b>or</b> bad" in reader.text  # escaped, so it is text
    assert "–" in reader.text
    words = {"en": "Minimal pairs", "zh": "最小对立体"}
    assert words[lang] in reader.text
    assert words[{"en": "zh", "zh": "en"}[lang]] not in reader.text
    assert "polyseme pretrain bert" in reader.text
    assert "polyseme compare" in reader.text
    names = [figure.name for figure in page.figures]
    assert len(names) == len(set(names))
    assert {
        "loss-minutes",
        "gain-minutes",
        "task-1",
        "mixes",
        "probe-mixes",
        "probe-1-probe-controls",
        "senses_layers",
        "senses_map_river",
        "pairs",
    } <= {*names}


def test_a_chinese_page_has_no_english_sentence(document: dict[str, Any]) -> None:
    assert len(english_in(compare_page(document, "en"), document)) > 20
    assert english_in(compare_page(document, "zh"), document) == []


def test_charts_are_files_too(folder: Path) -> None:
    for name in ("loss-minutes", "task-1", "mixes", "senses_map_river", "pairs", "probe-layers"):
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "figures" / f"{name}.svg").read_text("utf-8").startswith("<svg")


def test_what_is_kept_is_not_computed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adapted: list[str] = []
    studied: list[tuple[str, str]] = []
    finetune, done = grid.finetune, work._done
    monkeypatch.setattr(
        grid, "finetune", lambda request: adapted.append(Path(request.run).name) or finetune(request)
    )
    monkeypatch.setattr(work, "_done", lambda c, s, r, to: studied.append((s, r)) or done(c, s, r, to))
    assert _compare(folder) == 0
    assert (adapted, studied) == ([], [])
    assert "good <b>or</b> bad" in capsys.readouterr().out

    # a run that was trained further is measured again; one that only has another name keeps what hangs on its weights
    again = folder / "again"
    make_run(again / "files", "bert", steps=3).rename(again / "bert")
    shutil.copytree(folder / "bert", again / "gpt")
    changed = folder / "changed.html"
    shutil.copytree(folder / "report.html.cells", folder / "changed.html.cells")
    runs, file = [str(again / "bert"), str(again / "gpt")], str(folder / "compared.toml")
    assert main(["compare", *runs, "--tasks", file, "-o", str(changed), "--report-lang", "zh"]) == 0
    assert sorted(adapted) == ["bert"] * 6 + ["gpt"] * 6
    assert studied == [("probes.animals", "bert"), ("senses", "bert"), ("pairs", "bert")]
    assert "表示方法对比" in changed.read_text("utf-8")


def test_processes_share_the_work(folder: Path) -> None:
    file = folder / "short.toml"
    text = (folder / "compared.toml").read_text("utf-8")
    file.write_text(
        "seeds = [1]\n" + text.partition("seeds = [1, 2]")[2].partition("[tasks.animals]")[0], "utf-8"
    )
    runs = [str(folder / name) for name in ("bert", "gpt")]
    output = str(folder / "shared.html")
    words = [sys.executable, "-m", "polyseme", "compare", *runs, "--tasks", str(file), "-o", output]
    done = subprocess.run([*words, "--processes", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr  # a helper that starts the whole command again would say so
    cells = sorted(path.name for path in (folder / "shared.html.cells").glob("*.json"))
    assert len(cells) == 4
    mine = {path.name for path in (folder / "report.html.cells").glob("*.json")}
    for name in cells:
        assert name in mine
        both = [
            json.loads((folder / f"{page}.html.cells" / name).read_text()) for page in ("shared", "report")
        ]
        assert both[0]["predictions"] == both[1]["predictions"]


def test_mistakes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(text: str, *more: str, runs: tuple[str, ...] = NAMES) -> str:
        file = tmp_path / "wrong.toml"
        file.write_text(text, "utf-8")
        named = [str(folder / name) for name in runs]
        assert main(["compare", *named, "--tasks", str(file), "-o", str(tmp_path / "page.html"), *more]) == 2
        assert not (tmp_path / "page.html").exists()
        return capsys.readouterr().err

    assert "did you mean probes?" in refused("[probe.pos]\ntask = 'pos'\ntrain = 'a'\n")
    assert "did you mean limit?" in refused("[senses]\nfile = 'a.tsv'\nlimits = 3\n")
    assert "given twice" in refused("", runs=("bert", "bert"))
    assert "no run is named" in refused("", runs=())
    assert "no such file" in refused("[senses]\nfile = 'nowhere.tsv'\n")
    assert "no such file" in refused("[tasks.a]\ntask='classify'\ntrain='nowhere.tsv'\ntest='nowhere.tsv'\n")
    assert "unknown task" in refused("[tasks.a]\ntask='clasify'\ntrain='a.tsv'\ntest='a.tsv'\n")


@pytest.fixture(scope="module")
def program() -> str:
    found = find_browser()
    if found is None:
        pytest.skip("no browser found: Chromium, or the program that POLYSEME_BROWSER names")
    return found


@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_reads_the_page(folder: Path, program: str, width: int) -> None:
    """No console errors, no request to the outside, every chart drawn, nothing wider than the window."""
    with browser(program) as one:
        seen = one.open(folder / "report.html", width)
    assert seen.problems == []
    assert seen.outside == []
    assert seen.charts[0] == seen.charts[1] > 8
    assert seen.content <= width
    assert seen.cut == []


def test_the_browser_would_see_what_is_wrong(tmp_path: Path, program: str) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<body><div style="width:3000px">wide</div><script>console.error("no"); fetch("http://127.0.0.1:9/x")</script>'
    )
    with browser(program) as one:
        seen = one.open(page, 400)
    assert any("no" in problem for problem in seen.problems)
    assert seen.outside == ["http://127.0.0.1:9/x"]
    assert seen.content > 400
