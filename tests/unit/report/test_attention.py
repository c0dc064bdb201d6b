"""Attention's page: everything that users wrote is escaped, nothing is asked of a network, in both languages."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from decoding import make_loaded
from english import english_in
from polyseme import cli
from polyseme.report.attention import attention_page
from polyseme.report.figures import width
from polyseme.report.head_view import head_view, label
from polyseme.report.language import Speaker
from polyseme.study.attention import attention
from vector_runs import random_run

EVIL = "</script><img src=x onerror=alert(1)>\"'&amp;"


def document_of(
    text: Any = "the cat sat on the mat, 北京欢迎你", model: str = "bert", **more: Any
) -> dict[str, Any]:
    return attention(make_loaded(model, **more), text).document()


class _Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("model", ["bert", "modernbert", "gpt"])
def test_the_whole_page_is_drawn_in_both_languages(lang: str, model: str) -> None:
    kind = "byte-bpe" if model == "gpt" else "wordpiece"
    for text in ("the cat 北京", ("the cat", "a mat")):
        document = attention(
            make_loaded(model, kind, num_hidden_layers=4, local_attention=8), text, max_length=12
        ).document()
        page = attention_page(document, lang)
        assert page.html().startswith("<!doctype html>")
        assert (english_in(page, document) == []) == (lang == "zh")
        assert [figure.name for figure in page.figures] == ["head", "heads"]
        json.dumps([figure.chart.to_dict() for figure in page.figures])


def test_a_cut_text_and_a_file_have_words_in_both_languages() -> None:
    loaded = make_loaded("bert")
    found = replace(
        attention(loaded, "the cat sat on the mat", file=["a cat", "a mat", "the day"], max_length=6),
        file="a.txt",
    )
    for lang in ("en", "zh"):
        assert "a.txt" in attention_page(found.document(), lang).html()
    assert "a.txt" in attention_page(found.document()).text(80)
    only = attention(loaded, file=["a cat", "a mat"]).document()
    assert "data-view" not in attention_page(only).html()
    assert [figure.name for figure in attention_page(only).figures] == ["heads"]


def test_what_users_wrote_is_escaped_everywhere() -> None:
    document = document_of(("the cat", "the mat"))
    document["run"] = f"runs/{EVIL}"
    for token in document["view"]["tokens"]:
        token["token"] = EVIL
    document["view"]["texts"] = [EVIL, EVIL]
    document["measured"]["file"] = EVIL
    parsed = _Tags()
    parsed.feed(head_view(document, [{} for _ in range(4)], Speaker()))
    assert "img" not in parsed.tags
    assert parsed.tags.count("script") == 1
    payload = json.loads(dict(parsed.attributes)["data-view"])
    assert set(payload["tokens"]) == {EVIL}
    page = attention_page(document).html()
    whole = _Tags()
    whole.feed(page)
    assert "img" not in whole.tags
    assert html.escape(Path(EVIL).name) in page


def test_the_view_asks_for_nothing() -> None:
    view = head_view(document_of(), [{} for _ in range(4)], Speaker())
    assert not re.search(r"https?:|//[a-z]|\bsrc=|\bhref=|import\(|fetch\(|XMLHttpRequest|url\(", view)
    page = attention_page(document_of()).html()
    parsed = _Tags()
    parsed.feed(page)
    asked = [value for name, value in parsed.attributes if name in ("src", "href", "srcset", "action")]
    assert all(value.startswith(("#", "data:")) for value in asked)
    assert "default-src 'none'" in page


def test_the_view_holds_every_edge_of_the_document() -> None:
    document = document_of()
    parsed = _Tags()
    parsed.feed(head_view(document, [{} for _ in range(4)], Speaker()))
    payload = json.loads(dict(parsed.attributes)["data-view"])
    assert len(payload["edges"]) == payload["layers"] * payload["heads"] == 4
    for head, lists in zip(document["view"]["heads"], payload["edges"], strict=True):
        edges = [(i, one[e], one[e + 1]) for i, one in enumerate(lists) for e in range(0, len(one), 2)]
        assert edges == [
            (i, j, round(share * 10_000))
            for i, j, share in zip(head["from"], head["to"], head["share"], strict=True)
        ]


def test_labels_can_be_read() -> None:
    token = {"text": 0, "start": 0, "end": 1}
    assert label(token | {"token": " the"}, ["x"]) == "the"
    assert label(token | {"token": "##ing"}, ["x"]) == "##ing"
    assert label(token | {"token": "\\xe4\\xba"}, ["京"]) == "京…"
    assert label(token | {"token": "\n"}, ["\n"]) == "↵"
    assert label({"token": "[CLS]", "text": None, "start": None, "end": None}, []) == "[CLS]"


def test_the_terminal_gets_a_row_a_head_or_a_row_a_layer() -> None:
    text = attention_page(document_of(num_hidden_layers=2)).text(80)
    assert max(map(width, text.split("\n"))) <= 80
    assert "to the previous token" in text
    assert "\n1-1 " in text
    assert "--layer and --head choose another" in text
    many = attention_page(document_of(num_hidden_layers=17)).text(80)
    assert "Means of the 2 heads of each layer" in many
    assert "\n1-1 " not in many


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(random_run(tmp_path, "bert").run.path)


def test_the_verb_writes_what_it_names(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert (
        cli.main(["attention", str(run), "the cat", "on the mat", "-o", str(folder), "--report-lang", "zh"])
        == 0
    )
    names = {"attention.json", "attention.html", "heads.svg", "heads.png", "head.svg", "head.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert "注意力" in (folder / "attention.html").read_text("utf-8")
    capsys.readouterr()
    assert cli.main(["attention", str(run), "the cat", "on the mat", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "attention.json").read_text("utf-8"))


def test_the_verb_draws_one_head(run: Path, tmp_path: Path) -> None:
    for name in ("one.svg", "one.png", "one.html"):
        assert (
            cli.main(
                ["attention", str(run), "the cat", "--layer", "2", "--head", "1", "-o", str(tmp_path / name)]
            )
            == 0
        )
        assert (tmp_path / name).stat().st_size > 1000
    assert "cat" in (tmp_path / "one.svg").read_text("utf-8")


def test_the_verb_measures_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("the cat sat\n\nthe old dog\na dog on a mat\n", "utf-8")
    assert cli.main(["attention", str(run), "--file", str(tmp_path / "texts.txt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measured"]["texts"] == 3
    assert found["view"] is None
    (tmp_path / "pairs.tsv").write_text("text\ttext_b\nthe cat\ta dog\nthe mat\tthe old cat\n", "utf-8")
    arguments = ["attention", str(run), "--file", str(tmp_path / "pairs.tsv"), "--pairs", "--json"]
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["figures"][0]["a_to_b"]["low"] is not None


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["the cat", "--pairs"],
        ["the cat", "--top", "0"],
        ["the cat", "--layer", "7"],
        ["the cat", "--above", "2"],
    ],
)
def test_the_verb_refuses(run: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["attention", str(run), *words]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_verb_sends_elmo_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elmo = random_run(tmp_path, "elmo").run.path
    random_run(tmp_path, "bert")
    assert cli.main(["attention", str(elmo), "the cat"]) == 2
    said = capsys.readouterr().err
    assert "elmo has no attention" in said
    assert f"polyseme attention {tmp_path / 'bert'} TEXT" in said
