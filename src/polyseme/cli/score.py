"""`polyseme score`: how probable every line of a file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from polyseme.cli.options import (
    ColumnNames,
    Encoding,
    Folder,
    Json,
    ReadOn,
    Separator,
    TextOrFile,
    Threads,
    read_options,
    refuse_unused,
    text_or_file,
    typed_options,
    use_device,
    use_threads,
    written,
)
from polyseme.cli.output import closing, emit, emit_json, say, say_cleaned
from polyseme.core.shell import command
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from polyseme.text.labelled.opening import ReadOptions

import json as json_module
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from polyseme.errors import InputError

if TYPE_CHECKING:
    from polyseme.infer.loaded import Loaded
    from polyseme.infer.zero_shot import Normalize
    from polyseme.text.labelled.opening import ReadOptions
    from polyseme.text.labelled.records import Problems, TextRecord

EXAMPLE = "polyseme score runs/gpt lines.txt"
_CHOICES = Group("Choosing among labels", sort_key=1)
TEXTS_AT_ONCE = 256


def run(
    folder: Folder,
    file: TextOrFile,
    /,
    *,
    context: str | None = None,
    end: Annotated[bool, Parameter(show_default=False)] = False,
    within_word: Annotated[bool, Parameter(show_default=False)] = False,
    masked: Annotated[bool, Parameter(show_default=False)] = False,
    last_word: Annotated[bool, Parameter(show_default=False)] = False,
    detail: Annotated[bool, Parameter(show_default=False)] = False,
    choices: Annotated[list[str] | None, Parameter(group=_CHOICES)] = None,
    template: Annotated[str | None, Parameter(group=_CHOICES)] = None,
    normalize: Annotated[Literal["sum", "mean", "pmi"] | None, Parameter(group=_CHOICES)] = None,
    neutral: Annotated[str | None, Parameter(group=_CHOICES)] = None,
    columns: ColumnNames = None,
    separator: Separator = "auto",
    field: str = "text",
    threads: Threads = None,
    device: ReadOn = "cpu",
    encoding: Encoding = "auto",
    json: Json = False,
) -> None:
    """Say how probable every line of a file is: its log-likelihood in nats, tokens, nats per token, and the line.

    With --choices and --template it classifies the lines instead: which label is the most probable in its place?

    Decoders (gpt, qwen3) give log-likelihoods, masked models (bert, modernbert, ernie) pseudo-log-likelihoods,
    elmo the sum of both directions. Hybrid runs, which are both, give log-likelihoods unless told --masked.

    Args:
        folder: the run folder.
        file: text, a line each, or .jsonl; may be .gz or .zst; or a text by itself.
        context: a text that every line goes on: it is given, only the lines are scored.
        end: count the end of the text as a token, too.
        within_word: hide with every token the rest of its word, which gives it away (masked models; Kauf and Ivanova
            2023): so minimal pairs are scored by `polyseme pairs`.
        masked: hide each token in turn, as masked models always do: of a hybrid run, its pseudo-log-likelihoods.
        last_word: say how often a decoder, given the rest, writes the last word of a line, as LAMBADA asks.
        detail: say it of every token: its nats (-log p) below it.
        choices: labels, "bad,good", or with the file's names for them, "0=bad,1=good"; repeated, one each.
        template: where the text and the label stand: "{text} It was {label}."; {text_b} is the second text of pairs.
        normalize: sum of the log-likelihoods of a label's tokens, their mean, or pmi: less the same without the text;
            sum when absent.
        neutral: what pmi puts in the place of the text; nothing when absent; some take "N/A".
        columns: OURS=THEIRS, repeatable or with commas: text=1,label=2 for a table without a header.
        field: the key of the text in .jsonl.
        json: print one JSON document: {"kind", "lines": [{"log_likelihood", "tokens", "per_token", "unknown"}],
            "total"}; a total over no tokens has null for "per_token" and "perplexity". With --detail the lines have
            also "text" and "token_scores": [{"start", "end", "nats"}], in characters of the line. With --choices:
            {"choices", "template", "normalize", "lines": [{"id", "text", "choice", "probabilities"}]} and, if the file
            has labels, "accuracy", "low" and "high" (its 95 % interval), "n" and "majority"; without --json each of the
            lines is printed as one of JSON.
            With --last-word: {"accuracy", "low", "high", "n", "lines": [{"word", "found", "right"}]}.
    """
    use_threads(threads)
    use_device(device)
    if choices is not None:
        for option, asked in (("--within-word", within_word), ("--masked", masked), ("--detail", detail)):
            if asked:
                raise ConfigError(f"{option} does not go with --choices", fix="leave it out")
        how = read_options(columns, separator, encoding)
        refuse_unused(how, [file])
        _choose(folder, file, choices, template, normalize, neutral, how, context, end, last_word, json)
        return
    given: dict[str, Any] = {
        "template": template,
        "normalize": normalize,
        "neutral": neutral,
        "columns": columns,
    }
    for name, value in given.items():
        if value is not None:
            raise ConfigError(f"--{name} belongs to --choices", fix='--choices "bad,good"')
    reading_options = read_options(None, separator, encoding)
    refuse_unused(reading_options, [file], tables=False, texts=True)
    if last_word:
        for option, asked in (("--within-word", within_word), ("--masked", masked), ("--detail", detail)):
            if asked:
                raise ConfigError(f"{option} does not go with --last-word", fix="leave it out")
        _last_words(folder, file, json, field, encoding)
        return
    from polyseme.infer.model import load
    from polyseme.infer.score import Score, Scoring, kind_of, score_file, total_of
    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig

    loaded = load(folder)
    kind = kind_of(loaded, masked or within_word)
    report = CleaningReport()
    reading = TextConfig.of({"field": field, "encoding": encoding}, "score")
    lines = []
    total, tokens, unknown, blocks = 0.0, 0, 0, 0
    with text_or_file(file) as path:
        scored = score_file(loaded, path, end, context, report, reading, within_word, masked, detail)
        for line, score in scored:
            total, tokens, unknown = (
                total + score.log_likelihood,
                tokens + score.tokens,
                unknown + score.unknown,
            )
            if json:
                lines.append(({"text": line} if detail else {}) | score.as_dict())
            elif detail:
                emit(("\n" if blocks else "") + str(Scoring(line, kind, score)))
                blocks += 1
            else:
                # a record's text may have several lines; here it is printed on one
                row = line.replace("\n", " ")
                emit(f"{score.log_likelihood:.3f}\t{score.tokens}\t{score.per_token:.3f}\t{row}")
    total_score = total_of([Score(total, tokens, unknown)], kind)
    if tokens:
        perplexity = total_score["perplexity"]
        say(f"{kind}: {total:,.1f} nats over {tokens:,} tokens, perplexity {perplexity:,.2f}")
    else:
        say(f"{kind}: the file has no tokens, so there is no perplexity")
    if json:
        emit_json({"kind": kind, "lines": lines, "total": total_score})
    if unknown:
        say(f"note: {unknown:,} tokens are unknown to the vocabulary; what they stand for was not scored")
    say_cleaned(report.counts)
    flags = {"--end": end, "--within-word": within_word, "--masked": masked, "--detail": detail}
    again = [flag for flag, on in flags.items() if on]
    again += [] if context is None else ["--context", context]
    again += ["--field", field] * (field != "text") + typed_options(reading_options)
    closing(then=[command("polyseme", "score", folder, file, *again, "--json")])


def _choose(
    folder: Path,
    file: Path,
    choices: list[str],
    template: str | None,
    normalize: Literal["sum", "mean", "pmi"] | None,
    neutral: str | None,
    how: ReadOptions,
    context: str | None,
    end: bool,
    last_word: bool,
    json: bool,
) -> None:
    """Classify the lines of a file."""
    if template is None:
        raise ConfigError("--choices needs a template", fix='--template "{text} It was {label}."')
    refused = {"--context": context is not None, "--end": end, "--last-word": last_word}
    for name, given in refused.items():
        if given:
            raise ConfigError(f"{name} does not go with --choices", fix="write the context into the template")
    if neutral is not None and normalize != "pmi":
        raise ConfigError(
            "--neutral belongs to --normalize pmi", got=normalize or "sum", fix="--normalize pmi"
        )
    from polyseme.infer.model import load

    loaded, form = load(folder), written(template)
    choose_lines(loaded, file, choices, form, normalize or "sum", neutral or "", how, json)
    train = ["--train", "FILE", *typed_options(how)]
    closing(then=[command("polyseme", "finetune", "classify", folder, *train, "-o", "RUN2")])


def _last_words(folder: Path, file: Path, json: bool, field: str, encoding: str) -> None:
    """Print how often the last word of a line is predicted."""
    from itertools import islice

    from polyseme.infer.model import load
    from polyseme.infer.zero_shot import last_words
    from polyseme.tasks.metrics.intervals import wilson
    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig
    from polyseme.text.sources import read_lines

    loaded, report = load(folder), CleaningReport()
    texts = read_lines(file, TextConfig.of({"field": field, "encoding": encoding}, "score"), report)
    lines: list[dict[str, Any]] = []
    right = n = 0
    while chunk := list(islice(texts, TEXTS_AT_ONCE)):
        for answer in last_words(loaded, chunk):
            n, right = n + bool(answer.word), right + answer.right
            if json:
                lines.append(answer._asdict())
            else:
                emit(f"{'right' if answer.right else 'wrong'}\t{answer.word}\t{answer.found}")
    low, high = wilson(right, n) if n else (None, None)
    accuracy = f": accuracy {right / n:.3f} ({low:.3f} … {high:.3f})" if n else ""
    say(f"{right:,} of {n:,} last words found{accuracy}")
    if json:
        figure = {"accuracy": right / n if n else None, "low": low, "high": high, "n": n}
        emit_json({**figure, "lines": lines})
    say_cleaned(report.counts)
    closing(then=[command("polyseme", "generate", folder, "PROMPT")])


def read_choices(given: Sequence[str]) -> dict[str, str]:
    """Labels and the words that stand for them: one list with commas, or one choice an item.

    Raises:  ConfigError: a label twice.

    Example:
        >>> read_choices(["0=bad,1=good"]), read_choices(["yes, please", "no"])
        ({'0': 'bad', '1': 'good'}, {'yes, please': 'yes, please', 'no': 'no'})
    """
    items = given[0].split(",") if len(given) == 1 else list(given)
    choices: dict[str, str] = {}
    for item in items:
        label, equals, words = (part.strip() for part in item.partition("="))
        if label in choices:
            raise ConfigError(
                "a label is there twice",
                got=label,
                where="--choices",
                fix=f"another label: {label}2={words or label}",
            )
        choices[label] = words if equals else label
    return choices


def choose_lines(
    loaded: Loaded,
    file: Path,
    given: Sequence[str],
    template: str,
    normalize: Normalize,
    neutral: str,
    how: ReadOptions,
    json: bool,
) -> None:
    """Print every text's choice and probabilities; for labelled texts also the accuracy.

    Raises:  ConfigError, InputError: as `Chooser`; a label of the file is not among the choices.
             CorpusError: the file cannot be read.
    """
    from polyseme.infer.zero_shot import Chooser
    from polyseme.tasks.metrics.intervals import wilson
    from polyseme.text.labelled.opening import name_of

    choices = read_choices(given)
    labels = list(choices)
    chooser = Chooser(loaded, list(choices.values()), template, normalize, neutral)
    records, problems = _records(file, chooser.paired, how, labels)
    lines: list[dict[str, Any]] = []
    right: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    count = 0
    while chunk := list(islice(records, TEXTS_AT_ONCE)):
        known = [_label(record, labels) for record in chunk]
        texts_b = [record.text_b or "" for record in chunk] if chooser.paired else None
        probabilities = chooser.probabilities([record.text for record in chunk], texts_b)
        for record, label, row in zip(chunk, known, probabilities.tolist(), strict=True):
            choice = labels[row.index(max(row))]
            line: dict[str, Any] = {"id": record.id, "text": record.text}
            line |= {"text_b": record.text_b} if chooser.paired else {}
            line |= {"choice": choice, "probabilities": dict(zip(labels, row, strict=True))}
            if label is not None:
                line["label"] = label
                gold[label] += 1
                right[label] += label == choice
            if json:
                lines.append(line)
            else:
                emit(json_module.dumps(line, ensure_ascii=False))
        count += len(chunk)
    _tell(count, gold, right)
    say(f"read {name_of(file)}: {problems.file(name_of(file)).described()}")
    for sentence in problems.summary():
        say(f"note: {sentence}")
    if json:
        document: dict[str, Any] = {
            "choices": choices,
            "template": template,
            "normalize": normalize,
            "lines": lines,
        }
        if n := gold.total():
            low, high = wilson(right.total(), n)
            document |= {"accuracy": right.total() / n, "low": low, "high": high, "n": n}
            document["majority"] = max(gold.values()) / n
        emit_json(document)


def _tell(count: int, gold: Counter[str], right: Counter[str]) -> None:
    """Print the accuracy with Wilson's 95 % interval (stderr)."""
    if n := gold.total():
        from polyseme.tasks.metrics.intervals import wilson

        most, times = gold.most_common(1)[0]
        low, high = wilson(right.total(), n)
        say(
            f"{right.total():,} of {n:,} right: accuracy {right.total() / n:.3f} ({low:.3f} … {high:.3f}); "
            f"always {most!r} would be {times / n:.3f}"
        )
    else:
        say(f"{count:,} texts")


