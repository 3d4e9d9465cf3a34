"""The kinds of surroundings that signals know, by name. Those that a data set lacks are left out."""

from __future__ import annotations

from typing import Final

CATEGORIES: Final[dict[str, str]] = {
    "activity": "what the listener does: still, walking, running, lying ...",
    "local_time": "part of the listener's day",
    "weather": "sunny, cloudy, rainy ...",
    "place_type": "home, work, outdoors ...",
    "audio_output": "headphones, speaker, car",
    "company": "alone or with others",
}
"""Kind to what its codes mean."""
MEASURES: Final[dict[str, str]] = {
    "noise": "ambient noise, dB(A)",
    "light": "illuminance, lx",
    "climate": "temperature (degrees C), humidity (%), pressure (hPa)",
    "body": "heart rate against the listener's own mean",
    "motion": "shares of walking and stillness, intensity, steps per minute",
    "position": "where, as the source gives it",
    "mood": "valence and arousal before listening, -1..1",
}
"""Kind to what its columns are, before they became standard scores."""
SETTING: Final = "setting"
"""A category of its own: how the rating came about (asked for in a study, or in daily life). Not surroundings."""
AUDIO: Final[dict[str, str]] = {
    "danceability": "0..1",
    "energy": "0..1",
    "speechiness": "0..1",
    "acousticness": "0..1",
    "instrumentalness": "0..1",
    "liveness": "0..1",
    "valence": "0..1",
    "loudness": "dB",
    "tempo": "BPM",
    "duration_ms": "ms",
    "popularity": "0..100",
    "pitch_mean": "openSMILE F0final mean",
    "pitch_spread": "openSMILE F0final standard deviation",
    "spectrum_spread": "openSMILE audspec length, standard deviation",
    "power_spread": "openSMILE RMS energy, standard deviation",
    "sharpness_mean": "openSMILE psychoacoustic sharpness, mean",
    "sharpness_spread": "openSMILE psychoacoustic sharpness, standard deviation",
    "crossings_mean": "openSMILE zero-crossing rate, mean",
    "crossings_spread": "openSMILE zero-crossing rate, standard deviation",
}
"""Name to the unit that it had before it became a standard score."""
KINDS: Final = (*CATEGORIES, *MEASURES)
