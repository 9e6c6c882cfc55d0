"""Public sets → router examples, by what each set's requests need.

Tool requests: HWU64, SNIPS, Seal-Tools, SGD, MetaTool, CLINC. Questions for documents: NQ, BoolQ, SQuAD,
Banking77. Follow-ups: TREC CAsT and QuAC. Talk: HWU64 and CLINC. Intents on which careful readers would
differ are not used.
"""

from __future__ import annotations

import csv
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..rows import Split, open_text
from .contract import Example, Turn, one_turn

_HWU_DOMAINS = {
    "alarm": "calendar", "calendar": "calendar", "datetime": "weather", "weather": "weather", "play": "music",
    "music": "music", "audio": "music", "iot": "home", "transport": "travel", "takeaway": "food",
    "recommendation": "food", "email": "mail", "social": "mail", "lists": "lists", "news": "finance",
}  # fmt: skip
_HWU_TOOL = {"qa_stock": "finance", "qa_currency": "finance", "qa_maths": "math"}
_HWU_BASE = {"general_praise", "general_dontcare", "general_explain", "general_repeat", "general_affirm",
             "general_joke",
             "general_confirm", "general_negate"}  # fmt: skip
_HWU_UNUSED = {"music_likeness"}  # "the song touches my heart": a remark or a request

_CLINC_TOOL = {
    "banking": "freeze_account pay_bill balance transfer transactions spending_history order_checks",
    "car": "tire_pressure gas mpg schedule_maintenance last_maintenance",
    "food": "restaurant_reservation cancel_reservation confirm_reservation restaurant_suggestion how_busy",
    "music": "play_music next_song update_playlist what_song",
    "lists": "todo_list todo_list_update shopping_list shopping_list_update",
    "calendar": "calendar calendar_update reminder reminder_update schedule_meeting alarm timer",
    "travel": "uber traffic directions flight_status book_flight book_hotel car_rental distance",
    "weather": "weather time date",
    "math": "calculator measurement_conversion flip_coin roll_dice translate",
    "mail": "text make_call share_location find_phone",
    "home": "smart_home",
    "finance": "exchange_rate",
    "hr": "pto_balance pto_request pto_request_status pto_used",
    "work": "order order_status",
}
_CLINC_DOCUMENTS = (
    "international_visa vaccines plug_type carry_on oil_change_how jump_start improve_credit_score "
    "rollover_401k ingredient_substitution food_last international_fees "
    "replacement_card_duration travel_alert"
).split()
_CLINC_BASE = (
    "who_made_you meaning_of_life who_do_you_work_for do_you_have_pets what_are_your_hobbies fun_fact "
    "what_is_your_name where_are_you_from goodbye thank_you greeting tell_joke are_you_a_bot how_old_are_you "
    "what_can_i_ask_you yes no maybe repeat"
).split()
_CLINC_DEV = {"car", "hr", "banking"}
_CLINC_DEV_INTENTS = {"who_made_you", "what_are_your_hobbies", "thank_you", "tell_joke", "what_can_i_ask_you",
                      "goodbye",
                      "international_visa", "jump_start", "carry_on", "rollover_401k",
                      "food_last"}  # fmt: skip


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as lines:
        for line in lines:
            yield json.loads(line)


def hwu64(data: Path) -> list[Example]:
    """Home assistant requests; qa_factoid counts as a question for documents."""
    rows = []
    for item in _jsonl(data / "tool-hwu64/hwu64.jsonl.gz"):
        intent, text = item["intent"], item["text"]
        domain = _HWU_TOOL.get(intent) or _HWU_DOMAINS.get(intent.split("_")[0])
        if intent in _HWU_BASE:
            rows.append(one_turn(text, "base", "hwu64/base"))
        elif intent == "qa_factoid":
            rows.append(one_turn(text, "retrieval", "hwu64/factoid"))
        elif domain and intent not in _HWU_UNUSED:
            rows.append(one_turn(text, "tool_call", "hwu64/tool", domain=domain))
    return rows


