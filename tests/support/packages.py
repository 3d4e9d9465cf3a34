"""A small trained package, made once a test session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import lightgbm as lgb
import planted

from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.listening import Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.ranker import fit as fit_ranker
from rhythmiq_recommender.learning.served.reader import Fit, Reader, fit_served
from rhythmiq_recommender.learning.tables import Tables
from rhythmiq_recommender.learning.visits import Ask, Sampling, training_frame

CUT = 1e9 + 8 * planted.DAY
SMALL = {"min_data_in_leaf": 20, "num_leaves": 8, "learning_rate": 0.1}


@dataclass(frozen=True)
class Trained:
    """Signals fitted on the days before CUT, and a ranker trained on the visits of the days after."""

    catalogue: Catalogue
    listens: Listens
    tables: Tables
    fit: Fit
    reader: Reader
    frame: Frame
    booster: lgb.Booster


@cache
def trained() -> Trained:
    """The same one for every test: nobody changes it."""
    world = planted.catalogue()
    listens = planted.listens(world)
    tables = tables_of(listens, world, 1)
    assert tables.events.time is not None
    fitted = fit_served(tables.take(tables.events.time < CUT), world, 1)
    reader = fitted.onto(world)
    ask = Ask(tables)
    visits = ask.between(CUT, CUT + 30 * planted.DAY, most=400, seed=0)
    frame = training_frame(reader, ask, visits, sampling=Sampling(), seed=0)
    booster = fit_ranker(frame, rounds=20, parameters=SMALL)
    return Trained(world, listens, tables, fitted, reader, frame, booster)
