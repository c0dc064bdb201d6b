"""Pictures of the page of `polyseme serve` as a browser shows it, and what the page takes there.

python tools/page_pictures.py RUN... -o FOLDER      an example of every view, in each language, width and theme
python tools/page_pictures.py DEMO WORD2VEC -o docs/guide/pictures --readme       those of README.md and README.zh.md;
    DEMO is the run of `make demo`, WORD2VEC of `polyseme pretrain word2vec python-docs -o WORD2VEC --tokens 8M`
python tools/page_pictures.py RUN... --figures      sizes and milliseconds; the first RUN that fills holes is measured

It needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import queue
import random
import statistics
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
    "tasks": {
        "en": {
            "text": "The swimmer lost his trousers in the river, and an old fisherman found them in the evening.",
            "question": "Who lost his trousers?",
            "second": "A fisherman lost something.",
        },
        "zh": {"text": "游泳的人在河里丢了裤子。", "question": "谁丢了裤子？", "second": "渔夫丢了东西。"},
    },
    "mix": {"en": {}, "zh": {}},
    "training": {"en": {}, "zh": {}},
    "api": {"en": {"text": BANK}, "zh": {"text": "今天天气很好。"}},
    "masks": {
        "en": {"text": "The River Thames flows through the city of London into the North Sea."},
        "zh": {"text": "哈尔滨是黑龙江的省会，国际冰雪文化名城。"},
    },
}
SIZES = {"wide": (1280, 800), "narrow": (400, 800)}
FILE = "If the file does not exist, an error is raised."
README = {
    "fill": {"text": FILE, "hide": "7~file"},
    "line": {
        "text": "The file does not exist.",
        "word": "4~file",
        "second": "The names are written to a file.",
    },
    "attention": {
        "text": "The iterator returns the next item, and when it has no more items it raises an exception."
    },
    "senses": {"word": "key", "limit": "300"},
}
"""What the demo's run is asked for them; it has read English alone, also where the page speaks Chinese."""
TO_WEBP = """async png => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.7).split(",")[1];
}"""


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


PAGE = """
window.until = async (test) => {
  const began = performance.now();
  while (!test()) {
    if (performance.now() - began > 60000) throw new Error("nothing came: " + test);
    await new Promise(next => setTimeout(next, 2));
  }
};
window.all = (what) => [...document.querySelectorAll(what)];
const look = setInterval(() => {
  if (document.querySelector("main .empty button")) {
    window.interactive = performance.now();
    clearInterval(look);
  }
}, 3);
"""
"""What the measured page has beside its own."""
FILLED = """async n => {
  const word = all("main .word")[n], name = word.textContent.trim(), began = performance.now();
  word.click();
  await until(() => document.querySelector("#mask-1 .card:not(.stale) .bar-line")
    && document.querySelector("#mask-title-1").textContent.includes(name));
  const took = performance.now() - began;
  document.querySelector("#mask-1")?.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}));
  await until(() => !document.querySelector("#mask-1"));
  return took;
}"""
ATTENTION = """async hash => {
  const tokens = () => all(".heads .tok").length / 2, before = tokens(), began = performance.now();
  location.hash = hash;
  await until(() => tokens() && tokens() !== before && !all("main .stale").length);
  return [performance.now() - began, tokens()];
}"""
SENSES = """async ([hash, word]) => {
  const began = performance.now();
  location.hash = hash;
  await until(() => document.querySelector("main .state span")?.textContent.includes("\u201c" + word + "\u201d")
    && document.querySelector(".map canvas"));
  const maps = performance.now() - began, uses = document.querySelector("main .state span").textContent;
  const layers = 1 + Number(document.querySelector(".slider input").max);
  await until(() => document.querySelector(".panes section > p.quiet")?.textContent.trim());
  return [maps, performance.now() - began, uses, layers];
}"""
SLID = """async () => {
  const slider = document.querySelector(".slider input"), times = [];
  let going = true;
  const tick = now => { times.push(now); if (going) requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  for (let i = 0; i < 10; i++) {
    slider.value = String(i % 2 ? 4 : 0);
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(next => setTimeout(next, 420));
  }
  going = false;
  const gaps = times.slice(1).map((now, i) => now - times[i]).sort((a, b) => a - b);
  const seconds = (times.at(-1) - times[0]) / 1000;
  return [gaps.length / seconds, gaps[gaps.length >> 1], gaps[Math.floor(gaps.length * .95)]];
}"""
LONG = "One day a man walked along the road to the town and saw a dog that sat in front of a house and looked at him"


