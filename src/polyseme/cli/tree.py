"""`polyseme tree`: where the classes of words part."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Folder, Json, MaybeOutput, PageLanguage
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = "polyseme tree runs/classes good bad day"


def run(
    folder: Folder,
    /,
    *words: Annotated[str, Parameter(name="WORD")],
    output: MaybeOutput = None,
    lang: PageLanguage = "en",
    json: Json = False,
) -> None:
    """Draw where the classes of words part, by the paths of a word-classes run.

    Args:
        folder: the run folder, of word-classes.
        words: two at least.
        output: a folder for tree.html, tree.json, and the chart as .svg and .png.
        lang: the language of the page.
        json: print one JSON document: {"words": [{"word", "path", "beside"}], "unknown"}.
    """
    from polyseme.report.files import check_folder
    from polyseme.study.tree import tree

    if output is not None:
        check_folder(output)
    result = tree(folder, words)
    wrote = show(result, output, lang, json)
    typed: list[object] = [folder, *words, "-o", "tree"]
    if any(word.startswith("-") for word in words):
        typed = ["-o", "tree", "--", folder, *words]
    then = ["cosines", *typed[:-2]] if output is not None and "--" not in typed else ["tree", *typed]
    closing(wrote=wrote, then=[command("polyseme", *then)])
