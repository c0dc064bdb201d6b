"""A run's milestones as the BabyLM challenge reads them: a directory of transformers for each.

    OUTPUT/chck_1M, OUTPUT/chck_2M …   the weights after so many words (train/milestones.py)
    OUTPUT/main                        the run's own weights

A hybrid run's hold their decoder, too, in decoder/.

On a hub these are revisions of one model; its evaluation takes a directory as well as a revision.

Source:  github.com/babylm/evaluation-pipeline-2025.
"""

from __future__ import annotations

from pathlib import Path

from polyseme.core.files import new_folder, saving
from polyseme.errors import ConfigError
from polyseme.formats.huggingface.exporter import all_files
from polyseme.formats.registry import Written
from polyseme.formats.runs import open_run
from polyseme.train.milestones import kept
from polyseme.train.run import RunDirectory

__all__ = ["write_model"]


def write_model(run: Path, output: Path) -> Written:
    """Write every milestone of a run, and its last weights, for transformers.

    Args:
        run: the run directory.
        output: the folder to write; new or empty.
    Raises:  ConfigError: the run has no milestones, or transformers no such architecture.
             RunError: there is no run, a milestone of it is missing, or the folder is not empty.
             StorageError: the disk refuses.
    """
    opened = RunDirectory.open(run)
    milestones = kept(opened)
    if not milestones:
        raise ConfigError(
            "the run has no milestones",
            where=run,
            fix=f"polyseme pretrain {opened.meta['model']} CORPUS -o NEW --words 10M --milestones babylm",
        )
    files: list[str] = []
    notes: list[str] = []
    with new_folder(output) as folder, saving(output):
        for name, place in [*((f"chck_{name}", place) for name, place in milestones), ("main", run)]:
            (folder / name).mkdir()
            names, said = all_files(open_run(place), folder / name)
            files += [f"{name}/{file}" for file in names]
            notes += [note for note in said if note not in notes]
    return Written(output, files, notes)
