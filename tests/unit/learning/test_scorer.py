"""What a scorer promises to those who serve with it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from packages import CUT, Trained, trained

from rhythmiq_recommender.learning.encoding import KINDS, NOWHERE
from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.learning.listening import Catalogue
from rhythmiq_recommender.learning.scorer import Asking, Scorer, cohort_of
from rhythmiq_recommender.learning.served import alike
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.served.signal import Past
from rhythmiq_recommender.learning.visits import Ask


def scorer(one: Trained, catalogue: Catalogue | None = None) -> Scorer:
    reader = one.fit.only_heard().onto(catalogue or one.catalogue)
    return Scorer(reader, one.booster, one.booster.feature_name(), 0.7)


def history_of(one: Trained, listener: int, before: float) -> History:
    events = one.tables.events
    assert events.time is not None
    assert events.rating is not None
    rows = np.flatnonzero((events.user == listener) & (events.time < before))
    codes = np.stack([one.tables.context.categories[kind][rows] for kind in KINDS], axis=1).astype(np.int8)
    return History(one.catalogue.ids[events.item[rows]], events.time[rows], events.rating[rows], codes)


def asking(one: Trained, listener: int = 5, doing: int = 8) -> Asking:
    codes = NOWHERE.copy()
    codes[KINDS.index("activity")] = doing
    return Asking(history_of(one, listener, CUT), CUT, codes)


def everything(one: Trained) -> np.ndarray:
    return np.ones(len(one.catalogue), np.bool_)


def test_training_and_serving_see_the_same_features() -> None:
    """A query replayed from the tables equals the one that serving makes of the listener's own events."""
    one = trained()
    ask = Ask(one.tables)
    visits = ask.between(CUT, CUT + 1e9, most=20, seed=1)
    rows = np.arange(len(one.catalogue))
    served = scorer(one)
    for number in range(len(visits)):
        seen = ask.seen(one.reader, visits, number)
        first = visits.first[number]
        history = history_of(one, int(ask.user[first]), float(ask.time[first]))
        query = Asking(history, float(ask.time[first]), ask.codes[first])
        assert np.array_equal(served.features(query, rows), one.reader.features(seen, rows), equal_nan=True)
        allowed = everything(one)
        assert np.array_equal(served.candidates(query, allowed, 50), one.reader.candidates(seen, allowed, 50))


def test_contributions_sum_to_the_score_and_come_in_groups() -> None:
    one = trained()
    served = scorer(one)
    x = served.features(asking(one), np.arange(30))
    parts = served.contributions(x)
    assert parts.shape == (30, len(served.groups))
    assert np.allclose(parts.sum(axis=1), served.scores(x), atol=1e-12)
    assert np.abs(parts[:, served.groups.index("surroundings:activity")]).max() > 0.05
    assert served.contributions(x[:0]).shape == (0, len(served.groups))
    assert len(served.scores(x[:0])) == 0


def test_the_rank_changes_with_the_surroundings_as_planted() -> None:
    one = trained()
    served = scorer(one)
    energy = one.catalogue.audio[:, 1]
    rows = np.arange(len(energy))
    lean = [
        np.corrcoef(served.scores(served.features(asking(one, doing=doing), rows)), energy)[0, 1] for doing in (8, 2)
    ]
    assert lean[0] > 0.2
    assert lean[1] < -0.2


def test_candidates_are_allowed_ascending_and_bounded() -> None:
    one = trained()
    served = scorer(one)
    allowed = everything(one)
    allowed[::2] = False
    found = served.candidates(asking(one), allowed, 20)
    assert len(found) == 20
    assert allowed[found].all()
    assert (np.diff(found) > 0).all()
    assert len(served.candidates(Asking(EMPTY, CUT, NOWHERE), everything(one), 15)) == 15
    assert len(served.candidates(asking(one), ~everything(one), 15)) == 0


def test_a_listener_of_whom_nothing_is_known_gets_finite_scores() -> None:
    one = trained()
    served = scorer(one)
    x = served.features(Asking(EMPTY, CUT, NOWHERE), np.arange(len(one.catalogue)))
    assert np.isfinite(served.scores(x)).all()
    assert np.std(served.scores(x)) > 0


