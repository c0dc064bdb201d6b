"""`polyseme probe`: what a frozen run knows about spans of a text, and in which of its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from polyseme.cli.options import (
    READING,
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Threads,
    positive,
    read_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command
from polyseme.errors import InputError

EXAMPLE = "polyseme probe runs/mine entities.conll -o probes"
_HOW = Group("How to probe", sort_key=1)


def run(
    folder: Folder,
    /,
    *files: Annotated[Path, Parameter(name="FILE")],
    task: Annotated[
        Literal["auto", "pos", "dependencies", "chunks", "ner", "relations", "edges"],
        Parameter(group=READING),
    ] = "auto",
    dev: Annotated[Path | None, Parameter(group=READING)] = None,
    test: Annotated[Path | None, Parameter(group=READING)] = None,
    column: Annotated[str | None, Parameter(group=READING)] = None,
    encoding: Encoding = "auto",
    examples: Annotated[int | None, Parameter(group=READING)] = None,
    max_length: Annotated[int | None, Parameter(group=READING)] = None,
    seeds: Annotated[int | None, Parameter(group=_HOW)] = None,
    seed: Annotated[int | None, Parameter(group=_HOW)] = None,
    epochs: Annotated[int | None, Parameter(group=_HOW)] = None,
    controls: Annotated[bool | None, Parameter(group=_HOW, negative="--no-controls")] = None,
    cumulative: Annotated[bool | None, Parameter(group=_HOW, negative="--no-cumulative")] = None,
    cache: Annotated[float | None, Parameter(group=_HOW)] = None,
    output: MaybeOutput = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Learn small probes on the frozen layers of a run (edge probing): what it knows of spans of a text, and where.

    Args:
        folder: a run; it is not changed.
        files: labelled files to learn from, a task each; or one .toml file with [tasks.NAME] task, train, dev, test.
        task: what the files hold; .conllu: pos or dependencies; CoNLL columns: chunks, ner or pos; SemEval-2010 task 8:
            relations; JSON lines with "targets": edges. "auto" goes by the first lines.
        dev: labelled examples that choose the weights that are kept; without it a tenth of the texts is held out.
        test: labelled examples that the figures are about; without it a tenth of the texts is held out.
        column: which column has the tags: upos, xpos or another of .conllu; a number from 1 for CoNLL columns.
        examples: read so many texts of each file at most, always the same ones.
        max_length: tokens of a text that are read; targets beyond are left out and counted.
        seeds: probes of each kind, for intervals; 3 when absent.
        seed: of the first one; 1 when absent.
        epochs: passes over the training targets; by their number when absent.
        controls: probe layer 0, an encoder with random weights and random labels, too; done when absent.
        cumulative: probe layers 0 to l for every l, for expected layers; done when absent.
        cache: GiB of hidden states that may be in memory; beyond, they go into a temporary file; 1 when absent.
        output: a folder for probe.json, probe.html and its charts as .svg and .png.
        lang: of the page's own words.
        json: print one JSON document: {"run", "tasks": {NAME: {"score": {"value", "low", "high", "n"}, "mix",
            "cumulative", "controls", "above", …}}, …}.
    """
    if not files:
        raise InputError("no labelled file given", fix=command("polyseme", "probe", folder, "FILE"))
    counts = {"--examples": examples, "--max-length": max_length, "--seeds": seeds, "--epochs": epochs}
    for name, value in counts.items():
        positive(name, value)
    encoding = read_options(None, "auto", encoding).encoding

    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.probe import probe

    if output is not None:
        check_folder(output)
    use_threads(threads)
    use_device(device)
    with reporting() as reporter:
        result = probe(
            folder,
            files,
            task=task,
            dev=dev,
            test=test,
            column=column,
            encoding=encoding,
            examples=examples,
            max_length=max_length,
            seeds=seeds,
            seed=seed,
            epochs=epochs,
            controls=controls,
            cumulative=cumulative,
            cache=cache,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    again = command("polyseme", "probe", folder, *files, "-o", "probes")
    closing(wrote=wrote, then=[again] if output is None else [])
