"""`polyseme tidy`: free what only resuming needs."""

from __future__ import annotations

from polyseme.cli.options import Folder, Json
from polyseme.cli.output import closing, command, emit, emit_json
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
    freed = sum(one.freed_bytes for one in done)
    if json:
        runs = [
            {"path": str(one.path), "status": one.status, "freed_bytes": one.freed_bytes, "files": one.files}
            for one in done
        ]
        emit_json({"freed_bytes": freed, "runs": runs})
    else:
        for one in done:
            what = (
                f"{size(one.freed_bytes)} ({one.freed_bytes:,} bytes) freed"
                if one.files
                else "nothing to free"
            )
            emit(f"{one.path}: {what}")
        if len(done) > 1:
            emit(f"in all {size(freed)} ({freed:,} bytes)")
    closing(then=[command("polyseme", "inspect", *folders)])
