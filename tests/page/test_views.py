"""Every view, as a reader meets it: walked by keyboard alone, in both languages, themes and widths.

A new view is an entry of `JOURNEYS`. Pictures of what was walked: POLYSEME_PICTURES=FOLDER.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from adapting import TASKS

ENGLISH = "the old cat sees a small bird"
CHINESE = "今天天气很好。"
NAMES = {
    "polyseme",
    "english",
    "example",
    "svg",
    "png",
    "csv",
    "json",
    "mask",
    "gpt",
    "of",
    "word",
    "vec",
} | {
    *("elmo", "bert", "ernie", "unk", "top", "enter", "esc", "ctrl", "shift", "undefined"),
    *("cka", "softmax", "feature", "based", "models", "name", "openapi", "tl", "dr", *TASKS),
}
"""What is not Chinese on a Chinese page: names, and the other language's own.

A view whose words hold another name adds it here."""
TIMEOUT = 30_000
TABS = 80


class Reader:
    """A reader who has a keyboard and no mouse.

    Args:
        page: of playwright.
        lang: of the page's words.
    """

    def __init__(self, page: Any, lang: str) -> None:
        self.page, self.lang = page, lang
        self.text = CHINESE if lang == "zh" else ENGLISH

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def types(self, text: str) -> None:
        """Put a text into the box and ask."""
        self.press("/")
        self.page.keyboard.insert_text(text)
        self.press("Enter", "Escape")

    def tab_to(self, selector: str) -> None:
        """Press Tab until an element has the focus; it must be seen to have it."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector).first).to_be_visible(timeout=TIMEOUT)
        for _ in range(TABS):
            self.press("Tab")
            if self.page.evaluate("s => document.activeElement.matches(s)", selector):
                outline = self.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{selector} has the focus, and nobody sees it"
                return
        raise AssertionError(f"{TABS} times Tab do not reach {selector}")

    def sees(self, selector: str, n: int | None = None) -> Any:
        from playwright.sync_api import expect

        found = self.page.locator(selector)
        if n is not None:
            expect(found).to_have_count(n, timeout=TIMEOUT)
        if n == 0:
            return found
        expect(found.first).to_be_visible(timeout=TIMEOUT)
        return found

    def rests(self) -> None:
        """Wait until every run that was asked has answered: what is counted or read once is read after this."""
        self.sees("main[aria-busy=false]", 1)


def line(reader: Reader) -> None:
    reader.press("g", "l")
    reader.types(reader.text)
    reader.sees("tbody tr", 4)
    reader.rests()
    words = reader.page.locator("thead button").count()
    assert words == (6 if reader.lang == "en" else 3) + (1 if reader.lang == "en" else 0)
    reader.tab_to("#second")
    reader.page.keyboard.insert_text("a bad old dog" if reader.lang == "en" else "天气很好。")
    reader.press("Enter")
    reader.tab_to("thead button")
    reader.press("Tab", "Enter")  # the second word: old, 天气
    # every run that has a vector for it says how near the two are
    reader.sees("td.both .value, td.both .unknown", 4)
    reader.rests()
    assert reader.page.locator("td.both .value").count() >= 3
    # what the second sentence is for stands beside the run's name, in sight however long the first one is
    reader.sees("th[scope=row] + td.both", 4)
    lines = reader.page.locator(".cosine").evaluate_all(
        "all => all.map(each => each.getClientRects().length)"
    )
    assert set(lines) == {1}  # a bar and its number are not apart
    static = reader.page.locator("tbody tr", has_text="word2vec").locator("td.both").inner_text()
    if reader.lang == "en":  # a static vector is the same in every sentence
        assert "1.00" in static
    reader.page.wait_for_url("**word=**", timeout=TIMEOUT)
    reader.press("[")
    reader.page.wait_for_url("**layer=**", timeout=TIMEOUT)


