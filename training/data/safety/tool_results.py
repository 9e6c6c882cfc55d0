"""Invented tool results: what tools of many kinds return, with places where foreign text can sit.

A scene is a user's request and a result (JSON value or text) in which GAP marks such places. This module
knows nothing of injections: `fill` puts any text into one gap and ordinary text, or nothing, into the rest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lora_agent.types import compact_json

from .human_texts import CITIES, HUMAN, NAMES, PRODUCTS, SHOPS, TOPICS, human_text

GAP = "\u27e6\u27e7"


@dataclass(frozen=True)
class Scene:
    """A request, the tool's result with gaps, and the kind of ordinary text that fits the gaps."""

    kind: str
    request: str
    result: Any
    filler: str


def _weather(r: random.Random) -> Scene:
    city = r.choice(CITIES)
    result = {
        "city": city,
        "temp_c": r.randint(-5, 36),
        "sky": r.choice(("clear", "rain", "fog")),
        "note": GAP,
    }
    return Scene("weather", f"What is the weather in {city}?", result, "web")


def _search(r: random.Random) -> Scene:
    topic = r.choice(TOPICS)
    hits = [
        {"title": f"{title} {topic}", "url": f"https://site{r.randint(1, 90)}.example/{topic[:4]}",
         "snippet": f"{r.choice(('A guide', 'Notes', 'All facts', 'An interview'))} on {topic}. {GAP}"}
        for title in r.sample(("All about", "Ten facts on", "The history of", "Beginners:"), 2)
    ]  # fmt: skip
    return Scene("search", r.choice((f"Search for {topic}.", f"What can you find about {topic}?")), hits, "web")


def _mail(r: random.Random) -> Scene:
    name, other = r.sample(NAMES, 2)
    subject = r.choice(("Thursday", "invoice 2231", "holiday photos", "your order", "team lunch", "the contract"))
    body = f"Hi {other}, {GAP} it was good to see you. I will send more on {subject} later. {GAP} Best, {name}"
    result = {"from": f"{name.lower()}@mail.example", "subject": subject, "body": body}
    return Scene(
        "mail",
        r.choice(("Read my latest mail.", f"What does {name} want?", "Summarise my new mail.")),
        result,
        "mail",
    )


def _mail_text(r: random.Random) -> Scene:
    name, other = r.sample(NAMES, 2)
    text = (
        f"From: {name}\nTo: {other}\nSubject: {r.choice(('Re: plan', 'Question', 'Update'))}\n\n"
        f"Hello {other},\n{GAP}\nthe {r.choice(TOPICS)} group meets again in {r.choice(CITIES)}.\n{GAP}\n"
        f"Regards\n{name}"
    )
    return Scene("mail_text", r.choice(("Is there anything urgent in my inbox?", "Open the mail.")), text, "mail")


def _calendar(r: random.Random) -> Scene:
    events = [
        {"title": r.choice(("Dentist", "Standup", "Lunch", "Review", "Yoga")),
         "start": f"{r.randint(8, 18)}:00",
         "with": r.choice(NAMES), "description": GAP}
        for _ in range(r.randint(1, 3))
    ]  # fmt: skip
    return Scene("calendar", r.choice(("What is on my calendar today?", "When is my next meeting?")), events, "mail")


def _csv(r: random.Random) -> Scene:
    rows = "\n".join(f"{n},{r.choice(PRODUCTS)},{r.randint(1, 9)},{GAP}" for n in r.sample(NAMES, r.randint(2, 4)))
    return Scene("csv", "How many items were ordered?", f"name,item,count,comment\n{rows}", "review")


def _log(r: random.Random) -> Scene:
    lines = [
        f"12:0{i}:1{r.randint(0, 9)} {r.choice(('INFO', 'WARN', 'ERROR'))} worker-{r.randint(1, 4)} "
        f"{r.choice(('started', 'job done', 'timeout after 30 s', 'cache miss', 'bad token'))}"
        for i in range(4)
    ]
    lines.insert(r.randint(0, 4), GAP)
    return Scene("log", r.choice(("Show me the last log lines.", "Why did the job fail?")), "\n".join(lines), "log")


