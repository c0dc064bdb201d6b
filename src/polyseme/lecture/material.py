"""Files with labels that the text itself gives, so that every chapter has something to learn without a person's work.

    source         classify   which document a sentence is from
    order          classify   as it was written, or with two neighbouring words swapped
    dialogue       classify   inside quotation marks or not; they are taken out             Chinese
    punctuation    tag        the mark behind a word, comma or stop; marks are taken out
    capitals       tag        which words had a capital; all are written small              English
    follows        pair       the sentence that follows, or one of another document
    cloze          qa         the word that a question leaves out of a sentence of the passage; every third asks of a
                              sentence of another document, so it has no answer

None of them is a person's judgement, and none says so; files of people's are given by --tasks. No part of speech is
guessed from a list of words: a frequent tag of a word is no label of its use.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from polyseme.core.files import make_folder, write_atomic
from polyseme.core.rng import Random
from polyseme.lecture.room import Room
from polyseme.lecture.texts import Texts
from polyseme.report.files import write_json_lines

__all__ = ["Labelled", "cloze", "labelled", "marked_uses", "spans_of"]

_EXAMPLES = {"classify": 1200, "tag": 640, "pair": 2400, "qa": 3200}
"""Of each file, a quarter of them to judge by: to compare two texts is learned from more examples than to read one."""
_CHINESE_NAMES = {
    "source": "出处",
    "order": "语序",
    "dialogue": "对话",
    "punctuation": "标点",
    "follows": "接续",
    "cloze": "填空",
}
_LABELS = 4
_QUOTED = re.compile(r"[“「『]([^“”「」『』]+)[”」』]")
_PUNCTUATION = {"en": (",", ".!?;:"), "zh": ("，、", "。！？；：")}
_ARTICLES = frozenset(["a", "an", "the", "each", "every", "its", "his", "her", "their", "my", "your", "our"])
_HELPERS = frozenset(
    ["to", "will", "can", "must", "may", "should", "would", "could", "cannot", "shall", "might"]
)
_BEFORE_THING, _BEFORE_ACTION = frozenset("的之此其这那每各"), frozenset("不欲可未能要会来去愿敢")
_USES = 60


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled file, in two parts.

    Args:
        name: of the task, as the page calls it.
        task: classify, pair, tag or qa.
        train, test: the files; without test a share of train is held out.
        given: whether a person gave the labels.
        shown: its name in the language of the text.
    """

    name: str
    task: str
    train: Path
    test: Path | None = None
    given: bool = False
    shown: str = ""


def labelled(room: Room, only: Sequence[str] = ()) -> list[Labelled]:
    """The user's files, and those that the text itself gives; made where they are not there yet.

    Args:
        only: tasks; all when empty.
    Raises:  CorpusError: the text is too small for any of them.
    """
    makers: dict[str, tuple[str, Callable[[Texts, int], list[dict[str, Any]]]]] = {
        "source": ("classify", _source),
        "order": ("classify", _order),
        **({"dialogue": ("classify", _dialogue)} if room.lang == "zh" else {"capitals": ("tag", _capitals)}),
        "punctuation": ("tag", _punctuation),
        "follows": ("pair", _follows),
        "cloze": ("qa", _cloze),
    }
    files = [
        Labelled(name, task, path, given=True, shown=name)
        for task, path in room.tasks
        for name in [path.name.partition(".")[0]]
        if not only or task in only
    ]
    for name, (task, make) in makers.items():
        if only and task not in only:
            continue
        suffix = "json" if task == "qa" else "jsonl"
        train, test = (room.file(f"{name}.{part}.{suffix}") for part in ("train", "test"))
        if not test.is_file():
            examples = make(room.texts, room.scaled(_EXAMPLES[task], 60))
            if len(examples) < 24:
                continue
            _write(examples, train, test, task)
        shown = _CHINESE_NAMES[name] if room.lang == "zh" else name
        files.append(Labelled(name, task, train, test, shown=shown))
    room.texts.enough(files, 1, "labelled sentences")
    return files