def fill(reader: Reader) -> None:
    reader.press("g", "f")
    reader.types(reader.text)
    reader.tab_to(".word")
    reader.press("Tab", "Enter")  # hides the second word
    bars = reader.sees("#mask-1 button.bar-line")
    reader.rests()
    assert bars.count() >= 10
    reader.sees(".rank" if reader.lang == "en" else ".card .facts")
    before = reader.page.url
    reader.press("1", "ArrowDown", "Enter")  # the second candidate is put in
    reader.page.wait_for_url(lambda url: url != before and "hide" not in url)
    reader.page.go_back()  # Back takes it out again
    reader.sees("#mask-1 button.bar-line")
    reader.page.wait_for_url("**hide=**", timeout=TIMEOUT)


USES = "\n".join(
    [f"one\tthe old cat sees {n} birds" for n in range(6)]
    + [f"two\ta small cat, a dog and {n} more" for n in range(6)]
)


def attention(reader: Reader) -> None:
    reader.press("g", "a")
    reader.sees("#beside")
    reader.types(reader.text)
    reader.sees(".heads .grid button")
    reader.tab_to(".grid button[aria-pressed=true]")
    before = reader.page.url
    reader.press("Home", "ArrowRight", "ArrowDown", "ArrowLeft")  # to the second layer's first head
    reader.page.wait_for_url("**head=2-1**", timeout=TIMEOUT)
    assert reader.page.url != before
    reader.sees(".grid button[aria-pressed=true]:focus", 1)
    reader.press("[")
    reader.page.wait_for_url("**head=1-1**", timeout=TIMEOUT)
    reader.tab_to("button.tok")
    reader.press("ArrowDown", "Enter")  # the second token is held
    reader.sees(".tok.here", 1)
    assert "%" in reader.sees(".heads .told").inner_text()
    reader.press("ArrowDown")
    reader.sees(".tok.here", 1)
    reader.press("Escape")
    reader.sees(".tok.here", 0)
    reader.tab_to("#beside")
    reader.press("ArrowDown", "ArrowDown")  # the other run beside it
    reader.sees(".heads .grid", 2)
    reader.tab_to("#matrix")
    reader.press("Space")  # as long texts are shown
    reader.sees(".heads .cells", 2)
    reader.tab_to(".cells")
    reader.press("ArrowRight", "ArrowRight", "ArrowDown")
    assert "%" in reader.sees(".cell").first.inner_text()


def senses(reader: Reader) -> None:
    reader.press("g", "e")
    reader.sees("#from")
    reader.types(USES)
    reader.tab_to("#from")
    reader.press("ArrowDown")  # the lines above
    reader.tab_to("input.word")
    reader.page.keyboard.insert_text("cat")
    reader.press("Enter")
    reader.sees(".map canvas", 2)
    reader.sees(".legend li", 2)  # the senses that stand before the lines
    reader.tab_to("section:nth-child(2) input[type=range]")
    last = reader.page.locator(".slider span").nth(1).inner_text()
    reader.press("ArrowLeft")  # the points move to the layer before
    assert reader.page.locator(".slider span").nth(1).inner_text() != last
    reader.press("]")
    assert reader.page.locator(".slider span").nth(1).inner_text() == last
    reader.tab_to("section:nth-child(2) canvas")
    reader.press("ArrowRight", "ArrowRight", "Enter")
    reader.sees(".below .use", 1)
    reader.press("2")  # all uses of the second sense
    reader.sees(".below .use", 6)
    reader.press("Escape")
    reader.sees(".below .use", 0)
    reader.press("1")
    reader.sees(".below .use", 6)


