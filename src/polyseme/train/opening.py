"""What a run opens before it trains: its folder, new or resumed, and its corpus.

One process locks the folder. It resumes only the request that it was started with, and is removed if training cannot
start. The corpus is a given store, the run's own store, or a store made now from text.
"""

from __future__ import annotations

import platform
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from polyseme.core.cores import default_threads
from polyseme.core.files import locked
from polyseme.core.ranks import job, restarted
from polyseme.core.reporter import Reporter
from polyseme.core.shell import typed
from polyseme.core.version import __version__
from polyseme.data.engines import engine_named
from polyseme.data.prepare import TRAINING, Progress, cleaning_lines, prepare, unknown_note, unknown_share
from polyseme.data.sharding import Sharding, is_unfinished, partial_of
from polyseme.data.store import PreparedCorpus, is_store
from polyseme.errors import CheckpointError, ConfigError, CorpusError, PolysemeError, RunError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus, Fingerprint
from polyseme.text.extending import extended
from polyseme.text.lexicon import Entry, lexicon_fingerprint
from polyseme.text.shares import read_shares
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.unknown import UnknownShare
from polyseme.train import checkpoint, distributed
from polyseme.train.machine import resolve_device
from polyseme.train.recipe import Recipe, from_dict, recipes_of, resolve
from polyseme.train.request import PretrainRequest
from polyseme.train.run import RunDirectory

ADAPTED, ADAPTED_TEXTS = "adapted", "adapted-texts.jsonl"
"""In a run of a task: the run that pretrained on its texts first (task_adaptive.py), and these texts meanwhile."""
_WORTH_SAYING = 0.001
"""Share of [UNK] in text that training goes on with, from which on it is said."""


def as_asked(request: PretrainRequest, recipe: Recipe, lexicon: Sequence[Entry]) -> dict[str, Any]:
    """The parts of a request that must not change between a run and its resumption."""
    shares = " ".join(f"{share:.4g}" for share in read_shares(request.corpus).shares)
    return {
        "recipe": recipe.as_dict(),
        "seed": request.seed,
        "budget": str(request.budget),
        "tokenizer": request.tokenizer,
        "init": request.init,
        "corpus": corpus_signature(request.corpus, recipe.section("text")),
        **({"mixture of sources": shares} if shares else {}),
        "valid": corpus_signature(request.valid, recipe.section("text")),
        "device": resolve_device(request.device).type,
        **({"extended vocabulary": request.extend_vocabulary} if request.extend_vocabulary else {}),
        **({"milestones": ",".join(map(str, request.milestones))} if request.milestones else {}),
    } | ({"lexicon": lexicon_fingerprint(lexicon)} if lexicon else {})


@contextmanager
def opened_run(
    request: PretrainRequest, recipe: Recipe, asked: dict[str, Any], reporter: Reporter
) -> Iterator[tuple[RunDirectory, bool]]:
    """The run directory, locked for this process, and whether it is resumed rather than new.

    Raises:  RunError: the folder is not empty, or another process trains there; with --resume: the request or the text
             has changed.
    """
    text = recipe.section("text")
    meta: dict[str, Any] = {"model": request.model, "status": "preparing", "asked": asked}
    if job() is not None:
        meta["job"] = job()

    def check(run: RunDirectory) -> None:
        check_same_request(run, asked, lambda: corpus_fingerprint(request.corpus, text))

    def begin() -> tuple[bool, dict[str, Any]]:
        resume = request.resume or _started_again(request.output)
        resumed = begin_or_go_on(request.output, resume, meta, check, reporter, stack)
        return resumed, RunDirectory.open(request.output).meta

    with ExitStack() as stack:
        # the other ranks do not read run.json: rank 0 may have met an error meanwhile, and removed it again
        resumed, known = distributed.on_rank_0(begin)
        run = RunDirectory(request.output, known)
        if distributed.rank() == 0:
            _note_ranks(run, reporter)
        yield run, resumed


