"""The image of Dockerfile and compose.yaml, made and run without a container engine by its own commands.

    python tools/image.py RUN... [--install [--site FOLDER] [--python PYTHON]]

COPY          what .dockerignore lets through, into a new folder
RUN           with --install: as it stands there, in a new environment and that folder, but for useradd, which is left
              out; --site names a site-packages that has torch and other large libraries already: these are not fetched
ENTRYPOINT    with the arguments of compose.yaml, over copies of the runs, with a home that cannot be written; as root
              by user 65534, who may change nothing
HEALTHCHECK   fails before, is good once the address is told
answers       refused without the token, given with it; the runs stay as they were, SIGTERM ends with 0

/src, /runs and port 8421 are others here. What an engine does itself (mounts, capabilities) is only read, not done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
TOKEN = "a-long-secret-of-this-image"


def instructions(text: str) -> list[tuple[str, str]]:
    """The lines of a Dockerfile: instruction and the rest, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def copied(target: Path) -> None:
    """COPY . by .dockerignore: nothing but what is named behind `!`, without what is named behind `**/`."""
    target.mkdir()
    rules = (ROOT / ".dockerignore").read_text().split()
    _expect(rules[0] == "*", "the first rule of .dockerignore leaves all out", rules[0])
    without = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for rule in rules:
        if rule.startswith("!"):
            source, place = ROOT / rule[1:], target / rule[1:]
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns(*without))
            else:
                shutil.copy2(source, place)


def installed(runs: Sequence[str], folder: Path, site: Path | None, python: str) -> Path:
    """The RUN lines in a new environment; its folder of commands."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    commands = folder / "venv" / "bin"
    if site is not None:
        script = "import site; print(site.getsitepackages()[0])"
        place = subprocess.run(
            [commands / "python", "-c", script], check=True, capture_output=True, text=True
        ).stdout
        Path(place.strip(), "shared.pth").write_text(f"{site}\n")
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(folder / "tmp")}
    environment.pop("PYTHONPATH", None)
    for run in runs:
        parts = [part.strip() for part in run.split("&&")]
        kept = [p for p in parts if not p.startswith("useradd") and not (site and "'torch" in p)]
        command = " && ".join(kept).replace("/src", str(folder / "src"))
        command = command.replace("cd /tmp", f"cd {folder / 'tmp'}")
        if command:
            subprocess.run(["sh", "-ec", command], env=environment, check=True, stdout=subprocess.DEVNULL)
            print(f"RUN  {command}", flush=True)
    return commands


def served(
    entry: list[str],
    health: list[str],
    compose: Mapping[str, Any],
    folder: Path,
    path: str,
    source: str | None,
) -> None:
    """ENTRYPOINT and HEALTHCHECK as the image's user."""
    runs = folder / "runs"
    port = _free()
    environment = {
        "PATH": path,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
    }
    environment |= {} if source is None else {"PYTHONPATH": source}
    user: dict[str, Any] = {"env": environment, "cwd": folder / "home"}
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    if os.geteuid() == 0 and not _can_run(user | other):
        print("left out: another user, who cannot run this Python; --python names one that all can run")
    elif os.geteuid() == 0:
        user |= other
        for place in ("runs", "home"):
            wrote = subprocess.run(["touch", folder / place / "x"], **user, check=False, capture_output=True)
            _expect(wrote.returncode != 0, f"the user may not write {place}", "it wrote")
    check = [part.replace("8421", str(port)) for part in health]
    _expect(_asked(check, user) != 0, "HEALTHCHECK fails where nothing listens", "0")
    given = [re.sub(r"\$\{POLYSEME_TOKEN:-\w+\}", TOKEN, each) for each in compose["command"]]
    _expect(TOKEN in given, "compose.yaml hands POLYSEME_TOKEN on", given)
    before = _digests(runs)
    command = [part.replace("/runs", str(runs)) for part in entry]
    with subprocess.Popen(
        [*command, *given, "--port", str(port)], **user, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            _expect(
                str(port) in address and TOKEN in address, "the log has the address with its token", address
            )
            _expect(_asked(check, user) == 0, "HEALTHCHECK is good", "another status than 0")
            _expect(_got(port, "/v1/models", None)[0] == 401, "401 without the token", "an answer")
            names = [model["id"] for model in _got(port, "/v1/models", TOKEN)[1]["data"]]
            _expect(sorted(names) == sorted(p.name for p in runs.iterdir()), "all runs are served", names)
            for name in names:
                status, answer = _got(port, "/api/embed", TOKEN, {"run": name, "texts": ["the cat"]})
                _expect(status == 200 and len(answer["vectors"]) == 1, f"{name} embeds", answer)
                able = _got(port, f"/api/runs/{name}/about", TOKEN)[1]["abilities"]
                if source is None and "generate" in able:  # by what was compiled when the image was made
                    body = {"run": name, "prompt": "It was", "max_new_tokens": 3, "stream": False}
                    status, answer = _got(port, "/api/generate", TOKEN, body)
                    _expect(status == 200 and answer["tokens"] != [], f"{name} writes", answer)
        finally:
            process.terminate()
    _expect(process.returncode == 0, "SIGTERM ends it with 0", process.returncode)
    _expect(_digests(runs) == before, "the runs stay as they were", "they changed")


def _expect(holds: bool, what: str, got: object) -> None:
    if not holds:
        raise SystemExit(f"error: {what}\n  got:      {got}")
    print(f"ok   {what}", flush=True)


def _can_run(user: Mapping[str, Any]) -> bool:
    try:
        return (
            subprocess.run(["polyseme", "--version"], **user, check=False, capture_output=True).returncode
            == 0
        )
    except OSError:
        return False


def _asked(command: list[str], user: Mapping[str, Any]) -> int:
    return subprocess.run(command, **user, check=False, capture_output=True).returncode


def _got(port: int, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
    headers = {"content-type": "application/json"} | (
        {} if token is None else {"authorization": f"Bearer {token}"}
    )
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=300
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    """Do what the docstring says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--site", type=Path)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    lines = instructions((ROOT / "Dockerfile").read_text())
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    one = dict(lines)
    _expect(("COPY", ". /src") in lines, "COPY takes what .dockerignore lets through", one["COPY"])
    _expect(
        service["ports"] == ["127.0.0.1:8421:8421"],
        "the port is opened on this machine alone",
        service["ports"],
    )
    _expect(one["EXPOSE"] == "8421", "EXPOSE is that port", one["EXPOSE"])
    _expect(service["volumes"][0].endswith(":/runs:ro"), "the runs can only be read", service["volumes"])
    _expect(
        service["read_only"] is True and service["cap_drop"] == ["ALL"],
        "nothing else can be written",
        service,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        copied(folder / "src")
        for place, mode in (("runs", 0o755), ("home", 0o555), ("tmp", 0o1777)):
            (folder / place).mkdir()
            (folder / place).chmod(mode)
        for run in options.runs:
            shutil.copytree(run, folder / "runs" / run.name)
        path, source = os.environ["PATH"], str(folder / "src" / "src")
        if options.install:
            commands = installed(
                [rest for word, rest in lines if word == "RUN"], folder, options.site, options.python
            )
            _expect(not (folder / "src").exists(), "the sources are not in the image", "they are")
            path, source = f"{commands}:{path}", None
        else:
            path = f"{Path(sys.executable).parent}:{path}"
        health = json.loads(one["HEALTHCHECK"].removeprefix("CMD "))
        served(json.loads(one["ENTRYPOINT"]), health, service, folder, path, source)


if __name__ == "__main__":
    main()