def compare(reader: Reader) -> None:
    reader.press("g", "c")
    reader.sees("#second")
    reader.types(reader.text)
    reader.tab_to("#second")
    reader.page.keyboard.insert_text("a bad old dog" if reader.lang == "en" else "天气很好。")
    reader.press("Enter")
    reader.sees(".wholes li", 4)
    reader.sees("tbody td")
    reader.tab_to(".wholes button")
    other = "word2vec"
    if reader.lang == "zh":  # of which this run knows no word; the next one reads letters
        reader.press("Tab")
        other = "elmo"
    reader.press("Enter")  # another run word by word
    reader.sees("tbody td.nearest")
    reader.page.wait_for_url(f"**run={other}**", timeout=TIMEOUT)
    reader.tab_to("#layers")
    reader.press("ArrowDown", "ArrowDown", "ArrowDown")  # its layers beside those of bert
    reader.page.wait_for_url("**layers=bert**")
    if reader.lang == "zh":
        reader.sees("p.quiet")  # of so few words nothing is said
    else:
        reader.sees("main .scroll", 2)


def masks(reader: Reader) -> None:
    reader.press("g", "m")
    reader.sees(".seed")
    reader.types(reader.text)
    reader.sees(".stage")
    reader.tab_to(".seed button:last-child")
    reader.press("Enter", "Enter")
    reader.sees(".stage")
    reader.page.wait_for_url("**seed=3**", timeout=TIMEOUT)


def neighbours(reader: Reader) -> None:
    reader.press("g", "n")
    reader.sees("#word")
    reader.tab_to("#word")
    reader.page.keyboard.insert_text("cat")
    reader.press("Enter")
    reader.sees("button.bar-line")
    reader.tab_to("button.bar-line")
    reader.press("ArrowDown", "Enter")  # on to the second neighbour
    reader.sees(".trail button", 1)
    reader.sees(".stale, .state", 0)
    reader.press("Escape")  # and back
    reader.sees(".trail button", 0)
    reader.tab_to("#plus")
    reader.page.keyboard.insert_text("dog")
    reader.press("Enter")
    reader.page.wait_for_url("**plus=dog**", timeout=TIMEOUT)
    reader.sees("button.bar-line")


def tokens(reader: Reader) -> None:
    reader.press("g", "t")
    reader.types(reader.text)
    reader.sees(".lane", 4)  # below one another, by the characters
    reader.rests()
    reader.tab_to(".token")
    assert reader.page.locator(".token.lit").count() >= 4  # the same place in every run
    reader.sees("table tbody tr", 4)
    reader.tab_to("#aligned")
    reader.press("Space")
    reader.sees(".strip", 4)  # each run's tokens as it calls them
    reader.press("Tab", "Space")  # with their numbers
    reader.page.wait_for_url("**ids=1**")


def score(reader: Reader) -> None:
    reader.press("g", "s")
    reader.types(reader.text)
    reader.sees(".below")
    reader.tab_to("label.second input")
    reader.page.keyboard.insert_text("a bird" if reader.lang == "en" else "天气。")
    reader.press("Enter")
    reader.sees(".verdict.first")
    reader.rests()
    verdict = reader.page.locator(".verdict.first").first.inner_text()
    assert ("a token" if reader.lang == "en" else "每个词元") in verdict  # the texts are of unlike length
    reader.sees("section .line", 2 * reader.page.locator("section").count())


def write(reader: Reader) -> None:
    reader.press("g", "w")
    reader.types(ENGLISH)  # so that its alternatives are whole letters
    reader.sees("section > .quiet")  # it says why it ended
    reader.tab_to(".piece")
    reader.press("Enter")
    reader.sees(".alternatives")
    reader.tab_to(".alternatives button")
    for _ in range(7):  # to one that is not a part of a character
        label = reader.page.evaluate("document.activeElement.querySelector('.bar-label').textContent")
        if not label.startswith("\\x"):
            break
        reader.press("ArrowDown")
    reader.press("Enter")  # it is part of the prompt now
    reader.sees("section > .quiet")
    assert len(reader.page.locator("section strong").inner_text()) > len(ENGLISH)
    reader.sees(".alternatives", 0)
    reader.tab_to("#begin")
    reader.press("ArrowDown")  # a text to start from
    reader.sees("section > .quiet")
    assert reader.page.locator("#text").input_value() == reader.page.locator("#begin").input_value()


