"""How a run is trained: section [train] and [data] of a recipe."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from polyseme.core.config import Config
from polyseme.kernels.products import Products

Precision = Literal["auto", "float32", "bfloat16"]


class DataConfig(Config):
    """Section [data].

    Args:
        sequence_length: longest example, tokens with separators.
        row_length: tokens of a packed row; None = sequence_length.
        workers: background threads that prepare batches.
    """

    sequence_length: int = Field(128, ge=8)
    row_length: int | None = Field(None, ge=8)
    workers: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _rows_hold_examples(self) -> Self:
        if self.row_length is not None and self.row_length < self.sequence_length:
            raise ValueError(
                f"row_length {self.row_length} must be at least sequence_length {self.sequence_length}"
            )
        return self

    @property
    def row(self) -> int:
        """Tokens of a row."""
        return self.row_length or self.sequence_length


class TrainConfig(Config):
    """Section [train].

    Args:
        size: "auto" = sizes of the model and the learning rate follow the budget and the text
            (train/sizes.py); "given" = they are those of the recipe. A size that --set names makes it "given".
        batch_size: rows per update, of all ranks together.
        micro_batch_size: at most so many rows per forward pass of a rank; None = its share of batch_size. Gradients
            accumulate with global counts.
        optimizer: "adamw" (Loshchilov and Hutter 2019) or "muon" (Jordan et al. 2024) for the blocks' matrices.
        learning_rate: the peak.
        head_learning_rate: a factor on the learning rate for heads.
        layer_decay: a factor on the learning rate for every step down from the head: once for the last layer, twice for
            the layer below it, and so on down to the embeddings.
        frozen: leave the encoder as it is and train heads alone.
        patience: end after this many evaluations without progress; None = use the whole budget, as objectives with
                stages do.
        embedding_learning_rate: a factor on the learning rate for embedding tables.
        weight_decay: decoupled, on matrices only.
        schedule: shape of the learning rate over the budget, after the warm-up.
        warmup: share of the budget.
        final: the last learning rate as a share of the peak.
        clip_norm: largest norm of a gradient; 0 = do not clip.
        spike_factor: an update whose gradient norm is this many times the recent median is skipped; 0 = never.
        embedding_start: "random"; "cooccurrence" = factorised counts of neighbouring tokens;
            "bigram" = these, and a causal LM's output layer that predicts bigrams from them (train/from_counts.py).
        attention_start: "random"; "neighbours" = heads of the first layers begin by looking at the tokens beside theirs
            (train/neighbours.py); for models with learned positions.
        precision: "auto" = bfloat16 where the processor has it natively and it measures faster, else float32.
        products: the library of float32 products on CPUs: "torch" (MKL), "onednn", or "auto" = oneDNN where it measures
            faster. The two round differently; a run keeps its choice.
        compile: torch.compile the encoder (pays on GPUs).
        evaluations: held-out evaluations over the budget.
        heldout_tokens: at most this many tokens of held-out text are scored.
        most_epochs: passes over the text after which a budget in minutes ends early; None = it never does.
        save_minutes: time between checkpoints.
        keep: which weights model.safetensors holds: the "best" on held-out text, or the "last".
        tensorboard: also write TensorBoard event files to RUN/tensorboard (needs the extra `tensorboard`).
    """

    size: Literal["auto", "given"] = "given"
    batch_size: int = Field(32, ge=1)
    micro_batch_size: int | None = Field(None, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    embedding_learning_rate: float = Field(1.0, gt=0)
    head_learning_rate: float = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    frozen: bool = False
    patience: int | None = Field(None, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    schedule: Literal["linear", "cosine", "constant", "trapezoid"] = "linear"
    warmup: float = Field(0.05, ge=0, lt=1)
    final: float = Field(0.0, ge=0, le=1)
    clip_norm: float = Field(1.0, ge=0)
    spike_factor: float = Field(10.0, ge=0)
    embedding_start: Literal["random", "cooccurrence", "bigram"] = "random"
    attention_start: Literal["random", "neighbours"] = "random"
    precision: Precision = "auto"
    products: Products = "auto"
    compile: bool = False
    evaluations: int = Field(20, ge=1)
    heldout_tokens: int = Field(32_768, ge=128)
    most_epochs: float | None = Field(None, gt=0, allow_inf_nan=False)
    save_minutes: float = Field(3.0, gt=0)
    keep: Literal["best", "last"] = "best"
    tensorboard: bool = False

    @model_validator(mode="after")
    def _micro_batches_divide(self) -> Self:
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of micro_batch_size {self.micro_batch_size}"
            )
        return self

    @property
    def rows(self) -> int:
        """Rows of a forward pass."""
        return self.micro_batch_size or self.batch_size