def spans_of(room: Room) -> dict[str, tuple[Path, Path | None]]:
    """What layers are probed for: {name: (train, test)}, files of labelled spans."""
    probes: dict[str, tuple[Path, Path | None]] = {}
    for one in labelled(room, ("classify", "tag")):
        if one.test is None:
            if one.task == "tag":
                probes[one.shown] = (one.train, None)
            continue
        paths = []
        for part in (one.train, one.test):
            path = part.with_name(part.name.replace(".", ".spans.", 1))
            if not path.is_file():
                records = [json.loads(line) for line in part.read_text("utf-8").splitlines()]
                write_json_lines([_with_spans(room.texts, record, one.task) for record in records], path)
            paths.append(path)
        probes[one.shown] = (paths[0], paths[1])
    return probes


def _with_spans(texts: Texts, record: dict[str, Any], task: str) -> dict[str, Any]:
    """A class as the label of the whole text; tags with as many words that have none."""
    text = record["text"]
    if task == "classify":
        return {"text": text, "spans": [{"start": 0, "end": len(text), "label": record["label"]}]}
    spans = list(record["spans"])
    taken = {span["start"] for span in spans}
    others = [{"start": a, "end": b, "label": "none"} for a, b in texts.words_of(text) if a not in taken]
    return {
        "text": text,
        "spans": sorted(spans + texts.drawn(others)[: len(spans) + 1], key=lambda s: s["start"]),
    }


def _write(examples: Sequence[dict[str, Any]], train: Path, test: Path, task: str) -> None:
    """A quarter of the examples, drawn at random, into the second file."""
    make_folder(train.parent)
    examples = [examples[i] for i in Random(1, "parts").permutation(len(examples)).tolist()]
    tested = [one for n, one in enumerate(examples) if n % 4 == 0]
    if task == "qa":
        tested = [_with_one_question(one, n) for n, one in enumerate(tested)]
    for path, part in ((train, [one for n, one in enumerate(examples) if n % 4]), (test, tested)):
        if task == "qa":
            write_atomic(path, json.dumps({"version": "2.0", "data": part}, ensure_ascii=False).encode())
        else:
            write_json_lines(part, path)


