"""Short lists of tools that a conversation may offer, by domain, as OpenAI tool objects.

A tool is one line: `name | description | parameter:type, …` (`*` marks a required one; `a/b/c` is an enum).
The lists are for context only: the router's label says what comes next, not which tool is called.
"""

from __future__ import annotations

import random
from typing import Any

_TOOLS: dict[str, str] = {
    "music": """
play_music | Plays a song, artist or playlist. | query:string*, shuffle:boolean
set_volume | Sets the volume of the speaker. | level:integer*
add_to_playlist | Adds the current song to a playlist. | playlist:string*
next_track | Skips to the next song. |
""",
    "home": """
set_light | Switches or dims lights in a room. | room:string*, state:on/off*, brightness:integer
set_temperature | Sets the heating of a room. | room:string*, celsius:number*
start_vacuum | Starts the robot vacuum. | room:string
lock_door | Locks or unlocks a door. | door:string*, locked:boolean*
""",
    "calendar": """
create_event | Adds an event to the calendar. | title:string*, start:string*, guests:array
list_events | Events of a day. | date:string*
set_alarm | Sets an alarm. | time:string*, label:string
set_reminder | Reminds the user of something. | text:string*, when:string*
""",
    "weather": """
get_weather | Current weather or forecast of a place. | city:string*, day:string
get_time | Current time in a place. | city:string
air_quality | Air quality of a city. | city:string*
""",
    "banking": """
get_balance | Balance of an account. | account:checking/savings/card*
transfer_money | Transfers money between accounts. | source:string*, target:string*, amount:number*
list_transactions | Recent transactions. | account:string*, days:integer
block_card | Blocks a lost card. | last_digits:string*
""",
    "travel": """
search_flights | Flights between two cities. | origin:string*, destination:string*, date:string*
book_hotel | Books a hotel room. | city:string*, nights:integer*, guests:integer
get_traffic | Traffic on a route. | start:string, goal:string*
order_taxi | Orders a taxi. | pickup:string*, goal:string*
""",
    "food": """
find_restaurant | Restaurants by kitchen and place. | city:string*, kitchen:string
reserve_table | Reserves a table. | restaurant:string*, people:integer*, time:string*
order_food | Orders food for delivery. | dish:string*, count:integer
""",
    "mail": """
send_email | Sends an e-mail. | to:string*, subject:string, body:string*
search_mail | Searches the inbox. | query:string*, unread_only:boolean
post_message | Posts to a chat or a social network. | channel:string*, text:string*
find_contact | Phone and mail of a contact. | name:string*
""",
    "math": """
calculate | Evaluates an arithmetic expression. | expression:string*
convert_units | Converts between units. | value:number*, source:string*, target:string*
roll_dice | Rolls dice or flips a coin. | sides:integer, count:integer
translate | Translates a text. | text:string*, language:string*
""",
    "lists": """
add_item | Adds an item to a list. | list:string*, item:string*
remove_item | Removes an item from a list. | list:string*, item:string*
show_list | Shows a list. | list:string*
""",
    "finance": """
get_stock_price | Price of a share. | symbol:string*
exchange_rate | Rate between two currencies. | source:string*, target:string*
get_news | Latest headlines on a topic. | topic:string
""",
    "car": """
car_status | Fuel, tyre pressure and mileage. | what:fuel/tyres/mileage*
book_service | Books a service at the garage. | date:string*, work:string
find_fuel | Nearest petrol station. | radius_km:number
""",
    "hr": """
leave_balance | Days of leave that are left. | year:integer
request_leave | Files a leave request. | first_day:string*, last_day:string*
get_payslip | Payslip of a month. | month:string*
""",
    "work": """
create_ticket | Opens a ticket. | title:string*, priority:low/normal/high
run_report | Runs a saved report. | name:string*, month:string
query_orders | Orders by customer or day. | customer:string, day:string
deploy_service | Deploys a service to an environment. | service:string*, env:test/prod*
""",
}  # fmt: skip
_DEV_TOOLS: dict[str, str] = {
    "media": """
SearchCreativeWork | Finds a book, film or game. | title:string*
RateBook | Rates a book. | title:string*, stars:integer*
SearchScreeningEvent | Cinema times. | film:string, place:string
""",
    "services": """
FindProvider | Finds a dentist, stylist or doctor. | kind:string*, city:string*
BookAppointment | Books an appointment. | provider:string*, date:string*, time:string*
GetRide | Orders a ride. | destination:string*, riders:integer
FindEvents | Concerts and games in a city. | city:string*, date:string
""",
    "shop": """
order.track | Where a parcel is. | order_id:string*
order.create | Orders a product. | sku:string*, count:integer
cart.show | Items in the cart. |
""",
    "rental": """
findRentalCar | Cars for rent. | city:string*, from:string*, until:string*
findHome | Flats for rent or sale. | area:string*, bedrooms:integer
scheduleVisit | Visit of a flat. | property:string*, date:string*
""",
}  # fmt: skip

_SHARED = ("banking", "car", "finance", "hr")
"""Domains of the training tools whose requests also occur in the development set."""


def _tool(line: str) -> dict[str, Any]:
    name, description, rest = (part.strip() for part in line.split("|"))
    properties: dict[str, Any] = {}
    required = []
    for field in filter(None, (part.strip() for part in rest.split(","))):
        key, _, kind = field.partition(":")
        if kind.endswith("*"):
            required.append(key)
            kind = kind[:-1]
        if kind == "array":
            properties[key] = {"type": "array", "items": {"type": "string"}}
        else:
            properties[key] = {"type": "string", "enum": kind.split("/")} if "/" in kind else {"type": kind}
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def tools_of(domain: str) -> list[dict[str, Any]]:
    """All tools of a domain."""
    return [_tool(line) for line in {**_TOOLS, **_DEV_TOOLS}[domain].strip().splitlines()]


def toolsets(
    rng: random.Random, dev: bool = False, count: int = 30
) -> list[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """`count` lists of 1 to 4 tools, each with the domains that it serves: every domain once, then mixes of
    two."""
    domains = sorted((*_DEV_TOOLS, *_SHARED) if dev else _TOOLS)
    result = []
    for number in range(count):
        chosen = (domains[number],) if number < len(domains) else tuple(rng.sample(domains, 2))
        pool = [
            tool
            for domain in chosen
            for tool in rng.sample(tools_of(domain), min(len(tools_of(domain)), 4 // len(chosen)))
        ]
        rng.shuffle(pool)
        result.append((chosen, pool[: rng.choice((2, 3, 4, 4)) if number >= len(domains) else 4]))
    return result
