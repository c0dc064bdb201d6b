"""All Chinese words of reports: one translation each, none missing, none left over."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import polyseme
from polyseme.errors import ConfigError
from polyseme.infer.inputs import Truncated, cut_note
from polyseme.report.language import Speaker
from polyseme.text.labelled.records import KINDS, Problems

SOURCE = Path(polyseme.__file__).parent
TABLES = tomllib.loads((SOURCE / "report" / "zh.toml").read_text("utf-8"))
PHRASES, NOTES = TABLES["phrases"], TABLES["notes"]
EVERY = {**PHRASES, **NOTES}


def trees(room: str) -> list[ast.Module]:
    return [ast.parse(path.read_text("utf-8")) for path in sorted((SOURCE / room).rglob("*.py"))]


def spoken() -> list[ast.Module]:
    """The rooms that speak to people in either language."""
    return [*trees("report"), *trees("lecture")]


def constants(node: ast.AST) -> set[str]:
    """Strings of a piece of code: of a table its values, of a tuple the first."""
    if isinstance(node, ast.Tuple):
        return constants(node.elts[0])
    if isinstance(node, ast.Dict):
        return {text for value in node.values for text in constants(value)}
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    return {text for child in ast.iter_child_nodes(node) for text in constants(child)}


def said() -> set[str]:
    """What the code of reports hands to its speaker: written there, or held by a table of the module's top."""
    found: set[str] = set()
    tables = {
        name.id: constants(node.value)
        for tree in spoken()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in node.targets
        if isinstance(name, ast.Name)
    }
    for tree in spoken():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                found |= phrases_of(node.args[0], tables)
    return found


def phrases_of(node: ast.expr, tables: dict[str, set[str]]) -> set[str]:
    if isinstance(node, ast.Constant):
        return constants(node)
    if isinstance(node, ast.IfExp):
        return phrases_of(node.body, tables) | phrases_of(node.orelse, tables)
    if isinstance(node, ast.Subscript):
        return phrases_of(node.value, tables)
    return tables.get(node.id, set()) if isinstance(node, ast.Name) else set()


def test_every_phrase_has_a_chinese_one_and_every_chinese_one_is_used() -> None:
    keys = {english.casefold() for english in PHRASES}
    assert [text for text in said() if text.casefold() not in keys] == []
    used = {
        text.casefold()
        for room in ("lecture", "report", "study", "infer", "tasks")
        for tree in trees(room)
        for text in texts(tree)
    }
    assert [english for english in PHRASES if english.casefold() not in used] == []


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_a_phrase_has_one_translation_in_all_reports() -> None:
    """Upper and lower case are one: a reader of two pages must find the same word for the same thing."""
    assert len({english.casefold() for english in EVERY}) == len(PHRASES) + len(NOTES)
    plain: dict[str, set[str]] = {}
    for english, chinese in EVERY.items():
        plain.setdefault(english.casefold().rstrip(".:"), set()).add(chinese.rstrip("。："))
    assert [english for english, some in plain.items() if len(some) > 1] == []


def test_words_of_the_field_have_one_translation() -> None:
    """Words that pages of every kind use: 义项 and no 词义 for a sense, 准确率 and no 正确率 for accuracy."""
    for other in ("词义", "正确率", "词嵌入层", "置信区间", "遮盖", "[0-9] %"):
        assert [chinese for chinese in EVERY.values() if re.search(other, chinese)] == []


def test_both_languages_name_the_same_values() -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert [english for english, chinese in EVERY.items() if names(english) != names(chinese)] == []


def forms_in(node: ast.AST) -> set[str]:
    """Expressions for the texts that the strings of a piece of code can become; not of what they are made of."""
    if isinstance(node, ast.JoinedStr):
        parts = [value.value if isinstance(value, ast.Constant) else None for value in node.values]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = [node.value]
    else:
        return {text for child in ast.iter_child_nodes(node) for text in forms_in(child)}
    if not re.search("[a-z]{3}.* ", "".join(str(part or "") for part in parts)):
        return set()  # a key, or "{name}: {note}"
    return {"".join(".*" if part is None else re.escape(str(part)) for part in parts).removeprefix(r".*:\ ")}


