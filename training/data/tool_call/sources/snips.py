"""SNIPS: human requests of seven intents with marked slots; one function per intent, written here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from ...rows import Row, Split
from .files import json_lines
from .intents import Intent, Utterance, parse_intents, requests

_INTENTS = """
AddToPlaylist: add_to_playlist | Add a song, an album or an artist to a playlist
  playlist* playlist | Name of the playlist
  entity_name title | Song or album to add
  artist artist | Artist
BookRestaurant: book_restaurant | Book a table at a restaurant
  restaurant_name restaurant | Name of the restaurant
  restaurant_type place_type | restaurant, bar, cafe, ...
  cuisine cuisine | Kind of food
  served_dish dish | Dish that is served
  city city | City
  state state | State
  country country | Country
  timeRange time | When
  party_size_number party_size:integer | Number of people
GetWeather: weather_report | Weather at a place and time
  city city | City
  state state | State or region
  country country | Country
  timeRange when | Time or date
  geographic_poi place | Park, mountain or other place
  condition_description condition | Condition asked about, such as rain
  condition_temperature temperature | Temperature asked about, such as cold
PlayMusic: play_music | Play music
  artist artist | Artist or band
  album album | Album
  track track | Song
  genre genre | Genre
  playlist playlist | Playlist
  service service | Streaming service
  year year | Year or decade
RateBook: rate_book | Rate a book or series
  object_name* title | What is rated
  rating_value* rating:integer | Rating
  best_rating out_of:integer | Best possible rating
SearchCreativeWork: find_creative_work | Find a book, film, song, game or show by title
  object_name* title | Title
  object_type work_type | Kind of work
SearchScreeningEvent: find_screenings | Find cinema showtimes
  movie_name movie | Film
  object_location_type venue_type | Kind of venue
  location_name cinema | Cinema
  timeRange when | Time
"""
_UNSAID = set(
    "object_type object_select object_part_of_series_type rating_unit music_item playlist_owner sort "
    "current_location spatial_relation poi".split()
)
"""Slots that are wording rather than values; they are no argument except where an intent lists them."""


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    intents = parse_intents(_INTENTS)
    records = json_lines(data_dir / "tool-snips" / ("train.jsonl.gz" if split == "train" else "validate.jsonl.gz"))
    utterances = [u for record in records if (u := _utterance(record, intents[record["intent"]])) is not None]
    return requests("snips", utterances, intents, rng, split)


def _utterance(record: dict[str, Any], intent: Intent) -> Utterance | None:
    text = "".join(part["text"] for part in record["data"]).strip()
    values = [(part["entity"], part["text"].strip()) for part in record["data"] if "entity" in part]
    kept = [(name, value) for name, value in values if name in intent.slots or name not in _UNSAID]
    return intent.read(text, kept)
