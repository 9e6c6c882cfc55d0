"""The page at `/` in a real browser: by keyboard, on a phone, in the dark, with a key. Needs the system's chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lora_agent.agent import ToolSet
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.server.settings import ServerSettings
from tests.server.conftest import get_time, serving

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH (Debian: apt install chromium)"),
]
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> <b>bold</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Any]:
    """(width, height, context options) → the page; whatever it asks of other places, or complains of, is a failure."""
    foreign: list[str] = []
    complaints: list[str] = []
    contexts = []

    def make(width: int = 1200, height: int = 900, at: str = address, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request", lambda request: None if request.url.startswith((at, "data:")) else foreign.append(request.url)
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if "Content Security Policy" in m.text else None)
        page.set_default_timeout(20_000)
        page.goto(f"{at}/")
        return page

    yield make
    for context in contexts:
        context.close()
    assert not foreign
    assert not complaints


def ready(page: Page) -> Page:
    page.wait_for_selector("#model option", state="attached")
    return page


def test_a_conversation_by_keyboard_alone(open_page: Any) -> None:
    page = ready(open_page())
    page.select_option("#model", "auto")
    page.locator("#text").focus()
    page.keyboard.type("What is the weather in Oslo?")
    page.keyboard.press("Enter")
    expect(page.locator(".step .bars")).to_be_visible()
    names = page.locator(".bars > span:nth-child(3n+1)").all_inner_texts()
    assert {"alora", "lora", "base"} <= set(names)
    widths = page.locator(".fill").evaluate_all("nodes => nodes.map(n => parseFloat(n.style.width))")
    assert abs(sum(widths) - 100) < 1  # the bars are the probabilities
    expect(page.locator(".step .tokens").last).to_contain_text("read")
    page.wait_for_selector(".assistant:not(.working)")
    page.locator("#tab-chat").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#adapters")).to_be_visible()
    expect(page.locator("#chat")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#schema")).to_be_visible()


def test_an_adapters_json_its_verdict_and_its_build(open_page: Any, engine: LocalEngine) -> None:
    page = ready(open_page())
    page.select_option("#model", "alora")
    page.fill("#text", "Hello")
    page.click("#send")
    step = page.locator(".step").last
    expect(step).to_contain_text("valid JSON")
    expect(step).to_contain_text(engine.adapters["alora"].digest[:12])
    expect(page.locator(".answer").last).to_contain_text('"product"')


def test_tools_come_back_as_calls(open_page: Any) -> None:
    page = ready(open_page())
    page.select_option("#model", "base")
    page.check("#use-tools")
    page.fill("#text", "What is the weather in Oslo?")
    page.click("#send")
    page.wait_for_selector(".assistant:not(.working)")
    assert page.locator(".answer.bad").count() == 0
    page.select_option("#model", "agent")
    expect(page.locator("#own-tools")).to_have_text("The server's own: get_time")
    expect(page.locator("#use-tools")).to_be_disabled()


def test_what_is_refused_is_said(open_page: Any) -> None:
    page = ready(open_page())
    page.select_option("#model", "alora")
    page.check("#use-documents")
    page.fill("#text", "Hello")
    page.click("#send")
    expect(page.locator(".answer.bad")).to_contain_text("does not read documents")


def test_text_of_others_stays_text(open_page: Any) -> None:
    page = ready(open_page())
    page.select_option("#model", "base")
    page.fill("#text", HOSTILE)
    page.click("#send")
    expect(page.locator(".turn.user p")).to_have_text(HOSTILE)
    page.wait_for_selector(".assistant:not(.working)")
    assert page.title() == "lora-agent playground"
    assert page.locator(".turn b, .turn img").count() == 0


def test_cards_of_all_adapters(open_page: Any, engine: LocalEngine) -> None:
    page = ready(open_page())
    page.get_by_role("tab", name="Adapters").click()
    for name in engine.adapters:
        card = page.locator(".card", has=page.locator("h3", has_text=name)).first
        expect(card).to_contain_text("gate passed")
    page.locator(".card summary", has_text="Output schema").first.click()
    expect(page.locator(".card pre").nth(1)).to_contain_text("priority")


def test_a_schema_is_explained_and_obeyed(open_page: Any) -> None:
    page = ready(open_page())
    page.get_by_role("tab", name="JSON Schema").click()
    page.fill(
        "#schema-text",
        '{"type": "array", "items": {"type": "string", "pattern": "^[ab]$"}, "minItems": 2, "maxItems": 2, '
        '"uniqueItems": true}',
    )
    page.click("#explain")
    expect(page.locator("#schema-out")).to_contain_text("Checked after: 1")
    page.click("#generate")
    expect(page.locator("#schema-out .step")).to_contain_text("valid JSON")
    assert page.locator("#schema-out pre").first.inner_text() in ('["a","b"]', '["b","a"]')
    page.fill("#schema-text", '{"type": "strng"}')
    page.click("#explain")
    expect(page.locator("#schema-out")).to_contain_text("Refused: 1")
    page.fill("#schema-text", "{oops")
    page.click("#explain")
    expect(page.locator("#schema-out .bad")).to_contain_text("not JSON")


@pytest.mark.parametrize("tab", ["Chat", "Adapters", "JSON Schema"])
def test_nothing_is_cut_off_on_a_phone(open_page: Any, tab: str) -> None:
    page = ready(open_page(390, 844, is_mobile=True, has_touch=True, device_scale_factor=2))
    page.get_by_role("tab", name=tab).click()
    if tab == "Chat":
        page.select_option("#model", "alora")
        page.fill("#text", "Hello " * 30)
        page.click("#send")
        page.wait_for_selector(".step")
    if tab == "Adapters":
        page.wait_for_selector(".card")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('main').scrollWidth") <= 390


def test_dark_mode_follows_the_system(open_page: Any) -> None:
    def luminance(scheme: str) -> float:
        page = ready(open_page(color_scheme=scheme))
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(",")) / 3

    assert luminance("dark") < 60 < 200 < luminance("light")


def test_a_key_opens_the_page(open_page: Any, engine: LocalEngine) -> None:
    with serving(engine, ServerSettings(keys=("sesame",)), tools=ToolSet([get_time])) as address:
        page = open_page(at=address)
        expect(page.locator("#notice")).to_contain_text("API key is needed")
        page.fill("#key", "sesame")
        page.keyboard.press("Enter")
        ready(page)
        expect(page.locator("#notice")).to_be_hidden()


def test_stop_ends_the_work(open_page: Any) -> None:
    page = ready(open_page())
    page.select_option("#model", "base")
    page.locator("details", has_text="Options").last.evaluate("node => node.open = true")
    page.fill("#max", "900")
    page.fill("#temperature", "2")
    page.fill("#text", "Hello")
    page.click("#send")
    expect(page.locator(".answer")).to_contain_text(re.compile(".{20}", re.S))
    page.click("#stop")
    expect(page.locator(".answer")).to_contain_text("(stopped)")
    expect(page.locator("#send")).to_be_enabled()
