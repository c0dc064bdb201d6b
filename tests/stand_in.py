"""Small generated data in the place of the real sets, in their folders and forms: a user's clone has none of these.

Only what tests read that hold for any data of that form; counts of the real sets are checked where the sets are.
"""

from __future__ import annotations

import csv
import gzip
import json
from itertools import product
from pathlib import Path

import numpy as np

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
"""The real sets, beside some checkouts."""

GOOD = ["lovely", "clever", "warm", "funny", "moving", "bright"]
BAD = ["dull", "clumsy", "cold", "tired", "noisy", "empty"]
PLAIN = ["film", "story", "scene", "cast", "plot", "the", "a", "of", "with", "and", "its", "ending", "music"]
ROWS = 40
"""Sentences, texts or pairs of each labelled file that is generated."""
CHARACTERS = "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"


def write_stand_in(folder: Path) -> Path:
    """Everything, below a folder; always the same."""
    random = np.random.default_rng(0)
    _sentiment(folder / "tasks" / "sst2", random)
    _questions(folder / "tasks", random)
    _texts(folder / "text", random)
    _lexicons(folder / "lexicon")
    _tagged(folder / "tasks", random)
    _pairs_and_classes(folder / "tasks", random)
    _relations(folder / "tasks" / "semeval2010_task8", random)
    _minimal_pairs(folder / "tasks" / "blimp")
    _senses(folder / "tasks" / "coarsewsd20")
    _reviews(folder / "tasks" / "subjqa", random)
    _similar_words(folder / "tasks")
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def _sentiment(folder: Path, random: np.random.Generator) -> None:
    """SST-2's tables: a sentence, a tab, 0 or 1. One word in eight speaks for the other side."""
    for name, n in (("train.tsv", 800), ("dev.tsv", 200)):
        rows = []
        for number in range(n):
            label = number % 2
            words = list(random.choice(PLAIN, 8))
            for at in random.permutation(8)[:3]:
                words[at] = random.choice((BAD, GOOD)[label ^ int(random.random() < 1 / 8)])
            rows.append(f"{' '.join(words)} .\t{label}")
        _write(folder / name, "\n".join(rows) + "\n")


def _questions(folder: Path, random: np.random.Generator) -> None:
    """SQuAD's JSON, in English and in Chinese, with answers cut out of their contexts."""
    english = [
        "The",
        "river",
        "St. John's",
        "in",
        "1889,",
        "a",
        "tower",
        "(of",
        "iron)",
        "cost",
        "$3.50",
        "an",
    ]
    for name, units, glue in (
        ("squad_shifts/new_wiki_v1.0.json.gz", english, " "),
        ("cmrc2018/cmrc2018_trial.json", [*CHARACTERS, "，", "《", "》", "1976年", "Inc.", "。"], ""),
    ):
        paragraphs = []
        for number in range(40):
            words = list(random.choice(units, 40))
            context = glue.join(words)
            asked = []
            for question in range(3):
                start = int(random.integers(0, 34))
                texts = [glue.join(words[start : start + length]) for length in (1, 2, 4)]
                answers = [{"text": text, "answer_start": context.find(text)} for text in texts]
                asked.append({"id": f"{number}-{question}", "question": "what?", "answers": answers})
            paragraphs.append({"context": context, "qas": asked})
        _write(folder / name, json.dumps({"data": [{"title": name, "paragraphs": paragraphs}]}))


def _texts(folder: Path, random: np.random.Generator) -> None:
    """Folders of running text as they were fetched: each with a description that is no text."""
    for name, file, units, glue in (
        ("en/tinyshakespeare", "input.txt", [*PLAIN, *GOOD, *BAD], " "),
        ("en/wikitext2_valid", "wiki.valid.txt", [*PLAIN, *GOOD, *BAD], " "),
        ("zh/laws", "laws.txt.gz", [*CHARACTERS], ""),
    ):
        lines = [glue.join(random.choice(units, 30)) + ("。" if not glue else ".") for _ in range(600)]
        _write(folder / name / file, "\n".join(lines) + "\n")
        _write(folder / name / "SOURCE.txt", "Generated for the tests.\n")


