"""What training reads from MongoDB: all that counts, nothing that does not, and nobody's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from drafts import draft, everything_known

from rhythmiq_mesh.mongo import Database, connect, database
from rhythmiq_recommender.columns import ids_of
from rhythmiq_recommender.interactions.model import Draft, Shared, Type, interaction
from rhythmiq_recommender.interactions.mongo import MongoInteractions
from rhythmiq_recommender.item_messages import draft_of
from rhythmiq_recommender.learning.encoding import codes_of
from rhythmiq_recommender.learning.listening import TYPES, Catalogue, Listens
from rhythmiq_recommender.mongo import MongoItems
from rhythmiq_recommender.training.extract import ListensWriter, StoredInteractions, for_reading, read_items
from rhythmiq_recommender.training.tables_store import read_catalogue, read_listens, write_catalogue

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RETENTION = timedelta(days=400)


class Stored:
    """A database of the test's own, filled through the product's repositories."""

    def __init__(self, found: Database) -> None:
        self.database = found
        self.interactions = MongoInteractions(found)

    async def items(self, count: int) -> list[str]:
        drafts = [draft(number, artists=[f"Artist {number % 3}"], genres=["Folk"]) for number in range(count)]
        drafts.append(draft_of(everything_known()))
        await MongoItems(self.database).upsert(drafts, NOW)
        await self.interactions.ensure_indexes()
        return [each.id for each in drafts]

    async def did(
        self, profile_id: str, item_id: str, type_: Type, hours: float, *, told: datetime = NOW, **more: Any
    ) -> None:
        environment = more.pop("environment", {})
        given = Draft(item_id, type_, NOW - timedelta(hours=hours), "test", environment, **more)
        shared = Shared(frozenset(environment), {}, NOW)
        epoch = await self.interactions.epoch(profile_id, NOW)
        stored = interaction(profile_id, given, shared, told, RETENTION)
        assert await self.interactions.record(epoch, [stored], None, NOW)


@pytest.fixture
async def stored(mongo_uri: str, mongo_database_name: str) -> Any:
    client = connect(mongo_uri, app="test")
    yield Stored(database(client, mongo_database_name))
    await client.drop_database(mongo_database_name)
    await client.close()


async def extracted(
    found: Database, folder: Path, *, rows: int = 1_000_000, as_of: datetime = NOW
) -> tuple[Listens, Catalogue, ListensWriter]:
    catalogue = await read_items(for_reading(found), lambda _: None)
    writer = ListensWriter(folder, catalogue, lambda profile_id: -1, rows)
    async for batch in StoredInteractions(for_reading(found)).read(as_of):
        writer.put(batch)
    writer.finish()
    write_catalogue(folder, catalogue)
    return read_listens(folder), read_catalogue(folder), writer


async def test_every_interaction_becomes_a_row_with_its_surroundings_place_and_propensity(
    stored: Stored, tmp_path: Path
) -> None:
    items = await stored.items(3)
    ada, bob = str(uuid4()), str(uuid4())
    around: dict[str, float | str] = {
        "activity": "running",
        "ambient_noise": 72.5,
        "local_time": 7.25,
        "pressure": 1000.0,
    }
    await stored.did(ada, items[1], Type.LIKE, 1, environment=around, position=4, propensity=0.25)
    await stored.did(ada, items[0], Type.PLAY, 5)
    await stored.did(bob, items[3], Type.IMPRESSION, 2, position=1)
    listens, catalogue, _ = await extracted(stored.database, tmp_path)
    assert len(listens) == 3
    ids = {item_id: int(row) for item_id, row in zip(items, catalogue.rows_of(ids_of(items)), strict=True)}
    found = {
        (int(listens.item[row]), TYPES[listens.type[row]]): (
            listens.time[row],
            int(listens.position[row]),
            float(listens.propensity[row]),
            listens.codes[row].tolist(),
        )
        for row in range(3)
    }
    hour = 3600
    like = found[ids[items[1]], "LIKE"]
    assert like == (NOW.timestamp() - hour, 4, 0.25, codes_of(around).tolist())
    play = found[ids[items[0]], "PLAY"]
    assert play[:2] == (NOW.timestamp() - 5 * hour, -1)
    assert np.isnan(play[2])
    assert set(play[3]) == {-1}
    # Both listeners are there, each as a number, and what one did is together and in order.
    assert sorted(np.bincount(listens.listener).tolist()) == [1, 2]
    same = np.diff(listens.listener) == 0
    assert (np.diff(listens.time)[same] >= 0).all()


async def test_no_name_of_a_listener_is_in_any_file(stored: Stored, tmp_path: Path) -> None:
    items = await stored.items(1)
    ada = str(uuid4())
    await stored.did(ada, items[0], Type.LIKE, 1)
    await extracted(stored.database, tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for form in (ada.encode(), ada.replace("-", "").encode(), bytes.fromhex(ada.replace("-", ""))):
        assert form not in written


async def test_expired_and_later_interactions_and_those_with_items_that_are_gone_are_left_out(
    stored: Stored, tmp_path: Path
) -> None:
    items = await stored.items(2)
    ada = str(uuid4())
    await stored.did(ada, items[0], Type.LIKE, 1)
    await stored.did(ada, items[1], Type.LIKE, 1, told=NOW + timedelta(hours=1))
    await stored.did(ada, str(uuid4()), Type.LIKE, 2)
    expired = {"expire_time": NOW - timedelta(seconds=1)}
    await stored.did(ada, items[1], Type.SKIP, 3)
    await stored.database["interactions"].update_one({"type": "SKIP"}, {"$set": expired})
    listens, _, writer = await extracted(stored.database, tmp_path)
    assert [TYPES[code] for code in listens.type] == ["LIKE"]
    assert writer.unknown_items == 1
    assert writer.types == {"LIKE": 1}


async def test_the_size_of_chunks_changes_nothing(stored: Stored, tmp_path: Path) -> None:
    items = await stored.items(4)
    for who in range(3):
        profile_id = str(uuid4())
        for number in range(5):
            await stored.did(profile_id, items[(who + number) % 5], Type.PLAY, number + who)
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    whole, catalogue, _ = await extracted(stored.database, tmp_path / "one")
    parts, same, _ = await extracted(stored.database, tmp_path / "many", rows=1)
    for name in Listens.__slots__:
        assert np.array_equal(getattr(whole, name), getattr(parts, name), equal_nan=name == "propensity")
    assert np.array_equal(catalogue.artist, same.artist)
    assert catalogue.artist_names == same.artist_names == ("artist 0", "artist 1", "artist 2", "björk")


async def test_an_empty_database_gives_tables_without_rows(stored: Stored, tmp_path: Path) -> None:
    listens, catalogue, _ = await extracted(stored.database, tmp_path)
    assert (len(listens), len(catalogue)) == (0, 0)
