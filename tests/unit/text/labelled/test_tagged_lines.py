"""Sentences with a tag behind each word give words and tags; what only looks so is read as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.sequences import read_tags


def read(path: Path, text: str, labelled: bool = True) -> tuple[list[list[tuple[str, str]]], Problems, str]:
    path.write_text(text, "utf-8")
    problems = Problems()
    records = list(read_tags(path, problems=problems, labelled=labelled))
    found = [list(zip(record.words, record.tags or [""] * 99, strict=False)) for record in records]
    return found, problems, problems.files[str(path)].form


def test_the_peoples_daily(tmp_path: Path) -> None:
    text = (
        "19980101-01-001-001/m  迈向/v  充满/v  [中央/n  人民/n]nt  ，/w\n\n"
        "19980101-01-001-002/m  １９９８年/t  [政府/n  电台/n]/nt  [/w  ]/w\n"
    )
    found, problems, form = read(tmp_path / "a.txt", text)
    assert found == [
        [("迈向", "v"), ("充满", "v"), ("中央", "n"), ("人民", "n"), ("，", "w")],
        [("１９９８年", "t"), ("政府", "n"), ("电台", "n"), ("[", "w"), ("]", "w")],
    ]
    assert form == "word/tag on a line"
    assert problems.counts == {"sentence_numbers": 2, "word_brackets": 2}


@pytest.mark.parametrize(
    ("text", "words", "tags", "form"),
    [
        ("Ada/PER smiles/O ./O\nBob/PER left/O ./O\n", "Ada smiles .", "PER O O", "word/tag on a line"),
        (
            "\n\tThe/at Fulton/np-tl 1\\/2/cd //sym ``/`` ./.\n\n\tIt/pps is/bez ./.\n",
            "The Fulton 1\\/2 / `` .",
            "at np-tl cd sym `` .",
            "word/tag on a line",
        ),
        (
            "New_York_NNP smiles_VBZ ._.\nBob_NNP left_VBD ._. \n",
            "New_York smiles .",
            "NNP VBZ .",
            "word_tag on a line",
        ),
    ],
)
def test_words_with_tags(tmp_path: Path, text: str, words: str, tags: str, form: str) -> None:
    found, _, said = read(tmp_path / "a.txt", text)
    assert found[0] == list(zip(words.split(), tags.split(), strict=True))
    assert said == form
    found, _, said = read(tmp_path / "a.txt", text, labelled=False)
    assert [word for word, _ in found[0]] == words.split()


def test_a_word_without_a_tag_costs_its_sentence(tmp_path: Path) -> None:
    found, problems, _ = read(tmp_path / "a.txt", "Ada/PER smiles/O\n" * 60 + "Bob left/O\n")
    assert (len(found), problems.counts) == (60, {"bad_tag": 1})


def test_columns_stay_columns(tmp_path: Path) -> None:
    found, _, form = read(tmp_path / "a.conll", "New_York B_PER\na_b I_PER\n\nc_d B_PER\n")
    assert found == [[("New_York", "B-PER"), ("a_b", "I-PER")], [("c_d", "B-PER")]]
    assert form.startswith("CoNLL columns")
    found, _, _ = read(tmp_path / "b.conll", "<b>x</b> O\nAda B-PER\nsmiles O\n")
    assert found == [[("<b>x</b>", "O"), ("Ada", "B-PER"), ("smiles", "O")]]


def test_plain_text_stays_plain_text(tmp_path: Path) -> None:
    found, _, form = read(tmp_path / "a.txt", "and/or either/neither\n", labelled=False)
    assert [word for word, _ in found[0]] == ["and", "/", "or", "either", "/", "neither"]
    assert form == ""


@pytest.mark.parametrize(
    "text",
    [
        '<ENAMEX TYPE="PERSON">Ada</ENAMEX> smiles.\n<ENAMEX TYPE="PERSON">Bob</ENAMEX> left.\n',
        "<PER>Ada</PER> smiles today.\nBob left.\n",
        "<START:person> Ada Bee <END> smiles .\n",
    ],
)
def test_markup_in_the_text_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorpusError, match="tags are markup inside the text"):
        read(tmp_path / "a.txt", text)
