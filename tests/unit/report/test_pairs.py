"""Minimal pairs as text, as a page in both languages, and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from english import english_in
from polyseme.errors import ConfigError
from polyseme.report.figures import width
from polyseme.report.files import write_figures
from polyseme.report.language import Speaker
from polyseme.report.pairs import names_of, pairs_chart, pairs_page, pairs_parts
from polyseme.report.parts import Table, figures_of


def figures(value: float, compared: bool = False, pairs: int = 1000) -> dict[str, Any]:
    one = {
        "paradigms": 1,
        "pairs": pairs,
        "accuracy": {"value": value, "low": value - 0.03, "high": value + 0.03, "n": pairs},
        "margin": {"value": 1.5, "low": 1.0, "high": 2.0, "n": pairs},
        "ties": 3,
        "unknown": 12,
    }
    if compared:
        one["against"] = {**one["accuracy"], "value": value - 0.1}
        one["difference"] = {
            "value": 0.1,
            "low": -0.01,
            "high": 0.2,
            "p": 0.04,
            "p_randomisation": 0.0625,
            "n": pairs,
        }
    return one


def make_document(model: str = "bert", compared: bool = False, shift: float = 0.0) -> dict[str, Any]:
    names = ["island_effects", "npi_licensing", "anaphor_agreement", "主谓一致"]
    values = [0.41, 0.77, 0.95, 0.52]
    rows = [
        {"phenomenon": name, **figures(value + shift, compared)}
        for name, value in zip(names, values, strict=True)
    ]
    masked = model == "bert"
    document = {
        "study": "pairs",
        "run": f"runs/{model}",
        "model": model,
        "kind": "pseudo-log-likelihood" if masked else "log-likelihood",
        "scoring": "within-word" if masked else None,
        "files": ["blimp"],
        "figures": {**figures(0.66 + shift, compared, 4000), "paradigms": 4},
        "phenomena": rows,
        "paradigms": [{"paradigm": f"{row['phenomenon']}_1", **row} for row in rows],
        "same_tokens": 2,
        "unknown_tokens": 30,
        "wrong": 1234,
        "errors": [
            {
                "paradigm": "island_effects_1",
                "phenomenon": "island_effects",
                "id": "7",
                "where": "a.jsonl:8",
                "good": "Who <b>",
                "bad": "Whom & 谁",
                "good_score": -9.0,
                "bad_score": -4.0,
                "margin": -5.0,
            }
        ],
        "cost": {"texts": 8000, "tokens": 90_000, "seconds": 100.0},
        "problems": {},
        "notes": [],
    }
    if compared:
        document["against"] = {
            "run": "runs/old",
            "model": model,
            "kind": document["kind"],
            "scoring": document["scoring"],
        }
    return document


SEVERAL = {
    "study": "pairs",
    "runs": [make_document(), make_document("gpt", shift=-0.1), make_document("elmo", shift=-0.2)],
}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    "document",
    [make_document(), make_document(compared=True), SEVERAL, make_document("gpt") | {"errors": []}],
)
def test_a_page_in_both_languages(document: dict[str, Any], lang: str) -> None:
    page = pairs_page(document, lang)
    html = page.html()
    assert "Who &lt;b&gt;" in html or not document.get("errors", True)
    assert ("最小对立体" in html) == (lang == "zh")
    assert (english_in(page, document) == []) == (lang == "zh")
    tables = [part for part in page.parts if isinstance(part, Table)]
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)
    if lang == "zh":
        assert "accuracy" not in [*tables[0].head]


def test_the_chart_has_a_bar_for_every_run_and_the_line_of_chance() -> None:
    for document, names in (
        (make_document(), ["bert"]),
        (make_document(compared=True), ["bert (bert)", "bert (old)"]),
        (SEVERAL, ["bert", "gpt", "elmo"]),
    ):
        spec = pairs_chart(document, Speaker()).to_dict()
        drawn, chance, *_ = spec["layer"]
        rows = drawn["data"]["values"]
        assert [row["run"] for row in rows if row["phenomenon"].startswith("all")] == names
        assert len(rows) == 5 * len(names)
        order = drawn["encoding"]["y"]["scale"]["domain"]
        assert order == [
            "all: mean over paradigms",
            "anaphor agreement",
            "npi licensing",
            "主谓一致",
            "island effects",
        ]
        assert [row["value"] for row in chance["data"]["values"]] == [0.5]
    assert names_of([{"model": "a", "run": "x/r"}, {"model": "a", "run": "y/r"}]) == ["a (x/r)", "a (y/r)"]
    assert names_of([{"model": "a", "run": "x"}] * 2) == ["1: a", "2: a"]


def test_figures_are_written_with_their_prefix(tmp_path: Path) -> None:
    parts = pairs_parts(make_document(), Speaker(), "first-")
    assert [figure.name for figure in figures_of(parts)] == ["first-pairs"]
    written, _ = write_figures(pairs_page(make_document()), tmp_path)
    assert [path.name for path in written] == ["pairs.svg", "pairs.png"]
    assert all(path.stat().st_size > 5000 for path in written)


def test_a_terminal_gets_the_figures_of_the_chart_in_80_columns() -> None:
    text = pairs_page(make_document(compared=True)).text(80)
    assert max(map(width, text.split("\n"))) <= 80
    rows = [
        line for line in text.split("\n") if line.startswith(("phenomenon", "island effects ", "主谓一致 "))
    ]
    assert len({width(line) for line in rows[:3]}) == 1
    assert "all: mean over paradigms" in text
    assert "0.0625" in text  # the larger p
    assert "within-word" in text
    assert "8,000 texts, 90,000 tokens in 1 min 40 s." in text.replace("\n", " ")
    assert "Whom & 谁" in text
    assert pairs_page(SEVERAL).text(80).count("Most confident errors of") == 3
    same = make_document()
    same["paradigms"] = [{**row, "paradigm": row["phenomenon"]} for row in same["phenomena"]]
    assert "all: mean over paradigms" not in pairs_page(same).text(80)  # one table says it
    with pytest.raises(ConfigError, match="language"):
        pairs_page(make_document(), "de")
