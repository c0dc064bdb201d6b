"""Tagged text in plain lines: CoNLL columns with comments, numbers, second tags and brackets; word/tag lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tagging import scheme_of

ROWS = [("Otto", "B-PER"), ("Brandt", "I-PER"), ("left", "O"), ("Hilltown", "B-LOC")]
WORDS = ["Otto", "Brandt", "left", "Hilltown"]
TAGS = ("B-PER", "I-PER", "O", "B-LOC")


def written(folder: Path, form: str, before: str = "", head: str = "", n: int = 2) -> Path:
    """A file of two sentences; `form` is a line with N, WORD and TAG."""
    path = folder / "a.conll"
    some = [
        form.replace("N", str(i)).replace("WORD", word).replace("TAG", tag)
        for i, (word, tag) in enumerate(ROWS, 1)
    ]
    path.write_text(head + "\n\n".join([before + "\n".join(some)] * n) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("form", "before"),
    [
        ("WORD _ _ TAG", "# id 00a-b domain=en\n"),
        ("WORD _ _ TAG", "# id 00a-b\tdomain=en\n"),
        ("WORD\tTAG", "# id 00a-b\tdomain=en\n"),
        ("WORD\tTAG", "# s1\n"),
        ("WORD TAG", "# sent_id = 1\n# text = Otto left\n"),
        ("N\tWORD\tTAG\tO", "#\thttp://de.wikipedia.org/wiki/X [2009-10-17]\n"),
        ("N WORD TAG", ""),
    ],
)
def test_comments_are_no_sentences(tmp_path: Path, form: str, before: str) -> None:
    problems = Problems()
    first, second = read_tags(written(tmp_path, form, before), problems=problems)
    assert (first.words, first.tags) == (WORDS, TAGS)
    assert second.tags == TAGS
    assert problems.counts.get("comment_line", 0) == 2 * before.count("\n")
    assert problems.counts.get("second_tags", 0) == (2 if form.endswith("\tO") else 0)


@pytest.mark.parametrize("row", ["#tag O", "# O", "#\tO", "#1 B-PER"])
def test_a_token_may_begin_with_a_hash(tmp_path: Path, row: str) -> None:
    form = "WORD\tTAG" if "\t" in row or " " not in row else "WORD TAG"
    (first, _) = read_tags(written(tmp_path, form, before=row + "\n"))
    assert first.words == [row.split()[0], *WORDS]


def test_a_part_of_speech_may_be_that_of_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("# SYM\ngo VB\n\nhome NN\n", "utf-8")
    assert [record.words for record in read_tags(path)] == [["#", "go"], ["home"]]


def test_names_of_ontonotes(tmp_path: Path) -> None:
    names = {"B-PER": "(PER*", "I-PER": "*)", "O": "*", "B-LOC": "(LOC)"}
    form = "bc/x  0  N  WORD  NN  *  -  -  -  s1  TAG  -"
    path = written(tmp_path, form, head="#begin document (bc/x); part 000\n")
    text = path.read_text("utf-8")
    for ours, theirs in names.items():
        text = text.replace(f"  {ours}  ", f"  {theirs}  ")
    path.write_text(text + "\n#end document\n", "utf-8")
    assert [(record.words, record.tags) for record in read_tags(path)] == [(WORDS, TAGS)] * 2


def test_conllu_under_another_name(tmp_path: Path) -> None:
    path = written(tmp_path, "N\tWORD\t_\tX\t_\t_\t0\troot\t_\t_", before="# sent_id = 1\n")
    first, _ = read_tags(path)
    assert (first.words, set(first.tags or ())) == (WORDS, {"X"})


@pytest.mark.parametrize(
    ("spelled", "kind"),
    [
        (("B_PER", "I_PER", "O", "B_LOC"), "tag_spelling"),
        (("PER-B", "PER-I", "O", "LOC-B"), "tag_spelling"),
        (("b-PER", "i-PER", "O", "b-LOC"), "tag_spelling"),
        (("B-PER", "I-PER", "0", "B-LOC"), "outside_mark"),
        (("B-PER", "I-PER", "_", "B-LOC"), "outside_mark"),
        (TAGS, ""),
    ],
)
def test_spellings_of_tags(tmp_path: Path, spelled: tuple[str, ...], kind: str) -> None:
    path = tmp_path / "a.conll"
    rows = "".join(f"{word} {tag}\n" for word, tag in zip(WORDS, spelled, strict=True))
    path.write_text(f"{rows}\n{rows}", "utf-8")
    problems = Problems()
    assert [record.tags for record in read_tags(path, problems=problems)] == [TAGS, TAGS]
    assert set(problems.counts) == ({kind} if kind else set())


def test_iob1_becomes_bio(tmp_path: Path) -> None:
    """I- begins a span there; a tagger that is held to BIO could not learn it."""
    path = tmp_path / "eng.train"
    path.write_text(
        "-DOCSTART- -X- O\n\nOtto I-PER\nBrandt I-PER\nAda B-PER\n\nleft O\nHilltown I-LOC\n", "utf-8"
    )
    problems = Problems()
    records = list(read_tags(path, problems=problems))
    assert [record.tags for record in records] == [("B-PER", "I-PER", "B-PER"), ("O", "B-LOC")]
    assert problems.counts == {"iob1_tags": 2}


def test_bio_that_is_broken_once_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("Otto B-PER\nleft O\n\nHilltown I-LOC\n", "utf-8")
    assert [record.tags for record in read_tags(path)] == [("B-PER", "O"), ("I-LOC",)]


@pytest.mark.parametrize(
    ("tags", "kind"), [(("1", "2", "0", "3"), "numbered_tags"), (("B-PER", "I-PER", "O", "X"), "odd_tags")]
)
def test_tags_without_a_scheme_are_told(tmp_path: Path, tags: tuple[str, ...], kind: str) -> None:
    path = tmp_path / "a.conll"
    path.write_text("".join(f"{word} {tag}\n" for word, tag in zip(WORDS, tags, strict=True)), "utf-8")
    problems = Problems()
    (record,) = read_tags(path, problems=problems)
    assert (record.tags, scheme_of(record.tags or ())) == (tags, None)
    assert list(problems.counts) == [kind]


def test_parts_of_speech_that_look_like_a_spelling_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("dogs NN_S\nrun VB_S\n\ncats NN_S\n", "utf-8")
    problems = Problems()
    assert [record.tags for record in read_tags(path, problems=problems)] == [("NN_S", "VB_S"), ("NN_S",)]
    assert not problems.counts


# A sentence a line, every word with its tag


def read_written(
    path: Path, text: str, labelled: bool = True
) -> tuple[list[list[tuple[str, str]]], Problems, str]:
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
    found, problems, form = read_written(tmp_path / "a.txt", text)
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
    found, _, said = read_written(tmp_path / "a.txt", text)
    assert found[0] == list(zip(words.split(), tags.split(), strict=True))
    assert said == form
    found, _, said = read_written(tmp_path / "a.txt", text, labelled=False)
    assert [word for word, _ in found[0]] == words.split()


def test_a_word_without_a_tag_costs_its_sentence(tmp_path: Path) -> None:
    found, problems, _ = read_written(tmp_path / "a.txt", "Ada/PER smiles/O\n" * 60 + "Bob left/O\n")
    assert (len(found), problems.counts) == (60, {"bad_tag": 1})


def test_columns_stay_columns(tmp_path: Path) -> None:
    found, _, form = read_written(tmp_path / "a.conll", "New_York B_PER\na_b I_PER\n\nc_d B_PER\n")
    assert found == [[("New_York", "B-PER"), ("a_b", "I-PER")], [("c_d", "B-PER")]]
    assert form.startswith("CoNLL columns")
    found, _, _ = read_written(tmp_path / "b.conll", "<b>x</b> O\nAda B-PER\nsmiles O\n")
    assert found == [[("<b>x</b>", "O"), ("Ada", "B-PER"), ("smiles", "O")]]


def test_plain_text_stays_plain_text(tmp_path: Path) -> None:
    found, _, form = read_written(tmp_path / "a.txt", "and/or either/neither\n", labelled=False)
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
        read_written(tmp_path / "a.txt", text)
