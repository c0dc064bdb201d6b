"""One thread beside the desk, for what needs no model in turn: counting tokens, searching a store, charts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

__all__ = ["Side"]

Given = TypeVar("Given")


class Side:
    """A thread for counting, which is short, and one for studies, which are not."""

    def __init__(self) -> None:
        self._counting = ThreadPoolExecutor(1, "counting")
        self._studies = ThreadPoolExecutor(1, "studies")

    async def count(self, call: Callable[..., Given], *arguments: Any) -> Given:
        """Do something short."""
        return await asyncio.get_running_loop().run_in_executor(self._counting, partial(call, *arguments))

    async def study(self, call: Callable[..., Given], *arguments: Any) -> Given:
        """Do something that may take seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._studies, partial(call, *arguments))

    def stop(self) -> None:
        """Begin nothing more."""
        self._counting.shutdown(wait=False, cancel_futures=True)
        self._studies.shutdown(wait=False, cancel_futures=True)
