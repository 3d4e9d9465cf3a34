"""The demo world reaches training as it is: what was shared and done, and nothing of the truth behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.worlds import catalogue_of, codes_of, listens_of, row_of

from rhythmiq_cli.demo.world import AUDIO, EFFECTS, TYPES, World, make_world
from rhythmiq_cli.demo.world.effects import CONDITIONS
from rhythmiq_recommender.audio import INDEX, MEANS, SDS
from rhythmiq_recommender.learning import encoding
from rhythmiq_recommender.learning.listening import AUDIO_NAMES, tables_of
from rhythmiq_recommender.learning.listening import TYPES as LISTENED
from rhythmiq_recommender.learning.visits import Ask

DOCUMENT = Path(__file__).parents[3] / "docs" / "demo-world.md"


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(60, 8_000, 3)


def test_surroundings_have_the_codes_that_serving_would_give_them(world: World) -> None:
    kept = world.kept
    codes = codes_of(kept)
    for row in range(0, len(kept), 7):
        np.testing.assert_array_equal(codes[row], encoding.codes_of(kept.row(row)))


def test_items_keep_their_sound_whatever_their_order(world: World) -> None:
    catalogue, row = catalogue_of(world.items), row_of(world.items)
    assert sorted(row) == list(range(len(world.items)))
    for name in ("tempo", "energy", "loudness"):
        raw = world.items.audio[:, AUDIO.index(name)]
        known = ~np.isnan(raw)
        score = catalogue.audio[row, AUDIO_NAMES.index(name)]
        expected = np.clip((raw[known] - MEANS[INDEX[name]]) / SDS[INDEX[name]], -4, 4)
        np.testing.assert_allclose(score[known], expected, rtol=1e-4, atol=1e-5)
    assert [catalogue.artist_names[k] for k in catalogue.artist[row]] == [
        world.items.artist_names[k] for k in world.items.artist
    ]


def test_listens_are_the_events_of_the_world(world: World) -> None:
    listens, events = listens_of(world), world.events
    assert [LISTENED[code] for code in listens.type] == [TYPES[code] for code in events.type]
    np.testing.assert_array_equal(row_of(world.items)[events.item], listens.item)
    np.testing.assert_array_equal(listens.position > 0, ~np.isnan(listens.propensity))
    # The clock runs on in a session; everything else is as it was when the session began.
    others = [k for k, kind in enumerate(encoding.KINDS) if kind != "local_time"]
    np.testing.assert_array_equal(listens.codes[:, others], codes_of(world.kept)[events.session][:, others])


def test_sessions_are_found_again_by_their_gaps(world: World) -> None:
    tables = tables_of(listens_of(world), catalogue_of(world.items), 1)
    events = world.events
    tracks = (world.items.kind[events.item] == 1) & (events.type != TYPES.index("IMPRESSION"))
    assert tables.events.session is not None
    assert len(np.unique(tables.events.session)) == len(np.unique(events.session[tracks]))


def test_what_is_playing_already_is_no_answer(world: World) -> None:
    tables = tables_of(listens_of(world), catalogue_of(world.items), 1)
    ask = Ask(tables)
    visits = ask.between(0, float("inf"), most=400, seed=0)
    cut = 0
    for number in range(len(visits)):
        first = int(visits.first[number])
        earlier = np.flatnonzero(ask.session[:first] == ask.session[first])
        cut += len(earlier) > 0
        for rows in ask.answers(visits, number):
            assert not np.isin(rows, ask.item[earlier]).any()
    assert cut > 100, "many visits stand amid a session, some between a start and an end of what is playing"


def test_document_names_every_planted_effect_with_its_size() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in DOCUMENT.read_text().splitlines()
        if line[:1] == "|"
    ]
    found, condition, when = set(), "", ""
    for row in rows:
        if len(row) == 4 and row[3].lstrip("+-").replace(".", "").isdigit():
            condition, when = row[0] or condition, row[1] or when
            assert when == CONDITIONS[condition].when
            found.add((condition, row[2].split(" ")[0], float(row[3])))
    assert found == {(effect.condition, effect.feature, effect.lean) for effect in EFFECTS}
