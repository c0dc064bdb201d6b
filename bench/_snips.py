"""SNIPS as files that polyseme reads: its three aligned files a split become CoNLL columns and a .tsv table.

Run: python bench/_snips.py, which writes bench/.cache/snips/{train,valid,test}.{conll,tsv}
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "shared" / "data" / "tasks" / "snips"
TARGET = HERE / ".cache" / "snips"


def convert(split: str) -> None:
    words, tags, labels = (
        (SOURCE / split / name).read_text("utf-8").split("\n") for name in ("seq.in", "seq.out", "label")
    )
    sentences = [
        (w.split(), t.split(), la.strip()) for w, t, la in zip(words, tags, labels, strict=True) if w.strip()
    ]
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(ws, ts, strict=True)) for ws, ts, _ in sentences]
    (TARGET / f"{split}.conll").write_text("\n".join(blocks), "utf-8")
    rows = ["text\tlabel", *(f"{' '.join(ws)}\t{label}" for ws, _, label in sentences)]
    (TARGET / f"{split}.tsv").write_text("\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    TARGET.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        convert(split)
    print(TARGET)
