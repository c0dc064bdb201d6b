"""Jobs of Slurm, played by four scripts that stand where Slurm's programs would."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from polyseme.cli import main
from polyseme.data import engines
from polyseme.data.engines import engine_named
from polyseme.data.store import PreparedCorpus
from polyseme.errors import ConfigError, PolysemeError, RunError

submitit = pytest.importorskip("submitit")
SBATCH = """
import os, re, subprocess, sys
from pathlib import Path
home, text = Path({home!r}), Path(sys.argv[1]).read_text()
if "--partition=nowhere" in text:
    sys.exit("sbatch: error: invalid partition specified: nowhere")
number = 1 + len([*home.glob("job-*")])
(home / f"job-{{number}}").write_text(text)
array = re.search(r"--array=0-(\\d+)", text)
print(f"Submitted batch job {{number}}", flush=True)
if os.fork():
    os._exit(0)
quiet = os.open(os.devnull, os.O_RDWR)  # who submits waits for no output of the jobs
for stream in (0, 1, 2):
    os.dup2(quiet, stream)
for task in range(int(array[1]) + 1) if array else [None]:
    name = str(number) if task is None else f"{{number}}_{{task}}"
    of = {{"SLURM_JOB_ID": str(number), "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}}
    of |= {{"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "here", "SLURM_NNODES": "1"}}
    if task is not None:
        of |= {{"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}}
    lost = home / "lose"  # this many jobs are lost
    n = int(lost.read_text()) if lost.exists() else 0
    state = "FAILED"
    if n:
        lost.write_text(str(n - 1))
        state = "NODE_FAIL"
    elif subprocess.run(["bash", sys.argv[1]], env=os.environ | of).returncode == 0:
        state = "COMPLETED"
    (home / f"state-{{name}}").write_text(state)
"""
SRUN = """
import os, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[2 if words[0] in ("--output", "--error") else 1 :]
os.execvp(words[0], words)
"""
SACCT = """
from pathlib import Path
print("JobID|State|NodeList")
for path in Path({home!r}).glob("state-*"):
    print(path.name[6:] + "|" + path.read_text() + "|here")
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "slurm"
    home.mkdir()
    for name, code in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scancel", "")):
        path = home / name
        path.write_text(f"#!{sys.executable}\n" + (code.format(home=str(home)) if "{home" in code else code))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    monkeypatch.setattr(engines, "POLL", 0.05)
    monkeypatch.setattr(submitit.slurm.slurm.SlurmJob, "_results_timeout_s", 0)  # 15, for slow disks
    watcher = submitit.slurm.slurm.SlurmJob.watcher  # it would ask after 0, 2, 4, 8 … seconds
    monkeypatch.setattr(
        watcher, "update_if_long_enough", lambda mode: None if mode == "cache" else watcher.update()
    )
    return home


def test_a_store_by_jobs_of_slurm_is_that_of_this_machine(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = tmp_path / "texts"
    texts.mkdir()
    for n in range(3):
        (texts / f"{n}.txt").write_text("\n\n".join(f"text {n} of {i} old cats and dogs" for i in range(300)))
    common = ["prepare", str(texts), "--vocab-size", "300", "--shard-mb", "0.008"]
    (slurm / "lose").write_text("1")  # it is begun again
    asked = ["--engine", "slurm", "--slurm", "partition=cpu", "--slurm", "time=5", "--workers", "2"]
    assert main([*common, "-o", "there", *asked]) == 0
    assert main([*common, "-o", "here"]) == 0
    there, here = PreparedCorpus.open(Path("there")), PreparedCorpus.open(Path("here"))
    assert there.meta["digest"] == here.meta["digest"]
    jobs = [path.read_text() for path in sorted(slurm.glob("job-*"))]
    assert len(jobs) >= 2
    assert all("#SBATCH --partition=cpu" in job and "#SBATCH --time=5" in job for job in jobs)
    assert "%2" in jobs[0]  # two at a time
    assert not list(tmp_path.glob(".there*"))


def test_what_slurm_refuses(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such setting") as refused:
        engine_named("slurm", 2, slurm={"partiton": "cpu"}, place=tmp_path / "jobs")
    assert refused.value.fix == "--slurm partition=cpu"
    with pytest.raises(ConfigError, match="only Slurm"):
        engine_named("local", 2, slurm={"partition": "cpu"})
    engine = engine_named("slurm", 2, slurm={"partition": "nowhere"}, place=tmp_path / "jobs")
    with pytest.raises(RunError, match="does not take the jobs") as wrong:
        list(engine.map(["{}"]))
    assert "invalid partition" in str(wrong.value.got)
    (slurm / "lose").write_text("99")
    lost = engine_named("slurm", 2, place=tmp_path / "jobs")
    with pytest.raises(PolysemeError, match="was lost 5 times"):
        list(lost.map(["{}", "{}"]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="Slurm is not on this machine"):
        engine_named("slurm", 2, place=tmp_path / "jobs")


def test_a_setting_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("a cat\n" * 50)
    words = ["prepare", str(tmp_path / "text.txt"), "-o", str(tmp_path / "store"), "--slurm", "partition"]
    assert main([*words, "--engine", "slurm"]) == 2
    assert "--slurm needs key=value" in capsys.readouterr().err