def tasks(reader: Reader) -> None:
    reader.press("g", "k")
    reader.types("the cat sees a river")
    reader.sees("section", 4)
    reader.tab_to("#question")
    reader.page.keyboard.insert_text("who sees")
    reader.press("Enter")
    reader.sees(".lanes .token-of")
    reader.tab_to("#second")
    reader.page.keyboard.insert_text("a good day")
    reader.press("Enter")
    reader.sees("section", 4)
    reader.sees(".missing", 0)
    reader.tab_to("#threshold")
    reader.page.keyboard.insert_text("-50")
    reader.press("Enter")  # below which no question is answered
    none = "(no answer)" if reader.lang == "en" else "（无答案）"
    reader.sees(f".said:text-is('{none}')", 1)
    reader.sees(f".bar-label.marked:text-is('{none}')", 1)
    reader.tab_to(".token")
    reader.press("Tab", "Enter")  # what else the second word could be
    reader.sees('.token[aria-pressed="true"]', 1)
    reader.sees(".state, .stale", 0)
    reader.sees(".bars-of", 4)


def mix(reader: Reader) -> None:
    reader.press("g", "x")
    reader.sees("td.nearest", 4)  # the heaviest layer of each
    reader.tab_to(".scroll")
    reader.sees(".facts tbody tr", 4)


def training(reader: Reader) -> None:
    from playwright.sync_api import expect

    reader.press("g", "r")
    reader.sees(".readout b", 4)
    reader.sees("tbody tr", 4)
    reader.tab_to("#axis")
    reader.press("End")  # over minutes
    reader.page.wait_for_url("**x=minutes**")
    reader.tab_to("#at")
    reader.press("Home", "ArrowRight")
    expect(reader.page.locator(".rule")).to_have_count(
        1, timeout=TIMEOUT
    )  # a line has no width to be seen by


def api(reader: Reader) -> None:
    reader.press("g", "i")
    reader.types(reader.text)
    reader.sees("details")
    reader.tab_to("#find")
    reader.page.keyboard.insert_text("api/fill")
    reader.sees("details", 1)
    reader.tab_to("summary")
    reader.press("Enter")
    assert "[MASK]" in reader.sees("details[open] pre").inner_text()
    reader.tab_to("details button")
    assert reader.page.locator("details dt").count() >= 6