def figures(browser: Any, address: str, rounds: int) -> list[dict[str, Any]]:
    """What the page takes: sizes in bytes, times in milliseconds, a slider's frames a second."""
    cases: list[dict[str, Any]] = []

    def case(name: str, value: float, unit: str, aim: str, **more: Any) -> None:
        cases.append({"case": name, "value": round(value, 1), "unit": unit, "aim": aim, **more})
        about = " ".join(f"{key} {told}" for key, told in more.items())
        print(f"{name:<34} {cases[-1]['value']:>10,} {unit:<9} {aim:<14} {about}", flush=True)

    def opened(hash: str = "") -> tuple[Any, dict[str, bytes]]:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.add_init_script(PAGE)
        files: dict[str, bytes] = {}

        def keep(response: Any) -> None:
            if response.request.resource_type in ("document", "script", "stylesheet"):
                files[response.url] = response.body()

        page.on("response", keep)
        page.goto(f"{address}#lang=en{hash}")
        page.locator(".heading > div > h2").wait_for()
        return page, files

    ready = []
    for _ in range(rounds):
        page, files = opened()
        page.locator("main .empty button").first.wait_for()
        ready.append(page.evaluate("interactive"))
        page.context.close()
    first = sum(len(gzip.compress(content, 9)) for content in files.values())
    case("first view, gzip", first, "bytes", "<= 60,000", files=len(files))
    from polyseme.serve.files import FOLDER

    case("static", sum(file.stat().st_size for file in FOLDER.iterdir()), "bytes", "<= 1,600,000")
    case("interactive", statistics.median(ready), "ms", "<= 1,000", best=round(min(ready)))

    page, _ = opened()
    runs = page.evaluate("fetch('api/runs').then(answer => answer.json())")["runs"]
    run = next(each["run"] for each in runs if {"fill", "attention"} <= set(each.get("abilities", ())))
    page.goto(f"{address}#lang=en&view=fill&runs={quote(run)}&text={quote(LONG)}")
    page.locator("main .word").first.wait_for()
    page.evaluate(FILLED, 0)  # the run is loaded
    took = [page.evaluate(FILLED, n) for n in range(1, 1 + rounds)]
    case("fill in the page", statistics.median(took), "ms", "<= 100", best=round(min(took)))

    took = []
    for more in range(rounds + 1):  # of unlike lengths, so that a new answer is told from the one before
        text = quote(f"{LONG}, and then on to the river, the bridge and the mill{' again' * more}.")
        said = page.evaluate(ATTENTION, f"lang=en&view=attention&runs={quote(run)}&text={text}")
        took.append(said[0])
    took = took[1:]  # the first one loads the view
    case("attention", statistics.median(took), "ms", "<= 300", tokens=said[1], best=round(min(took)))

    maps, groups = [], []
    for word in ("file", "object", "list", "function")[: rounds + 1]:
        hash = f"lang=en&view=senses&runs={quote(run)}&word={word}&limit=400&a={quote(run)}&b=-"
        drawn, found, uses, layers = page.evaluate(SENSES, [hash, word])
        maps.append(drawn)
        groups.append(found)
    maps, groups = maps[1:], groups[1:]
    case(
        "map of 400 uses",
        statistics.median(maps),
        "ms",
        "<= 3,000",
        layers=layers,
        best=round(min(maps)),
        said=uses,
    )
    case("its groups", statistics.median(groups), "ms", "<= 10,000", best=round(min(groups)))
    page.context.close()
    for panes in (1, 2):
        fps, median, slow, script = slid(browser, address, [each["run"] for each in runs][:panes])
        about = {
            "median_gap": round(median, 1),
            "p95_gap": round(slow, 1),
            "main_thread_ms": round(script, 1),
        }
        case(f"slider, 1,500 points, {panes} map{'s' * (panes > 1)}", fps, "frames/s", ">= 60", **about)
    return cases


