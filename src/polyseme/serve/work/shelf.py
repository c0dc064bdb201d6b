"""The runs on offer: what each can do, and those in memory.

A run is loaded when it is first asked, by another thread: the desk goes on with others meanwhile. Those that were
not used for longest leave when all together pass the bound. A run that is still training, or was replaced, is loaded
anew once its run.json has other digests; as long as its files are half written, the one in memory goes on to answer.
"""

from __future__ import annotations

import json
import math
import stat
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.config import suggest
from polyseme.errors import PolysemeError
from polyseme.serve.errors import Refused
from polyseme.serve.work.notes import Notes, taking_notes

if TYPE_CHECKING:
    from polyseme.infer.model import Model
    from polyseme.text.tokenizers import Tokenizer

__all__ = ["Shelf", "lines_after"]

LOOK_S = 1.0
"""A run's folder is not looked at more often."""
LOADING = 4
"""Runs that are loaded at once: one on a slow disk holds up no other."""
MOST_LINES = 1 << 20
"""Bytes of metrics in one answer; a reader asks again from where it ended."""


class Shelf:
    """Runs by their names; `ready` and `get` are for the desk's thread, all else for any.

    Args:
        runs: their folders.
        memory: bytes of weights that may be in memory together.
        changed: called, by another thread, when a run is there or cannot be loaded.
        compiled: load compiled code once a run that has a use for it is there.
    """

    def __init__(
        self,
        runs: Mapping[str, Path],
        memory: float,
        changed: Callable[[], None] = lambda: None,
        compiled: bool = False,
    ) -> None:
        self._runs, self._memory, self._changed = dict(runs), memory, changed
        self._compiled = compiled
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._loader = ThreadPoolExecutor(LOADING, "loading")
        self._loading: dict[str, Future[tuple[Model, Notes]]] = {}
        self._warned: dict[str, list[str]] = {}  # what was said when a run was loaded, for who asks it first
        self._failed: dict[str, tuple[Any, Exception]] = {}  # digests when it failed, and why
        self._looked: dict[str, float] = {}
        self._tokenizers: dict[str, tuple[float, Tokenizer]] = {}
        self._abilities: dict[str, tuple[Any, frozenset[str]]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """All runs, in the order in which they were named."""
        return list(self._runs)

    @property
    def in_memory(self) -> list[str]:
        """Those that are loaded, the one used last at the end."""
        return list(self._loaded)

    @property
    def bytes(self) -> int:
        """What their weights take."""
        return sum(_bytes(model) for model in list(self._loaded.values()))

    def folder(self, name: str) -> Path:
        """Raises:  Refused: 404 with the names that are served."""
        if name not in self._runs:
            raise Refused(
                404,
                "no such run",
                param="run",
                code="model_not_found",
                got=name,
                expected=", ".join(self._runs),
                fix=suggest(name, self._runs),
            )
        return self._runs[name]

    def meta(self, name: str) -> dict[str, Any]:
        """What run.json says now.

        Raises:  Refused: no such run, or 503 where the file cannot be read.
        """
        try:
            found = json.loads((self.folder(name) / "run.json").read_bytes())
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict):
            raise Refused(
                503,
                "the run cannot be read",
                code="run_unreadable",
                got=name,
                headers={"retry-after": "5"},
                fix="the same in 5 s",
            )
        return found

    def tokenizer(self, name: str) -> Tokenizer:
        """A run's tokenizer, for counting; it needs no weights.

        Raises:  PolysemeError: it is damaged.
        """
        from polyseme.text.tokenizers import Tokenizer

        file = self.folder(name) / "tokenizer.json"
        with self._lock:
            try:
                changed = file.stat().st_mtime
            except OSError:
                raise Refused(
                    503,
                    "the run has no vocabulary yet",
                    code="run_unreadable",
                    got=name,
                    headers={"retry-after": "5"},
                    fix="the same in 5 s",
                ) from None
            if name not in self._tokenizers or self._tokenizers[name][0] != changed:
                self._tokenizers[name] = changed, Tokenizer.from_file(file)
            return self._tokenizers[name][1]

    def ready(self, name: str) -> bool:
        """Whether `get` answers at once; where not, the run is being loaded, and `changed` is called after that."""
        if name not in self._loading:
            if self._is_known(name):
                return True
            self._loading[name] = self._loader.submit(_load_noted, self.folder(name))
            self._loading[name].add_done_callback(lambda _: self._changed())
        if not self._loading[name].done():
            return False
        self._put(name, self._loading.pop(name))
        return True

    def _is_known(self, name: str) -> bool:
        """Whether a run is in memory as it is on the disk, or could not be loaded a moment ago."""
        now = time.monotonic()
        model = self._loaded.get(name)
        if now - self._looked.get(name, -math.inf) < LOOK_S:
            return model is not None or name in self._failed
        self._looked[name] = now
        if model is None:
            return False
        digests = self._digests(name)
        known = [model.run.meta.get("files"), None, self._failed.get(name, (None,))[0]]
        return digests in known

    def _put(self, name: str, loaded: Future[tuple[Model, Notes]]) -> None:
        """Keep what was loaded; one that could not be leaves that which is in memory."""
        self._looked[name] = time.monotonic()
        try:
            model, notes = loaded.result()
        except Exception as error:  # whatever a damaged folder may do: who asks for this run is told
            self._failed[name] = self._digests(name), error
            return
        self._failed.pop(name, None)
        self._warned[name] = notes.texts
        self._loaded[name] = model
        self._loaded.move_to_end(name)
        if self._compiled and getattr(model.encoder, "post_norm_encoder", False):
            self._compiled = False
            # where the code is not there it is compiled, which nothing can end: the server's end does not wait for it
            threading.Thread(target=_load_compiled, name="compiling", daemon=True).start()
        while len(self._loaded) > 1 and self.bytes > self._memory:
            self._loaded.popitem(last=False)

    def get(self, name: str) -> Model:
        """The run in memory; it is waited for where it is not there, or has other weights by now.

        What there was to warn of when it was loaded is warned of once.

        Raises:  Refused: no such run.  PolysemeError: it cannot be loaded.
        """
        self.folder(name)
        while not self.ready(name):
            self._loading[name].exception()
        if name not in self._loaded:
            raise self._failed[name][1]
        self._loaded.move_to_end(name)
        for text in self._warned.pop(name, ()):
            warnings.warn(text, stacklevel=2)
        return self._loaded[name]

    def stop(self) -> None:
        """Load nothing more."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _digests(self, name: str) -> Any:
        """None while it is being written, or gone: what is in memory stays."""
        try:
            return self.meta(name).get("files")
        except Refused:
            return None

    def abilities(self, name: str) -> frozenset[str]:
        """What a run can do, by what its folder says; it need not be loaded.

        Raises:  Refused: no such run, or it cannot be read.
        """
        meta = self.meta(name)
        known = meta.get("recipe"), sorted(meta.get("files") or ())
        if name not in self._abilities or self._abilities[name][0] != known:
            self._abilities[name] = known, _abilities(meta)
        return self._abilities[name][1]

    def able(self, ability: str) -> list[str]:
        """Runs that can do something."""
        found = []
        for name in self._runs:
            try:
                if ability in self.abilities(name):
                    found.append(name)
            except (Refused, PolysemeError):
                continue
        return found

    def about(self, name: str) -> dict[str, Any]:
        """What a page or a client needs to know of a run before it asks.

        Raises:  Refused: no such run, or it cannot be read.
        """
        meta = self.meta(name)
        recipe = meta.get("recipe") or {}
        sizes = recipe.get("model") or {}
        objectives = list(recipe.get("objectives") or ())
        task = next((objective for objective in objectives if objective in _tasks()), None)
        section = recipe.get(task) or {} if task is not None else {}
        return {
            "run": name,
            "model": meta.get("model"),
            "status": meta.get("status"),
            "objectives": objectives,
            "task": task,
            "labels": list(section.get("labels") or ()),
            "mix": bool((meta.get("results") or {}).get("mix")),
            "abilities": sorted(self.abilities(name)),
            "layers": sizes.get("num_hidden_layers"),
            "heads": sizes.get("num_attention_heads"),
            "hidden_size": sizes.get("hidden_size"),
            "vocab_size": sizes.get("vocab_size"),
            "max_tokens": sizes.get("max_position_embeddings"),
            "mask": self._mask(name),
            "parameters": meta.get("parameters"),
            "loaded": name in self._loaded,
            "loading": name in self._loading,
            "created": self._created(name),
        }

    def _mask(self, name: str) -> str | None:
        """What hides a word in this run's texts."""
        if "fill" not in self.abilities(name):
            return None
        try:
            tokenizer = self.tokenizer(name)
        except (Refused, PolysemeError):
            return None
        return tokenizer.token(tokenizer.mask_id) if tokenizer.mask_id >= 0 else None

    def _created(self, name: str) -> int:
        try:
            return int((self.folder(name) / "run.json").stat().st_mtime)
        except OSError:
            return 0