def clinc150(data: Path) -> list[Example]:
    """Actions, questions for documents and talk; whole intents are kept for development."""
    tools = {intent: domain for domain, names in _CLINC_TOOL.items() for intent in names.split()}
    with open_text(data / "router-clinc150/train_val.json.gz") as handle:
        items = json.load(handle)["train"]
    rows = []
    for text, intent in items:
        domain = tools.get(intent)
        split: Split = "dev" if intent in _CLINC_DEV_INTENTS or domain in _CLINC_DEV else "train"
        mark = "clinc150_dev" if split == "dev" else "clinc150"
        if domain:
            rows.append(one_turn(text, "tool_call", f"{mark}/tool", split, domain))
        elif intent in _CLINC_DOCUMENTS:
            rows.append(one_turn(text, "retrieval", f"{mark}/documents", split))
        elif intent in _CLINC_BASE:
            rows.append(one_turn(text, "base", f"{mark}/base", split))
    return rows


_SNIPS = {"AddToPlaylist": "music", "PlayMusic": "music", "BookRestaurant": "food", "GetWeather": "weather",
          "RateBook": "media", "SearchCreativeWork": "media", "SearchScreeningEvent": "media"}  # fmt: skip


def snips(data: Path) -> list[Example]:
    rows = []
    files: tuple[tuple[str, Split], ...] = (("train", "train"), ("validate", "dev"))
    for name, split in files:
        for item in _jsonl(data / f"tool-snips/{name}.jsonl.gz"):
            text = "".join(part["text"] for part in item["data"]).strip()
            source = "snips/tool" if split == "train" else "snips_validate/tool"
            rows.append(one_turn(text, "tool_call", source, split, _SNIPS[item["intent"]]))
    return rows


def seal_tools(data: Path) -> list[Example]:
    """Machine-written requests; "information about …" could as well be a question for documents and is left
    out."""
    vague = re.compile(r"\b(information|details|learn|explain|tell me about|overview)\b", re.IGNORECASE)
    queries = (item["query"] for item in _jsonl(data / "tool-seal-tools/dev.jsonl.gz"))
    return [
        one_turn(q, "tool_call", "seal_tools/tool") for q in queries if len(q.split()) <= 45 and not vague.search(q)
    ]


_SGD = {"Restaurants": "food", "RideSharing": "services", "RentalCars": "rental", "Homes": "rental",
        "Events": "services",
        "Services": "services", "Media": "media", "Movies": "media", "Flights": "travel", "Hotels": "travel",
        "Weather": "weather", "Music": "music", "Alarm": "calendar", "Calendar": "calendar",
        "Banks": "banking"}  # fmt: skip


