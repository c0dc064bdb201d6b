"""Peers of generation: the same GPT-2 in OpenVINO and in CTranslate2, each with its key-value cache.

A peer is a function (prompts of equal length, new tokens) -> tokens. One that is not installed is named, and left out.
"""

from __future__ import annotations

import copy
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Run = Callable[[list[list[int]], int], list[list[int]]]

NEVER = (0, 1, 2, 4)


def missing() -> list[str]:
    """Peers that cannot be had here, and why."""
    found = {name: importlib.util.find_spec(name) is not None for name in ("openvino", "nncf", "ctranslate2")}
    reasons = [f"{name}: not installed (pip install {name})" for name, has in found.items() if not has]
    return [*reasons, "llama.cpp: has no wheel for pip"]


def peers(theirs: Any, threads: int, int8: bool) -> dict[str, Run]:
    """All that can be had, of one precision.

    Args:
        theirs: transformers' GPT2LMHeadModel, whose weights they get.
        threads: how many each may use.
        int8: weights in eight bits.
    """
    found: dict[str, Run] = {}
    if importlib.util.find_spec("openvino") and (not int8 or importlib.util.find_spec("nncf")):
        found["OpenVINO"] = openvino_run(theirs, threads, int8)
    if importlib.util.find_spec("ctranslate2"):
        found["CTranslate2"] = ctranslate2_run(theirs, threads, int8)
    return found


class Gpt2WithCache(nn.Module):
    """GPT-2's forward pass with keys and values as inputs and outputs, for converters that read a graph."""

    def __init__(self, theirs: Any) -> None:
        super().__init__()
        self.body, self.heads = theirs.transformer, theirs.config.n_head

    def forward(self, ids: Tensor, position: Tensor, beams: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Logits of the last token, and all keys and values: B rows of T new tokens after P old ones.

        Shapes:  ids, position: (B, T).  beams: (B,).  past: (B, heads, P, size) -> (B, V), (B, heads, P + T, size) …
        """
        h = self.body.wte(ids) + self.body.wpe(position)
        b, t, d = h.shape
        present: list[Tensor] = []
        total = past[0].size(2) + t
        seen = torch.arange(total)[None, :] <= torch.arange(total - t, total)[:, None]
        for layer, block in enumerate(self.body.h):
            a = block.attn
            qkv = F.linear(block.ln_1(h), a.c_attn.weight.t(), a.c_attn.bias)
            q, k, v = (x.view(b, t, self.heads, -1).transpose(1, 2) for x in qkv.split(d, dim=2))
            k = torch.cat([past[2 * layer].index_select(0, beams), k], dim=2)
            v = torch.cat([past[2 * layer + 1].index_select(0, beams), v], dim=2)
            present += [k, v]
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            mixed = mixed.transpose(1, 2).reshape(b, t, d)
            h = h + F.linear(mixed, a.c_proj.weight.t(), a.c_proj.bias)
            m = block.mlp
            wide = F.gelu(F.linear(block.ln_2(h), m.c_fc.weight.t(), m.c_fc.bias), approximate="tanh")
            h = h + F.linear(wide, m.c_proj.weight.t(), m.c_proj.bias)
        return F.linear(self.body.ln_f(h[:, -1]), self.body.wte.weight), *present


def openvino_run(theirs: Any, threads: int, int8: bool) -> Run:
    """OpenVINO with the cache as the model's state, as optimum makes it."""
    import openvino as ov
    from openvino._offline_transformations import apply_make_stateful_transformation

    c = theirs.config
    n, size = 2 * c.n_layer, c.n_embd // c.n_head
    ids = torch.zeros(2, 3, dtype=torch.long)
    past = [torch.zeros(2, c.n_head, 5, size) for _ in range(n)]
    with torch.inference_mode():
        model = ov.convert_model(
            Gpt2WithCache(theirs).eval(), example_input=(ids, ids, torch.arange(2), *past)
        )
    names = [*("ids", "position", "beams"), *(f"past.{i}" for i in range(n))]
    shapes = [[-1, -1], [-1, -1], [-1], *[[-1, c.n_head, -1, size]] * n]
    for port, name in zip(model.inputs, names, strict=True):
        port.get_tensor().set_names({name})
    for i, port in enumerate(model.outputs):
        port.get_tensor().set_names({"logits" if i == 0 else f"present.{i - 1}"})
    model.reshape({name: ov.PartialShape(shape) for name, shape in zip(names, shapes, strict=True)})
    apply_make_stateful_transformation(model, {f"past.{i}": f"present.{i}" for i in range(n)})
    if int8:
        import nncf

        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if not int8:
        settings["KV_CACHE_PRECISION"] = "f32"
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(prompts: list[list[int]], new: int) -> list[list[int]]:
        request.reset_state()
        rows = np.array([[2, *prompt] for prompt in prompts])
        found, position, beams = [], np.arange(rows.shape[1]), np.arange(len(rows))
        for _ in range(new):
            places = np.ascontiguousarray(np.broadcast_to(position, rows.shape))
            request.infer({"ids": rows, "position": places, "beams": beams}, share_inputs=True)
            logits = request.get_output_tensor(0).data
            logits[:, NEVER] = -np.inf
            found.append(logits.argmax(1))
            rows, position = found[-1][:, None], position[-1:] + 1
        return np.stack(found, 1).tolist()  # type: ignore[no-any-return]

    return run


def ctranslate2_run(theirs: Any, threads: int, int8: bool) -> Run:
    """CTranslate2; its int8 rounds the inputs of products, too."""
    import ctranslate2
    from ctranslate2.converters.transformers import GPT2Loader

    loader = GPT2Loader()
    spec = loader.get_model_spec(copy.deepcopy(theirs))  # rounding writes over the weights
    words = [f"w{i}" for i in range(theirs.config.vocab_size)]
    spec.register_vocabulary(words)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = words[2], words[3], words[1]
    folder = Path(tempfile.mkdtemp())
    try:
        spec.validate()
        spec.optimize(quantization="int8" if int8 else "float32")
        spec.save(str(folder))
        kind = "int8" if int8 else "float32"
        generator = ctranslate2.Generator(str(folder), "cpu", compute_type=kind, intra_threads=threads)
    finally:
        shutil.rmtree(folder)

    def run(prompts: list[list[int]], new: int) -> list[list[int]]:
        rows = [[words[2], *(words[id] for id in prompt)] for prompt in prompts]
        results = generator.generate_batch(
            rows, max_length=new, min_length=new, sampling_topk=1, include_prompt_in_result=False,
            suppress_sequences=[[words[id]] for id in NEVER],
        )  # fmt: skip
        return [list(result.sequences_ids[0]) for result in results]

    return run
