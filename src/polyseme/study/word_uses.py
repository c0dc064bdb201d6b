"""Uses of a word: from the text that a run was trained on, from files, or from lines of text.

A run's own text is the store beside it (data/uses.py), so a person who has a run needs no file to see how its words are
used. What is found goes into `senses` and `cosines` as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.core.paths import Paths, names_of
from polyseme.core.reporter import Reporter
from polyseme.core.result import Result
from polyseme.core.rng import Random
from polyseme.core.shell import command
from polyseme.data.store import PreparedCorpus
from polyseme.data.uses import uses_in_store
from polyseme.errors import ConfigError, InputError, RunError
from polyseme.infer.inputs import at_least_one, one_text, texts_of
from polyseme.infer.loaded import Loaded, path_of_run
from polyseme.study import Run, reading
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.labelled.senses import Use, in_text
from polyseme.text.words import cjk_share, has_cjk
from polyseme.train.run import RunDirectory

__all__ = ["LIMIT", "Uses", "uses"]

LIMIT = 400
"""Uses that are drawn where nobody says how many: enough for a map, few enough to read in some seconds."""


@dataclass(frozen=True, eq=False, repr=False)
class Uses(Result):
    """What `uses` found.

    Args:
        run: whose text it is; "" for files and lines.
        word: the word.
        source: "store", the run's own text; "texts", files; "lines".
        uses: the drawn ones, in the order of the text.
        found: how many there are; in a store, of a single Chinese character also those inside longer words.
        texts_read: documents, or lines.
        settings: limit and seed.
    """

    kind = "uses"

    run: str
    word: str
    source: str
    uses: list[Use]
    found: int
    texts_read: int
    settings: dict[str, Any]
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able: {"word", "from", "uses": [{"id", "text", "start", "end"}], "found", "texts_read"}."""
        return {
            "run": self.run,
            "word": self.word,
            "from": self.source,
            "uses": [
                {"id": use.id, "text": use.text, "start": use.start, "end": use.end} for use in self.uses
            ],
            "found": self.found,
            "texts_read": self.texts_read,
            "settings": self.settings,
            "notes": list(self.notes),
        }

    def headline(self) -> str:
        """The word, how many uses, and where."""
        where = Path(self.run).name if self.run else self.source
        return f"{self.word}, {len(self.uses):,} of {self.found:,} uses, {where}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a use: what stands before it, itself, and what stands behind it."""
        return [
            {
                "id": use.id,
                "before": use.text[: use.start],
                "use": use.form,
                "after": use.text[use.end :],
            }
            for use in self.uses
        ]


def uses(
    run: Run | None,
    word: str,
    *,
    texts: Paths | None = None,
    lines: Iterable[str] | None = None,
    limit: int | None = LIMIT,
    seed: int = 0,
    encoding: str = "auto",
    reporter: Reporter | None = None,
) -> Uses:
    """Uses of a word, each in its sentence and, where that is short, in those beside it.

    Args:
        run: whose own text is searched; None where texts or lines are given.
        word: a word or phrase, found as a whole, upper and lower case alike; Chinese words anywhere, a single character
            where the segmenter leaves it a word of its own.
        texts: files, folders or python-docs to search in place of the run's text.
        lines: texts to search in place of it.
        limit: at most so many uses, drawn by the seed; None = all.
        seed: of the draw.
        encoding: of the files; "auto" to detect it.
        reporter: receives the progress of reading a run's own text.
    Raises:  InputError: no word, or the word is nowhere there.  RunError: the run's text is gone, or there is no run.
             ConfigError: texts and lines, or a limit that is no count.  CorpusError: no such file.

    Example:
        polyseme.senses("runs/bert", polyseme.uses("runs/bert", "bank").uses)
    """
    word = one_text(word, "word").strip()
    if not word:
        raise InputError("no word to look for", got=repr(word), fix="polyseme uses RUN WORD")
    if limit is not None:
        at_least_one("limit", limit)
    if texts is not None and lines is not None:
        raise ConfigError("texts and lines", expected="one of the two, or the run's own text")
    source = "texts" if texts is not None else "lines" if lines is not None else "store"
    notes: list[str] = []
    if texts is not None:
        drawn, found, read = _from_texts(names_of(texts, "texts"), word, limit, seed, encoding)
    elif lines is not None:
        drawn, found, read = _from_lines(texts_of(lines, "lines")[0], word, limit, seed)
    else:
        drawn, found, read = _from_store(run, word, limit, seed, reporter)
        notes.append(
            "the text is put together from the run's tokens: spaces, and in some vocabularies capitals, are not as "
            "they were"
        )
    name = "" if run is None or source != "store" else replace_surrogates(str(path_of_run(run)))
    if not drawn:
        raise InputError(
            f"no use of {word!r}",
            got=f"{read:,} {'lines' if source == 'lines' else 'documents'}",
            where=name or None,
            fix="another word; whole words are searched, upper and lower case alike",
        )
    return Uses(name, word, source, drawn, found, read, {"limit": limit, "seed": seed}, notes)


def _from_store(
    run: Run | None, word: str, limit: int | None, seed: int, reporter: Reporter | None
) -> tuple[list[Use], int, int]:
    if run is None:
        raise InputError("no text to look in", expected="a run, texts or lines", fix="polyseme uses RUN WORD")
    directory = (
        run.run
        if isinstance(run, Loaded)
        else run
        if isinstance(run, RunDirectory)
        else RunDirectory.open(run)
    )
    store = directory.store
    if store is None:
        raise RunError(
            "the text that the run was trained on is not there any more",
            where=directory.path,
            fix=command("polyseme", "uses", "--texts", "FILE", "--", directory.path, word),
        )
    corpus = PreparedCorpus.open(store)
    found = uses_in_store(corpus.train, corpus.tokenizer, word, limit, seed, reporter)
    return found.uses, found.found, corpus.train.n_documents


def _from_texts(
    names: Sequence[str], word: str, limit: int | None, seed: int, encoding: str
) -> tuple[list[Use], int, int]:
    reading(None, "auto", encoding)
    corpus = Corpus(names, TextConfig.of({"encoding": encoding}, "uses"))
    language, read = corpus.language(), 0
    uses: dict[tuple[str, int], Use] = {}
    for document in corpus.documents(CleaningReport()):
        read += 1
        for use in in_text(document.text, word, f"{document.source} {document.index + 1}", language):
            uses.setdefault((use.text, use.start), use)
    return _drawn(list(uses.values()), limit, seed), len(uses), read


def _from_lines(lines: Sequence[str], word: str, limit: int | None, seed: int) -> tuple[list[Use], int, int]:
    uses: dict[tuple[str, int], Use] = {}
    for number, line in enumerate(lines, 1):
        language = "zh" if has_cjk(word) or cjk_share(line) > 0.2 else "en"
        for use in in_text(line, word, str(number), language):
            uses.setdefault((use.text, use.start), use)
    return _drawn(list(uses.values()), limit, seed), len(uses), len(lines)


def _drawn(uses: Sequence[Use], limit: int | None, seed: int) -> list[Use]:
    """At most so many, drawn by the seed, in their order."""
    if limit is None or len(uses) <= limit:
        return list(uses)
    return [uses[i] for i in sorted(Random(seed, "uses").permutation(len(uses))[:limit].tolist())]