def slid(browser: Any, address: str, runs: list[str]) -> tuple[float, float, float, float]:
    """Points of 1,500 made-up uses move: frames a second, the median gap, a slow one, and the page's own ms a frame."""
    dice, n, layers = random.Random(0), 1500, 5

    def place(layer: int) -> list[float]:
        return [dice.gauss(0, 1) * (layer + 1) for _ in range(n)]

    maps = [{"layer": layer, "x": place(layer), "y": place(layer), "dots": None} for layer in range(layers)]
    drawn = [{"id": str(i), "before": "a ", "form": "bank", "after": " of a river"} for i in range(1, n + 1)]
    use = {"text": "a bank of", "start": 2, "end": 6}
    uses = [{"id": each["id"], **use} for each in drawn]
    group = {"uses": n // 6, "words": ["a"], "typical": drawn[:3]}
    answer = {
        "words": [{"word": "bank", "uses": n, "drawn": drawn}],
        "notes": [],
        "runs": [
            {
                "name": "x",
                "model": "bert",
                "static": False,
                "seconds": 1,
                "words": [
                    {
                        "layer": 4,
                        "groups": [group] * 6,
                        "map": {"group": [dice.randrange(6) for _ in range(n)]},
                        "maps": maps,
                    }
                ],
            }
        ],
    }
    first = {
        "word": "bank",
        "uses": n,
        "model": "bert",
        "reach": "both",
        "drawn": drawn,
        "layers": maps,
        "notes": [],
    }
    lines = [line for run in runs for line in ({"run": run, "maps": first}, {"run": run, "answer": answer})]
    found = {"word": "bank", "from": "store", "uses": uses, "found": n, "texts_read": 1, "notes": []}
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.route("**/api/uses", lambda route: route.fulfill(json=found))
    body = "".join(json.dumps(line) + "\n" for line in lines)
    page.route("**/api/senses", lambda route: route.fulfill(body=body, content_type="application/x-ndjson"))
    panes = f"a={quote(runs[0])}&b={quote(runs[1]) if len(runs) > 1 else '-'}"
    page.goto(f"{address}#lang=en&view=senses&word=bank&limit=1500&{panes}")
    page.locator(".legend li").nth(5).wait_for(timeout=60_000)
    page.wait_for_timeout(800)
    session = page.context.new_cdp_session(page)
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    session.send("Performance.enable")

    def busy() -> float:
        told = session.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in told if each["name"] == "TaskDuration")

    before = busy()
    fps, median, slow = page.evaluate(SLID)
    script = (busy() - before) / (fps * 4.2) * 1000
    page.context.close()
    return fps, median, slow, script


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--views", nargs="+", default=list(VIEWS))
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.output is None and not asked.figures:
        parser.error("-o FOLDER, or --figures")
    program = find_browser()
    if program is None:
        sys.exit("no browser found")
    from playwright.sync_api import sync_playwright

    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
    with served(asked.runs) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])

        def picture(view: str, lang: str, size: str, theme: str, name: str) -> None:
            width, height = SIZES[size]
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.on("console", lambda message: print(name, message.type, message.text))
            shown = README[view] if asked.readme else VIEWS[view][lang]
            if asked.readme and view in ("fill", "attention"):
                shown = {**shown, "runs": asked.runs[0].name}
            query = "&".join(f"{key}={quote(value)}" for key, value in shown.items())
            page.goto(f"{address}#view={view}&lang={lang}&{query}")
            page.locator(".heading > div > h2").wait_for()
            page.wait_for_timeout(1500 if view != "write" else 4000)
            for waiting in (".stale", ".progress"):
                page.locator(waiting).first.wait_for(state="detached", timeout=120_000)
            page.wait_for_timeout(300)
            taken = page.screenshot(full_page=not asked.readme)
            if asked.readme:  # a quarter of the size
                blank = browser.new_page()
                webp = blank.evaluate(TO_WEBP, base64.b64encode(taken).decode())
                (asked.output / f"{name}.webp").write_bytes(base64.b64decode(webp))
                blank.close()
            else:
                (asked.output / f"{name}.png").write_bytes(taken)
            context.close()

        if asked.figures:
            cases = figures(browser, address, asked.rounds)
            print(json.dumps({"bench": "page", "cases": cases}))
        elif asked.readme:
            for view in README:
                for lang, end in (("en", ""), ("zh", "-zh")):
                    picture(view, lang, "wide", "light", f"page-{view}{end}")
        else:
            for view in asked.views:
                for lang in VIEWS[view]:
                    for size in SIZES:
                        for theme in ("light", "dark"):
                            picture(view, lang, size, theme, f"{view}-{lang}-{size}-{theme}")
        browser.close()


if __name__ == "__main__":
    main()
