"""README and guide tell the truth: their commands and examples are run.

A fenced block whose language is `console` holds commands on lines that begin with "$ "; other lines are what a
person sees and are not compared. A block `python` is a script, and so is `bash` with a budget to test with: Slurm's
commands are there, and run at once what they are given. The blocks of one page run in order in one folder that holds a
few texts. Words after the language change how a block is run, not how it reads:

    no-run          leave it out: it needs a network, a clone, or hours
    steps=2         train a tiny model for so many steps instead of the budget that is printed
    exit=2          the commands must end with this exit code
    needs=spacy     leave it out where this Python module is not installed
    serve           the runs are served while the rest of the page is run, at a port of their own
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from asked import listening
from polyseme import cli
from polyseme.serve.options import named_runs
from published import write_all
from small import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
# Pages in Chinese, X.zh.md, have the commands of X.md (test_site.py), so these are run once.
GUIDE = sorted(page for page in (ROOT / "docs" / "guide").glob("*.md") if not page.name.endswith(".zh.md"))
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *GUIDE]

_SLURM = """
srun() { "$@"; }
scontrol() { [ "$1" = show ] && echo localhost; }
SLURM_JOB_ID=$$ SLURM_JOB_NODELIST=localhost SLURM_NNODES=1
"""
"""What a script finds on a machine of Slurm's; a job that is to be queued again has failed."""
PORT = "8421"
_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_CLI_BUDGET = re.compile(r"--(minutes|epochs|tokens|steps) \S+")
_PYTHON_BUDGET = re.compile(r"Budget\([^)]*\)")
_PLAIN_BUDGET = re.compile(r"(?<=, )minutes=\d+(?=[,)])")

pytestmark = pytest.mark.docs


@dataclass(frozen=True)
class Block:
    """A fenced block that is to be run."""

    line: int
    language: str
    options: dict[str, str]
    body: str

    def commands(self) -> list[str]:
        """Shell commands, with the budget to test with."""
        if self.language == "bash":
            return [_SLURM + _CLI_BUDGET.sub(self._tiny(), self.body)]
        lines = self.body.replace("\\\n", " ").split("\n")
        commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if "steps" in self.options:
            commands = [_CLI_BUDGET.sub(self._tiny(), line) for line in commands]
        return commands

    def _tiny(self) -> str:
        settings = " ".join(f"--set {name}={value}" for name, value in TINY.items())
        return f"--steps {self.options['steps']} {settings}"

    def script(self) -> str:
        """The Python script, with the budget to test with."""
        if "steps" in self.options:
            steps = f"steps={self.options['steps']}"
            plain = _PLAIN_BUDGET.sub(f"{steps}, settings={TINY}", self.body)
            return _PYTHON_BUDGET.sub(f"Budget({steps}), settings={TINY}", plain)
        return self.body


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page that are to be run."""
    blocks = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split()
        options = dict(word.partition("=")[::2] for word in words)
        absent = "needs" in options and importlib.util.find_spec(options["needs"]) is None
        runs = language in ("console", "python") or (language == "bash" and "steps" in options)
        if runs and "no-run" not in words and not absent:
            blocks.append(Block(text.count("\n", 0, match.start()) + 1, language, options, match["body"]))
    return blocks


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_examples_of_a_page_run(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    text = page.read_text("utf-8")
    if page.name == "published-models.md":
        write_all(folder, [text])
    blocks = blocks_of(text)
    assert blocks, "a page without anything to run needs no test: take it out of PAGES"
    with ExitStack() as served:
        _run_all(page.name, blocks, served, capfd)


def _run_all(page: str, blocks: list[Block], served: ExitStack, capfd: pytest.CaptureFixture[str]) -> None:
    port = PORT
    for block in blocks:
        block = replace(block, body=block.body.replace(PORT, port))
        if "serve" in block.options:
            if importlib.util.find_spec("uvicorn") is None:
                return  # what follows asks the server
            (command,) = block.commands()
            port = str(served.enter_context(listening(named_runs(shlex.split(command)[2:]))))
            continue
        expected = int(block.options.get("exit", "0"))
        if block.language == "python":
            exec(compile(block.script(), f"{page}:{block.line}", "exec"), {"__name__": "__main__"})
        for command in block.commands() if block.language != "python" else []:
            code = _run(command)
            assert code == expected, f"{page}:{block.line}\n{command}\n" + "\n".join(capfd.readouterr())


def _run(command: str) -> int:
    """Run a command and return its exit code; ours in this process, as each new one would import torch again."""
    words = shlex.split(command)
    if words[0] == "polyseme":
        return cli.main(words[1:])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(["bash", "-c", command], check=False, env=os.environ | {"PATH": path}).returncode


def test_blocks_are_found_and_options_applied() -> None:
    page = (
        "text\n```console steps=2\n$ polyseme pretrain bert a \\\n    -o b --minutes 10\nsome output\n```\n"
        "```console no-run\n$ rm -rf everything\n```\n```toml\na = 1\n```\n"
        "```python steps=3\nrun(Budget(minutes=10), 1)\n```\n"
        "```python needs=a_module_that_nobody_has\nimport a_module_that_nobody_has\n```\n"
    )
    console, python = blocks_of(page)
    (command,) = console.commands()
    assert command.startswith("polyseme pretrain bert a      -o b --steps 2 --set hidden_size=32 --set ")
    assert console.line == 2
    assert python.script() == f"run(Budget(steps=3), settings={TINY}, 1)\n"


def test_every_page_of_the_guide_is_linked() -> None:
    begin = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in GUIDE:
        assert f"(guide/{page.name})" in begin
