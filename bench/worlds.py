"""Adapter: a demo world as what training starts from. The command, which makes worlds, may not import a service."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rhythmiq_cli.demo import world as demo
from rhythmiq_recommender.audio import COUNT, INDEX
from rhythmiq_recommender.leanings.model import ItemFacts
from rhythmiq_recommender.leanings.shelf import Shelf
from rhythmiq_recommender.leanings.shelf import shelf_of as made_of
from rhythmiq_recommender.learning.encoding import CATEGORIES, CodeArray
from rhythmiq_recommender.learning.history import LONGEST_HISTORY, History
from rhythmiq_recommender.learning.listening import IMPRESSION, TYPES, VERDICTS, Catalogue, Listens, audio_of
from rhythmiq_recommender.learning.tables import IntArray


def catalogue_of(items: demo.WorldItems) -> Catalogue:
    """The world's items, ordered by an id that says nothing about them; `row_of` gives the rows."""
    order, _ = _order(items)
    raw = np.full((len(items), COUNT), np.nan)
    for place, name in enumerate(demo.AUDIO):
        raw[:, INDEX[name]] = items.audio[:, place]
    raw[:, INDEX["duration_ms"]] = 1000 * items.seconds
    raw[:, INDEX["popularity"]] = items.popularity
    return Catalogue(
        _ids(items)[order],
        items.kind[order],
        items.artist[order].astype(np.int64),
        tuple(items.artist_names),
        items.genre[order].astype(np.int64),
        tuple(items.genre_names),
        audio_of(raw[order]),
        items.popularity[order],
    )


def row_of(items: demo.WorldItems) -> IntArray:
    """Row of the catalogue of each item of the world."""
    return _order(items)[1]


def listens_of(world: demo.World) -> Listens:
    """All events of a world, with what was shared of the surroundings of their sessions; the clock runs on in them."""
    events = world.events
    local = world.sessions.ahead[world.sessions.zone[events.session]] + events.time / 3600
    return Listens(
        events.listener.astype(np.int64),
        row_of(world.items)[events.item],
        np.array([TYPES.index(name) for name in demo.TYPES], np.int8)[events.type],
        events.time,
        _codes(world.kept.take(events.session), local % 24),
        events.position.astype(np.int64),
        events.propensity,
    )


def history_of(world: demo.World, listener: int) -> History:
    """What one listener did with items of all kinds; at most LONGEST_HISTORY, the newest."""
    events = world.events
    rows = np.flatnonzero((events.listener == listener) & (events.type != demo.TYPES.index(IMPRESSION)))
    rows = rows[-LONGEST_HISTORY:]
    verdict = np.array([VERDICTS[name] for name in demo.TYPES], np.float32)[events.type[rows]]
    codes = codes_of(world.kept.take(events.session[rows]))
    return History(_ids(world.items)[events.item[rows]], events.time[rows], verdict, codes)


def shelf_of(world: demo.World) -> Shelf:
    """The catalogue as values to lean towards, with how often everybody has heard each item."""
    items, tempo = world.items, world.items.audio[:, demo.AUDIO.index("tempo")]
    ids = _ids(items)
    named = np.array(items.instrument_names)
    found = made_of(
        ItemFacts(
            bytes(ids[row]).ljust(16, b"\0"),
            int(items.kind[row]),
            (items.genre_names[items.genre[row]],),
            (items.artist_names[items.artist[row]],),
            tuple(named[items.instruments[row]].tolist()),
            None if np.isnan(tempo[row]) else float(tempo[row]),
            float(items.popularity[row]),
        )
        for row in range(len(items))
    )
    liked = np.array([VERDICTS[name] > 0 for name in demo.TYPES])[world.events.type]
    return found.heard(ids, np.bincount(world.events.item[liked], minlength=len(items)).astype(np.float64))


def codes_of(there: demo.Surroundings) -> CodeArray:
    """(rows x encoding.KINDS) codes of surroundings."""
    return _codes(there, there.numbers["local_time"].astype(np.float64))


def _codes(there: demo.Surroundings, clock: NDArray[np.float64]) -> CodeArray:
    columns = []
    for category in CATEGORIES:
        if category.kind in demo.VOCABULARY:
            code = [category.code(name) for name in demo.VOCABULARY[category.kind]]
            columns.append(np.array([*code, -1], np.int8)[there.names[category.kind]])
            continue
        measured = there.numbers[category.kind]
        values = clock if category.kind == "local_time" else measured.astype(np.float64)
        bucket = np.searchsorted(category.edges, values, side="right") % len(category.names)
        columns.append(np.where(np.isnan(measured), -1, bucket).astype(np.int8))
    return np.stack(columns, axis=1)


def _ids(items: demo.WorldItems) -> NDArray[np.bytes_]:
    return np.array([blake2b(name.encode(), digest_size=16).digest() for name in items.external_id], "S16")


def _order(items: demo.WorldItems) -> tuple[IntArray, IntArray]:
    order = np.argsort(_ids(items)).astype(np.int64)
    row = np.empty_like(order)
    row[order] = np.arange(len(order))
    return order, row