def _label(record: TextRecord, labels: Sequence[str]) -> str | None:
    """A record's label, if it has one.

    Raises:  InputError: it is not among the choices.
    """
    if record.label is None:
        return None
    if isinstance(record.label, str) and record.label in labels:
        return record.label
    shown = record.label if isinstance(record.label, str) else repr(record.label)
    raise InputError(
        "a label of the file is none of the choices",
        got=shown,
        expected=", ".join(labels),
        where=record.where,
        fix=f'--choices "{shown}=words for it,…": the file\'s label, then the words for the template',
    )


def _records(
    file: Path, pair: bool, how: ReadOptions, labels: Sequence[str]
) -> tuple[Iterator[TextRecord], Problems]:
    """The texts of a file, with their labels where it has them, and the problems in it.

    Raises:  ConfigError: its columns are not clear.  CorpusError: it cannot be read.
    """
    from polyseme.text.labelled.records import Problems
    from polyseme.text.labelled.tables import read_texts

    named = "label" in how.columns
    read = partial(
        read_texts,
        file,
        pair=pair,
        columns=how.columns,
        encoding=how.encoding,
        separator=how.separator,
        known=labels,
    )
    again = not file.is_fifo()  # a pipe can be read only once
    problems = Problems()
    if named or again:
        records = read(problems=problems)
        try:
            first = next(records, None)
        except ConfigError as error:
            if named:
                raise
            missing = error
        else:
            return chain([] if first is None else [first], records), problems
    problems = Problems()
    records = read(problems=problems, labelled=False)
    try:
        first = next(records, None)
    except ConfigError:
        if again:
            raise missing from None
        raise
    return chain([] if first is None else [first], records), problems