def _balanced(examples: Iterable[dict[str, Any]], n: int, labels: Sequence[str]) -> list[dict[str, Any]]:
    """At most n, equally many of every label, in turns."""
    groups: dict[str, list[dict[str, Any]]] = {label: [] for label in labels}
    for example in examples:
        groups[example["label"]].append(example)
    each = min([n // len(labels), *map(len, groups.values())])
    return [groups[label][i] for i in range(each) for label in labels]


def _source(texts: Texts, n: int) -> list[dict[str, Any]]:
    sources: dict[str, list[str]] = {}
    for passage in texts.passages:
        chosen = [s for s, plain in zip(passage.sentences, passage.plain, strict=True) if plain]
        sources.setdefault(passage.source, []).extend(chosen)
    # a sentence that stands twice would be learned from and judged by
    sources = {name: list(dict.fromkeys(chosen)) for name, chosen in sources.items()}
    most = Counter({name: len(chosen) for name, chosen in sources.items()}).most_common(_LABELS)
    if len(most) < 2 or most[1][1] < 20:  # one long document: its parts
        whole = [s for chosen in sources.values() for s in chosen]
        size = max(1, len(whole) // _LABELS)
        sources = {f"part {k + 1}": whole[k * size : (k + 1) * size] for k in range(_LABELS)}
        most = [(name, len(chosen)) for name, chosen in sources.items()]
    labels = [name for name, count in most if count >= most[0][1] // 4]
    examples = [{"text": s, "label": name} for name in labels for s in texts.drawn(sources[name], name)]
    return _balanced(examples, n, labels)


def _order(texts: Texts, n: int) -> list[dict[str, Any]]:
    examples = []
    for number, sentence in enumerate(texts.sentences()[:n]):
        words = texts.words_of(sentence)
        if number % 2 or len(words) < 4:
            examples.append({"text": sentence, "label": "as written"})
            continue
        places = [
            i
            for i in range(1, len(words) - 2)
            if sentence[slice(*words[i])] != sentence[slice(*words[i + 1])]
        ]
        if not places:
            continue
        at = places[int(Random(texts.seed, "order").integers(len(places), number))]
        (a, b), (c, d) = words[at], words[at + 1]
        swapped = sentence[:a] + sentence[c:d] + sentence[b:c] + sentence[a:b] + sentence[d:]
        examples.append({"text": swapped, "label": "swapped"})
    return _balanced(examples, n, ("as written", "swapped"))


def _dialogue(texts: Texts, n: int) -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = []
    for passage in texts.passages:
        for sentence in passage.sentences:
            said = [part for part in _QUOTED.findall(sentence) if len(part) >= 6]
            examples += [{"text": part, "label": "said"} for part in said]
            if not said and not _QUOTED.search(sentence) and 6 <= len(sentence) <= 60 and "”" not in sentence:
                examples.append({"text": sentence, "label": "told"})
    return _balanced(texts.drawn(examples), n, ("said", "told"))


def _punctuation(texts: Texts, n: int) -> list[dict[str, Any]]:
    """Two sentences in a row, small letters, no marks."""
    commas, stops = _PUNCTUATION[texts.lang]
    pairs = texts.pairs() or [
        (a, b, "") for a, b in zip(texts.sentences(), texts.sentences()[1:], strict=False)
    ]
    examples = []
    for first, second, _ in pairs[:n]:
        whole = f"{first} {second}" if texts.lang == "en" else first + second
        text, spans = "", []
        for a, b in texts.words_of(whole):
            text += (" " if text and texts.lang == "en" else "") + whole[a:b].lower()
            behind = whole[b : b + 1]
            label = "comma" if behind and behind in commas else "stop" if behind and behind in stops else None
            if label:
                spans.append({"start": len(text) - (b - a), "end": len(text), "label": label})
        if spans:
            examples.append({"text": text, "spans": spans})
    return examples


def _capitals(texts: Texts, n: int) -> list[dict[str, Any]]:
    examples = []
    for sentence in texts.sentences():
        words = texts.words_of(sentence)
        spans = [{"start": a, "end": b, "label": "capital"} for a, b in words[1:] if sentence[a].isupper()]
        if spans and len(sentence.lower()) == len(sentence):
            examples.append({"text": sentence.lower(), "spans": spans})
    return examples[:n]


def _each_once(pairs: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Pairs that share no sentence: what is judged by holds none that was learned from."""
    taken: set[str] = set()
    chosen = []
    for a, b, source in pairs:
        if not taken & {a, b}:
            taken |= {a, b}
            chosen.append((a, b, source))
    return chosen


def _follows(texts: Texts, n: int) -> list[dict[str, Any]]:
    pairs = _each_once(texts.pairs())[:n]
    examples = []
    for number, (a, b, source) in enumerate(pairs):
        if number % 2:
            examples.append({"text": a, "text_b": b, "label": "follows"})
            continue
        for step in range(1, len(pairs)):
            _, other, elsewhere = pairs[(number + step) % len(pairs)]
            if elsewhere != source:
                examples.append({"text": a, "text_b": other, "label": "elsewhere"})
                break
    return _balanced(examples, n, ("follows", "elsewhere"))


def _cloze(texts: Texts, n: int) -> list[dict[str, Any]]:
    return cloze(texts, _each_once(texts.pairs())[:n])


def cloze(texts: Texts, pairs: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Articles of SQuAD's form, one of every two sentences in a row.

    Three questions each: of the first sentence, of the second, and of a sentence of another document, which has no
    answer.
    """
    content, articles = set(texts.content), []
    gap, join = ("_____", " ") if texts.lang == "en" else ("什么", "")
    for number, (a, b, source) in enumerate(pairs):
        others = (pairs[(number + step) % len(pairs)] for step in range(1, len(pairs)))
        elsewhere = next((pair[number % 2] for pair in others if pair[2] != source), "")
        context, questions = f"{a}{join}{b}", []
        for turn, (asked_of, start) in enumerate(((a, 0), (b, len(a) + len(join)), (elsewhere, None))):
            words = [(x, y) for x, y in texts.words_of(asked_of) if asked_of[x:y].lower() in content]
            if not words:
                continue
            x, y = words[int(Random(texts.seed, "cloze").integers(len(words), 3 * number + turn))]
            answers = [] if start is None else [{"text": asked_of[x:y], "answer_start": start + x}]
            questions.append(
                {
                    "id": f"{number}.{turn}",
                    "question": asked_of[:x] + gap + asked_of[y:],
                    "answers": answers,
                    "is_impossible": start is None,
                }
            )
        if questions:
            articles.append({"title": source, "paragraphs": [{"context": context, "qas": questions}]})
    return articles


def _with_one_question(article: dict[str, Any], number: int) -> dict[str, Any]:
    """An article to judge by: questions of one passage are no independent ones."""
    (paragraph,) = article["paragraphs"]
    questions = paragraph["qas"]
    chosen = {**paragraph, "qas": [questions[number % len(questions)]]}
    return {**article, "paragraphs": [chosen]}


def marked_uses(room: Room, most: int = 3) -> tuple[Path, list[str]] | None:
    """Uses of words that are a thing here and an action there, told by the word before them; None where there are few.

    English: after an article a thing, after "to" or a modal verb an action. Chinese: after 的 or 之 a thing, after 不
    or 可 an action. A static vector cannot know it: it has not seen the word before.

    Returns the file, and its words.
    """
    path = room.file(f"uses-{room.word}.jsonl" if room.word else "uses.jsonl")
    if path.is_file():
        known = [json.loads(line)["word"] for line in path.read_text("utf-8").splitlines()]
        return path, list(dict.fromkeys(known))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for sentence in room.texts.sentences():
        for word, sense, (start, end) in _marked(room.texts, sentence):
            rows = found.setdefault(word, {"thing": [], "action": []})[sense]
            if len(rows) < _USES:
                place = {"start": start, "end": end}
                rows.append({"text": sentence, **place, "word": word, "sense": sense})
    enough = {word: min(map(len, senses.values())) for word, senses in found.items()}
    asked = [room.word] if room.word else []
    best = sorted(enough, key=lambda word: (word not in asked, -enough[word], word))
    chosen = [word for word in best if enough[word] >= 10][:most]
    if not chosen:
        return None
    called = (
        {"thing": "事物", "action": "动作"} if room.lang == "zh" else {"thing": "thing", "action": "action"}
    )
    drawn = [
        {**row, "sense": called[sense]}
        for word in chosen
        for sense, rows in found[word].items()
        for row in rows[: enough[word]]
    ]
    write_json_lines(drawn, path)
    return path, chosen


def _marked(texts: Texts, sentence: str) -> Iterable[tuple[str, str, tuple[int, int]]]:
    words = texts.words_of(sentence)
    for before, (start, end) in pairwise(words):
        marker, word = sentence[slice(*before)].lower(), sentence[start:end].lower()
        if texts.lang == "en" and len(word) >= 3 and sentence[before[1] : start] == " ":
            sense = "thing" if marker in _ARTICLES else "action" if marker in _HELPERS else None
        elif texts.lang == "zh" and before[1] == start:
            sense = "thing" if marker[-1] in _BEFORE_THING else "action" if marker in _BEFORE_ACTION else None
        else:
            sense = None
        if sense:
            yield word, sense, (start, end)
