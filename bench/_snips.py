"""SNIPS' slots as CoNLL columns for line_on_tasks.toml: python bench/_snips.py"""

from __future__ import annotations

import _finetune_tasks

if __name__ == "__main__":
    _finetune_tasks.CACHE.mkdir(parents=True, exist_ok=True)
    for part in ("train", "dev", "test"):
        print(_finetune_tasks.slot_columns(part))
