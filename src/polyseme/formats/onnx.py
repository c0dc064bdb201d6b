"""Export of neural models to ONNX: any batch size, any length, checked in onnxruntime before it is kept.

    inputs    input_ids (B, T), attention_mask (B, T) with 0 at padding; token_type_ids (B, T) of bert and ernie, and
              of a head that compares two texts; spelling (N, L) of an elmo that reads letters
    outputs   last_hidden_state (B, T, hidden_size), and what the run's heads say: logits (B, T, vocab_size) of a
              language model, forward_logits and backward_logits of elmo, seq_relationship_logits (B, 2) of
              next-sentence prediction. A run that was adapted to a task: logits (B, labels) of texts, (B, T, tags) of
              tokens (a CRF's transitions stay in the run), (B, T, 2) of where an answer begins and ends. A position of
              padding gives numbers without meaning.

Words of elmo that are not in its vocabulary have the ids vocab_size, vocab_size + 1, …; row i of `spelling` holds the
Unicode code points of the word vocab_size + i, with zeros after them. Without such words, pass one row of one zero.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import tokenizers as hf
import torch
from torch import Tensor, nn

from polyseme.core import registry
from polyseme.core.entries import TaskEntry
from polyseme.core.files import new_folder
from polyseme.core.protocols import DenseHead, TokenHead
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.shell import typed
from polyseme.core.types import Batch, Encoding
from polyseme.data.wrapping import Wrapper
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.huggingface.tokenizer import for_pairs
from polyseme.formats.registry import Written
from polyseme.formats.runs import Opened, open_run
from polyseme.layers.charcnn import BEGIN, END, PADDING, UNKNOWN
from polyseme.models.elmo import Elmo, WordVectors
from polyseme.text.tokenizers import Tokenizer

__all__ = ["Exported", "export_onnx", "run_inputs"]

TOLERANCE = 1e-4
OPSET = 18
_ONE_FILE = 1 << 30  # larger weights go into a separate file
_SHAPES = ((2, 9), (1, 1), (1, 23), (3, 5), (2, 70))

Inputs = dict[str, Tensor]


def export_onnx(run: Path | str, output: Path | str, reporter: Reporter | None = None) -> Written:
    """Write a run as model.onnx with its tokenizer.json, after a check that onnxruntime computes the same.

    Args:
        run: the run directory.
        output: a new folder.
        reporter: receives the progress.
    Raises:  RunError: there is no run, or the folder is not empty.
             ConfigError: onnx, onnxscript or onnxruntime is not installed, the model has no weights to export, a
             head has an LSTM, or torch cannot export what the model computes.
             CheckpointError: onnxruntime computes something else; nothing is written.
    """
    runtime = _libraries()
    output, reporter = Path(output), reporter or NullReporter()
    opened = open_run(run)
    if hasattr(opened.encoder, "active"):
        raise ConfigError(
            "not a neural model",
            got=opened.recipe.architecture,
            expected="a run of word2vec, elmo or a transformer",
            where=opened.run.path,
        )
    outputs_by_head = outputs_of(opened)
    examples = [
        (inputs, _computed(opened, inputs))
        for inputs in (run_inputs(opened, *shape) for shape in _shapes(opened))
    ]
    module = Exported(opened)
    with new_folder(output) as folder:
        reporter.stage("exporting", 0, 2)
        file = folder / "model.onnx"
        try:
            _write(module, examples[0][0], file)
        except (OSError, MemoryError):  # the disk or the memory is full: no fault of the model
            raise
        except Exception as error:  # of torch, of any kind: not every model can be expressed as a graph
            raise ConfigError(
                "torch cannot export this model",
                got=(str(error).strip() or type(error).__name__).partition("\n")[0][:200],
                where=opened.run.path,
                fix="another model; polyseme embed RUN FILE and polyseme predict RUN FILE need no export",
            ) from error
        _tokenizer(opened).save(folder / "tokenizer.json")
        reporter.stage("exporting", 1, 2, "comparing with onnxruntime")
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        difference = max(_difference(session, inputs, outputs) for inputs, outputs in examples)
        if not difference <= TOLERANCE:
            raise CheckpointError(
                "the exported model does not compute what the run does",
                got=f"a difference of {difference:.2g}",
                expected=f"at most {TOLERANCE:g}",
                where=opened.run.path,
                fix="another version of torch or onnxruntime",
            )
        reporter.stage("exporting", 2, 2)
        files = sorted(path.name for path in folder.iterdir())
    inputs, outputs = (", ".join(names) for names in examples[0])
    notes = [
        f"inputs: {inputs}; outputs: {outputs}",
        f"onnxruntime's numbers differ from ours by at most {difference:.1g}",
    ]
    if left := [name for name in opened.heads if name not in outputs_by_head]:
        notes.append(f"there is no output for the head of {', '.join(left)}, which was left out")
    return Written(output, files, notes)


class Exported(nn.Module):
    """A run as a function of tensors, without control flow that depends on their values, for torch.export.

    Shapes:  see the head of this file
    """

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.encoder, self.heads = opened.encoder, opened.heads
        self.separators, self.said = separators_of(opened), outputs_of(opened)
        if isinstance(self.encoder, Elmo):
            self.encoder.words = _Words(self.encoder.words)  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        spelling: Tensor | None = None,
    ) -> dict[str, Tensor]:
        position = (attention_mask.cumsum(1) - 1).clamp(min=0)
        batch = Batch(
            ids=input_ids,
            segment=attention_mask,
            position=position,
            type=torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids,
            first=torch.zeros(0, dtype=torch.long),
            spelling=spelling,
        )
        encoding = self.encoder.encode(batch, keep=_kept(self.heads))
        static = self.encoder.reach == "none"

        def of_task(head: DenseHead) -> Tensor:
            return head.dense(encoding, batch, head.columns(batch, self.separators, static))

        return _outputs(encoding, self.heads, self.said, of_task)


OutputForm = Literal["of_task", "of_tokens", "of_halves", "of_first"]


def outputs_of(opened: Opened) -> dict[str, OutputForm]:
    """The form of each head's output, by objective or task; heads without an output are left out.

    Raises:  ConfigError: the head of a task cannot be computed on whole rows.
    """
    outputs: dict[str, OutputForm] = {}
    for name, head in opened.heads.items():
        entry = registry.learned(name)
        if isinstance(entry, TaskEntry):
            _check_dense(opened, name, head)
            outputs[name] = "of_task"
        elif entry.predicts is not None:
            outputs[name] = "of_halves" if entry.predicts == "both" else "of_tokens"
        elif getattr(head, "of_first", False):
            outputs[name] = "of_first"
    return outputs


def _check_dense(opened: Opened, name: str, head: nn.Module) -> None:
    """Raises:  ConfigError: a head has no dense form, or has an LSTM, which restarts with every example."""
    run = opened.run.path
    if not hasattr(head, "dense"):
        raise ConfigError(
            f"the head for {name} has no form that ONNX holds",
            got=type(head).__name__,
            expected="a head that can be computed of whole rows (core.protocols.DenseHead)",
            where=run,
            fix=f"polyseme predict {typed(run)} FILE",
        )
    if head.recurrent:
        raise ConfigError(
            f"a head for {name} with an LSTM is not exported",
            where=run,
            fix=f"polyseme predict {typed(run)} FILE; or finetune with --set {name}.lstm=0",
        )


def separators_of(opened: Opened) -> tuple[int, ...]:
    """Ids that stand around and between texts."""
    wrapper = Wrapper.of(opened.tokenizer)
    return tuple({*wrapper.prefix, *wrapper.middle, *wrapper.suffix})


def _kept(heads: nn.ModuleDict) -> Literal["last", "all"]:
    """The layers that the heads read."""
    return "all" if any(getattr(head, "reads", "last") == "all" for head in heads.values()) else "last"


def _outputs(
    encoding: Encoding,
    heads: nn.ModuleDict,
    outputs_by_head: Mapping[str, OutputForm],
    of_task: Callable[[DenseHead], Tensor],
) -> dict[str, Tensor]:
    """The last layer and the outputs of the heads.

    Args:
        of_task: computes the output of a task's head.
    """
    last = encoding.last
    result = {"last_hidden_state": last}
    for name, kind in outputs_by_head.items():
        if kind == "of_task":
            result["logits"] = of_task(cast(DenseHead, heads[name]))
        elif kind == "of_first":
            result["seq_relationship_logits"] = heads[name](last[:, 0])
        elif kind == "of_tokens":
            result["logits"] = cast(TokenHead, heads[name]).logits(last)
        else:
            logits, half = cast(TokenHead, heads[name]).logits, last.size(-1) // 2
            result["forward_logits"] = logits(last[..., :half])
            result["backward_logits"] = logits(last[..., half:])
    return result


class _Words(nn.Module):
    """ELMo's context-free vectors: a table for the vocabulary, the character network for spelled words.

    Shapes:  ids: (…), spelled: (N, L) code points, N and L at least 1 -> (…, projection)
    """

    table: Tensor
    letters: Tensor

    def __init__(self, words: WordVectors) -> None:
        super().__init__()
        n = words.config.vocab_size
        with torch.no_grad():
            table = torch.cat([words(torch.arange(i, min(n, i + 4096))) for i in range(0, n, 4096)])
        self.register_buffer("table", table)
        self.characters = words.characters
        if words.spelling is not None:
            known = words.spelling.letters
            letters = torch.full((max(known, default=0) + 2,), UNKNOWN)
            letters[list(known)] = torch.tensor(list(known.values()), dtype=torch.long)
            self.register_buffer("letters", letters)
            self.longest = words.spelling.longest
        if words.word_embeddings is not None:
            unknown = words.word_embeddings.weight[words.unknown] / words.config.initializer_range
            self.register_buffer("unknown", unknown.detach().clone())
        else:
            self.register_buffer("unknown", torch.zeros(table.size(1)))

    def forward(self, ids: Tensor, spelled: Tensor | None = None) -> Tensor:
        n = self.table.size(0)
        known = nn.functional.embedding(ids.clamp(max=n - 1), self.table)
        if self.characters is None or spelled is None:
            return known
        fresh = self.characters(*self._spell(spelled)) + self.unknown  # (N, p)
        return torch.where(
            (ids >= n)[..., None], nn.functional.embedding((ids - n).clamp(min=0), fresh), known
        )

    def _spell(self, spelled: Tensor) -> tuple[Tensor, Tensor]:
        """Character ids BEGIN … END of words given as code points.  Shapes: (N, L) -> (N, L'), (N,)"""
        assert self.characters is not None
        points = spelled[:, : self.longest]
        length = (points > 0).sum(1, keepdim=True)  # (N, 1)
        inner = self.letters[points.clamp(max=self.letters.size(0) - 1)]
        ids = nn.functional.pad(inner, (1, 1 + max(self.characters.widths)), value=PADDING)
        ids[:, 0] = BEGIN
        place = torch.arange(ids.size(1))
        ids = torch.where(place == length + 1, END, torch.where(place > length, PADDING, ids))
        return ids, length[:, 0] + 2


def run_inputs(opened: Opened, rows: int, length: int, seed: int = 0) -> Inputs:
    """Tensors to test an exported run with: arbitrary ids, the first row full, the others padded at the end."""
    size = opened.encoder.config.vocab_size
    generator = torch.Generator().manual_seed(seed + 1000 * rows + length)
    ids = torch.randint(5, size, (rows, length), generator=generator)
    filled = torch.linspace(length, max(1, length // 3), rows).long()
    mask = (torch.arange(length) < filled[:, None]).long()
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    if "of_task" in outputs_of(opened).values():
        for i, id in enumerate(separators_of(opened)):
            inputs["input_ids"][:, min(i, length - 1)] = id
    compares = any(getattr(head, "reads_types", False) for head in opened.heads.values())
    if hasattr(opened.encoder, "token_type_embeddings") or compares:
        inputs["token_type_ids"] = mask * (torch.arange(length) >= filled[:, None] // 2).long()
    if getattr(opened.encoder, "open_vocabulary", False):
        words = ["unheard", "of", "字x\U0001f600"]
        inputs["spelling"] = torch.zeros(len(words), max(map(len, words)), dtype=torch.long)
        for i, word in enumerate(words):
            inputs["spelling"][i, : len(word)] = torch.tensor([ord(c) for c in word])
            inputs["input_ids"][0, (i * 2) % length] = size + i
    return inputs


def _shapes(opened: Opened) -> list[tuple[int, int]]:
    return [(rows, min(length, opened.encoder.max_length)) for rows, length in _SHAPES]


@torch.no_grad()
def _computed(opened: Opened, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The run's own outputs for the inputs, computed as everywhere else."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    batch = Batch(
        ids=ids,
        segment=mask,
        position=torch.arange(ids.size(1)) * mask,
        type=inputs.get("token_type_ids", torch.zeros_like(ids)),
        first=torch.arange(0, ids.numel(), ids.size(1)),
        spelling=inputs.get("spelling"),
    )
    encoding = opened.encoder.encode(batch, keep=_kept(opened.heads))
    separators, static = separators_of(opened), opened.encoder.reach == "none"

    def of_task(head: DenseHead) -> Tensor:
        columns = head.columns(batch, separators, static)
        scores = head(encoding, batch, columns.flatten().nonzero()[:, 0])
        if head.of_texts:
            return scores
        result = scores.new_zeros(*ids.shape, scores.size(-1))
        result[columns] = scores
        return result

    return _outputs(encoding, opened.heads, outputs_of(opened), of_task)


def _tokenizer(opened: Opened) -> Tokenizer:
    """The run's tokenizer; for a task it also puts the separators between two texts."""
    tokenizer = opened.tokenizer
    if "of_task" not in outputs_of(opened).values():
        return tokenizer
    spec = json.dumps(for_pairs(tokenizer, types=True), ensure_ascii=False)
    return Tokenizer(hf.Tokenizer.from_str(spec), tokenizer.roles.settings())


def _difference(session: Any, inputs: Mapping[str, Tensor], expected_outputs: Mapping[str, Tensor]) -> float:
    """The largest difference between onnxruntime's values and ours outside padding; NaN counts as infinite."""
    computed = session.run(list(expected_outputs), {name: tensor.numpy() for name, tensor in inputs.items()})
    real = inputs["attention_mask"].bool().numpy()
    largest = 0.0
    for output, expected in zip(computed, expected_outputs.values(), strict=True):
        ours = expected.numpy()
        if output.shape != ours.shape:
            return float("inf")
        theirs, ours = (output, ours) if ours.ndim == 2 else (output[real], ours[real])
        same = theirs == ours  # covers -inf
        gap = np.abs(np.where(same, 0.0, theirs) - np.where(same, 0.0, ours))
        largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0)))
    return largest


def _write(module: nn.Module, inputs: Inputs, file: Path) -> None:
    """Export with torch's exporter; batch size, length and the number of spelled words stay free."""
    free = {"spelling": ("words", "letters")}
    shapes: dict[str, Any] = {}
    dims: dict[str, Any] = {}
    for name in inputs:
        rows, columns = free.get(name, ("batch", "length"))
        pair = [dims.setdefault(dim, torch.export.Dim(dim)) for dim in (rows, columns)]
        shapes[name] = dict(enumerate(pair))
    for name in ("token_type_ids", "spelling"):
        shapes.setdefault(name, None)
    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    with torch.no_grad():
        outputs = list(module(**inputs))
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (),
            kwargs=dict(inputs),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes={name: shapes[name] for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(file), external_data=size > _ONE_FILE)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress the exporter's messages about itself."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _libraries() -> Any:
    """Import onnxruntime, after a check that the exporter's libraries are installed.

    Raises:  ConfigError: a library is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "ONNX export needs more libraries", got=f"no {error.name}", fix="pip install 'polyseme[onnx]'"
        ) from None
    return onnxruntime
