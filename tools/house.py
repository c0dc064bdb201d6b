"""Measure the house: how much there is to read, and how it hangs together.

python tools/house.py            # the source beside this file
python tools/house.py SRC        # another checkout's src

What is counted:

    lines, files,       by room (a folder of the package; its own files are the room `.`): all lines of *.py,
    functions           and every `def`, methods and inner functions too
    pretrain → fill     a tiny BERT is trained and fills a mask, by Python, and every function that runs is
                        noted, but not what only runs while a module is imported. The files a reader needs are
                        the fewest that hold four fifths of the lines of those functions; counted with all their
                        lines. Beside it all files that took part
    import circles      groups of modules that import each other, by whatever import: at the head of a file,
                        inside a function, or for types alone
    `Any` at the seams  parameters and attributes named like one of our nouns (SEAMS), annotated Any or Any | None
    lines of studies    the room study/, and the pages and verbs that show its results, by name

`--no-path` leaves out the part that trains.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SEAMS = frozenset(
    {
        "encoder",
        "head",
        "learner",
        "loaded",
        "model",
        "objective",
        "reporter",
        "run",
        "store",
        "task",
        "tokenizer",
    }
)
STUDIES = frozenset(
    {"attention", "cka", "compare", "comparison", "pairs", "probe", "probing", "senses", "table"}
)
SHARE = 0.8  # of the lines that run, for "files a reader needs"
PACKAGE = "polyseme"

# Runs in a process of its own, so that another checkout can be measured.
WALK = """
import json, sys, threading
from pathlib import Path

root, folder = sys.argv[1:]
ran = {}

def note(frame, event, argument):
    code = frame.f_code
    if event != "call" or not code.co_filename.startswith(root):
        return
    if code.co_name.startswith("<") or not code.co_flags & 1:  # bodies of classes and modules lack flag 1
        return
    key = (code.co_filename, code.co_qualname, code.co_firstlineno)
    if key in ran:
        return
    caller = frame.f_back
    while caller:  # called while a module of ours is imported
        if caller.f_code.co_name == "<module>" and caller.f_code.co_filename.startswith(root):
            return
        caller = caller.f_back
    ran[key] = max(line for *_, line in code.co_lines() if line) - code.co_firstlineno + 1

import polyseme
threading.setprofile(note)
sys.setprofile(note)
sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
         "max_position_embeddings": 32, "data.sequence_length": 32, "train.batch_size": 4,
         "train.heldout_tokens": 300, "text.valid_share": 0.2}
polyseme.pretrain("bert", Path(folder, "texts"), output=Path(folder, "run"), steps=3, settings=sizes, quiet=True)
polyseme.fill(polyseme.load(Path(folder, "run")), "The cat [MASK] on the mat.")
sys.setprofile(None)
lines = {}
for (file, *_), count in ran.items():
    lines[file] = lines.get(file, 0) + count
print(json.dumps(lines))
"""


def main() -> None:
    """Print the measures of the source that the command line names."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "src", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent / "src"
    )
    arguments.add_argument("--no-path", action="store_true", help="do not train: leave out pretrain → fill")
    options = arguments.parse_args()
    package = options.src.resolve() / PACKAGE
    if not package.is_dir():
        arguments.error(f"{options.src} holds no package {PACKAGE}")
    for line in report(package, with_path=not options.no_path):
        print(line)


def report(package: Path, with_path: bool = True) -> list[str]:
    """All measures of a package, as lines of text."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in trees}
    out = [f"{'room':<12}{'lines':>8}{'files':>7}{'functions':>11}"]
    rooms = defaultdict(list)
    for path in trees:
        parts = path.relative_to(package).parts
        rooms[parts[0] if len(parts) > 1 else "."].append(path)
    for room, paths in [*sorted(rooms.items()), ("in all", list(trees))]:
        functions = sum(_functions(trees[path]) for path in paths)
        out.append(f"{room:<12}{sum(lines[path] for path in paths):>8,}{len(paths):>7}{functions:>11,}")
    if with_path:
        ran = executed(package)
        needed = files_needed(ran)
        out += [
            "",
            f"pretrain → fill: a reader needs {len(needed)} files, {sum(lines[path] for path in needed):,} lines "
            f"(they hold {SHARE:.0%} of the {sum(ran.values()):,} lines that run)",
            f"                 {len(ran)} files, {sum(lines[path] for path in ran):,} lines take part",
            *(f"    {path.relative_to(package)}" for path in needed),
        ]
    circles = import_circles(package, trees)
    out += ["", f"import circles: {len(circles)}", *("    " + " ↔ ".join(circle) for circle in circles)]
    anys = [(path, *where) for path, tree in trees.items() for where in seams_any(tree)]
    out += ["", f"`Any` at the seams: {len(anys)} in {len({path for path, *_ in anys})} files"]
    out += [f"    {path.relative_to(package)}:{number} {name}" for path, number, name in anys]
    room = sum(lines[path] for path in rooms.get("study", []))
    shown = [
        p for r in ("report", "cli") for p in rooms.get(r, []) if STUDIES & set(p.stem.strip("_").split("_"))
    ]
    out += [
        "",
        f"studies: {room:,} lines in study/, {sum(lines[p] for p in shown):,} in their pages and verbs by name",
    ]
    return out


def _functions(tree: ast.AST) -> int:
    return sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def executed(package: Path) -> dict[Path, int]:
    """Train and fill; the lines of the functions that ran, by file."""
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts")
        texts.mkdir()
        for number in range(30):
            line = f"The cat number {number} sat on the mat by the river bank.\n"
            (texts / f"{number}.txt").write_text(line * 40, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WALK, str(package) + os.sep, folder]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"pretrain → fill failed:\n{done.stderr}")
    return {Path(file): count for file, count in json.loads(done.stdout.splitlines()[-1]).items()}


def files_needed(ran: dict[Path, int], share: float = SHARE) -> list[Path]:
    """The fewest files that hold a share of the lines that ran, the largest part first."""
    needed: list[Path] = []
    held = 0
    for path, count in sorted(ran.items(), key=lambda item: (-item[1], item[0])):
        if held >= share * sum(ran.values()):
            break
        needed.append(path)
        held += count
    return needed


def import_circles(package: Path, trees: dict[Path, ast.Module]) -> list[list[str]]:
    """Groups of modules each of which reaches every other one of its group over imports."""
    names = {_module(package, path): path for path in trees}
    imports = {
        name: _imports(trees[path], name, path.name == "__init__.py", names) for name, path in names.items()
    }
    reached = {name: _reach(name, imports) for name in imports}
    circles = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in imports
        if name in reached[name]
    }
    return sorted(list(circle) for circle in circles if len(circle) > 1)


def _module(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, name: str, is_package: bool, known: dict[str, Path]) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join(own[: len(own) - node.level + 1] + ([base] if base else []))
            # `from package import module` needs the module; any other name needs the file it is written in.
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names}
    return {module for module in found if module in known and module != name}


def _reach(start: str, imports: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = list(imports[start])
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += imports[name]
    return reached


def seams_any(tree: ast.Module) -> list[tuple[int, str]]:
    """Where a parameter or an attribute named like a noun of ours is Any: line and name."""
    places = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
            annotation = node.annotation
        else:
            continue
        if (
            name in SEAMS
            and annotation
            and {part.strip() for part in ast.unparse(annotation).split("|")} <= {"Any", "None"}
        ):
            places.append((node.lineno, name))
    return sorted(places)


if __name__ == "__main__":
    main()