def sgd(data: Path) -> list[Example]:
    """Dialogues up to the first service call, at most four turns, for development."""
    rows = []
    seen = set()
    with lzma.open(data / "tool-sgd/calls_dev.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            history, dialogue = item["history"], item["id"].rsplit("/", 1)[0]
            if dialogue in seen or len(history) > 3 or sum(len(turn["text"].split()) for turn in history) > 90:
                continue
            seen.add(dialogue)
            turns: tuple[Turn, ...] = tuple(
                ("user" if turn["role"] == "user" else "assistant", turn["text"]) for turn in history
            )
            domain = _SGD.get(item["service"].split("_")[0])
            rows.append(Example(turns, "tool_call", "sgd/tool", f"sgd/{dialogue}", "dev", domain))
    return rows


def metatool(data: Path) -> list[Example]:
    """Requests that need two tools, for development: they are the least ambiguous of the set."""
    with open_text(data / "tool-metatool/multi_tool_query_golden.json.gz") as handle:
        items = json.load(handle)
    wants = re.compile(
        r"\b(current|latest|book|find|search|convert|check|weather|price|near|recommend)\b", re.IGNORECASE
    )
    return [one_turn(i["query"], "tool_call", "metatool/tool", "dev") for i in items if wants.search(i["query"])]


_BANKING_POLICY = {
    "age_limit", "apple_pay_or_google_pay", "card_acceptance", "card_delivery_estimate", "country_support",
    "disposable_card_limits", "exchange_rate", "fiat_currency_support", "supported_cards_and_currencies",
    "top_up_limits", "transfer_timing", "visa_or_mastercard", "why_verify_identity", "top_up_by_card_charge",
    "atm_support", "getting_virtual_card", "verify_my_identity",
}  # fmt: skip


def questions(data: Path) -> list[Example]:
    """Standalone questions: NQ and BoolQ for training; SQuAD and a bank's policy questions for
    development."""
    rows = [
        one_turn(i["question"], "retrieval", "nq/retrieval")
        for i in _jsonl(data / "rag-nq-oracle/nq-open-oracle.jsonl.gz")
    ]
    for number, item in enumerate(_jsonl(data / "rag-boolq/boolq_combined.jsonl.gz")):
        text = item["question"] + ("?" if number % 2 else "")
        rows.append(one_turn(text[:1].upper() + text[1:] if number % 3 == 0 else text, "retrieval", "boolq/retrieval"))
    with open_text(data / "rag-squad2-devhalf/dev-v2.0.json.gz") as handle:
        for article in json.load(handle)["data"]:
            for paragraph in article["paragraphs"]:
                rows += [
                    one_turn(qa["question"].strip(), "retrieval", "squad2/retrieval", "dev")
                    for qa in paragraph["qas"][:2]
                ]
    with open_text(data / "router-banking77/test.csv.gz") as lines:
        for item in csv.DictReader(lines):
            if item["category"] in _BANKING_POLICY:
                rows.append(one_turn(item["text"].strip(), "retrieval", "banking77/retrieval", "dev"))
    return rows


def cast(data: Path) -> list[Example]:
    """TREC CAsT turns after the first: a raw utterance that its human rewrite changed needs rewriting, one
    that was left as it is goes to the documents. 2019 and 2020 train, 2021 and 2022 for development."""
    with tarfile.open(data / "rag-trec-cast/cast_topics.tar.xz") as archive:
        files = {m.name: f.read().decode("utf-8") for m in archive if m.isfile() and (f := archive.extractfile(m))}
    rewrites: dict[str, str] = {}
    for name, text in files.items():
        if name.endswith(".tsv"):
            for line in text.splitlines():
                number, tab, rewrite = line.partition("\t")
                if tab:
                    rewrites[number] = rewrite.strip()
    rows: list[Example] = []
    for name, text in sorted(files.items()):
        year = re.search(r"20\d\d", name)
        if not name.endswith(".json") or "automatic" in name or year is None:
            continue
        split: Split = "train" if year.group() in ("2019", "2020") else "dev"
        for topic in json.loads(text):
            rows += _cast_topic(topic, rewrites, f"cast{year.group()}", split)
    return rows


def _cast_topic(topic: dict[str, Any], rewrites: dict[str, str], source: str, split: Split) -> Iterator[Example]:
    history: list[Turn] = []
    for turn in topic["turn"]:
        raw = str(turn.get("raw_utterance") or turn.get("utterance") or "").strip()
        rewrite = turn.get("manual_rewritten_utterance") or rewrites.get(f"{topic['number']}_{turn['number']}")
        if raw and rewrite and history:
            changed = _words(raw) != _words(str(rewrite))
            adapter = "query_rewrite" if changed else "retrieval"
            turns = (*history[-4:], ("user", raw))
            group = f"cast/{source}/{topic['number']}"
            yield Example(turns, "query_rewrite" if changed else "retrieval", f"{source}/{adapter}", group, split)
        answer = str(turn.get("passage") or turn.get("response") or "")
        history.append(("user", raw))
        if answer:
            history.append(("assistant", _first_words(answer, 35)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _first_words(text: str, limit: int) -> str:
    """The whole sentences within the first `limit` words, or the words themselves."""
    head = " ".join(text.split()[:limit])
    end = max(head.rfind(mark) for mark in ".!?")
    return head[: end + 1] if end > 20 else head


_REFERS = re.compile(
    r"\b(he|she|it|they|his|her|their|him|them|this|that|these|those|there|else|other)\b", re.IGNORECASE
)


def quac(data: Path) -> list[Example]:
    """Follow-up questions with a pronoun in threads about a passage, for development (users' turns only)."""
    rows = []
    for number, item in enumerate(_jsonl(data / "rag-quac/quac.jsonl.gz")):
        asked = [q.strip() for q in re.split(r"question ?\d+:", str(item["question"])) if q.strip()]
        if len(asked) >= 3 and _REFERS.search(asked[2]):
            turns: tuple[Turn, ...] = tuple(("user", text) for text in asked[:3])
            rows.append(Example(turns, "query_rewrite", "quac/query_rewrite", f"quac/{number}", "dev"))
    return rows


READERS = (hwu64, clinc150, snips, seal_tools, sgd, metatool, questions, cast, quac)
"""Every reader of this module: data folder → examples."""