def test_later_events_and_unknown_items_in_a_history_change_nothing() -> None:
    one = trained()
    served = scorer(one)
    query = asking(one)
    strange = History(
        np.array([b"?" * 16, one.catalogue.ids[3]], "S16"),
        np.array([CUT - 5, CUT + 5]),
        np.ones(2, np.float32),
        np.zeros((2, len(KINDS)), np.int8),
    )
    rows = np.arange(60)
    told = query._replace(history=query.history.plus(strange))
    assert np.array_equal(served.features(query, rows), served.features(told, rows), equal_nan=True)


def test_what_is_heard_decides_what_an_item_is_like() -> None:
    one = trained()
    served = scorer(one)
    query = asking(one)
    rows = np.arange(len(one.catalogue))
    like = served.likeness(query, rows)
    heard = set(np.searchsorted(one.catalogue.ids, query.history.item[query.history.liked > 0]).tolist())
    assert set(like[like >= 0].tolist()) <= heard
    assert (like >= 0).sum() > 10
    assert (served.likeness(Asking(EMPTY, CUT, NOWHERE), rows) == -1).all()
    assert len(served.likeness(query, rows[:0])) == 0


def test_catalogues_too_large_for_the_closed_form_have_neighbours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trained()
    monkeypatch.setattr(alike, "LARGEST", 10)
    past = Past.of(one.tables, len(one.catalogue.artist_names), len(one.catalogue.genre_names))
    near = alike.Alike().fit(past)["near"]
    genre = one.catalogue.genre
    assert ((near[:, :5] >= 0) & (near[:, :5] != np.arange(len(near))[:, None])).all()
    # Listeners like one genre each, so that what the same listeners like is of one genre.
    assert (genre[near[:, :5]] == genre[:, None]).mean() > 0.6


def test_a_fit_moves_to_a_catalogue_in_which_items_came_and_went() -> None:
    one = trained()
    old = one.catalogue
    kept = np.flatnonzero(np.arange(len(old)) % 10 != 3)
    new = b"\x80" + b"new item number"
    ids = np.append(old.ids[kept], np.array([new], "S16"))
    order = np.argsort(ids)
    source = np.append(kept, 7)[order]  # the new item looks like item 7, but nobody met it
    names = tuple(reversed(old.artist_names))
    now = Catalogue(
        ids[order],
        old.kind[source],
        len(names) - 1 - old.artist[source],
        names,
        old.genre[source],
        old.genre_names,
        old.audio[source],
        old.popularity[source],
    )
    before, after = scorer(one), scorer(one, now)
    query = asking(one)
    gone = np.isin(query.history.item, np.delete(old.ids, kept))
    less = query._replace(
        history=History(*(getattr(query.history, name)[~gone] for name in ("item", "time", "liked", "codes")))
    )
    same = np.flatnonzero(ids[order] != np.array(new, "S16"))
    one_x, two_x = before.features(less, source[same]), after.features(less, same)
    for name in ("likes_log", "liked_rate", "artist_leaning", "lift_item_in_activity", "new_to_you"):
        column = SERVED_NAMES.index(name)
        assert np.allclose(one_x[:, column], two_x[:, column], equal_nan=True, atol=1e-6), name
    fresh = after.features(less, np.flatnonzero(ids[order] == np.array(new, "S16")))[0]
    assert fresh[SERVED_NAMES.index("likes_log")] == 0
    artist = after.features(less, np.flatnonzero(source == 7))[0]
    assert fresh[SERVED_NAMES.index("artist_likes_log")] == artist[SERVED_NAMES.index("artist_likes_log")]
    assert np.isfinite(after.scores(after.features(query, np.arange(len(now))))).all()


def test_an_item_of_another_kind_is_nobodys_candidate() -> None:
    one = trained()
    kind = one.catalogue.kind.copy()
    kind[:50] = 2
    served = scorer(one, replace(one.catalogue, kind=kind))
    assert served.candidates(asking(one), everything(one), 100).min() >= 50


def test_several_threads_may_ask_at_once() -> None:
    one = trained()
    served = scorer(one)
    rows = np.arange(80)
    queries = [asking(one, listener) for listener in range(6)]
    wanted = [served.scores(served.features(query, rows)) for query in queries]
    wrong: list[int] = []

    def work(number: int) -> None:
        found = [served.scores(served.features(queries[number], rows)) for _ in range(10)]
        wrong.extend(number for score in found if not np.array_equal(score, wanted[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(("events", "cohort"), [(0, "newcomers"), (9, "newcomers"), (10, "regulars")])
def test_newcomers_are_those_with_a_short_history(events: int, cohort: str) -> None:
    assert cohort_of(history_of(trained(), 3, CUT).newest(events) if events else EMPTY) == cohort