def begin_or_go_on(
    path: Path,
    resume: bool,
    meta: dict[str, Any],
    check: Callable[[RunDirectory], None],
    reporter: Reporter,
    stack: ExitStack,
) -> bool:
    """Make a run directory, or find one to resume. Returns whether it is resumed.

    With `resume` and an empty folder it starts a new run, so that a queued job can always use the same command. A run
    that was interrupted before its first save is resumed, or started anew if the request has changed.

    Args:
        path: the folder.
        resume: whether the user asked to resume.
        meta: of a new run.json.
        check: raises RunError unless the run was started with the same request.
        reporter: told what was decided.
        stack: receives the lock of the folder.
    Raises:  RunError: see `opened_run`.
    """
    if (path / "run.json").is_file() and (resume or never_began(path)):
        lockable = stack.enter_context(only_one_trains(path))
        run = RunDirectory.open(path)
        if resume:
            check(run)
            return True
        if lockable and not _has_begun(run) and ("adapted" in run.meta) == ("adapted" in meta):
            try:
                check(run)
            except RunError:
                reporter.note(
                    f"{path}: an earlier command was interrupted before it saved anything: begun anew"
                )
                forget(run)
            else:
                reporter.note(f"{path}: going on with what an interrupted command prepared")
                return True
    elif resume and path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
        RunDirectory.open(path)  # raises: the folder is not a run
    elif resume:
        reporter.note(f"{path}: nothing to go on with yet: begun anew")
    versions = {"polyseme": __version__, "torch": torch.__version__, "python": platform.python_version()}
    RunDirectory.create(path, {**meta, "versions": versions})
    stack.enter_context(only_one_trains(path))
    return False


def _started_again(path: Path) -> bool:
    """Whether torchrun starts the same command again, after a rank was lost on this machine or on another one."""
    if restarted():
        return True
    try:
        return job() is not None and RunDirectory.open(path).meta.get("job") == job()
    except PolysemeError:
        return False


def _has_begun(run: RunDirectory) -> bool:
    """Whether the run holds anything that training again would lose."""
    unfinished = run.meta.get("status") in ("preparing", "training") and "imported" not in run.meta
    before = run.path / ADAPTED
    if "adapted" in run.meta and (before / "run.json").is_file() and not never_began(before):
        return True
    return not unfinished or "files" in run.meta or checkpoint.exists(run.path / "resume")


def never_began(path: Path) -> bool:
    """Whether a folder was left by a process that ended before its first save."""
    try:
        return not _has_begun(RunDirectory.open(path))
    except PolysemeError:
        return False


def _note_ranks(run: RunDirectory, reporter: Reporter) -> None:
    """Report when a run resumes with another number of processes, and record the number."""
    before, now = run.meta.get("ranks", run.meta["asked"].get("ranks", 1)), distributed.size()
    if before == now and (now == 1 or "ranks" in run.meta):
        return
    if before != now and checkpoint.exists(run.path / "resume"):
        reporter.note(
            f"trained by {before} processes so far, by {now} from here on; its updates stay the same"
        )
    run.save_meta(ranks=now)


@contextmanager
def only_one_trains(path: Path) -> Iterator[bool]:
    """Lock a run's folder. Yields whether the file system supports locks.

    Raises:  RunError: another process is training this run.
    """
    with locked(path / ".lock") as acquired:
        if acquired is False:
            raise RunError("another process is training this run", where=path, fix="wait for it, or end it")
        yield acquired is True


@contextmanager
def forgotten_if_it_fails(run: RunDirectory, resumed: bool) -> Iterator[None]:
    """A run that cannot start leaves nothing behind, so that the corrected command just works.

    A whole store stays, since the same command uses it again, unless the request or the text is wrong. So do the shards
    of an unfinished one, unless the request is.
    """
    try:
        yield
    except BaseException as error:
        keeps = is_unfinished(run.path / "store") and not isinstance(error, ConfigError)
        keeps |= is_store(run.path / "store") and not isinstance(error, ConfigError | CorpusError)
        if not resumed and not keeps and distributed.rank() == 0:
            forget(run)
        raise


def forget(run: RunDirectory) -> None:
    """Remove what a run made that did not begin, and its folder if nothing else is there."""
    for folder in ("store", "resume", "tensorboard", *((ADAPTED,) if "adapted" in run.meta else ())):
        shutil.rmtree(run.path / folder, ignore_errors=True)
    shutil.rmtree(partial_of(run.path / "store"), ignore_errors=True)
    knowledge = [f"{name}.tsv" for name in run.meta.get("knowledge", {})]
    for name in (*knowledge, ADAPTED_TEXTS, "tokenizer.json", "metrics.jsonl", "run.json", ".lock"):
        with suppress(OSError):
            (run.path / name).unlink(missing_ok=True)
    with suppress(OSError):  # the folder holds files of the user: it stays
        run.path.rmdir()


