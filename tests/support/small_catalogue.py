"""A small catalogue of the project's own: generated, the same every time, with everything that a catalogue can lack."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.model import item_id, item_name
from rhythmiq_recommender.snapshot import CatalogSnapshot

Item = item_pb2.Item


class Style(NamedTuple):
    """What a genre sounds like here: the means of its tracks."""

    genre: str
    energy: float
    loudness: float
    tempo: float
    acousticness: float
    instrumentalness: float
    danceability: float
    valence: float
    instrument: str


STYLES = (
    Style("ambient", 0.18, -21.0, 82.0, 0.80, 0.85, 0.30, 0.20, "synthesizer"),
    Style("Classical Piano", 0.15, -22.0, 95.0, 0.95, 0.90, 0.32, 0.25, "piano"),
    Style("folk", 0.38, -12.0, 108.0, 0.75, 0.05, 0.50, 0.45, "guitar"),
    Style("jazz", 0.40, -13.0, 112.0, 0.65, 0.40, 0.55, 0.55, "saxophone"),
    Style("soul", 0.50, -9.5, 104.0, 0.40, 0.03, 0.65, 0.62, "piano"),
    Style("pop", 0.68, -6.5, 118.0, 0.20, 0.01, 0.67, 0.58, "synthesizer"),
    Style("hip hop", 0.66, -6.8, 96.0, 0.18, 0.01, 0.75, 0.50, "drums"),
    Style("rock", 0.78, -6.0, 128.0, 0.10, 0.06, 0.50, 0.52, "guitar"),
    Style("edm", 0.86, -4.5, 127.0, 0.05, 0.20, 0.66, 0.45, "synthesizer"),
    Style("Métal", 0.93, -4.8, 138.0, 0.01, 0.15, 0.38, 0.30, "guitar"),
)
LANGUAGES = ("", "en", "en-GB", "de", "de-AT", "den", "es")
TRACKS_PER_STYLE = 60
ARTISTS_PER_STYLE = 9


@cache
def items() -> tuple[item_pb2.Item, ...]:
    """Tracks of every style, podcast episodes and soundscapes."""
    dice = random.Random(20)
    tracks = [_track(style, number, dice) for style in STYLES for number in range(TRACKS_PER_STYLE)]
    others = [_other(kind, number, dice) for kind in (Item.PODCAST_EPISODE, Item.SOUNDSCAPE) for number in range(40)]
    return (*tracks, *others)


@cache
def snapshot() -> CatalogSnapshot:
    """The catalogue as a snapshot."""
    return CatalogSnapshot.build(serialized())


def serialized() -> list[bytes]:
    """The items as the service holds them."""
    return [item.SerializeToString() for item in items()]


def named(external_id: str, title: str, kind: item_pb2.Item.Kind.ValueType = Item.TRACK) -> item_pb2.Item:
    """An item with nothing but names."""
    uid = item_id(external_id)
    return Item(name=item_name(uid), uid=uid, external_id=external_id, kind=kind, title=title)


def _track(style: Style, number: int, dice: random.Random) -> item_pb2.Item:
    item = named(f"spotify:{style.genre.lower().replace(' ', '-')}-{number}", f"{style.genre} {number}")
    item.artists.append(f"{style.genre} artist {number % ARTISTS_PER_STYLE}")
    if dice.random() < 0.2:
        item.artists.append(f"Guest {dice.randrange(5)}")
    item.genres.append(style.genre)
    if dice.random() < 0.3:
        item.genres.append(dice.choice(STYLES).genre.upper())
    item.instruments.append(style.instrument)
    audio = item.features
    for name in ("energy", "acousticness", "instrumentalness", "danceability", "valence"):
        if dice.random() < 0.95:
            setattr(audio, name, min(1.0, max(0.0, dice.gauss(getattr(style, name), 0.08))))
    if dice.random() < 0.95:
        audio.loudness = min(0.0, dice.gauss(style.loudness, 1.5))
    if dice.random() < 0.95:
        audio.tempo = max(40.0, dice.gauss(style.tempo, 9.0))
    audio.speechiness, audio.liveness = dice.uniform(0.02, 0.2), dice.uniform(0.05, 0.4)
    if dice.random() < 0.8:
        audio.key, audio.mode, audio.time_signature = dice.randrange(12), dice.randrange(2), dice.choice((3, 4, 4, 4))
    _add_rest(item, dice)
    return item


def _other(kind: item_pb2.Item.Kind.ValueType, number: int, dice: random.Random) -> item_pb2.Item:
    label = Item.Kind.Name(kind).lower()
    item = named(f"demo:{label}-{number}", f"{label} {number}", kind)
    item.artists.append(f"Maker {number % 4}")
    item.genres.append(dice.choice(("talk", "science", "rain", "forest")))
    item.features.energy = dice.random()
    _add_rest(item, dice)
    return item


def _add_rest(item: item_pb2.Item, dice: random.Random) -> None:
    item.language = dice.choice(LANGUAGES)
    explicit = dice.choice((True, False, None))
    if explicit is not None:
        item.explicit = explicit
    if dice.random() < 0.8:
        item.release_date.year = dice.randrange(1960, 2026)
        item.release_date.month = dice.randrange(0, 13)
    if dice.random() < 0.8:
        item.popularity = dice.uniform(0, 100)
    if dice.random() < 0.9:
        item.duration.FromMilliseconds(dice.randrange(90_000, 400_000))
    if dice.random() < 0.3:
        item.links["preview"] = f"https://example.org/{item.uid}.mp3"
        item.links["page"] = f"https://example.org/{item.uid}"
        item.other_ids["isrc"] = f"XX{dice.randrange(10**9)}"
