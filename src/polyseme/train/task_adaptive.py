"""Task-adaptive pretraining: a run goes on pretraining on the texts of a task before the task itself is learned.

Paper: Gururangan et al. (2020), "Don't Stop Pretraining: Adapt Language Models to Domains and Tasks", section 4.

    RUN ──► pretrain --init RUN, on the texts of --train and of --adapt-on ──► OUTPUT/adapted, a run ──► finetune

Nothing is learned in another way than before: the run's own objectives, vocabulary and settings, and `pretrain` itself.
Only texts that the task is learned from are read, their labels are not, and a text that is also one of dev is left
out. Departures: only as many updates as the budget gives, not the paper's hundred epochs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.files import write_atomic
from polyseme.core.reporter import Reporter
from polyseme.core.shell import typed
from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.opening import files_of
from polyseme.train.build import corpus_learner
from polyseme.train.opening import ADAPTED, ADAPTED_TEXTS, corpus_signature, forget
from polyseme.train.pretrain import pretrain
from polyseme.train.recipe import Recipe, resolve
from polyseme.train.request import Budget, FinetuneRequest, PretrainRequest
from polyseme.train.run import RunDirectory
from polyseme.train.schedule import whole_rate

__all__ = ["asked_of", "check_goes_on", "gone_on", "task_texts"]


def check_goes_on(request: FinetuneRequest, start: RunDirectory, base: Recipe) -> None:
    """Raises:  ConfigError: there is no pretraining to go on with, or a file of --adapt-on is the dev file."""
    if request.from_scratch:
        raise ConfigError(
            "random weights have no pretraining to go on with",
            got="--adapt and --from-scratch",
            fix="leave --adapt out, or leave --from-scratch out",
        )
    tasks = [name for name in base.objectives if name in registry.tasks]
    if tasks:
        before = (start.meta.get("adapted") or {}).get("from", "RUN")
        raise ConfigError(
            "--adapt goes on with pretraining, and this run has learned a task since",
            got=f"a run of {tasks[0]}",
            where=start.path,
            fix=f"polyseme finetune {request.task} {typed(before)} … --adapt 5",
        )
    model, neural = base.architecture, corpus_learner(resolve(base.architecture)) is None
    if not base.objectives or not neural:
        raise ConfigError(
            "this run has no pretraining to go on with"
            if neural
            else "--adapt is for models that learn by gradients from hidden or following words",
            got=f"{model}, the encoder alone, without a head that predicts words" if neural else model,
            expected="a run of pretrain, or an import with such a head: bert, modernbert, ernie, elmo, gpt, qwen3",
            where=start.path,
            fix=f"polyseme pretrain {model} TEXT --init {typed(start.path)} -o RUN2, then finetune RUN2"
            if neural
            else "leave --adapt out",
        )
    judged = {path.resolve() for path in files_of(request.dev or request.train)}
    for source in request.adapt_on:
        if Path(source).resolve() in judged:
            raise ConfigError(
                "--adapt-on is the file that dev examples are from: its texts judge the weights, and are not learned",
                where=source,
                fix="other text for --adapt-on, and never that of dev or test; texts of --train are read anyway",
            )


def asked_of(request: FinetuneRequest, base: Recipe) -> dict[str, Any]:
    """What must not change between a run and its resumption."""
    if request.adapt is None:
        return {}
    text = base.section("text")
    return {"adapt": str(request.adapt), "adapt_on": corpus_signature(request.adapt_on, text)}


def task_texts(train: Sequence[Any], dev: Sequence[Any]) -> tuple[list[str], int]:
    """The texts of training records, each once, and how many were left out as they are also texts of dev."""
    texts = dict.fromkeys(text for record in train for text in _texts_of(record))
    judged = {text for record in dev for text in _texts_of(record)}
    kept = [text for text in texts if text not in judged]
    return kept, len(texts) - len(kept)


def _texts_of(record: Any) -> Iterator[str]:
    for name in ("text", "text_b", "context", "question"):
        text = getattr(record, name, None)
        if text:
            yield text


def gone_on(
    request: FinetuneRequest,
    run: RunDirectory,
    resumed: bool,
    start: RunDirectory,
    base: Recipe,
    records: tuple[Sequence[Any], Sequence[Any]],
    reporter: Reporter,
) -> RunDirectory:
    """The run whose weights the task begins with: RUN/adapted, trained now, further, or before.

    Args:
        run: of the task, whose run.json says afterwards how it went.
        start, base: the run to go on from, and its recipe.
        records: of train and dev.
    Raises:  ConfigError, CorpusError: as `pretrain`; the run of the task is removed again.
             Interrupted: everything is saved.
    """
    folder = run.path / ADAPTED
    texts, left_out = task_texts(*records)
    if not (folder / "run.json").is_file() or RunDirectory.open(folder).meta.get("status") != "finished":
        try:
            _pretrain(request, run, folder, start, base, texts, reporter)
        except (ConfigError, CorpusError):
            if not resumed:
                forget(run)
            raise
    adapted = RunDirectory.open(folder)
    _tell(request, run, adapted, len(texts), left_out, reporter)
    for needless in ("resume", "store"):
        shutil.rmtree(folder / needless, ignore_errors=True)
    with suppress(OSError):
        (run.path / ADAPTED_TEXTS).unlink(missing_ok=True)
    return adapted


def _pretrain(
    request: FinetuneRequest,
    run: RunDirectory,
    folder: Path,
    start: RunDirectory,
    base: Recipe,
    texts: Sequence[str],
    reporter: Reporter,
) -> None:
    assert isinstance(request.adapt, Budget)
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    data = lines.encode("utf-8", "backslashreplace")
    file = run.path / ADAPTED_TEXTS
    if not (file.is_file() and file.read_bytes() == data):  # its time belongs to what a resumed run compares
        write_atomic(file, data)
    reporter.note(
        f"going on with pretraining ({', '.join(base.objectives)}) for {request.adapt}, on {len(texts):,} texts of"
        f" --train{' and on --adapt-on' if request.adapt_on else ''}; then the task"
    )
    pretrain(
        PretrainRequest(
            model=base.architecture,
            corpus=[str(file), *request.adapt_on],
            output=folder,
            budget=request.adapt,
            settings=_settings(base, start),
            seed=request.seed,
            init=str(start.path),
            resume=(folder / "run.json").is_file(),
            threads=request.threads,
            device=request.device,
        ),
        reporter,
    )


def _settings(base: Recipe, start: RunDirectory) -> dict[str, Any]:
    """All of the run's own recipe; of an imported model, whose training is not known, a rate that suits its width."""
    sections = {name: values for name, values in base.as_dict().items() if isinstance(values, dict)}
    settings = {f"{name}.{key}": value for name, values in sections.items() for key, value in values.items()}
    # the texts stand in a file of ours, however those of the run were kept
    settings |= {
        "objectives": base.objectives,
        "text.field": "text",
        "text.documents": "auto",
        "text.encoding": "auto",
    }
    if "imported" in start.meta:
        settings["train.learning_rate"] = whole_rate(int(base.section("model").hidden_size))
    return settings


