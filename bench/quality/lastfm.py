"""Adapter: HetRec 2011 Last.fm 2K with the README's filter; the Spotify catalogue as attributes, where it is there."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from bench.quality.columns import dense, numbers_of, read
from rhythmiq_recommender.learning.tables import Events, IntArray, Items, Sparse, Statements, Tables, binary

LEAST = 5


def load(data: Path) -> Tables:
    """71,375 pairs of 1,859 listeners and 2,828 artists; tag assignments as statements, friends as links."""
    folder = data / "lastfm-hetrec2k"
    plays = read(folder / "user_artists.csv.gz")
    keep = _often(plays["artist_id"])
    plays = {name: column[keep] for name, column in plays.items()}
    keep = _often(plays["user_id"])
    plays = {name: column[keep] for name, column in plays.items()}
    user, users = dense(plays["user_id"])
    item, artists = dense(plays["artist_id"])
    order = np.lexsort((item, user))
    events = Events(user[order], item[order], plays["play_count"][order].astype(np.float32))
    tags = read(folder / "user_taggedartists.csv.gz")
    tagged = numbers_of(tags["artist_id"], artists)
    there = tagged >= 0
    said = Statements(numbers_of(tags["user_id"], users)[there], tagged[there], dense(tags["tag_id"])[0][there])
    friends = read(folder / "user_friends.csv.gz")
    one, other = numbers_of(friends["user_id"], users), numbers_of(friends["friend_id"], users)
    both = (one >= 0) & (other >= 0)
    links = binary(one[both], other[both], (len(users), len(users)))
    names = read(folder / "artists.csv.gz")
    number = numbers_of(names["artist_id"], artists)
    known = {_normal(name): int(k) for name, k in zip(names["name"], number, strict=True) if k >= 0}
    known.pop("", None)
    items = Items(len(artists), attributes=_catalogue(data / "spotify-tracks", known, len(artists)))
    return Tables(events, items, len(users), links=links, statements=said)


def _often(ids: IntArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    _, number, count = np.unique(ids, return_inverse=True, return_counts=True)
    return np.asarray(count[number] >= LEAST)


def _normal(name: object) -> str:
    text = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "", re.sub(r"^the ", "", text.replace("&", "and")))


def _catalogue(folder: Path, artists: dict[str, int], count: int) -> Sparse | None:
    """(attributes x artists) counts of playlists, genres and decades, matched by normalised artist name."""
    if not (folder / "tracks_union.csv.gz").is_file():
        return None
    songs, tracks = read(folder / "playlist_songs.csv.gz"), read(folder / "tracks_union.csv.gz")
    pairs = [
        *zip(songs["track_artist"], ("playlist " + str(x) for x in songs["playlist_id"]), strict=True),
        *zip(songs["track_artist"], ("genre " + str(x) for x in songs["playlist_subgenre"]), strict=True),
        *((artist, f"decade {x}") for artist, x in zip(tracks["artist"], tracks["decades"], strict=True) if x),
    ]
    normal: dict[object, str] = {}
    number: dict[str, int] = {}
    row, column = [], []
    for artist, attribute in pairs:
        if artist is None or (isinstance(artist, float)):
            continue
        if artist not in normal:
            normal[artist] = _normal(artist)
        if (place := artists.get(normal[artist])) is not None:
            row.append(number.setdefault(attribute, len(number)))
            column.append(place)
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(len(number), count))
    matrix.sum_duplicates()
    return matrix
