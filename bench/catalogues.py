"""The catalogue to measure on: real tracks where they are, else as many generated ones."""

from __future__ import annotations

import csv
import gzip
import os
import random
from pathlib import Path

FULL, SMALL = 66_307, 6_630
_REAL = Path("spotify-tracks") / "tracks_union.csv.gz"
_UNIT = ["danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness", "valence"]
_COLUMNS = ["track_id", "name", "artist", "popularity", "release_date", "genres", *_UNIT, "loudness", "tempo"]
_COLUMNS += ["key", "mode", "duration_ms"]


def data_folder(given: str | None) -> Path | None:
    """Where real data sets are: `--data`, RHYTHMIQ_DATA_DIR, or `../shared/data` beside the project; None without."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("RHYTHMIQ_DATA_DIR") or beside)
    return folder if (folder / _REAL).is_file() else None


def catalogues(folder: Path | None, scratch: Path) -> tuple[Path, Path]:
    """The whole catalogue and its first tenth, as gzipped CSV."""
    full = folder / _REAL if folder else _generate(scratch / "generated.csv.gz")
    small = scratch / "small.csv.gz"
    with (
        gzip.open(full, "rt", encoding="utf-8", newline="") as source,
        gzip.open(small, "wt", encoding="utf-8", newline="") as target,
    ):
        rows = csv.reader(source)
        writer = csv.writer(target)
        header = next(rows)
        writer.writerow(header)
        # Every tenth row: the same mix of genres and years as the whole.
        writer.writerows(row for number, row in enumerate(rows) if number % 10 == 0)
    return full, small


def _generate(path: Path) -> Path:
    chance = random.Random(7)
    genres = ["pop", "rock", "jazz", "ambient", "techno", "folk"]
    with gzip.open(path, "wt", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(_COLUMNS)
        for number in range(FULL):
            unit = [round(chance.betavariate(2, 2), 3) for _ in _UNIT]
            row = [f"gen{number:08d}", f"Track {number}", f"Artist {chance.randrange(12_000)}", chance.randrange(101)]
            row += [f"{chance.randrange(1960, 2021)}-01-01", "|".join(chance.sample(genres, 2)), *unit]
            row += [round(chance.gauss(-9.6, 4), 2), round(chance.uniform(60, 190), 2), chance.randrange(12)]
            writer.writerow([*row, chance.randrange(2), chance.randrange(120_000, 360_000)])
    return path
