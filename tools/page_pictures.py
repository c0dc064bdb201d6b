"""Pictures of the page of `polyseme serve`, as a browser shows it.

python tools/page_pictures.py RUN... -o FOLDER      an example of every view, in each language, width and theme
python tools/page_pictures.py RUN... -o docs/guide/pictures --readme      those of README.md and README.zh.md

It needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import find_browser

BANK = "The bank of the river was steep."
MONEY = "He went to the bank for money."
VIEWS: dict[str, dict[str, dict[str, str]]] = {
    "line": {
        "en": {"text": BANK, "word": "4~bank", "second": MONEY},
        "zh": {"text": "他在银行工作，每天都很忙。", "word": "2~银行", "second": "这条河的河边有一家银行。"},
    },
    "fill": {
        "en": {"text": BANK, "hide": "4~bank|26~steep"},
        "zh": {"text": "今天天气很好，我们去公园玩。", "hide": "2~天气"},
    },
    "tokens": {
        "en": {"text": "The unbelievable swimmer googled antidisestablishmentarianism."},
        "zh": {"text": "哈尔滨是黑龙江的省会，国际冰雪文化名城。"},
    },
    "score": {
        "en": {
            "text": "The keys to the cabinet are on the table.",
            "second": "The keys to the cabinet is on the table.",
        },
        "zh": {"text": "他把书放在桌子上。", "second": "他把书放在桌子。"},
    },
    "write": {"en": {"text": "It was a dark night, and"}, "zh": {"text": "今天早上，我"}},
    "attention": {
        "en": {"text": "The cat sat on the mat because it was tired, and the dog looked at the cat."},
        "zh": {"text": "小猫坐在垫子上，因为它累了，小狗一直看着小猫。"},
    },
    "senses": {"en": {"word": "bank", "limit": "200"}, "zh": {"word": "打", "limit": "200"}},
    "neighbours": {"en": {"word": "king", "minus": "man", "plus": "woman"}, "zh": {"word": "天气"}},
    "compare": {
        "en": {"text": BANK, "second": MONEY},
        "zh": {"text": "他把钱存进了银行。", "second": "孩子们在河边玩水。"},
    },
    "masks": {
        "en": {"text": "The River Thames flows through the city of London into the North Sea."},
        "zh": {"text": "哈尔滨是黑龙江的省会，国际冰雪文化名城。"},
    },
}
SIZES = {"wide": (1280, 800), "narrow": (400, 800)}
README = {"en": "page-fill", "zh": "page-fill-zh"}
DEMO = {"text": "If the file does not exist, an error is raised.", "hide": "7~file"}


@contextmanager
def served(folders: list[Path]) -> Iterator[str]:
    """The address of a server of runs in this process."""
    import uvicorn

    from polyseme.serve import ServeConfig, serve
    from polyseme.serve.options import named_runs

    made: list[Any] = []
    begun = uvicorn.Server.__init__

    def kept(self: Any, *arguments: Any) -> None:
        begun(self, *arguments)
        made.append(self)

    uvicorn.Server.__init__ = kept  # type: ignore[method-assign]
    told: queue.Queue[str] = queue.Queue()
    config = ServeConfig(runs=named_runs(map(str, folders)), port=0, log="none")
    thread = threading.Thread(target=serve, args=(config, told.put), daemon=True)
    thread.start()
    try:
        yield told.get(timeout=30)
    finally:
        made[0].should_exit = True
        thread.join(30)


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--views", nargs="+", default=list(VIEWS))
    parser.add_argument("--readme", action="store_true")
    asked = parser.parse_args()
    program = find_browser()
    if program is None:
        sys.exit("no browser found")
    from playwright.sync_api import sync_playwright

    asked.output.mkdir(parents=True, exist_ok=True)
    with served(asked.runs) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])

        def picture(view: str, lang: str, size: str, theme: str, name: str) -> None:
            width, height = SIZES[size]
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                reduced_motion="reduce",
                device_scale_factor=2 if asked.readme else 1,
            )
            page = context.new_page()
            page.on("console", lambda message: print(name, message.type, message.text))
            shown = DEMO if asked.readme else VIEWS[view][lang]
            query = "&".join(f"{key}={quote(value)}" for key, value in shown.items())
            page.goto(f"{address}#view={view}&lang={lang}&{query}")
            page.locator(".heading > div > h2").wait_for()
            page.wait_for_timeout(1500 if view != "write" else 4000)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=asked.output / f"{name}.png", full_page=not asked.readme)
            context.close()

        if asked.readme:
            for lang, name in README.items():
                picture("fill", lang, "wide", "light", name)
        else:
            for view in asked.views:
                for lang in VIEWS[view]:
                    for size in SIZES:
                        for theme in ("light", "dark"):
                            picture(view, lang, size, theme, f"{view}-{lang}-{size}-{theme}")
        browser.close()


if __name__ == "__main__":
    main()
