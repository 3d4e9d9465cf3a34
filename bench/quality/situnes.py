"""Adapter: SiTunes stages 1 and 2 with the authors' ten splits. What is known only after the play is never read."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from bench.quality.columns import dense, numbers_of, read, standard
from rhythmiq_recommender.learning.signals.kinds import SETTING
from rhythmiq_recommender.learning.tables import (
    BoolArray,
    Context,
    Events,
    FloatArray,
    IntArray,
    Items,
    RawArray,
    Tables,
)

SPLITS = tuple(range(101, 111))
WALKING = 2
_AUDIO = {
    "loudness": "loudness",
    "danceability": "danceability",
    "energy": "energy",
    "speechiness": "speechiness",
    "acousticness": "acousticness",
    "instrumentalness": "instrumentalness",
    "valence": "valence",
    "tempo": "tempo",
    "pitch_mean": "F0final_sma_amean",
    "pitch_spread": "F0final_sma_stddev",
    "spectrum_spread": "audspec_lengthL1norm_sma_stddev",
    "power_spread": "pcm_RMSenergy_sma_stddev",
    "sharpness_mean": "pcm_fftMag_psySharpness_sma_amean",
    "sharpness_spread": "pcm_fftMag_psySharpness_sma_stddev",
    "crossings_mean": "pcm_zcr_sma_amean",
    "crossings_spread": "pcm_zcr_sma_stddev",
    "popularity": "popularity",
}
_MEASURES = {
    "motion": (
        "frac_walking",
        "activity_intensity_mean",
        "activity_intensity_std",
        "steps_mean",
        "steps_std",
    ),
    "body": ("heart_rate_mean", "heart_rate_std"),
    "climate": ("pressure_hpa", "temperature_c", "humidity_pct"),
    "position": ("gps_lon_rescaled", "gps_lat_rescaled"),
    "mood": ("emo_pre_valence", "emo_pre_arousal"),
}
_CATEGORIES = {"activity": "activity_major", "local_time": "time_period", "weather": "weather_type"}


class Study:
    """`tables`: all 1,497 events (positive: rating of 3 or more); `splits`: rows of each of the authors' splits."""

    def __init__(self, data: Path) -> None:
        folder = data / "situnes"
        raw = read(folder / "interactions.csv.gz")
        tracks = read(folder / "tracks.csv.gz")
        user, _ = dense(raw["user_id"])
        item, known = dense(raw["item_id"])
        self._raw, self.field = raw, np.asarray(raw["stage"] == 2)
        self.walking: BoolArray = self.field & (raw["activity_major"] == WALKING)
        events = Events(
            user,
            item,
            np.ones(len(user), np.float32),
            time=raw["timestamp"].astype(np.float64),
            rating=raw["rating"].astype(np.float32),
        )
        self.tables = Tables(events, _items(tracks, known), 30, context=self._context(), positive_from=3.0)
        self._archive = folder / "recbole_splits.tar.xz"

    def _context(self) -> Context:
        raw, field = self._raw, self.field
        categories = {
            kind: np.where(field, np.nan_to_num(raw[name].astype(np.float64), nan=-1), -1).astype(np.int64)
            for kind, name in _CATEGORIES.items()
        }
        categories[SETTING] = field.astype(np.int64)
        measures = {}
        for kind, names in _MEASURES.items():
            columns = np.stack([raw[name].astype(np.float64) for name in names], axis=1)
            columns[~field] = np.nan
            scores = standard(columns)
            scores[~field] = np.nan
            measures[kind] = scores
        return Context(categories, measures)

    @property
    def lab(self) -> IntArray:
        """Rows of stage 1, which every split may learn from."""
        return np.flatnonzero(~self.field)

    def split(self, number: int) -> tuple[IntArray, IntArray]:
        """(to learn from, to foretell) rows of stage 2 in setting 2: the authors' train and valid, and test."""
        known: dict[tuple[float, ...], list[int]] = {}
        raw = self._raw
        for row in np.flatnonzero(self.field):
            known.setdefault(_key(*(float(raw[name][row]) for name in _KEY)), []).append(int(row))
        parts = []
        with tarfile.open(self._archive) as archive:
            by_name = {Path(member.name).name: member for member in archive.getmembers()}
            for part in ("train", "valid", "test"):
                source = archive.extractfile(by_name[f"setting2-{number}.{part}.inter"])
                assert source is not None
                lines = io.TextIOWrapper(source).read().splitlines()
                header = [name.split(":")[0] for name in lines[0].split("\t")]
                at = [header.index(name) for name in _KEY]
                fields = [line.split("\t") for line in lines[1:]]
                parts.append(np.array([known[_key(*(float(line[k]) for k in at))].pop(0) for line in fields], np.int64))
        return np.r_[parts[0], parts[1]], parts[2]


_KEY = ("user_id", "item_id", "timestamp", "emo_pre_valence", "emo_pre_arousal")


def _key(*values: float) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values)


def _items(tracks: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.object_]]], known: IntArray) -> Items:
    place = numbers_of(known, tracks["item_id"])
    audio: FloatArray = standard(np.stack([tracks[name].astype(np.float64) for name in _AUDIO.values()], axis=1)[place])
    artists = tracks["artist_name"][place]
    names = np.array([str(name) if isinstance(name, str) and name else f"?{k}" for k, name in enumerate(artists)])
    artist, _ = dense(names)
    genre: RawArray = tracks["genre_id"][place].astype(np.float64)
    return Items(
        len(known),
        group=artist,
        genre=np.nan_to_num(genre, nan=-1).astype(np.int64),
        audio=audio,
        audio_names=tuple(_AUDIO),
    )
