"""polyseme: representations of text, from 1-of-N to GPT, trained, compared and looked into.

The names below are the public ones; everything else may change without notice. Importing the package is cheap:
a name loads its module, and torch with it, when it is first used.

    import polyseme
    polyseme.pretrain("modernbert", "my-texts", output="runs/mine", minutes=10)
    model = polyseme.load("runs/mine")     # a trained run with methods: embed, encode, fill, generate, score …
    model.embed(["a text", "another"])     # NumPy arrays
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from polyseme.core import cores
from polyseme.core.version import __version__
from polyseme.errors import PolysemeError

if TYPE_CHECKING:
    from polyseme.calls import finetune, pretrain
    from polyseme.core.reporter import Reporter
    from polyseme.core.result import Result
    from polyseme.data.prepare import prepare
    from polyseme.formats.registry import export_model, import_model
    from polyseme.infer.embed import embed
    from polyseme.infer.embed_file import embed_file
    from polyseme.infer.fill import fill
    from polyseme.infer.generate import generate, generate_stream, next_tokens
    from polyseme.infer.hidden import EncodedText, encode
    from polyseme.infer.mask import mask
    from polyseme.infer.model import Model, load
    from polyseme.infer.neighbours import neighbours
    from polyseme.infer.next_sentence import follows
    from polyseme.infer.predict import Predictor
    from polyseme.infer.score import score, score_continuations
    from polyseme.infer.tokenize import tokenize
    from polyseme.report.compared import compare
    from polyseme.report.run_summary import inspect
    from polyseme.study.attention import attention
    from polyseme.study.cka import cka
    from polyseme.study.cosines import cosines
    from polyseme.study.directions import directions
    from polyseme.study.distil import distil
    from polyseme.study.evaluate import evaluate
    from polyseme.study.hidden_units import hidden_units
    from polyseme.study.holes import holes
    from polyseme.study.labelled import read_labelled
    from polyseme.study.pairs import pairs
    from polyseme.study.probe import probe
    from polyseme.study.senses import senses
    from polyseme.study.tree import tree
    from polyseme.study.word_uses import uses
    from polyseme.study.word_vectors import analogy, similarity
    from polyseme.text.config import TextConfig, TokenizerConfig
    from polyseme.text.corpus import Corpus
    from polyseme.text.tokenizers import Tokenizer
    from polyseme.train.request import Budget, FinetuneRequest, PretrainRequest
    from polyseme.train.run import RunDirectory

cores.set_thread_defaults()  # before torch, which reads its settings when it is loaded

__all__ = [
    "Budget",
    "Corpus",
    "EncodedText",
    "FinetuneRequest",
    "Model",
    "PolysemeError",
    "Predictor",
    "PretrainRequest",
    "Reporter",
    "Result",
    "RunDirectory",
    "TextConfig",
    "Tokenizer",
    "TokenizerConfig",
    "__version__",
    "analogy",
    "attention",
    "cka",
    "compare",
    "cosines",
    "directions",
    "distil",
    "embed",
    "embed_file",
    "encode",
    "evaluate",
    "export_model",
    "fill",
    "finetune",
    "follows",
    "generate",
    "generate_stream",
    "hidden_units",
    "holes",
    "import_model",
    "inspect",
    "load",
    "mask",
    "neighbours",
    "next_tokens",
    "pairs",
    "prepare",
    "pretrain",
    "probe",
    "read_labelled",
    "score",
    "score_continuations",
    "senses",
    "similarity",
    "tokenize",
    "tree",
    "uses",
]

_HOMES = {
    "Budget": "polyseme.train.request",
    "Corpus": "polyseme.text.corpus",
    "EncodedText": "polyseme.infer.hidden",
    "FinetuneRequest": "polyseme.train.request",
    "Model": "polyseme.infer.model",
    "Predictor": "polyseme.infer.predict",
    "PretrainRequest": "polyseme.train.request",
    "Reporter": "polyseme.core.reporter",
    "Result": "polyseme.core.result",
    "RunDirectory": "polyseme.train.run",
    "TextConfig": "polyseme.text.config",
    "Tokenizer": "polyseme.text.tokenizers",
    "TokenizerConfig": "polyseme.text.config",
    "analogy": "polyseme.study.word_vectors",
    "attention": "polyseme.study.attention",
    "cka": "polyseme.study.cka",
    "compare": "polyseme.report.compared",
    "cosines": "polyseme.study.cosines",
    "directions": "polyseme.study.directions",
    "distil": "polyseme.study.distil",
    "embed": "polyseme.infer.embed",
    "embed_file": "polyseme.infer.embed_file",
    "encode": "polyseme.infer.hidden",
    "evaluate": "polyseme.study.evaluate",
    "export_model": "polyseme.formats.registry",
    "fill": "polyseme.infer.fill",
    "finetune": "polyseme.calls",
    "follows": "polyseme.infer.next_sentence",
    "generate": "polyseme.infer.generate",
    "generate_stream": "polyseme.infer.generate",
    "hidden_units": "polyseme.study.hidden_units",
    "holes": "polyseme.study.holes",
    "import_model": "polyseme.formats.registry",
    "inspect": "polyseme.report.run_summary",
    "load": "polyseme.infer.model",
    "mask": "polyseme.infer.mask",
    "neighbours": "polyseme.infer.neighbours",
    "next_tokens": "polyseme.infer.generate",
    "pairs": "polyseme.study.pairs",
    "prepare": "polyseme.data.prepare",
    "pretrain": "polyseme.calls",
    "probe": "polyseme.study.probe",
    "read_labelled": "polyseme.study.labelled",
    "score": "polyseme.infer.score",
    "score_continuations": "polyseme.infer.score",
    "senses": "polyseme.study.senses",
    "similarity": "polyseme.study.word_vectors",
    "tokenize": "polyseme.infer.tokenize",
    "tree": "polyseme.study.tree",
    "uses": "polyseme.study.word_uses",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