def _tell(
    request: FinetuneRequest,
    run: RunDirectory,
    adapted: RunDirectory,
    texts: int,
    left_out: int,
    reporter: Reporter,
) -> None:
    """What the pretraining did, for run.json and the user."""
    if "pretraining" in run.meta["adapted"]:
        return
    results = adapted.meta["results"]
    losses = [r["heldout_loss"] for r in adapted.metrics() if r.get("heldout_loss") is not None]
    judged = adapted.meta.get("judged_on", {})
    facts = {
        "budget": str(request.adapt),
        "texts": texts,
        "texts_of_dev_left_out": left_out,
        "adapt_on": list(request.adapt_on),
        "objectives": adapted.meta["recipe"]["objectives"],
        "steps": results["steps"],
        "tokens_seen": results["tokens_seen"],
        "seconds": results["seconds"],
        "heldout_loss_before": losses[0] if losses else None,
        "heldout_loss": results["heldout_loss"],
        "judged_on": judged.get("text"),
        "path": ADAPTED,
    }
    note = pretraining_line(facts)
    kept = run.meta["adapted"]
    notes = [*kept["notes"], note]
    if left_out:
        notes.append(f"{left_out:,} texts of --train are also texts of dev: not pretrained on")
    run.save_meta(adapted={**kept, "pretraining": facts, "notes": notes})
    for line in notes[len(kept["notes"]) :]:
        reporter.note(line)


def pretraining_line(facts: dict[str, Any]) -> str:
    """One line on it."""
    where = "training" if facts["judged_on"] == "training" else "held-out"
    before = facts["heldout_loss_before"]
    loss = f", {where} loss {'' if before is None else f'{before:.3f} → '}{facts['heldout_loss']:.3f}"
    return (
        f"pretrained further for {facts['budget']} on {facts['texts']:,} texts of --train"
        + (f" and on {', '.join(facts['adapt_on'])}" if facts["adapt_on"] else "")
        + f": {facts['steps']:,} updates, {facts['tokens_seen']:,} tokens{loss}; its run is in {facts['path']}/"
    )