def _lexicons(folder: Path) -> None:
    """THUOCL's lists, a word and its count a line, and idioms as one JSON list."""
    words = [
        "字符串",
        "中国",
        "北京",
        "李世民",
        "坚定不移",
        *map("".join, product(CHARACTERS[:20], repeat=2)),
    ]
    for part, name in enumerate(("THUOCL_IT.txt", "THUOCL_diming.txt")):
        rows = [f"{word}\t{1000 + number}" for number, word in enumerate(words[part::2])]
        _write(folder / "zh_thuocl" / name, "\n".join(rows) + "\n")
    for name in ("zh_thuocl", "zh_idioms"):
        _write(folder / name / "SOURCE.txt", "Generated for the tests.\n")
        _write(folder / name / "LICENSE", "None.\n")
    idioms = [{"word": "".join(four), "explanation": "…"} for four in product(CHARACTERS[20:25], repeat=4)]
    _write(folder / "zh_idioms" / "idiom_first8449.json", json.dumps(idioms, ensure_ascii=False))


def _tagged(folder: Path, random: np.random.Generator) -> None:
    """Sentences of words with their tags: CoNLL-U, CoNLL columns, CLUENER's objects and SNIPS's two files."""
    for name, units in (
        ("ud_english_ewt/en_ewt-ud-train.conllu", PLAIN),
        ("ud_english_ewt/en_ewt-ud-dev.conllu", PLAIN),
        ("ud_chinese_gsd_v1/zh-ud-dev.conllu", [*CHARACTERS]),
    ):
        sentences = []
        for _ in range(ROWS):
            words = random.choice(units, 9)
            rows = [
                f"{n}\t{word}\t_\t{'NOUN' if n % 2 else 'VERB'}\tX\t_\t{n - 1}\t{'dep' if n > 1 else 'root'}\t_\t_"
                for n, word in enumerate(words, 1)
            ]
            sentences.append("\n".join(rows) + "\n")
        _write(folder / name, "\n".join(sentences) + "\n")
    for name, units, middle, kinds in (
        ("conll2000/test.txt", PLAIN, "NN ", ("NP", "VP")),
        ("peopledaily_ner/dev.txt", [*CHARACTERS], "", ("PER", "ORG")),
    ):
        sentences = []
        for number in range(ROWS):
            tags = ["O", f"B-{kinds[0]}", f"I-{kinds[0]}", "O", f"B-{kinds[1]}", f"B-{kinds[number % 2]}"]
            rows = [
                f"{word} {middle}{tag}\n" for word, tag in zip(random.choice(units, 6), tags, strict=True)
            ]
            sentences.append("".join(rows))
        _write(folder / name, "\n".join(sentences))
    objects = []
    for number in range(ROWS):
        text, at = "".join(random.choice([*CHARACTERS], 30)), number % 20
        kind = ("name", "address")[number % 2]
        objects.append({"text": text, "label": {kind: {text[at : at + 3]: [[at, at + 2]]}}})
    _write(
        folder / "cluener/dev.json", "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    )
    words = [" ".join(random.choice(PLAIN, 5)) for _ in range(ROWS)]
    _write(folder / "snips/test/seq.in", "\n".join(words) + "\n")
    _write(folder / "snips/test/seq.out", "O O B-artist I-artist O\n" * ROWS)


def _pairs_and_classes(folder: Path, random: np.random.Generator) -> None:
    """More tables and lines of texts and pairs: SST-2's test, SICK, ChnSentiCorp, OCNLI with labels that are none."""

    def text(units: list[str], glue: str) -> str:
        return glue.join(random.choice(units, 9))

    chinese = [*CHARACTERS]
    _write(folder / "sst2/test.tsv", "".join(f"{text(PLAIN, ' ')} .\t{n % 2}\n" for n in range(ROWS)))
    names = ("NEUTRAL", "ENTAILMENT", "CONTRADICTION")
    for part in ("train", "trial", "test_annotated"):
        rows = ["pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"]
        rows += [f"{n}\t{text(PLAIN, ' ')}\t{text(PLAIN, ' ')}\t3.6\t{names[n % 3]}" for n in range(ROWS)]
        _write(folder / f"sick/SICK_{part}.txt", "\n".join(rows) + "\n")
    for part in ("train", "dev", "test"):
        rows = ["label\ttext_a", *(f"{n % 2}\t{text(chinese, '')}" for n in range(ROWS))]
        _write(folder / f"chnsenticorp/{part}.tsv", "\n".join(rows) + "\n")
    for part in ("train.10k", "train.3k", "dev"):
        labels = ["-" if n % 10 == 9 else names[n % 3].lower() for n in range(ROWS)]
        pairs = [
            {"sentence1": text(chinese, ""), "sentence2": text(chinese, ""), "label": label}
            for label in labels
        ]
        _write(folder / f"ocnli/{part}.json", "".join(json.dumps(pair) + "\n" for pair in pairs))


def _relations(folder: Path, random: np.random.Generator) -> None:
    """SemEval-2010 task 8: a numbered sentence with two marks, its relation, a comment, a blank line."""
    for name in ("TRAIN_FILE.TXT", "TEST_FILE_FULL.TXT"):
        blocks = []
        for n in range(ROWS):
            a, b, c = random.choice(PLAIN, 3)
            relation = "Other" if n % 19 == 18 else f"Relation-{n % 19 // 2}(e{1 + n % 2},e{2 - n % 2})"
            blocks.append(
                f'{n}\t"The <e1>{a}</e1> sat {c} in the <e2>{b}</e2>."\n{relation}\nComment: {n} x\n'
            )
        _write(folder / name, "\n".join(blocks) + "\n")


def _minimal_pairs(folder: Path) -> None:
    """BLiMP's lines: a paradigm a file, several paradigms of one phenomenon."""
    for number in range(4):
        rows = [
            {
                "sentence_good": f"{word} sits.",
                "sentence_bad": f"{word} sit.",
                "linguistics_term": f"agreement_{number // 2}",
                "UID": f"paradigm_{number}",
                "pairID": str(n),
            }
            for n, word in enumerate((PLAIN * 4)[:ROWS])
        ]
        _write(folder / f"paradigm_{number}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _write(folder / "SOURCE.txt", "Generated for the tests.\n")


def _senses(folder: Path) -> None:
    """CoarseWSD-20's folders of words."""
    for word, senses in (
        ("bank", ("bank_bank", "bank_bank_(geography)")),
        ("java", ("java_java", "java_island")),
    ):
        for part in ("train", "test"):
            rows = [f"{n % 3}\t{'the ' * (n % 3)}{word} of number {n}" for n in range(ROWS)]
            _write(folder / word / f"{part}.data.txt", "\n".join(rows) + "\n")
            _write(folder / word / f"{part}.gold.txt", "".join(f"{n % 2}\n" for n in range(ROWS)))
        _write(folder / word / "classes_map.txt", json.dumps(dict(enumerate(senses))))


def _reviews(folder: Path, random: np.random.Generator) -> None:
    """SubjQA's tables: reviews that end with ANSWERNOTFOUND, and some answers that are not where the table says."""
    for name in ("electronics.train", "electronics.dev", "grocery.test"):
        with (_made(folder) / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["item_id", "q_review_id", "question", "review", "human_ans_spans", "human_ans_indices"]
            )
            for n in range(100):
                words = list(random.permutation(PLAIN))
                review = " ".join(words) + ".ANSWERNOTFOUND"
                answer = words[5] + " " + words[6]
                at = review.index(answer)
                if n % 20 < 11:
                    answer, at = "ANSWERNOTFOUND", review.index("ANSWERNOTFOUND")
                elif n % 100 < 20:
                    at += 3  # moved
                elif n == 50 + 15:
                    answer = "quite another"  # lost
                writer.writerow(
                    [f"item {n % 7}", f"{name} {n}", "How is it?", review, answer, (at, at + len(answer))]
                )


def _similar_words(folder: Path) -> None:
    """Pairs of words with a person's score, and questions of four words under headings."""
    for name, words in (
        ("wordsim_en/EN-MTurk-771.txt", PLAIN),
        ("wordsim_zh/wordsim-240.txt", [*CHARACTERS]),
    ):
        pairs = [*product(words[:8], words[8:13])][:ROWS]
        _write(folder / name, "".join(f"{a}\t{b}\t{n / 10}\n" for n, (a, b) in enumerate(pairs)))
    for name, words in (("analogy_en/questions-words.txt", PLAIN), ("wordsim_zh/analogy.txt", [*CHARACTERS])):
        lines = [" ".join(four) for four in product(words[:2], words[2:4], words[4:9], words[9:11])][:ROWS]
        _write(folder / name, "\n".join([": one kind", *lines[:25], ": another", *lines[25:]]) + "\n")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
