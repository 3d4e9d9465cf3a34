"""What the demo's genres sound like: made up for this project, in the ranges that such music usually has."""

from __future__ import annotations

from typing import NamedTuple


class GenreSound(NamedTuple):
    """Means of a genre's features, on the scales of rhythmiq.type.v1.AudioFeatures, and who plays what in it."""

    genre: str
    subgenres: tuple[str, ...]
    instruments: tuple[str, ...]
    tempo: float
    tempo_spread: float
    energy: float
    danceability: float
    valence: float
    acousticness: float
    instrumentalness: float
    speechiness: float
    # dB of a track with exactly the genre's energy; louder and quieter ones follow their own energy.
    loudness: float
    explicit_share: float
    minutes: float


GENRES = (
    GenreSound(
        "ambient", ("drone", "space ambient"), ("synthesizer", "piano"),
        78, 14, 0.16, 0.28, 0.26, 0.78, 0.88, 0.04, -21.0, 0.0, 5.6,
    ),
    GenreSound(
        "classical", ("chamber music", "piano solo"), ("piano", "violin", "cello"),
        98, 24, 0.22, 0.30, 0.34, 0.94, 0.86, 0.04, -20.0, 0.0, 5.0,
    ),
    GenreSound(
        "jazz", ("cool jazz", "swing"), ("saxophone", "piano", "double bass"),
        112, 26, 0.38, 0.52, 0.52, 0.72, 0.46, 0.05, -13.5, 0.0, 4.8,
    ),
    GenreSound(
        "folk", ("singer-songwriter", "chamber folk"), ("acoustic guitar", "violin", "banjo"),
        108, 20, 0.36, 0.50, 0.46, 0.76, 0.10, 0.04, -12.5, 0.02, 3.7,
    ),
    GenreSound(
        "soul", ("neo soul", "northern soul"), ("electric piano", "bass guitar", "trumpet"),
        102, 16, 0.54, 0.68, 0.66, 0.34, 0.06, 0.06, -8.6, 0.08, 3.8,
    ),
    GenreSound(
        "hip hop", ("boom bap", "jazz rap"), ("sampler", "drum machine"),
        92, 12, 0.66, 0.78, 0.52, 0.18, 0.06, 0.26, -7.0, 0.55, 3.4,
    ),
    GenreSound(
        "pop", ("dance pop", "indie pop"), ("synthesizer", "electric guitar", "drums"),
        118, 14, 0.68, 0.70, 0.60, 0.20, 0.02, 0.06, -6.2, 0.12, 3.4,
    ),
    GenreSound(
        "latin", ("cumbia", "salsa"), ("congas", "trumpet", "acoustic guitar"),
        104, 14, 0.70, 0.76, 0.74, 0.26, 0.04, 0.07, -6.8, 0.10, 3.6,
    ),
    GenreSound(
        "rock", ("indie rock", "garage rock"), ("electric guitar", "bass guitar", "drums"),
        126, 18, 0.76, 0.52, 0.52, 0.12, 0.08, 0.05, -6.6, 0.08, 3.9,
    ),
    GenreSound(
        "house", ("deep house", "disco house"), ("drum machine", "synthesizer"),
        124, 4, 0.78, 0.80, 0.58, 0.06, 0.42, 0.06, -7.2, 0.05, 5.4,
    ),
    GenreSound(
        "drum and bass", ("liquid", "jungle"), ("drum machine", "synthesizer"),
        173, 4, 0.86, 0.60, 0.44, 0.05, 0.48, 0.08, -5.6, 0.06, 4.8,
    ),
    GenreSound(
        "metal", ("doom metal", "speed metal"), ("electric guitar", "drums"),
        140, 26, 0.92, 0.40, 0.32, 0.02, 0.22, 0.08, -4.8, 0.18, 4.6,
    ),
)  # fmt: skip


class Show(NamedTuple):
    """An invented podcast."""

    title: str
    host: str
    genre: str
    language: str
    minutes: float
    subjects: tuple[str, ...]


SHOWS = (
    Show(
        "The Slow Atlas",
        "Mirela Quandt",
        "travel",
        "en",
        34,
        ("harbours", "night trains", "borders", "salt roads"),
    ),
    Show("Small Machines", "Tobin Arkwell", "technology", "en", 48, ("clocks", "batteries", "sorting", "radio")),
    Show("Kitchen Chemistry", "Odile Ferran", "science", "en", 26, ("bread", "bitterness", "steam", "salt")),
    Show("Nachtgespräche", "Jorun Hellwege", "society", "de", 62, ("Arbeit", "Stille", "Nachbarn", "Umzüge")),
    Show("Archive of Errors", "Pell Nakasone", "history", "en", 41, ("bridges", "maps", "forgeries", "calendars")),
    Show("Ten Calm Minutes", "Suvi Lantra", "mindfulness", "en", 11, ("breath", "walking", "evening", "waiting")),
)


class Scene(NamedTuple):
    """A sound that soundscapes are made of; energy on the scale of the features, loudness in dB."""

    name: str
    genre: str
    energy: float
    loudness: float
    variants: tuple[str, ...]


SCENES = (
    Scene(
        "Rain",
        "rain",
        0.14,
        -26.0,
        ("on a tin roof", "in a pine wood", "on a tent", "at sea", "at the window"),
    ),
    Scene("Sea", "sea", 0.20, -24.0, ("at low tide", "under the pier", "on pebbles", "before dawn", "in a cave")),
    Scene("Forest", "forest", 0.12, -29.0, ("at first light", "in summer", "after rain", "with owls", "by a brook")),
    Scene("Noise", "noise", 0.24, -20.0, ("in brown", "in pink", "in white", "of a fan", "of a cabin")),
    Scene("Fire", "fire", 0.15, -27.0, ("in a hearth", "on a beach", "in a stove", "of birch", "at midnight")),
    Scene("City", "city", 0.30, -22.0, ("from a balcony", "in a tram", "at a café", "under snow", "at noon")),
    Scene("Night", "night", 0.08, -32.0, ("with crickets", "on a porch", "in the desert", "by a lake", "in winter")),
    Scene(
        "Bells and bowls",
        "meditation",
        0.10,
        -28.0,
        ("at sunrise", "low and slow", "far away", "at dusk", "in stone"),
    ),
)
