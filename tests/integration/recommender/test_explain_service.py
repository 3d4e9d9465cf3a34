"""Explain over a real server and database: two whole answers, the moves between them, and refusals by field."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from harness import profile_id, reason
from recommend_mesh import AS_WHO, PARENT, Mesh, Request, degraded

from rhythmiq.recommender.v1 import recommender_pb2, recommender_pb2_grpc
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.type.v1.audio_pb2 import Seeds
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.channels import _status

CODE = grpc.StatusCode
Environment = environment_pb2.Environment
Kind = variable_pb2.Variable.Kind
Use = recommender_pb2.EnvironmentUse
QUIET = Environment(ambient_noise_dba=35, activity=Environment.LYING, local_time={"hours": 23})
LOUD = Environment(ambient_noise_dba=80, activity=Environment.RUNNING)
OTHER = f"profiles/{profile_id('eve')}"


def asked(**fields: Any) -> recommender_pb2.ExplainRequest:
    whole: dict[str, Any] = {"parent": PARENT, "request": Request(environment=QUIET, count=30), "suppose": LOUD}
    return recommender_pb2.ExplainRequest(**whole | fields)


async def explain(mesh: Mesh, **fields: Any) -> recommender_pb2.ExplainResponse:
    stub = recommender_pb2_grpc.RecommenderServiceStub(mesh.channels["recommender"])
    answer: recommender_pb2.ExplainResponse = await stub.Explain(asked(**fields), metadata=AS_WHO, timeout=20)
    return answer


async def test_both_lists_are_what_recommend_answers_without_exploring(ready: Mesh) -> None:
    explained = await explain(ready)
    loud = Environment(local_time={"hours": 23})
    loud.MergeFrom(LOUD)
    assert explained.actual == await ready.recommend(environment=QUIET, count=30, explore=False)
    assert explained.supposed == await ready.recommend(environment=loud, count=30, explore=False)


async def test_every_move_names_its_item_its_ranks_and_changes_that_sum(ready: Mesh) -> None:
    explained = await explain(ready)
    items = {
        one.item.name: one.item.title
        for answer in (explained.actual, explained.supposed)
        for one in answer.recommendations
    }
    assert explained.moves
    for move in explained.moves:
        assert items[move.item] == move.title
        assert move.HasField("rank") or move.HasField("supposed_rank")
        assert sum(change.contribution for change in move.changes) == pytest.approx(
            move.supposed_score - move.score, abs=1e-9
        )
        assert move.text
        for answer, rank, score in (
            (explained.actual, move.rank, move.score),
            (explained.supposed, move.supposed_rank, move.supposed_score),
        ):
            if rank:
                listed = answer.recommendations[rank - 1]
                assert (listed.item.name, listed.score) == (move.item, score)


async def test_readings_and_the_clock_can_be_supposed_away(ready: Mesh) -> None:
    await ready.observe(Kind.AMBIENT_NOISE, age=timedelta(minutes=2), number=78.0)
    await ready.observe(Kind.HEART_RATE, age=timedelta(hours=1), number=150.0)
    away = [Kind.AMBIENT_NOISE, Kind.LOCAL_TIME]
    explained = await explain(ready, request=None, suppose=Environment(heart_rate_bpm=60), suppose_unknown=away)
    assert [(use.kind, use.origin) for use in explained.actual.environment] == [
        (Kind.AMBIENT_NOISE, Use.READING),
        (Kind.LOCAL_TIME, Use.PROFILE_TIME_ZONE),
    ]
    assert [(use.kind, use.origin) for use in explained.supposed.environment] == [(Kind.HEART_RATE, Use.REQUEST)]
    assert degraded(explained.actual) == {"environment.heart_rate": "STALE_READING"}
    assert degraded(explained.supposed) == {}
    assert any("no longer: carries well at a safe volume" in move.text for move in explained.moves)


async def test_supposing_what_is_true_moves_nothing(ready: Mesh) -> None:
    explained = await explain(ready, suppose=QUIET)
    assert list(explained.moves) == []
    assert explained.actual == explained.supposed


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"request": Request(count=0)}, "request.count"),
        ({"request": Request(parent=OTHER)}, "request.parent"),
        ({"request": Request(exclude_items=["items/none"])}, "request.exclude_items[0]"),
        ({"request": Request(environment=Environment(humidity_percent=200))}, "request.environment.humidity_percent"),
        ({"request": Request(mode=Request.USER_GUIDED)}, "request.mode"),
        ({"suppose": Environment(ambient_noise_dba=200)}, "suppose.ambient_noise_dba"),
        ({"suppose": Environment()}, "suppose"),
        ({"suppose": None}, "explain.suppose"),
        ({"suppose_unknown": [Kind.KIND_UNSPECIFIED]}, "suppose_unknown[0]"),
        ({"suppose_unknown": [Kind.WEATHER, Kind.ACTIVITY]}, "suppose_unknown[1]"),
        ({"suppose_unknown": [Kind.WEATHER, Kind.WEATHER]}, "suppose_unknown"),
    ],
)
async def test_a_refusal_names_the_field(mesh: Mesh, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await explain(mesh, **fields)
    assert refused.value.code() is CODE.INVALID_ARGUMENT
    violations = BadRequest()
    assert any(detail.Unpack(violations) for detail in _status(refused.value).details)
    assert [violation.field for violation in violations.field_violations] == [field]


async def test_anothers_profile_is_refused_before_what_is_asked_of_it(mesh: Mesh) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await explain(mesh, parent=OTHER, request=Request(count=0))
    assert (refused.value.code(), reason(refused.value)) == (CODE.PERMISSION_DENIED, "NOT_OWNER")


async def test_a_seed_that_is_not_there_is_named_within_the_request(mesh: Mesh) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"request\.seeds\.genres\[0\]") as refused:
        await explain(mesh, request=Request(seeds=Seeds(genres=["nothing"])))
    assert (refused.value.code(), reason(refused.value)) == (CODE.NOT_FOUND, "SEED_NOT_FOUND")
