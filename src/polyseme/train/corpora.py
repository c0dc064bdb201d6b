"""The corpus of a run: a store that was given, the run's own, or one made now from text."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.reporter import Reporter
from polyseme.data.prepare import TRAINING, Progress, cleaning_lines, prepare, unknown_note, unknown_share
from polyseme.data.store import PreparedCorpus, is_store
from polyseme.errors import CheckpointError, ConfigError, CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus, Fingerprint
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import distributed
from polyseme.train.recipe import Recipe, resolve
from polyseme.train.run import RunDirectory

if TYPE_CHECKING:
    from polyseme.train.opening import PretrainRequest


def corpus_signature(sources: Sequence[str], config: TextConfig) -> Any:
    """What tells cheaply whether a corpus is still the same: names, sizes and times; of a store its fingerprint."""
    if not sources:
        return []
    if len(sources) == 1 and is_store(sources[0]):
        return {"store": PreparedCorpus.open(Path(sources[0])).meta["fingerprint"]}
    return {"files": Corpus(sources, config).signature(), "python": platform.python_version()}


def corpus_fingerprint(sources: Sequence[str], config: TextConfig) -> str:
    """The fingerprint of all documents, which reads the whole corpus."""
    fingerprint, report = Fingerprint(), CleaningReport()
    for document in Corpus(sources, config).documents(report):
        fingerprint.add(document.key, len(document.text))
    return fingerprint.value


def shared_tokenizer(request: PretrainRequest) -> Tokenizer | None:
    """The tokenizer of --init or --tokenizer, if any.

    Raises:  ConfigError: both are given and differ, or there is none at that place.
    """
    found = []
    for source in (request.init, request.tokenizer):
        if source is not None:
            path = Path(source)
            path = path / "tokenizer.json" if path.is_dir() else path
            if not path.is_file():
                raise ConfigError(
                    "no tokenizer there",
                    where=source,
                    expected="a run, or a tokenizer.json of the tokenizers library",
                )
            found.append(Tokenizer.from_file(path))
    if len({t.fingerprint for t in found}) > 1:
        raise ConfigError("--init and --tokenizer name different vocabularies", fix="leave --tokenizer out")
    return found[0] if found else None


def open_or_prepare(
    request: PretrainRequest, recipe: Recipe, run: RunDirectory, reporter: Reporter
) -> PreparedCorpus:
    """The prepared corpus of a run; made in RUN/store unless one was given or is there already.

    Where much of it is unknown to the vocabulary that is said, and kept in run.json's "notes".

    Raises:  ConfigError: a given store was made with another vocabulary than --tokenizer or --init.
             CorpusError: the text is missing, empty or binary, or the vocabulary knows nothing of it.
    """
    tokenizer = shared_tokenizer(request)
    if len(request.corpus) == 1 and is_store(request.corpus[0]):
        corpus = PreparedCorpus.open(Path(request.corpus[0]))
        if tokenizer is not None and tokenizer.fingerprint != corpus.tokenizer.fingerprint:
            raise ConfigError(
                "the store was made with another vocabulary",
                where=request.corpus[0],
                fix="polyseme prepare TEXT --tokenizer … -o STORE",
            )
        return _noted(corpus, request, run, reporter)
    folder = run.path / "store"
    distributed.first(lambda: _make(request, recipe, run, folder, tokenizer, reporter))
    return _noted(PreparedCorpus.open(folder), request, run, reporter)


def _make(
    request: PretrainRequest,
    recipe: Recipe,
    run: RunDirectory,
    folder: Path,
    tokenizer: Tokenizer | None,
    reporter: Reporter,
) -> None:
    """Prepare the text into `folder` unless that is done.

    Raises:  as `open_or_prepare`.   CheckpointError: the text is not the one that the run was trained on.
    """
    if _is_whole(folder, reporter):
        return
    if tokenizer is None and (run.path / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")

    def show(progress: Progress) -> None:
        reporter.stage(progress.stage, progress.done_bytes, progress.total_bytes)

    made = prepare(
        request.corpus,
        folder,
        text=recipe.section("text"),
        tokenizer=tokenizer or recipe.section("tokenizer"),
        valid_files=request.valid,
        lower_min_count=not _asks_for_min_count(request, recipe),
        progress=show,
    )
    for line in cleaning_lines(made.meta):
        reporter.note(line)
    before = run.meta.get("corpus", {}).get("fingerprint")
    if before is not None and before != made.meta["fingerprint"]:
        raise CheckpointError(
            "the corpus is not the one that the run was trained on",
            got=f"fingerprint {made.meta['fingerprint']}",
            expected=before,
            fix=f"--init {run.path} -o NEW to train on with other text",
        )


def _asks_for_min_count(request: PretrainRequest, recipe: Recipe) -> bool:
    """Whether the user chose how often a word must occur."""
    usual = resolve(request.model).section("tokenizer").min_count
    return bool(recipe.section("tokenizer").min_count != usual) or "tokenizer.min_count" in request.settings


def _noted(
    corpus: PreparedCorpus, request: PretrainRequest, run: RunDirectory, reporter: Reporter
) -> PreparedCorpus:
    """Say, and keep in run.json's "notes", what a reader of the figures has to know.

    Raises:  CorpusError: the vocabulary knows nothing of the training text.
    """
    met = unknown_share(corpus)
    if met.tokens and met.unknown == met.tokens:
        raise CorpusError(
            "the vocabulary knows nothing of the training text",
            got=f"{met.says(TRAINING)}, all {met.tokens:,}",
            where=", ".join(map(str, corpus.meta["sources"])),
            fix=_anew(request, corpus),
        )
    known = [*corpus.meta.get("notes", []), *filter(None, [unknown_note(corpus)])]
    new = [note for note in known if note not in run.meta.get("notes", [])]
    if new and distributed.rank() == 0:
        for note in new:
            reporter.note(note)
        run.save_meta(notes=[*run.meta.get("notes", []), *new])
    return corpus


def _anew(request: PretrainRequest, corpus: PreparedCorpus) -> str:
    """The command that makes a vocabulary from this text."""
    documents = corpus.meta["text"]["documents"]
    options = [] if documents == "auto" else ["--documents", documents]
    return shlex.join(["polyseme", "pretrain", request.model, *corpus.meta["sources"], *options, "-o", "NEW"])


def _is_whole(folder: Path, reporter: Reporter) -> bool:
    if not is_store(folder):
        return False
    try:
        PreparedCorpus.open(folder)
    except CheckpointError as error:
        import shutil

        reporter.note(f"{error.what}: {error.where}; preparing the text again")
        shutil.rmtree(folder)
        return False
    return True
