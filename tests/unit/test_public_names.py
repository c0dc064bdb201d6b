"""The public names are these; a change here is a change for users and belongs into CHANGELOG.md."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import polyseme

PUBLIC = [
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


def test_the_list_is_the_one_that_was_promised() -> None:
    assert sorted(polyseme.__all__) == PUBLIC
    assert dir(polyseme) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(polyseme, name)
    if name == "__version__":
        assert value.split(".")[0].isdecimal()
    else:
        assert value.__name__ == name
        assert value.__module__.startswith("polyseme.")
        assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pretran'"):
        polyseme.pretran  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, polyseme; print({'torch', 'numpy', 'pydantic', 'cyclopts'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
