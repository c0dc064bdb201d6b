"""`polyseme demo`: a model trained before your eyes, on text that every Python brings along."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.cli.options import Json, Output, Threads, positive
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.core.shell import command
from polyseme.errors import CorpusError, PolysemeError

if TYPE_CHECKING:
    from polyseme.infer.loaded import Loaded
    from polyseme.text.corpus import Corpus
    from polyseme.text.tokenizers import Tokenizer

EXAMPLE = "polyseme demo -o runs/demo --minutes 3"
CORPUS = "python-docs"
_MARKER = "demo.json"  # written by the demo only: a folder that holds it is the demo's to replace
_N_EXAMPLES, _TOP = 12, 3
_N_WORDS, _N_NEIGHBOURS = 6, 5
_FREQUENT = slice(60, 400)  # ranks of words that are frequent but carry meaning
_SENTENCE = re.compile(r"[A-Z][A-Za-z ,;'’-]+\.")
_WORD = re.compile(r"(?<![\w'’-])[a-z]{4,}(?![\w'’-])")  # no part of "doesn't" or of a name


def run(
    *,
    output: Output = Path("runs/demo"),
    model: str = "modernbert",
    minutes: float = 2.8,
    seed: int = 1,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Pretrain on text that Python brings along for about three minutes and show what was learned.

    Args:
        output: the run folder to write; an earlier demo there is replaced.
        model: modernbert, or bert to see how much longer the model of 2018 stays at the baseline.
        minutes: minutes of training.
        seed: number behind every random choice.
        json: print what was learned as one JSON document.
    """
    positive("--minutes", minutes)
    positive("--threads", threads)
    from polyseme.cli.progress import reporting
    from polyseme.infer.model import load
    from polyseme.report.files import save
    from polyseme.report.run_charts import loss_chart
    from polyseme.report.run_summary import summarize, summary_text
    from polyseme.text.config import TextConfig
    from polyseme.text.corpus import Corpus
    from polyseme.train.pretrain import pretrain
    from polyseme.train.request import Budget, PretrainRequest
    from polyseme.train.signals import goes_on_by

    if (output / _MARKER).is_file():
        shutil.rmtree(output)
    say(f"Training {model} for {minutes:g} minutes on CPython's own documentation, from nothing.")
    request = PretrainRequest(
        model=model,
        corpus=[CORPUS],
        output=output,
        budget=Budget(minutes=minutes),
        seed=seed,
        threads=threads,
    )
    fresh = not output.exists()
    try:
        with (
            goes_on_by(
                "the same command begins again, in place of what is there",
                output,
                kept="what was saved stays until the same command is given again",
            ),
            reporting() as reporter,
        ):
            done = pretrain(request, reporter)
    finally:
        if fresh and output.is_dir():
            _write_marker(output, {})

    drawn = loss_chart(done.metrics(), f"{model} on {CORPUS}: loss")
    charts = save(drawn, [output / "loss.svg", output / "loss.png"])
    loaded = load(output)
    corpus = Corpus([CORPUS], TextConfig())
    learned: dict[str, Any] = {
        "summary": summarize(done),
        "examples": list(fill_examples(loaded, corpus, seed)),
        "neighbours": neighbours_of_frequent_words(loaded, corpus),
        "charts": [str(path) for path in charts],
    }
    _write_marker(output, learned)
    if json:
        emit_json(learned)
    else:
        emit("\n" + summary_text(learned["summary"]))
        emit("\n" + examples_text(learned["examples"]))
        emit("\n" + neighbours_text(learned["neighbours"]) + "\n")
    closing(
        wrote=[done.path, *charts],
        then=[
            command("polyseme", "fill", output, "Return a [MASK] of the object."),
            command("polyseme", "inspect", output),
            "polyseme pretrain modernbert YOUR-FOLDER -o RUN --minutes 10",
        ],
    )


def _write_marker(folder: Path, learned: dict[str, Any]) -> None:
    from polyseme.core.config import to_json

    (folder / _MARKER).write_text(to_json(learned), "utf-8")