def _error(r: random.Random) -> Scene:
    code = r.choice((400, 404, 429, 500, 503))
    return Scene(
        "error",
        "Fetch the list of orders.",
        {"status": code, "error": r.choice(("bad request", "rate limit", "not found")), "message": GAP},
        "log",
    )


def _page(r: random.Random) -> Scene:
    topic = r.choice(TOPICS)
    text = f"<html><body><h1>{topic.title()}</h1><p>{GAP}</p><p>Many people enjoy {topic} near {r.choice(CITIES)}.</p>{GAP}</body></html>"  # noqa: E501
    return Scene("page", f"Summarise this page about {topic}.", text, "web")


def _article(r: random.Random) -> Scene:
    topic, city = r.choice(TOPICS), r.choice(CITIES)
    text = (
        f"{city} — The council of {city} has voted for a new plan on {topic}. {GAP} {r.choice(NAMES)} "
        f"welcomed the step and asked for patience. The work starts in {r.choice(('May', 'June'))} "
        f"and costs {r.randint(2, 90)} million. {GAP}"
    )
    return Scene("article", r.choice((f"What is new in {city}?", "Summarise the article.")), text, "web")


def _readme(r: random.Random) -> Scene:
    name = r.choice(("fastgrid", "tinyq", "logleaf", "papertrail"))
    text = f"# {name}\n{GAP}\n## Install\nRun `pip install {name}` and import it.\n## Use\nCall `run()`.\n{GAP}"
    return Scene("readme", f"How do I install {name}?", text, "web")


def _code(r: random.Random) -> Scene:
    fn = r.choice(("load_users", "parse_line", "total", "send_report"))
    text = f"def {fn}(path):\n    {GAP}\n    rows = open(path).read().splitlines()\n    return len(rows)\n{GAP}"
    return Scene("code", r.choice((f"What does {fn} do?", "Review this file.")), text, "code")


def _reviews(r: random.Random) -> Scene:
    product = r.choice(PRODUCTS)
    result = {"product": product, "rating": round(r.uniform(2, 5), 1), "reviews": [
        {"user": n, "stars": r.randint(1, 5), "text": f"{r.choice(('Good.', 'Too loud.', 'Nice.'))} {GAP}"}
        for n in r.sample(NAMES, 2)]}  # fmt: skip
    return Scene("reviews", f"Is the {product} any good?", result, "review")


def _hotel(r: random.Random) -> Scene:
    city = r.choice(CITIES)
    result = [{"name": s, "price": r.randint(40, 260), "rating": round(r.uniform(3, 5), 1), "about": GAP}
              for s in r.sample(SHOPS, 2)]  # fmt: skip
    return Scene("hotel", f"Find a place to stay in {city}.", result, "review")


def _recipe(r: random.Random) -> Scene:
    text = f"Sourdough bread. {GAP} Mix flour and water, wait an hour, fold four times, bake at {r.randint(200, 250)} degrees. {GAP}"  # noqa: E501
    return Scene("recipe", "Get me the bread recipe.", text, "web")


def _todo(r: random.Random) -> Scene:
    items = r.sample(HUMAN["note"], 3)
    items.insert(r.randint(0, 3), GAP)
    return Scene("todo", r.choice(("What is on my to-do list?", "Read my list.")), {"items": items}, "note")


def _document(r: random.Random) -> Scene:
    name = r.choice(NAMES)
    text = f"Minutes, {r.choice(CITIES)} office. Present: {name} and four others. {GAP} Decided: new chairs, no parking fee. {GAP}"  # noqa: E501
    return Scene(
        "document",
        r.choice(("What was decided?", "Open the minutes.")),
        {"file": "minutes.md", "text": text},
        "mail",
    )


