"""The demo catalogue: 600 tracks, 60 podcast episodes and 40 soundscapes, made by rule and the same on every machine.

Nothing in it is copied from anywhere: artists and titles are invented, features are drawn around each genre's means.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from google.type.date_pb2 import Date

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_cli.demo.genres import GENRES, SCENES, SHOWS, GenreSound, Scene, Show
from rhythmiq_cli.demo.words import ARTIST_FIRST, ARTIST_SECOND, TITLE_FIRST, TITLE_SECOND

SOURCE = "demo"
TRACKS_PER_GENRE = 50
EPISODES_PER_SHOW = 10
_ARTISTS_PER_GENRE = 8
_SEED = 20_240_229
_LANGUAGES = {"latin": "es", "classical": "", "ambient": "", "house": "", "drum and bass": ""}


def demo_items() -> list[item_pb2.Item]:
    """All items of the demo catalogue."""
    chance = random.Random(_SEED)
    names = [f"{first} {second}" for first in ARTIST_FIRST for second in ARTIST_SECOND]
    titles = [f"{first} {second}" for first in TITLE_FIRST for second in TITLE_SECOND]
    chance.shuffle(names)
    chance.shuffle(titles)
    # 576 titles for 600 tracks: a few songs share a title, as they do elsewhere.
    track_titles = iter(titles + titles)
    items: list[item_pb2.Item] = []
    for index, sound in enumerate(GENRES):
        artists = names[index * _ARTISTS_PER_GENRE : (index + 1) * _ARTISTS_PER_GENRE]
        for number in range(TRACKS_PER_GENRE):
            external_id = f"{SOURCE}:track-{index * TRACKS_PER_GENRE + number + 1:04d}"
            items.append(_track(chance, external_id, next(track_titles), artists[number % len(artists)], sound))
    items += _episodes(chance)
    items += _soundscapes(chance)
    return items


def demo_artist(genre: str) -> str:
    """The demo artist with the first track of a genre."""
    return next(item.artists[0] for item in demo_items() if genre in item.genres)


def _track(chance: random.Random, external_id: str, title: str, artist: str, sound: GenreSound) -> item_pb2.Item:
    energy = _unit(chance, sound.energy, 0.10)
    features = audio_pb2.AudioFeatures(
        danceability=_unit(chance, sound.danceability, 0.09),
        energy=energy,
        speechiness=_unit(chance, sound.speechiness, 0.03),
        acousticness=_unit(chance, sound.acousticness, 0.10),
        instrumentalness=_unit(chance, sound.instrumentalness, 0.10),
        liveness=_unit(chance, 0.16, 0.08),
        valence=_unit(chance, sound.valence, 0.14),
        # A track of more energy than its genre usually has is mastered louder: 12 dB over the whole scale.
        loudness=round(sound.loudness + 12.0 * (energy - sound.energy) + chance.gauss(0.0, 0.8), 2),
        tempo=round(min(210.0, max(50.0, chance.gauss(sound.tempo, sound.tempo_spread))), 1),
        key=chance.randrange(12),
        mode=int(chance.random() < 0.6),
        time_signature=3 if chance.random() < 0.08 else 4,
    )
    return item_pb2.Item(
        external_id=external_id,
        kind=item_pb2.Item.TRACK,
        title=title,
        artists=[artist],
        genres=[sound.genre, chance.choice(sound.subgenres)],
        instruments=chance.sample(sound.instruments, 2),
        language=_LANGUAGES.get(sound.genre, "en"),
        explicit=chance.random() < sound.explicit_share,
        release_date=Date(year=chance.randint(1978, 2024), month=chance.randint(1, 12), day=chance.randint(1, 28)),
        popularity=round(100 * chance.betavariate(2.0, 3.5), 1),
        duration=_duration(chance, sound.minutes),
        features=features,
    )


def _episodes(chance: random.Random) -> Iterator[item_pb2.Item]:
    for index, show in enumerate(SHOWS):
        for number in range(EPISODES_PER_SHOW):
            yield _episode(chance, f"{SOURCE}:episode-{index * EPISODES_PER_SHOW + number + 1:04d}", show, number)


def _episode(chance: random.Random, external_id: str, show: Show, number: int) -> item_pb2.Item:
    subject = show.subjects[number % len(show.subjects)]
    part = number // len(show.subjects)
    energy = _unit(chance, 0.20 if show.genre == "mindfulness" else 0.40, 0.06)
    return item_pb2.Item(
        external_id=external_id,
        kind=item_pb2.Item.PODCAST_EPISODE,
        title=f"{show.title} {number + 1}: {subject[:1].upper()}{subject[1:]}" + (f", part {part + 1}" if part else ""),
        artists=[show.host],
        genres=[show.genre],
        language=show.language,
        explicit=False,
        release_date=Date(year=2023 + number // 6, month=1 + (number * 2) % 12, day=chance.randint(1, 28)),
        popularity=round(100 * chance.betavariate(2.0, 3.5), 1),
        duration=_duration(chance, show.minutes),
        features=audio_pb2.AudioFeatures(
            energy=energy,
            speechiness=_unit(chance, 0.90, 0.03),
            acousticness=_unit(chance, 0.70, 0.08),
            instrumentalness=0.0,
            valence=_unit(chance, 0.5, 0.1),
            loudness=round(-17.0 + 4.0 * (energy - 0.4) + chance.gauss(0.0, 0.6), 2),
        ),
    )


def _soundscapes(chance: random.Random) -> Iterator[item_pb2.Item]:
    number = 0
    for scene in SCENES:
        for variant in scene.variants:
            number += 1
            yield _soundscape(chance, f"{SOURCE}:soundscape-{number:04d}", scene, variant)


def _soundscape(chance: random.Random, external_id: str, scene: Scene, variant: str) -> item_pb2.Item:
    return item_pb2.Item(
        external_id=external_id,
        kind=item_pb2.Item.SOUNDSCAPE,
        title=f"{scene.name} {variant}",
        artists=["RhythmIQ field recordings"],
        genres=[scene.genre],
        explicit=False,
        popularity=round(100 * chance.betavariate(2.0, 3.5), 1),
        duration=_duration(chance, 35),
        features=audio_pb2.AudioFeatures(
            energy=_unit(chance, scene.energy, 0.03),
            speechiness=0.03,
            acousticness=_unit(chance, 0.85, 0.06),
            instrumentalness=_unit(chance, 0.93, 0.03),
            valence=_unit(chance, 0.4, 0.1),
            loudness=round(scene.loudness + chance.gauss(0.0, 1.0), 2),
        ),
    )


def _unit(chance: random.Random, mean: float, spread: float) -> float:
    return round(min(0.99, max(0.01, chance.gauss(mean, spread))), 3)


def _duration(chance: random.Random, minutes: float) -> Duration:
    return Duration(seconds=round(60 * minutes * min(1.6, max(0.6, chance.gauss(1.0, 0.18)))))
