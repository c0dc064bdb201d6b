"""An evaluation for people, and as files: figures, errors, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.config import to_json
from polyseme.core.files import make_folder, write_atomic
from polyseme.report.figures import measure
from polyseme.report.files import boxes_for, save, write_json_lines
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Part, Table
from polyseme.report.run_charts import confusion_chart

if TYPE_CHECKING:
    from polyseme.study.evaluate import Evaluation

__all__ = ["evaluation_page", "write_errors", "write_evaluation"]

_ROWS = 30
"""Labels shown by the text form; evaluation.json has them all."""

_SHOWN = 40
"""Characters of a label that are shown."""


def evaluation_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """Figures with intervals, a table by label, the most frequent confusions."""
    against = f" against {document['against']}" if "against" in document else ""
    lead = f"{document['task']}: {document['run']}{against} on {document['examples']:,} examples of {document['file']}"
    parts: list[Part] = [_figures(document)]
    if document["per_class"]:
        parts.append(_classes(document))
    if document["confusions"]:
        rows = [
            [f"{one['count']:,}", f"{_short(one['gold'])} taken for {_short(one['predicted'])}"]
            for one in document["confusions"]
        ]
        parts.append(Table(["", "most frequent confusions"], rows, left=(1,)))
    if document.get("threshold") is not None:
        parts.append(
            f"no answer is given where its score is more than {document['threshold']:.3f} above the best answer's"
        )
    return Page("Evaluation", lead, parts, lang)


def _figures(document: Mapping[str, Any]) -> Table:
    head = ["", "value (95 % interval)", "n"]
    if "against" in document:
        head += ["against", "difference (95 % interval)", "p"]
    rows = []
    for name, one in document["figures"].items():
        row = [name, _measured(one), f"{one['n']:,}"]
        if "against" in document:
            row += _compared(one) if "difference" in one else [""] * 3
        rows.append(row)
    test = document["figures"].get("accuracy", {}).get("difference", {}).get("mcnemar")
    caption = ""
    if test:
        first, second = f"{test['only_first']:,}", f"{test['only_second']:,}"
        caption = (
            f"only the first is right on {first}, only the second on {second} (McNemar p {test['p']:.4f})"
        )
    return Table(head, rows, caption)


def _compared(one: Mapping[str, Any]) -> list[str]:
    difference = one["difference"]
    p = max(difference["p"], difference["p_randomisation"])
    return [measure(one["against"]["value"]), _measured(difference, "+"), f"{p:.4f}"]


def _classes(document: Mapping[str, Any]) -> Table:
    shown = document["per_class"]
    if len(shown) > _ROWS:
        shown = sorted(shown, key=lambda one: -one["support"])[:_ROWS]
    rows = []
    for one in shown:
        figures = [f"{one[key]:.4f}" for key in ("precision", "recall", "f1")]
        unknown = " (not learned)" if one["label"] in document["unknown_labels"] else ""
        label = _short(one["label"] or "(no name)") + unknown
        rows.append([label, *figures, f"{one['support']:,}", f"{one['predicted']:,}"])
    left = len(document["per_class"]) - len(shown)
    head = ["label", "precision", "recall", "f1", "support", "predicted"]
    return Table(head, rows, f"… and {left:,} rarer labels" if left else "")


def write_evaluation(result: Evaluation, folder: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write evaluation.json, errors.jsonl and, where labels are confused, confusion.png, .svg and .html.

    Returns the files, and what a person should know of them.
    Raises:  StorageError: the disk refuses.  ConfigError: no such language.
    """
    Speaker(lang)  # the files are in English, whichever of the languages is asked for
    make_folder(folder)
    write_atomic(folder / "evaluation.json", to_json(result.document()).encode())
    wrote = [folder / "evaluation.json", write_errors(result, folder / "errors.jsonl")]
    if result.confusion is None:
        return wrote, []
    chart = confusion_chart(result.confusion, f"{result.task}: {Path(result.file).name}")
    charts = save(chart, [folder / f"confusion.{kind}" for kind in ("png", "svg", "html")])
    note = boxes_for([chart], charts)
    return [*wrote, *charts], [note] if note else []


def write_errors(result: Evaluation, path: Path) -> Path:
    """Write the errors as JSON lines, the most confident first.

    Raises:  StorageError: the disk refuses.
    """
    return write_json_lines(result.errors, path)


def _measured(one: Mapping[str, Any], sign: str = "") -> str:
    """A figure and its interval."""
    limits = "" if one["low"] is None else f" ({measure(one['low'], sign)} … {measure(one['high'], sign)})"
    return measure(one["value"], sign) + limits


def _short(label: str) -> str:
    return label if len(label) <= _SHOWN else label[: _SHOWN - 1] + "…"