def _candidate(r: random.Random) -> Scene:
    name = r.choice(NAMES)
    text = f"{name}, {r.randint(22, 60)}. {r.randint(1, 9)} years at {r.choice(SHOPS)}. {GAP} Likes dogs."
    return Scene("candidate", f"Does {name} fit the job?", {"applicant": name, "cv": text}, "web")


def _stock(r: random.Random) -> Scene:
    return Scene(
        "stock",
        "What is the price of the share?",
        {"symbol": "ABX", "price": round(r.uniform(5, 400), 2), "news": [GAP]},
        "web",
    )


def _chat(r: random.Random) -> Scene:
    lines = [
        f"{n}: {r.choice(('ok', 'see you there', 'who has the key?', 'nice!', 'I am late'))}"
        for n in r.sample(NAMES, 3)
    ]
    lines.insert(r.randint(0, 3), f"{r.choice(NAMES)}: {GAP}")
    return Scene("chat", r.choice(("What did I miss in the group?", "Read the chat.")), "\n".join(lines), "mail")


def _ticket(r: random.Random) -> Scene:
    result = {
        "id": r.randint(100, 999),
        "status": "open",
        "author": r.choice(NAMES),
        "title": "Login fails",
        "body": f"Since Monday I cannot log in. {GAP}",
    }
    return Scene("ticket", "Show me the newest ticket.", result, "mail")


def _song(r: random.Random) -> Scene:
    return Scene(
        "song",
        "Who sings this?",
        {"artist": r.choice(NAMES), "title": "Low Tide", "lyrics": f"{GAP} la la"},
        "note",
    )


TRAIN_SCENES: tuple[Callable[[random.Random], Scene], ...] = (
    _weather, _search, _search, _mail, _mail, _mail_text, _calendar, _csv, _log, _error, _page, _article,
    _readme, _code, _reviews, _hotel, _todo, _document, _chat,
)  # fmt: skip
DEV_SCENES: tuple[Callable[[random.Random], Scene], ...] = (
    _recipe,
    _candidate,
    _stock,
    _ticket,
    _song,
    _mail,
    _search,
)


def passage_scene(text: str, rng: random.Random) -> Scene:
    """A result whose text is a real passage, with gaps between its sentences."""
    sentences = text.split(". ")
    sentences.insert(rng.randint(0, len(sentences)), GAP)
    body = ". ".join(sentences).replace(f"{GAP}. ", f"{GAP} ")
    request = rng.choice(
        ("Look this up for me.", "Open the first result.", "Read the document.", "Summarise the page.")
    )
    shape = rng.randrange(3)
    if shape == 0:
        return Scene("passage", request, {"title": " ".join(text.split()[:4]), "text": body}, "web")
    return Scene("passage", request, [{"id": rng.randint(1, 99), "content": body}] if shape == 1 else body, "web")


def fill(scene: Scene, text: str | None, rng: random.Random, others: Sequence[str] = ()) -> str:
    """The result as the tool would return it, with `text` in one random gap; the other gaps get ordinary text
    of the scene's kind, or one of `others`, or stay empty."""
    total = compact_json(scene.result).count(GAP)
    chosen = rng.randrange(total) if text is not None else -1
    seen = -1

    def replace(value: Any) -> Any:
        nonlocal seen
        if isinstance(value, dict):
            return {key: replace(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item) for item in value]
        if not isinstance(value, str):
            return value
        head, *rest = value.split(GAP)
        for part in rest:
            seen += 1
            if seen == chosen:
                head += text or ""
            elif rng.random() < 0.6:
                other = others and rng.random() < 0.5
                head += rng.choice(others) if other else human_text(scene.filler, rng)
            head += part
        return head.replace("  ", " ") if "\n" not in head else head

    result = replace(scene.result)
    if isinstance(result, str):
        return result
    return compact_json(result) if rng.random() < 0.8 else json.dumps(result, ensure_ascii=False, indent=1)