def noted(tree: ast.Module) -> set[str]:
    """The forms of all strings that a module of studies puts among its notes, itself or by its functions and tables."""
    given: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            given += [node.value for target in targets if ast.unparse(target) in ("notes", "self.notes")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("notes.append", "self.notes.append"):
            given += node.args
    names = {name.id for one in given for name in ast.walk(one) if isinstance(name, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names:
            given.append(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            given += [one for one in ast.walk(node) if isinstance(one, ast.Return | ast.Yield)]
    return {text for one in given for text in forms_in(one)}


def warned(tree: ast.Module) -> set[str]:
    """The forms of all warnings that a module gives, which the server tells as notes."""
    given: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            given.append(node.args[0])
        elif isinstance(node, ast.FunctionDef) and node.name == "cut_note":
            given += [one for one in ast.walk(node) if isinstance(one, ast.Return)]
    return {text for one in given for text in forms_in(one)}


def test_every_note_of_the_studies_of_pages_has_a_chinese_form_and_every_form_is_used() -> None:
    folder = SOURCE / "study"
    written = set()
    for path in [*sorted(folder.rglob("*.py")), SOURCE / "infer" / "neighbours.py"]:
        if path.stem not in ("evaluate", "attention"):  # their notes stand on no page
            written |= noted(ast.parse(path.read_text("utf-8")))
    for path in sorted((SOURCE / "infer").glob("*.py")):
        if path.stem != "model":  # what it warns of is of its reader's program
            written |= warned(ast.parse(path.read_text("utf-8")))
    assert len(written) > 20
    assert [text for text in written if not any(re.fullmatch(text, key) for key in NOTES)] == []
    kinds = {"{n} " + text for text in KINDS.values()}
    assert kinds - set(NOTES) == set()
    assert [key for key in NOTES if key not in kinds and not any(re.fullmatch(t, key) for t in written)] == []


def test_a_note_is_told_by_its_form_and_by_no_other_note_s() -> None:
    """With a name before it and a place after it."""
    say = Speaker("zh")
    for english, form in NOTES.items():
        values = {name: f"<{name}>" for name in re.findall(r"{(\w+)}", english)}
        note, chinese = english.format(**values), form.format(**values)
        assert say.note(note) == chinese
        assert (
            say.note(f"bert: bank: {note} (a.tsv:7: 'x (y): z')")
            == f"bert：bank：{chinese}（a.tsv:7: 'x (y): z'）"
        )


def test_a_cut_is_told_in_chinese() -> None:
    told = Speaker("zh").note(cut_note(Truncated.of([8, 520, 900], 510), 3, 510))
    assert told == "3 篇文本中有 2 篇长于所读的 510 个词元：末尾未读，共 400 个词元（第 2, 3 篇）"


def test_problems_of_files_are_notes() -> None:
    problems = Problems()
    problems.add("missing_label", "a.tsv:7", "x (y): z")
    (note,) = problems.summary()
    assert Speaker("zh").note(note) == "1 行没有标签：已跳过（a.tsv:7: 'x (y): z'）"
    assert Speaker("en").note(note) == note
    assert Speaker("zh").note("what nobody knows") == "what nobody knows"


def test_a_speaker_knows_two_languages_and_no_word_that_is_not_there() -> None:
    assert Speaker("zh")("{n} words", n=3) == "3 词"
    assert Speaker()("{n} words", n=3) == "3 words"
    assert (Speaker("zh").metric("macro_f1"), Speaker("zh").metric("bleu"), Speaker().metric("f1")) == (
        "宏平均 F1",
        "bleu",
        "f1",
    )
    with pytest.raises(KeyError):
        Speaker("zh")("what nobody says")
    with pytest.raises(ConfigError):
        Speaker("de")
