"""Small packages that were really trained on the small catalogue, under any name: for the registry and for serving.

Listener n likes the genre with number n modulo 4; when running, everyone chooses energetic tracks more, and calm ones
when resting.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import planted
import small_catalogue

from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.learning.listening import VERDICT, Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.package import save
from rhythmiq_recommender.learning.ranker import fit as fit_ranker
from rhythmiq_recommender.learning.served.reader import Fit, fit_served
from rhythmiq_recommender.learning.visits import Ask, Sampling, training_frame

_CUT = 1e9 + 8 * planted.DAY
_SMALL = {"min_data_in_leaf": 20, "num_leaves": 8, "learning_rate": 0.1}
_TRACK = 1


@cache
def world() -> Catalogue:
    """The small catalogue; what is not known of a sound is the mean."""
    snapshot = small_catalogue.snapshot()
    found = catalogue_of(snapshot.columns, snapshot.names)
    return replace(found, audio=np.nan_to_num(found.audio))


@cache
def listens() -> Listens:
    """Two weeks of 80 listeners, of tracks only."""
    everything = world()
    tracks = np.flatnonzero(everything.kind == _TRACK)
    only = Catalogue(
        everything.ids[tracks],
        everything.kind[tracks],
        everything.artist[tracks],
        everything.artist_names,
        everything.genre[tracks],
        everything.genre_names,
        everything.audio[tracks],
        everything.popularity[tracks],
    )
    found = planted.listens(only)
    return replace(found, item=tracks[found.item])


@cache
def _fitted() -> tuple[Fit, Frame]:
    tables = tables_of(listens(), world(), _TRACK)
    assert tables.events.time is not None
    fitted = fit_served(tables.take(tables.events.time < _CUT), world(), _TRACK)
    ask = Ask(tables)
    visits = ask.between(_CUT, _CUT + 30 * planted.DAY, most=400, seed=0)
    return fitted, training_frame(fitted.onto(world()), ask, visits, sampling=Sampling(), seed=0)


@cache
def _booster(rounds: int) -> lgb.Booster:
    return fit_ranker(_fitted()[1], rounds=rounds, parameters=_SMALL)


def made(folder: Path, version: str, *, rounds: int = 20, **said: Any) -> Path:
    """A package of tracks in `folder`; fewer or more rounds give other scores."""
    save(folder, _booster(rounds), _fitted()[0], version=version, **{"scale": 0.5, **said})
    return folder


def history_of_listener(number: int) -> History:
    """What a listener of `listens` did before the end."""
    found = listens()
    rows = np.flatnonzero(found.listener == number)
    rows = rows[np.argsort(found.time[rows])]
    return History(world().ids[found.item[rows]], found.time[rows], VERDICT[found.type[rows]], found.codes[rows])


NOW = 1e9 + 15 * planted.DAY
"""A moment after everything that was listened to."""