def check_same_request(run: RunDirectory, asked: Mapping[str, Any], fingerprint: Any = None) -> None:
    """Compare the present request with the one that the run was started with.

    Args:
        run: the run to go on with.
        asked: recipe, seed, budget, corpus … as a new run would record them.
        fingerprint: () -> the corpus's fingerprint; called only when files look touched but not resized.
    Raises:  RunError: something differs; it names the key, what was got and what the run has.
    """
    if "imported" in run.meta:
        raise RunError(
            "an imported run has no training to go on with",
            where=run.path,
            fix=f"--init {typed(run.path)} -o NEW trains on from its weights",
        )
    before = dict(run.meta.get("asked", {}))
    now = dict(asked)
    if before.get("corpus") != now.get("corpus"):
        same_sizes = _without_times(before.get("corpus")) == _without_times(now.get("corpus"))
        known = run.meta.get("corpus", {}).get("fingerprint")
        if not (same_sizes and fingerprint is not None and known is not None and fingerprint() == known):
            raise RunError(
                "the corpus has changed since the run was started",
                got=_brief(now.get("corpus")),
                expected=_brief(before.get("corpus")),
                where=run.path,
                fix=f"--init {typed(run.path)} -o NEW trains on with the text as it is now",
            )
    before["valid"], now["valid"] = (_without_times(d.get("valid")) for d in (before, now))
    before.pop("ranks", None)  # older runs: any number of processes may go on
    if "recipe" in before:
        before["recipe"] = _completed(before["recipe"], now["recipe"])
    before.pop("corpus", None)
    now.pop("corpus", None)
    for key, old, new in _differences(before, now):
        raise RunError(
            f"the run was started with another {key}",
            got=new,
            expected=old,
            where=run.path / "run.json",
            fix=_as_before(key, old, before.get("recipe") or {}, now.get("recipe") or {}),
        )


def _as_before(key: str, old: Any, recipe: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What to type to resume: a recipe of ours that has all that changed, such as a default of an older version; or
    the setting that changed, perhaps by being left out, with its old value.
    """
    changed = list(_differences(recipe, now))
    for name in recipes_of(str(recipe.get("architecture"))) if len(changed) > 1 else []:
        named = resolve(str(recipe["architecture"]), name).as_dict()
        if all(_value(named, at) == was for at, was, _ in changed):
            return f"--recipe {name}, or name another -o"
    if key.partition(".")[0] in recipe and isinstance(old, bool | int | float | str) and str(old):
        return f"--set {key}={str(old).lower() if isinstance(old, bool) else old}, or name another -o"
    return "leave the change out to go on with it, or name another -o"


def _completed(recipe: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recipe of an older version with the defaults of what was added since: it could not be asked for then.

    Only `train.size` is what it is now: a run that goes on has its sizes.
    """
    try:
        whole = from_dict(recipe).as_dict() if "architecture" in recipe else recipe
    except ConfigError:
        return recipe
    if "size" in recipe.get("train", {}) or "size" not in now.get("train", {}):
        return whole
    return {**whole, "train": {**whole["train"], "size": now["train"]["size"]}}


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}".removeprefix("."))
    elif old != new:
        yield path.removeprefix("recipe."), old, new


def _value(recipe: Mapping[str, Any], key: str) -> Any:
    """The value of a key "section.name" of a recipe, or of one outside the sections."""
    section, dot, name = key.partition(".")
    return recipe.get(section, {}).get(name) if dot else recipe.get(section)


def _without_times(signature: Any) -> Any:
    if isinstance(signature, Mapping) and "files" in signature:
        return sorted(entry[1] for entry in signature["files"])
    return signature


def _brief(signature: Any) -> str:
    if isinstance(signature, Mapping) and "files" in signature:
        files = signature["files"]
        return f"{len(files)} files, {sum(entry[1] or 0 for entry in files):,} bytes"
    return str(signature)


