"""What all tasks' configurations have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from polyseme.core.config import Config

Pool = Literal["auto", "cls", "mean", "max", "last", "pair"]


class TaskConfig(Config):
    """Fields of every task's section.

    Args:
        max_length: longest example, tokens with separators; longer texts are cut or read in windows.
        mix: read a learned mix of all layers instead of the last one (ELMo's way).
        lstm: cells of a bidirectional LSTM between the encoder and the head, in each direction; 0 = none.
        hidden: units of a hidden layer in the head; None = what suits the encoder, 0 = none.
        dropout: before the output layer.
        initializer_range: deviation of the output layer's weights at the start.
    """

    max_length: int = Field(128, ge=4)
    mix: bool = False
    lstm: int = Field(0, ge=0)
    hidden: int | None = Field(None, ge=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0)