def fill_examples(loaded: Loaded, corpus: Corpus, seed: int) -> Iterator[dict[str, Any]]:
    """Mask one word in each of a dozen held-out sentences and ask the model for it.

    The seed alone draws the sentences and words; none are selected by difficulty. A word counts only if it is one token
    of the vocabulary, since the model fills in one token.

    Yields {"text", "masked", "word", "candidates": [{"token", "probability", …}], "rank"}; rank is the place of the
    masked word among the candidates, from 1, or None.
    """
    from polyseme.infer.fill import fill

    for sentence, start, end in _masked_words(loaded.tokenizer, corpus, seed):
        word = sentence[start:end]
        masked = f"{sentence[:start]}[MASK]{sentence[end:]}"
        (mask,) = fill(loaded, masked, _TOP)
        tokens = [candidate["token"].strip().casefold() for candidate in mask["candidates"]]
        yield {
            "text": sentence,
            "masked": masked,
            "word": word,
            "candidates": mask["candidates"],
            "rank": tokens.index(word.casefold()) + 1 if word.casefold() in tokens else None,
        }


def _masked_words(tokenizer: Tokenizer, corpus: Corpus, seed: int) -> list[tuple[str, int, int]]:
    """Sentences of held-out documents, one a document, with the character span of the word to mask."""
    from polyseme.core.rng import Random

    random = Random(seed, "demo")
    masked: list[tuple[float, str, int, int]] = []
    for document in _documents(corpus, heldout=True):
        choices = [
            (sentence, match.start(), match.end())
            for sentence in _plain_sentences(document)
            for match in _WORD.finditer(sentence)
            if _is_whole(tokenizer, match.group())
        ]
        if choices:
            number = len(masked)
            choice = choices[int(random.integers(len(choices), 0, number))]
            masked.append((float(random.uniform(1, number)), *choice))
    if not masked:
        raise CorpusError("the held-out part of the demo's corpus has no plain sentence", where=CORPUS)
    return [(sentence, start, end) for _, sentence, start, end in sorted(masked)[:_N_EXAMPLES]]


def _documents(corpus: Corpus, *, heldout: bool) -> Iterator[str]:
    from polyseme.text.clean import CleaningReport

    for document in corpus.documents(CleaningReport()):
        if corpus.is_heldout(document.key) == heldout:
            yield document.text


def _plain_sentences(text: str) -> Iterator[str]:
    """Sentences of 8 to 20 plain words, without code, on one line."""
    from polyseme.text.sentences import sentence_spans

    for start, end in sentence_spans(text, "en"):
        sentence = " ".join(text[start:end].split())
        if 8 <= len(sentence.split()) <= 20 and _SENTENCE.fullmatch(sentence):
            yield sentence


def _is_whole(tokenizer: Tokenizer, word: str) -> bool:
    """Whether a word is one token of the vocabulary."""
    ids = tokenizer.encode(f" {word}").ids
    return len(ids) == 1 and ids[0] != tokenizer.unk_id


def neighbours_of_frequent_words(loaded: Loaded, corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Nearest neighbours of a few frequent words of the training text, without common function words."""
    from polyseme.infer.neighbours import neighbours

    words = Counter(word for text in _documents(corpus, heldout=False) for word in _WORD.findall(text))
    frequent = [word for word, _ in words.most_common()[_FREQUENT]]
    whole = [word for word in frequent if _is_whole(loaded.tokenizer, word)]
    chosen = whole[:: max(1, len(whole) // _N_WORDS)][:_N_WORDS]
    nearest: dict[str, list[dict[str, Any]]] = {}
    for word in chosen:
        try:
            nearest[word] = neighbours(loaded, word, None, _N_NEIGHBOURS)
        except PolysemeError as error:
            say(f"note: {word}: {error.what}")
    return nearest


def examples_text(examples: Sequence[dict[str, Any]]) -> str:
    """The examples as readable text: the sentence, the masked word, the guesses."""
    hits = sum(example["rank"] is not None for example in examples)
    lines = [
        "What it fills in, in sentences it never saw, drawn at random "
        f"({hits} of {len(examples)} times the masked word is among the first {_TOP}):"
    ]
    for example in examples:
        guesses = ", ".join(f"{c['token'].strip()} {c['probability']:.0%}" for c in example["candidates"])
        mark = "✓" if example["rank"] is not None else " "
        lines += [f"\n  {example['masked']}", f"  {mark} {example['word']:<14} guesses: {guesses}"]
    return "\n".join(lines)


def neighbours_text(words: dict[str, list[dict[str, Any]]]) -> str:
    """The neighbours as readable text, one word a line."""
    lines = ["Nearest neighbours of frequent words, by the vectors it learned:"]
    for word, near in words.items():
        lines.append(f"  {word:<14} {', '.join(entry['word'] for entry in near)}")
    return "\n".join(lines)