def corpus_signature(sources: Sequence[str], config: TextConfig) -> Any:
    """A cheap signature of a corpus: names, sizes and times of its files; for a store its fingerprint.

    Raises:  ConfigError: a store beside other sources, or with a share.
    """
    if not sources:
        return []
    names, shares = read_shares(sources)
    stores = [name for name in names if is_store(name)]
    if stores and (len(names) > 1 or shares):
        raise ConfigError(
            "a prepared store is trained on alone, all of it",
            got=" ".join(sources),
            fix=f"name {stores[0]} alone, or all the texts themselves",
        )
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

    Raises:  ConfigError: both are given and differ, or a path has none.
    """
    tokenizers = []
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
            tokenizers.append(Tokenizer.from_file(path))
    if len({t.fingerprint for t in tokenizers}) > 1:
        raise ConfigError("--init and --tokenizer name different vocabularies", fix="leave --tokenizer out")
    return tokenizers[0] if tokenizers else None


def open_or_prepare(
    request: PretrainRequest, recipe: Recipe, run: RunDirectory, reporter: Reporter
) -> PreparedCorpus:
    """The prepared corpus of a run. It is made in RUN/store unless one is given or exists already.

    Where the vocabulary knows little of it, a note says so and is kept in run.json.

    Raises:  ConfigError: a given store was made with another vocabulary than --tokenizer or --init.
             CorpusError: the text is missing, empty or binary, or the vocabulary knows nothing of it.
    """
    tokenizer = shared_tokenizer(request)
    if len(request.corpus) == 1 and is_store(request.corpus[0]):
        if request.extend_vocabulary:
            raise ConfigError(
                "a store has its vocabulary already, which --extend-vocabulary would change",
                where=request.corpus[0],
                fix="name the text itself, or leave --extend-vocabulary out",
            )
        corpus = PreparedCorpus.open(Path(request.corpus[0]))
        if tokenizer is not None and tokenizer.fingerprint != corpus.tokenizer.fingerprint:
            raise ConfigError(
                "the store was made with another vocabulary",
                where=request.corpus[0],
                fix="polyseme prepare TEXT --tokenizer … -o STORE",
            )
        return _noted(corpus, request, run, reporter)
    folder = run.path / "store"
    distributed.on_rank_0(lambda: _make(request, recipe, run, folder, tokenizer, reporter))
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
    elif tokenizer is not None and request.extend_vocabulary:
        tokenizer = _extended(request, recipe, run, tokenizer, reporter)

    def show(progress: Progress) -> None:
        reporter.stage(progress.stage, progress.done_bytes, progress.total_bytes)

    prepared = prepare(
        request.corpus,
        folder,
        text=recipe.section("text"),
        tokenizer=tokenizer or recipe.section("tokenizer"),
        valid_files=request.valid,
        lower_min_count=not _asks_for_min_count(request, recipe),
        sharding=Sharding(engine_named("local", default_threads()), resume=True),
        progress=show,
    )
    for line in cleaning_lines(prepared.meta):
        reporter.note(line)
    before = run.meta.get("corpus", {}).get("fingerprint")
    if before is not None and before != prepared.meta["fingerprint"]:
        raise CheckpointError(
            "the corpus is not the one that the run was trained on",
            got=f"fingerprint {prepared.meta['fingerprint']}",
            expected=before,
            fix=f"--init {typed(run.path)} -o NEW to train on with other text",
        )


def _extended(
    request: PretrainRequest, recipe: Recipe, run: RunDirectory, tokenizer: Tokenizer, reporter: Reporter
) -> Tokenizer:
    """The vocabulary of --init with entries for what the training text has beside it; a note says how many.

    Raises:  ConfigError: nothing can be added to such a vocabulary.
    """
    assert request.extend_vocabulary is not None
    text = recipe.section("text")
    corpus = Corpus(request.corpus, text.model_copy(update={"valid_share": 0.0}) if request.valid else text)
    sample = corpus.samples(recipe.section("tokenizer").sample_bytes, 0)
    larger = extended(tokenizer, sample, request.extend_vocabulary)
    n = larger.vocab_size - tokenizer.vocab_size
    note = f"the vocabulary of {request.init} was extended by {n:,} entries, which start from the mean of their pieces"
    if n < request.extend_vocabulary:
        note += f"; there was no more to add, of the {request.extend_vocabulary:,} that were allowed"
    imported = "imported" in RunDirectory.open(str(request.init)).meta
    if n and imported:
        note += "; it is no longer that of the imported model, and neither are the rows of its tables"
    run.add_notes([note], reporter)
    if n:
        run.save_meta(extended_vocabulary={"entries": n, "from": request.init, "imported": imported})
    return larger


def _asks_for_min_count(request: PretrainRequest, recipe: Recipe) -> bool:
    """Whether the user chose how often a word must occur."""
    usual = resolve(request.model).section("tokenizer").min_count
    return bool(recipe.section("tokenizer").min_count != usual) or "tokenizer.min_count" in request.settings


def _noted(
    corpus: PreparedCorpus, request: PretrainRequest, run: RunDirectory, reporter: Reporter
) -> PreparedCorpus:
    """Report what a reader of the figures has to know, and keep it in run.json's "notes".

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
    if distributed.rank() == 0:
        notes = [unknown_note(corpus), _offer(request, met)]
        run.add_notes([*corpus.meta.get("notes", []), *notes], reporter)
    return corpus


def _offer(request: PretrainRequest, met: UnknownShare) -> str | None:
    """What part of new text the vocabulary of --init does not know, and what helps."""
    if request.init is None or met.share < _WORTH_SAYING:
        return None
    more = "a larger --extend-vocabulary" if request.extend_vocabulary else "--extend-vocabulary 1000"
    return (
        f"of the training text's tokens {met.share:.2%} became [UNK], as the vocabulary of {request.init} lacks them: "
        f"{more} gives them entries, which start from the mean of their pieces"
    )


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