def lines_after(file: Path, after: int) -> tuple[bytes, int]:
    r"""The whole lines of a file that begin behind a byte, and the byte to ask from next.

    A last line without its end is left for later. Where the file is shorter than `after`, it is another one by now:
    it is read from its beginning. A link is not followed: a folder that somebody else made may have one to any file.

    Args:
        file: of a run that may still be training.
        after: what the last call said; 0 at first.
    """
    try:
        found = file.lstat()
    except OSError:
        return b"", 0
    if not stat.S_ISREG(found.st_mode):
        return b"", 0
    start = after if 0 <= after <= found.st_size else 0
    with file.open("rb") as opened:
        opened.seek(start)
        read = opened.read(MOST_LINES)
    whole = read[: read.rfind(b"\n") + 1]
    return whole, start + len(whole)


def _load_noted(folder: Path) -> tuple[Model, Notes]:
    with taking_notes() as notes:
        return _load(folder), notes


def _load(folder: Path) -> Model:
    from polyseme.infer.model import load  # here, by its own thread: it imports torch

    return load(folder)


def _load_compiled() -> None:
    """Beside the first answers: seconds, where the code was never compiled on this machine."""
    from polyseme.kernels.packed import prepare
    from polyseme.kernels.post_norm import load_compiled
    from polyseme.models.bert import Bert, BertConfig

    sizes = BertConfig(
        vocab_size=6, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    tiny = Bert(sizes).eval()
    prepared: Any = prepare(tiny)
    if prepared is not tiny:
        load_compiled(prepared.blocks)


def _bytes(model: Model) -> int:
    modules = [model.encoder, *model.heads.values()]
    tensors = {id(p): p for m in modules for p in [*m.parameters(), *m.buffers()]}  # type: ignore[attr-defined]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _tasks() -> Iterable[str]:
    from polyseme.core import registry

    return registry.tasks.names()


def _abilities(meta: Mapping[str, Any]) -> frozenset[str]:
    """The abilities of `Model`, by run.json alone."""
    from polyseme.core import registry
    from polyseme.train.card import has_neighbours

    recipe = meta.get("recipe") or {}
    objectives = list(recipe.get("objectives") or ())
    found = {"encode", "tokenize", "embed", "similarity"}
    predicts = {
        registry.learned(part).predicts
        for name in objectives
        for part in registry.learned(name).parts or (name,)
    }
    if "masked" in predicts:
        found.add("fill")
    if predicts - {None}:
        found |= {"score", "choose"}
    model = registry.models.load(str(recipe.get("architecture") or meta.get("model")))
    if "next" in predicts and hasattr(model.build, "decode"):
        found |= {"generate", "next_tokens", "summarize", "answer", "translate"}
    if not model.why_no_attention:
        found.add("attention")
    if "both" in predicts:
        found.add("directions")
    if "class_bigram" in objectives:
        found.add("tree")
    if "next_sentence" in objectives:
        found.add("follows")
    if has_neighbours({"objectives": objectives}):
        found.add("neighbours")
    if any(name in registry.tasks for name in objectives):
        found.add("predict")
    if hasattr(model.build, "active"):
        found.add("embed_sparse")
    return frozenset(found)
