"""Fills `{...}` in a template: a named sampler, a range of whole numbers, or a choice of texts.

    {price:5-60}   $24.90          {3-12}   7          {red|green|blue}   green          {person}   Ana Ruiz

Every call samples anew; names bound by the caller (`{e}`, the thing that a document is about) are put in as
they are, `{E}` with a capital first letter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from lora_agent.errors import ConfigError

SLOT = re.compile(r"\{([^{}]*)\}")
Sampler = Callable[[random.Random, str], str]

FIRST = (
    "Ana Ben Carla Dario Elif Farid Grace Hanna Ivan Julia Kofi Lena Marco Nadia Omar Priya Quentin Rosa "
    "Samuel Tara Ulrich Vera Wei Yusuf Zoe Amara Bruno Chloe Dmitri Esther Felix Gita Hugo Ines Jonas "
    "Keiko Liam Mina Noor Oskar"
).split()
LAST = (
    "Abbott Bianchi Castillo Duval Eriksen Fischer Grant Hoang Ivanova Jensen Khan Lindqvist Moreau Novak "
    "Okafor Patel Quinn Ruiz Sato Tanaka Usman Varga Weber Xu Yilmaz Zeller Adeyemi Brandt Costa Dlamini "
    "Engel Ferrari Gomez Hughes"
).split()
CITIES = (
    "Lagos|Lisbon|Oslo|Krakow|Montreal|Nairobi|Osaka|Porto|Quito|Riga|Seville|Tallinn|Utrecht|Valencia|"
    "Wellington|Zagreb|Austin|Bergen|Cork|Denver|Edinburgh|Ghent|Hamburg|Izmir|Jaipur|Leeds|Malmo|Nantes|"
    "Perth|Salzburg|Turin"
).split("|")
BRANDS = (
    "Norvik Altera Belmar Corvo Dynexa Elbrus Fenwick Galto Hearthly Invero Junco Kestra Lumora Maristo "
    "Nordeck Olvera Pinemoor Quantis Rivelle Solano Tarvin Umbria Vantor Westlake Xylo Yarrow Zephyra "
    "Brightwell Coldbrook Draymoor Evermark Foxglen Greyline Harlow Ironbay Jadewood Kirkstone Larkfield "
    "Mossford Northgate Oakhurst Penrose Redfern"
).split()
PLACES = (
    "Riverside|Old Harbour|Maple Street|Hillcrest|Lakeview|Station Road|Greenfield|Castle Hill|Sunnyside|"
    "Willow Park|Bayfront|Kingsway|Elm Grove|Stonebridge|Highgate|Seaview|Northfield|Millbrook|Fairview|"
    "Orchard Lane|Rosewood|Silver Lake|Market Square|West End|Cedar Point|Amberley|Brookside|Clifton|"
    "Dunmore|Eastgate"
).split("|")
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()


def _low_high(argument: str, low: int, high: int) -> tuple[int, int]:
    if not argument:
        return low, high
    first, _, last = argument.partition("-")
    return int(first), int(last)


def _price(rng: random.Random, argument: str) -> str:
    low, high = _low_high(argument, 5, 90)
    amount = rng.randint(low, high)
    cents = rng.choice(("", "", ".50", ".90", ".99", ".00")) if high < 300 else ""
    number = f"{amount:,}{cents}"
    return rng.choice((f"${number}", f"${number}", f"€{number}", f"£{number}", f"{number} euros", f"{number} dollars"))


def _time(rng: random.Random, argument: str) -> str:
    low, high = _low_high(argument, 7, 21)
    hour, minute = rng.randint(low, high), rng.choice(("00", "00", "30", "15", "45"))
    if rng.random() < 0.5:
        return f"{hour}:{minute}"
    twelve = (hour - 1) % 12 + 1
    suffix = "am" if hour < 12 else "pm"
    return f"{twelve} {suffix}" if minute == "00" else f"{twelve}:{minute} {suffix}"


def _hours(rng: random.Random, argument: str) -> str:
    opens, closes = rng.randint(7, 11), rng.randint(15, 22)
    if rng.random() < 0.5:
        return f"{opens}:{rng.choice(('00', '30'))} to {closes}:{rng.choice(('00', '30'))}"
    return f"{opens} am to {closes - 12} pm"


def _date(rng: random.Random, argument: str) -> str:
    month, day = rng.choice(MONTHS), rng.randint(1, 28)
    year = f" {argument or rng.randint(2019, 2027)}" if argument or rng.random() < 0.4 else ""
    comma = "," if year else ""
    return rng.choice((f"{day} {month}{year}", f"{month} {day}{comma}{year}"))


def _phone(rng: random.Random, argument: str) -> str:
    digits = "".join(str(rng.randint(0, 9)) for _ in range(7))
    shapes = (f"555-{digits[:4]}", f"0800 {digits[:3]} {digits[3:6]}", f"+44 20 {digits[:4]} {digits[3:7]}")
    return rng.choice(shapes)


def _code(rng: random.Random, argument: str) -> str:
    letters = "".join(rng.choice("ABCDEFHKLMPRSTX") for _ in range(rng.randint(1, 3)))
    return f"{letters}{rng.choice(('-', ''))}{rng.randint(2, 990)}"


def _version(rng: random.Random, argument: str) -> str:
    return ".".join(str(rng.randint(1 if i == 0 else 0, 12)) for i in range(rng.choice((2, 3))))


SAMPLERS: dict[str, Sampler] = {
    "price": _price,
    "time": _time,
    "hours": _hours,
    "date": _date,
    "phone": _phone,
    "code": _code,
    "version": _version,
    "person": lambda rng, argument: f"{rng.choice(FIRST)} {rng.choice(LAST)}",
    "first": lambda rng, argument: rng.choice(FIRST),
    "last": lambda rng, argument: rng.choice(LAST),
    "city": lambda rng, argument: rng.choice(CITIES),
    "brand": lambda rng, argument: rng.choice(BRANDS),
    "place": lambda rng, argument: rng.choice(PLACES),
    "day": lambda rng, argument: rng.choice(DAYS),
    "month": lambda rng, argument: rng.choice(MONTHS),
    "year": lambda rng, argument: str(rng.randint(*_low_high(argument, 1890, 2024))),
    "percent": lambda rng, argument: f"{rng.randint(*_low_high(argument, 3, 50))}{rng.choice(('%', ' percent'))}",
    "model": lambda rng, argument: (
        f"{rng.choice('ABCDEGHKLMPRSTVXZ')}{rng.choice((10, 20, 45, 70, 100, 250, 300, 900))}"
    ),
    "email": lambda rng, argument: f"{argument or 'info'}@{rng.choice(BRANDS).lower()}.example",
    "url": lambda rng, argument: f"{rng.choice(BRANDS).lower()}.example/{argument or 'help'}",
    "room": lambda rng, argument: f"room {rng.randint(1, 4)}{rng.randint(0, 3)}{rng.randint(1, 9)}",
}


def fill(template: str, rng: random.Random, bound: Mapping[str, str] | None = None) -> str:
    """The template with every slot filled, inner slots before those around them."""

    def one(match: re.Match[str]) -> str:
        return _value(match.group(1), rng, bound or {}, template)

    text = template
    while SLOT.search(text):
        text = SLOT.sub(one, text)
    return text


def _value(slot: str, rng: random.Random, bound: Mapping[str, str], template: str) -> str:
    if slot in bound:
        return bound[slot]
    if slot.lower() in bound and slot[:1].isupper():
        text = bound[slot.lower()]
        return text[:1].upper() + text[1:]
    if "|" in slot:
        return rng.choice(slot.split("|"))
    name, _, argument = slot.partition(":")
    if name in SAMPLERS:
        return SAMPLERS[name](rng, argument)
    if re.fullmatch(r"\d+-\d+", slot):
        return str(rng.randint(*_low_high(slot, 0, 0)))
    raise ConfigError(
        f"Unknown slot {{{slot}}} in template {template!r}.", hint=f"Known samplers: {', '.join(SAMPLERS)}."
    )
