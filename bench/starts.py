"""Held-out loss against tokens of runs with different recipes, as a picture: docs/guide/pictures/starts.svg.

    python bench/starts.py PICTURE.svg "bert, novels=runs/bert" "bert-2018, novels=runs/bert-2018" …

Each run was trained by `polyseme pretrain` on the same text; NAME=RUN gives a curve its name. The dashed line is word
frequency alone, as the first run was judged. Losses before the first update are not drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from polyseme.report.charts import Axis, Rule, Series, lines
from polyseme.report.files import save
from polyseme.train.run import RunDirectory


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("curves", nargs="+", metavar="NAME=RUN")
    options = parser.parse_args()
    rows, names, unigram = [], [], 0.0
    for curve in options.curves:
        name, _, run = curve.partition("=")
        names.append(name)
        for record in RunDirectory.open(run).metrics():
            if record.get("heldout_loss") and record["tokens"]:  # before the first update it is far above
                unigram = unigram or record["unigram_loss"]
                rows.append({"run": name, "tokens": record["tokens"] / 1e6, "loss": record["heldout_loss"]})
    chart = lines(
        rows,
        Axis("tokens", "million tokens read", ".2f"),
        Axis("loss", "held-out loss (nats per predicted token)", ".3f"),
        Series("run", names),
        Rule(unigram, f"word frequency alone {unigram:.2f}"),
        ends=names,
    )
    save(chart, [options.picture])


if __name__ == "__main__":
    main()
