"""HWU64: human requests to a home assistant, 64 intents with marked entities.

Intents that make a clear function are in the table; small talk (general_*) shows what no tool serves. A text
that names a day, a time or a number outside its marked entities is left out: its marking is incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from ...rows import Row, Split
from .files import json_lines
from .intents import Intent, Utterance, parse_intents, requests

_INTENTS = """
alarm_query: list_alarms | List the alarms that are set
  date date | Day
  timeofday part_of_day | Morning, evening, ...
  time time | Clock time
alarm_remove: remove_alarm | Remove an alarm
  time time | Time of the alarm
  date date | Day of the alarm
  timeofday part_of_day | Morning, evening, ...
alarm_set: set_alarm | Set an alarm
  time* time | Alarm time
  date date | Day
  timeofday part_of_day | Morning, evening, ...
  event_name label | What the alarm is for
audio_volume_down: volume_down | Lower the volume
  change_amount amount | By how much, or to what level
  device_type device | Device
audio_volume_up: volume_up | Raise the volume
  change_amount amount | By how much, or to what level
  device_type device | Device
calendar_query: query_calendar | Look up events in the calendar
  date date | Day or period
  event_name event | Event
  time time | Time
  timeofday part_of_day | Morning, evening, ...
  person person | Participant
calendar_remove: delete_event | Delete events from the calendar
  event_name event | Event
  date date | Day
  time time | Time
  person person | Participant
calendar_set: add_event | Add an event or a reminder to the calendar
  event_name* event | Event
  date date | Day
  time time | Time
  timeofday part_of_day | Morning, evening, ...
  person with_person | Participant
  place_name place | Place
  general_frequency repeat | How often it repeats
cooking_recipe: find_recipe | Find a recipe or cooking instructions
  food_type* dish | Dish
  ingredient ingredient | Ingredient
datetime_query: current_time | Time or date at a place
  place_name place | City or country
  time_zone time_zone | Time zone
email_addcontact: add_contact | Add an address to the contacts
  email_address* email | Email address
  person name | Name
email_query: check_email | Check for emails
  person sender | Who sent it
  relation sender_relation | Relation to the sender, such as mom
  email_folder folder | Mail folder
  date date | Day
email_querycontact: lookup_contact | Look up details of a contact
  person* name | Contact
  personal_info field | Detail wanted, such as phone number
email_sendemail: write_email | Write an email to a person
  person recipient | Recipient
  relation recipient_relation | Relation to the recipient, such as mom
  email_address address | Email address
general_joke: tell_joke | Tell a joke
  joke_type kind | Kind of joke
iot_coffee: make_coffee | Make a coffee
  coffee_type coffee | Kind of coffee
  time time | When
  device_type device | Machine
iot_cleaning: start_cleaning | Start a cleaning robot
  device_type device | Device
  house_place room | Room
  time time | When
iot_hue_lightchange: set_light_color | Change the color of the lights
  color_type* color | Color
  house_place room | Room
iot_hue_lightdim: dim_lights | Dim the lights
  house_place room | Room
  change_amount amount | By how much, or to what level
iot_hue_lightoff: lights_off | Turn lights off
  house_place room | Room
  device_type lamp | Which lamp
  time time | When
iot_hue_lightup: brighten_lights | Make the lights brighter
  house_place room | Room
  change_amount amount | By how much, or to what level
iot_wemo_off: plug_off | Switch a smart plug off
  device_type device | Plug or device
  house_place room | Room
iot_wemo_on: plug_on | Switch a smart plug on
  device_type* device | Plug or device
  house_place room | Room
lists_query: read_list | Read a list
  list_name* list | Name of the list
  date date | Day
lists_remove: delete_list | Delete a list
  list_name* list | Name of the list
news_query: get_news | Get news
  news_topic topic | Topic
  media_type source | Newspaper or station
  place_name place | Place
  date date | Day
play_audiobook: play_audiobook | Play an audiobook
  audiobook_name* title | Title
  audiobook_author author | Author
play_game: start_game | Start a game
  game_name* game | Game
play_music: play_music | Play music
  artist_name artist | Artist
  song_name song | Song
  music_genre genre | Genre
  playlist_name playlist | Playlist
play_podcasts: play_podcast | Play a podcast
  podcast_name* podcast | Name of the podcast
  podcast_descriptor episode | Which episode
play_radio: play_radio | Play a radio station
  radio_name* station | Station
  house_place room | Room
qa_definition: define_word | Definition of a word or term
  definition_word* word | Word or term
qa_stock: stock_price | Price of a share
  business_name* company | Company
recommendation_events: find_events | Find events at a place
  place_name place | Place
  date date | Day
  event_name event | Kind of event
  timeofday part_of_day | Morning, evening, ...
recommendation_locations: find_places | Find places such as shops and restaurants
  business_type* kind | Kind of place
  place_name near | Where
  food_type food | Food offered
recommendation_movies: find_movies | Find films that are on
  movie_type genre | Genre
  movie_name title | Title
  place_name place | Where
  date date | Day
takeaway_order: order_takeaway | Order food
  food_type* food | Dish or kind of food
  business_name restaurant | Restaurant
  order_type mode | Delivery or takeaway
transport_taxi: book_taxi | Call a taxi
  transport_agency company | Company
  transport_type vehicle | Kind of vehicle
  place_name destination | Destination
  time time | When
  date date | Day
transport_traffic: traffic_report | Traffic conditions
  place_name place | Place or road
  date date | Day
  timeofday part_of_day | Morning, evening, ...
weather_query: weather_info | Weather at a place and time
  weather_descriptor condition | Condition asked about, such as rain
  place_name place | Place
  date date | Day
  timeofday part_of_day | Morning, evening, ...
  time time | Clock time
"""
_SMALL_TALK = (
    "general_affirm", "general_commandstop", "general_confirm", "general_dontcare", "general_explain",
    "general_negate", "general_praise",
)  # fmt: skip
_UNMARKED = re.compile(
    r"\b(today|tonight|tomorrow|(mon|tues|wednes|thurs|fri|satur|sun)day|morning|afternoon|evening|noon|week|month|"
    r"am|pm|minutes?|hours?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|percent|and|email|"
    r"january|february|march|april|may|june|july|august|september|october|november|december)\b"
)
MOST_WORDS = 18


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    intents = parse_intents(_INTENTS)
    outside: list[str] = []
    utterances: list[Utterance] = []
    for record in json_lines(data_dir / "tool-hwu64" / "hwu64.jsonl.gz"):
        name = record["intent"]
        if name in _SMALL_TALK:
            outside.append(record["text"])
        elif name in intents and (read := _utterance(record, intents[name])) is not None:
            utterances.append(read)
    return requests("hwu64", utterances, intents, rng, split, outside)


def _utterance(record: dict[str, Any], intent: Intent) -> Utterance | None:
    text = record["text"]
    rest = text
    for entity in sorted(record["entities"], key=lambda e: -e["start"]):
        rest = rest[: entity["start"]] + rest[entity["end"] :]
    if _UNMARKED.search(rest.lower().replace("email", "" if intent.name.startswith("email") else "email")):
        return None
    if len(text.split()) > MOST_WORDS:
        return None
    if intent.name == "lists_remove" and re.search(r"\b(from|off)\b", text):
        return None  # removes an item, which is not marked
    if not record["entities"] and len(intent.slots) > 2:
        return None  # mostly an incomplete marking, and too vague to call
    return intent.read(text, [(entity["entity"], entity["value"]) for entity in record["entities"]])