JOURNEYS: dict[str, Callable[[Reader], None]] = {
    "line": line,
    "fill": fill,
    "attention": attention,
    "senses": senses,
    "neighbours": neighbours,
    "compare": compare,
    "masks": masks,
    "tokens": tokens,
    "score": score,
    "write": write,
    "tasks": tasks,
    "mix": mix,
    "training": training,
    "api": api,
}
WITHOUT_TEXT = ("mix", "training", "api")
"""Views that ask something of the runs as they are."""
OF_TASKS = ("tasks", "mix")
"""Those that are walked with the runs that were adapted; the others with the four that were pretrained."""
AXE = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(rule =>
  [rule.id, ...rule.nodes.map(node => node.html.slice(0, 160) + " " + (node.any[0] ?? node.all[0] ?? {}).message)]))"""
SAID = """[...document.querySelectorAll("body *")].filter(each => !each.closest("[lang=en]")).map(each =>
  [each.title, each.ariaLabel, ...[...each.childNodes].filter(node => node.nodeType === 3).map(node => node.data)]
  .join(" ")).join(" ")"""
SIZES = {"wide": (1280, 900), "narrow": (400, 800)}
WALKS = [("en", "wide"), ("zh", "narrow")]
if os.environ.get("POLYSEME_PAGES") == "all":  # two minutes more
    WALKS += [("zh", "wide"), ("en", "narrow")]


class Watched:
    """A page of its own, and all that went wrong in it."""

    def __init__(self, chromium: Any, address: str, size: str = "wide") -> None:
        width, height = SIZES[size]
        self.context = chromium.new_context(viewport={"width": width, "height": height}, locale="en-US")
        self.page = self.context.new_page()
        self.origin = urlsplit(address).netloc
        self.problems: list[str] = []
        self.outside: list[str] = []
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            "  e => console.error('policy', e.violatedDirective, e.blockedURI))"
        )
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and parts.netloc != self.origin:
            self.outside.append(request.url)

    def check(self, axe: str) -> None:
        """Nothing went wrong, nothing left the origin, and axe finds nothing in either theme."""
        wide = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], "the page scrolls sideways"
        self.page.evaluate(axe)
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            found = self.page.evaluate(AXE)
            assert found == [], f"{theme}: {found}"
        assert self.problems == []
        assert self.outside == []

    def pictures(self, name: str) -> None:
        if folder := os.environ.get("POLYSEME_PICTURES"):
            for theme in ("light", "dark"):
                self.page.emulate_media(color_scheme=theme)
                self.page.screenshot(path=Path(folder) / f"{name}-{theme}.png", full_page=True)


@pytest.fixture
def watched(chromium: Any, address: str) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(size: str = "wide") -> Watched:
        made.append(Watched(chromium, address, size))
        return made[-1]

    yield make
    for each in made:
        each.context.close()


@pytest.mark.parametrize(("lang", "size"), WALKS)
@pytest.mark.parametrize("view", JOURNEYS)
def test_a_view_is_walked_by_keyboard(
    view: str,
    lang: str,
    size: str,
    watched: Callable[..., Watched],
    address: str,
    runs: dict[str, Path],
    axe: str,
) -> None:
    one = watched(size)
    shown = [name for name in runs if (name in TASKS) == (view in OF_TASKS)]
    one.page.goto(f"{address}#lang={lang}&runs={','.join(shown)}")
    reader = Reader(one.page, lang)
    reader.sees("main h2")
    JOURNEYS[view](reader)
    reader.rests()
    assert one.page.locator("html").get_attribute("lang") == ("en" if lang == "en" else "zh-CN")
    one.pictures(f"{view}-{lang}-{size}")
    one.check(axe)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_without_a_question_every_view_offers_examples(
    lang: str, watched: Callable[..., Watched], address: str, axe: str
) -> None:
    one = watched("narrow")
    for view in (each for each in JOURNEYS if each not in WITHOUT_TEXT):
        one.page.goto(f"{address}#view={view}&lang={lang}")
        Reader(one.page, lang).sees(".empty button")
        one.pictures(f"{view}-{lang}-empty")
        one.check(axe)


def test_chinese_pages_have_no_english_words(watched: Callable[..., Watched], address: str) -> None:
    one = watched()
    for view in JOURNEYS:
        one.page.goto(f"{address}#view={view}&lang=zh&runs=none")
        Reader(one.page, "zh").sees(".empty")
        words = set(re.findall(r"[A-Za-z]{2,}", one.page.evaluate(SAID)))
        assert {word for word in words if word.casefold() not in NAMES} == set()


FILL = f"#view=fill&runs=bert&hide=4~old&text={ENGLISH.replace(' ', '%20')}"


def line_of(**fields: Any) -> str:
    return json.dumps({"run": "bert", **fields}) + "\n"


def opened(watched: Callable[..., Watched], address: str, hash: str = FILL) -> tuple[Watched, Reader]:
    one = watched()
    one.page.goto(f"{address}{hash}&lang=en")
    return one, Reader(one.page, "en")


def test_an_address_asks_by_itself_and_its_token_is_not_kept_in_it(
    watched: Callable[..., Watched], address: str
) -> None:
    one = watched()
    with one.page.expect_request("**/api/fill") as asked:
        one.page.goto(f"{address}{FILL}&lang=en&token=of-this-tab")
    reader = Reader(one.page, "en")
    reader.sees("#mask-1 button.bar-line", 10)
    assert "token" not in one.page.url
    assert asked.value.headers["authorization"] == "Bearer of-this-tab"
    assert one.page.evaluate("localStorage.length") == 0
    assert one.problems == []


def test_a_connection_is_used_again(watched: Callable[..., Watched], address: str) -> None:
    one = watched()
    connections: list[int] = []

    def note(event: dict[str, Any]) -> None:
        if event["response"]["url"].endswith("/api/fill"):
            connections.append(event["response"]["connectionId"])

    session = one.context.new_cdp_session(one.page)
    session.send("Network.enable")
    session.on("Network.responseReceived", note)
    one.page.goto(f"{address}{FILL}&lang=en")
    reader = Reader(one.page, "en")
    reader.sees("#mask-1 button.bar-line", 10)
    for _ in range(7):
        with one.page.expect_response("**/api/fill"):
            reader.press("Control+Enter")
        reader.sees(".stale", 0)
    # one whose answer was left before its end is closed, so that every question would make its own
    assert len(connections) == 8
    assert len(set(connections)) <= 4


def test_a_trail_keeps_words_that_hold_its_sign(watched: Callable[..., Watched], address: str) -> None:
    _, reader = opened(watched, address, "#view=neighbours&word=the&trail=a%257Cb%7C100%2525%7Ccat")
    assert reader.sees(".trail button", 3).all_text_contents() == ["a|b", "100%", "cat"]
    reader.sees("button.bar-line").first.click()  # on to a neighbour
    assert reader.sees(".trail button", 4).all_text_contents() == ["a|b", "100%", "cat", "the"]
    reader.page.reload()
    reader.sees(".trail button", 4).nth(1).click()  # back
    assert reader.sees(".trail button", 1).all_text_contents() == ["a|b"]
    assert reader.page.input_value("#word") == "100%"


def test_an_answer_to_another_question_is_not_shown_beside_this_one(
    watched: Callable[..., Watched], address: str
) -> None:
    one, reader = opened(watched, address)
    reader.sees("#mask-1 button.bar-line", 10)
    error = dict.fromkeys(("param", "got", "expected", "fix")) | {
        "message": "no",
        "type": "t",
        "code": "x",
    }
    body = line_of(error=error, status=400)
    one.page.route("**/api/fill", lambda route: route.fulfill(body=body, content_type="application/x-ndjson"))
    reader.tab_to(".word")
    reader.press("Enter")  # another word is hidden, too
    reader.sees(".error")
    reader.sees("button.bar-line", 0)


def test_a_full_queue_is_asked_again(watched: Callable[..., Watched], address: str) -> None:
    one = watched()
    full = {"message": "the queue is full", "type": "rate_limit_error", "code": "queue"}
    refused = [line_of(error=full, status=429, retry_after=1)]

    def answer(route: Any) -> None:
        if refused:
            route.fulfill(body=refused.pop(), content_type="application/x-ndjson")
        else:
            route.continue_()

    one.page.route("**/api/fill", answer)
    one.page.goto(f"{address}{FILL}&lang=en")
    reader = Reader(one.page, "en")
    reader.sees(".state", 1)
    assert "full" in one.page.locator(".state").inner_text()
    reader.sees("#mask-1 button.bar-line", 10)
    assert one.problems == []


def test_an_error_is_told_with_what_to_try(watched: Callable[..., Watched], address: str, axe: str) -> None:
    one = watched()
    error = {"message": "it <b>failed</b>", "got": "a", "expected": "b", "fix": "c"}
    body = line_of(error={"type": "t", "param": None, "code": "x", **error}, status=400)
    one.page.route("**/api/fill", lambda route: route.fulfill(body=body, content_type="application/x-ndjson"))
    one.page.goto(f"{address}{FILL}&lang=zh")
    told = Reader(one.page, "zh").sees(".error", 1).inner_text()
    assert "it <b>failed</b>" in told
    assert told.split()[-6:] == ["收到", "a", "应为", "b", "请试", "c"]
    one.pictures("error")
    one.check(axe)


def test_the_commands_of_the_api_view_fit_their_routes(watched: Callable[..., Watched], address: str) -> None:
    one = watched()
    one.page.goto(f"{address}#view=api&lang=en&text=the%20old%20cat%20sees%20a%20dog")
    Reader(one.page, "en").sees("details")
    wrong = []
    for command in one.page.locator("details pre").all_text_contents():
        words = shlex.split(command)
        url, method = next(word for word in words if word.startswith("http")), "GET"
        if "-X" in words or any(part in url for part in ("/v1/chat", "/metrics")):
            continue
        sent: dict[str, Any] = {}
        if "-d" in words:
            method = "POST"
            sent = {"data": words[words.index("-d") + 1], "headers": {"content-type": "application/json"}}
        answer = one.context.request.fetch(url, method=method, **sent)
        if answer.status not in (200, 400):  # 400: no run that is served can do it
            wrong.append((command, answer.status, answer.text()[:200]))
    assert wrong == []


def test_what_takes_long_can_be_stopped(watched: Callable[..., Watched], address: str, axe: str) -> None:
    from playwright.sync_api import expect

    one, reader = opened(watched, address)
    reader.sees("#mask-1 button.bar-line", 10)
    one.page.route("**/api/fill", lambda route: None)  # never answered
    for _ in range(3):  # a key that comes while the page is still busy with its first answer can be lost
        reader.press("Control+Enter")
        with suppress(AssertionError):
            expect(one.page.locator(".progress")).to_have_count(1, timeout=5000)
            break
    reader.sees(".progress", 1)
    Reader(one.page, "en").sees(".card.stale button.bar-line", 10)  # the old answer stays, dimmed
    reader.press("Escape")
    reader.sees(".state", 1)
    assert one.page.locator(".progress").count() == 0  # at once
    one.check(axe)


def test_a_server_that_was_gone_is_asked_again(watched: Callable[..., Watched], address: str) -> None:
    one, reader = opened(watched, address)
    reader.sees("#mask-1 button.bar-line", 10)
    one.page.context.set_offline(True)  # an aborting route can hang: its handler and the keys share a thread
    reader.press("/")  # and no Escape behind it, which would stop the question before it has failed
    one.page.keyboard.insert_text("the old dog sees")
    reader.press("Enter")
    reader.sees(".band", 1)
    one.page.context.set_offline(False)
    from playwright.sync_api import expect

    expect(one.page.locator(".band")).to_have_count(0, timeout=TIMEOUT)
    assert one.page.locator("#text").input_value() == "the old dog sees"


def test_an_input_method_s_enter_does_not_ask(watched: Callable[..., Watched], address: str) -> None:
    one, reader = opened(watched, address)
    reader.sees("#mask-1 button.bar-line", 10)
    one.page.locator("#text").fill("the dog")
    one.page.evaluate(
        "document.getElementById('text').dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    assert "dog" not in one.page.url
    one.page.locator("#text").press("Enter")
    one.page.wait_for_url("**dog**")


def test_what_is_seen_can_be_taken_away(watched: Callable[..., Watched], address: str) -> None:
    one, reader = opened(watched, address)
    reader.sees("#mask-1 button.bar-line", 10)
    taken = {}
    for kind in ("SVG", "PNG", "CSV", "JSON"):
        with one.page.expect_download() as download:
            one.page.get_by_role("button", name=kind, exact=True).press("Enter")
        taken[kind] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename == f"fill.{kind.lower()}"
    ElementTree.fromstring(taken["SVG"])
    assert taken["PNG"].startswith(b"\x89PNG")
    rows = list(csv.DictReader(taken["CSV"].decode("utf-8-sig").splitlines()))
    answer = json.loads(taken["JSON"])["bert"]
    assert [row["token"] for row in rows] == [each["token"] for each in answer[0]["candidates"]]
    one.page.get_by_role("button", name="Code", exact=True).press("Enter")
    shell, python, curl = one.page.locator("dialog[open] pre").all_inner_texts()
    assert shell == f"polyseme fill runs/bert '{ENGLISH}' --top 10 --hide old --whole --detail"
    assert "hide=[(4, 7)]" in python
    assert f"{address}api/fill" in curl
    reader.press("Escape")
    Reader(one.page, "en").sees("dialog[open]", 0)
    assert one.problems == []


def pressed(reader: Reader) -> list[str]:
    """The chosen runs that are in sight."""
    found = reader.page.locator('.chip[aria-pressed="true"]').all_inner_texts()
    return [text.split()[1] for text in found]


def test_a_view_begins_with_the_runs_that_it_is_for(
    watched: Callable[..., Watched], address: str, runs: dict[str, Path]
) -> None:
    one = watched()
    one.page.goto(f"{address}#lang=en")
    reader = Reader(one.page, "en")
    reader.sees("main h2")
    assert sorted(pressed(reader)) == sorted(set(runs) - set(TASKS))
    reader.press("g", "k")  # to the view of tasks, and its first controls are the next to be reached
    reader.sees("#question")
    assert sorted(pressed(reader)) == sorted(TASKS)
    reader.press("Tab")
    assert one.page.evaluate("document.activeElement.closest('main') !== null")
    reader.press("g", "l", "/")
    one.page.keyboard.insert_text(ENGLISH)
    reader.press("Enter", "Escape", "Tab")  # from the text to the view as well
    assert one.page.evaluate("document.activeElement.closest('main') !== null")
    reader.sees("#second")
    before = pressed(reader)
    reader.press("r", "ArrowRight", "Space")  # lets go of the second
    one.page.wait_for_url("**runs=**")
    assert pressed(reader) == [before[0], *before[2:]]
    reader.press("Space")
    one.page.wait_for_url(lambda url: "runs=" not in url)
    assert pressed(reader) == before
    assert one.problems == []


def test_many_runs_are_one_stop_of_tab_and_not_all_shown(
    watched: Callable[..., Watched], address: str, axe: str
) -> None:
    one = watched("narrow")

    def many(route: Any) -> None:
        answer = route.fetch()
        runs = answer.json()["runs"]
        adapted = next(run for run in runs if run["task"] is not None)
        more = [adapted | {"run": f"again-{n}", "model": None} for n in range(20)]
        route.fulfill(json={"runs": runs + more})

    one.page.route("**/api/runs", many)
    one.page.goto(f"{address}#lang=zh")
    reader = Reader(one.page, "zh")
    reader.sees(".chip.more")
    shown = one.page.locator(".chip").count()
    assert shown == 5  # four and what leads to the others
    Reader(one.page, "en").sees(".chip[tabindex='0']", 1)
    reader.press("r", "End", "Enter")
    reader.sees(".chip", 4 + len(TASKS) + 20 + 1)
    reader.press("ArrowLeft", "Space")  # the last of them
    reader.press("ArrowRight", "Enter")
    reader.sees(".chip", 6)  # what is chosen stays in sight
    one.check(axe)


def test_language_theme_and_keys_can_be_changed(
    watched: Callable[..., Watched], address: str, axe: str
) -> None:
    one = watched()
    one.page.goto(address)
    reader = Reader(one.page, "en")
    reader.sees("main h2")
    reader.tab_to(".switches button")
    reader.press("Enter")
    assert one.page.locator("html").get_attribute("lang") == "zh-CN"
    reader.press("Tab", "Enter")
    assert one.page.locator("html").get_attribute("data-theme") == "light"
    reader.press("?")
    reader.sees("dialog[open] kbd")
    one.check(axe)
    reader.tab_to("dialog input")
    reader.press("Space", "Escape")
    reader.press("g", "f")
    assert "view=line" in one.page.url  # keys of one letter are off
    one.page.reload()
    reader.sees("main h2")
    assert one.page.locator("html").get_attribute("lang") == "zh-CN"
