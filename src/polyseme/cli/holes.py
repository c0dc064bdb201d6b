"""`polyseme holes`: have words that fit the same hole like vectors?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Threads,
    is_text,
    positive,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command
from polyseme.errors import ConfigError, InputError

EXAMPLE = 'polyseme holes runs/mine "It was a [MASK] day." "The [MASK] is [MASK]."'


def run(
    folder: Folder,
    /,
    *texts: Annotated[str, Parameter(name="TEXT")],
    candidates: Annotated[list[str] | None, Parameter(name="--candidates")] = None,
    top: int = 5,
    against: list[Path] | None = None,
    output: MaybeOutput = None,
    lang: PageLanguage = "en",
    encoding: Encoding = "auto",
    seed: int = 0,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Compare the vectors of words that fit the same hole with those of words that fit other holes.

    Args:
        folder: the run folder.
        texts: sentences with [MASK], two holes at least; or a file with a sentence a line.
        candidates: words for a hole, with commas between: dog,wolf; repeated for every hole in turn. When absent, the
            run's own guesses.
        top: so many of the run's own guesses a hole, whole words alone.
        against: a further run, repeatable: its vectors of the same words are compared, too.
        output: a folder for holes.html, holes.json, and every chart as .svg and .png.
        lang: the language of the page.
        seed: of the intervals.
        json: print one JSON document: {"holes", "runs": [{"name", "within", "across", "difference"}]}; figures are
            {"value", "low", "high", "n"}.
    """
    positive("--top", top)
    if not texts:
        raise InputError(
            "no sentence with [MASK] given", fix=command("polyseme", "holes", folder, "TEXT", "TEXT")
        )
    file = Path(texts[0]) if len(texts) == 1 and not is_text(Path(texts[0])) else None
    if encoding != "auto" and file is None:
        raise ConfigError("--encoding is about files, and none is read", fix="leave --encoding out")
    use_threads(threads)
    use_device(device)
    from polyseme.report.files import check_folder
    from polyseme.study.holes import holes
    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig
    from polyseme.text.sources import read_lines

    if output is not None:
        check_folder(output)
    sentences: list[str] = [*texts]
    if file is not None:
        lines = read_lines(file, TextConfig.of({"encoding": encoding}, "--encoding"), CleaningReport())
        sentences = [line for line in lines if line.strip()]
    words = None if candidates is None else [line.replace("，", ",").split(",") for line in candidates]
    result = holes(folder, sentences, words, top=top, against=against or (), seed=seed)
    wrote = show(result, output, lang, json)
    if output is not None:
        cosines = result.runs[0]["holes"]
        known = next(n for n, cosine in enumerate(cosines) if cosine is not None)
        words_of_one: list[str] = result.holes[known]["candidates"]
        dashed = ["--"] * any(word.startswith("-") for word in words_of_one)
        closing(wrote=wrote, then=[command("polyseme", "cosines", *dashed, folder, *words_of_one)])
        return
    again: list[object] = [part for line in candidates or () for part in ("--candidates", line)]
    again += ["--top", top] * (top != 5)
    again += [part for other in against or () for part in ("--against", other)]
    again += ["--encoding", encoding] * (encoding != "auto")
    again += ["--seed", seed] * (seed != 0)
    typed: list[object] = [folder, *texts, *again, "-o", "holes"]
    if any(text.startswith("-") for text in texts):
        typed = [*again, "-o", "holes", "--", folder, *texts]
    closing(wrote=wrote, then=[command("polyseme", "holes", *typed)])
