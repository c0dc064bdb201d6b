"""`polyseme tidy`: free what only resuming needs."""

from __future__ import annotations

from dataclasses import asdict

from polyseme.cli.options import Folder, Json
from polyseme.cli.output import closing, emit, emit_json
from polyseme.core.shell import command
from polyseme.errors import ConfigError

EXAMPLE = "polyseme tidy runs/mine"


def run(*folders: Folder, unfinished: bool = False, json: Json = False) -> None:
    """Free what only resuming needs: checkpoints with the optimiser's state, often three times the size of the model.

    The run can be used, exported, adapted and trained on (--init) as before; --resume cannot go on with it any more.

    Args:
        folders: one run folder or several; those of --seeds in it are tidied, too. While one of them is being trained
            nothing is removed.
        unfinished: also tidy runs whose training was stopped or killed.
        json: print one JSON document: {"freed_bytes", "runs": [{"path", "status", "freed_bytes", "files"}]}.
    """
    from polyseme.report.figures import size
    from polyseme.train.tidying import tidy

    if not folders:
        raise ConfigError("no run is named", fix="polyseme tidy RUN")
    done = tidy(*folders, unfinished=unfinished)
    freed = sum(tidied.freed_bytes for tidied in done)
    if json:
        runs = [asdict(tidied) | {"path": str(tidied.path)} for tidied in done]
        emit_json({"freed_bytes": freed, "runs": runs})
    else:
        for tidied in done:
            outcome = (
                f"{size(tidied.freed_bytes)} ({tidied.freed_bytes:,} bytes) freed"
                if tidied.files
                else "nothing to free"
            )
            emit(f"{tidied.path}: {outcome}")
        if len(done) > 1:
            emit(f"in all {size(freed)} ({freed:,} bytes)")
    closing(then=[command("polyseme", "inspect", *folders)])
