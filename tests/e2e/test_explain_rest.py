"""What if, as a REST client asks it, through Envoy, over the demo catalogue."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh

BED = {"ambientNoiseDba": 30, "activity": "LYING", "localTime": {"hours": 23, "minutes": 30}}
CARRIES = "carries well at a safe volume, because it is loud around you (80 dB)"


def explain(rest: httpx.Client, profile: str, **body: Any) -> dict[str, Any]:
    answer = rest.post(f"/{profile}:explain", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def violation(answer: httpx.Response) -> tuple[int, str]:
    """HTTP status and the field that a refusal names."""
    fields = [
        found["field"]
        for detail in answer.json()["details"]
        if detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        for found in detail["fieldViolations"]
    ]
    assert len(fields) == 1, answer.text
    return answer.status_code, fields[0]


def names(answer: dict[str, Any]) -> list[str]:
    return [one["item"]["name"] for one in answer["recommendations"]]


def test_supposed_noise_moves_the_list_and_every_move_says_why(rest: httpx.Client, profile: str) -> None:
    found = explain(rest, profile, request={"environment": BED}, suppose={"ambientNoiseDba": 80})
    assert [use["kind"] for use in found["supposed"]["environment"]] == ["AMBIENT_NOISE", "ACTIVITY", "LOCAL_TIME"]
    now, then = names(found["actual"]), names(found["supposed"])
    assert len(now) == len(then) == 20
    moved = {move["item"]: (move.get("rank"), move.get("supposedRank")) for move in found["moves"]}
    ranks = [{name: rank for rank, name in enumerate(listed, start=1)} for listed in (now, then)]
    both = {name: (ranks[0].get(name), ranks[1].get(name)) for name in {*now, *then}}
    assert moved == {name: (was, becomes) for name, (was, becomes) in both.items() if was != becomes}
    for move in found["moves"]:
        difference = move.get("supposedScore", 0) - move.get("score", 0)
        assert sum(change["contribution"] for change in move["changes"]) == pytest.approx(difference, abs=1e-9)
    assert any(move["text"] == f"new in the list: {CARRIES}" for move in found["moves"])


def test_actual_is_what_recommend_answers_and_supposed_is_what_it_would(rest: httpx.Client, profile: str) -> None:
    found = explain(rest, profile, request={"environment": BED, "count": 7}, suppose={"activity": "RUNNING"})
    for answer, environment in (("actual", BED), ("supposed", BED | {"activity": "RUNNING"})):
        body = {"environment": environment, "count": 7, "explore": False}
        assert found[answer] == rest.post(f"/{profile}:recommend", json=body).json()


def test_a_kind_can_be_supposed_unknown(rest: httpx.Client, profile: str) -> None:
    found = explain(rest, profile, request={"environment": BED}, supposeUnknown=["ACTIVITY", "LOCAL_TIME"])
    assert [use["kind"] for use in found["supposed"]["environment"]] == ["AMBIENT_NOISE"]
    assert any("you are lying down" in move["text"] for move in found["moves"])


def test_refusals_name_the_field_and_anothers_profile_comes_first(rest: httpx.Client, profile: str) -> None:
    path, loud = f"/{profile}:explain", {"ambientNoiseDba": 80}
    assert violation(rest.post(path, json={"suppose": loud, "request": {"count": 201}})) == (400, "request.count")
    guided = {"suppose": loud, "request": {"mode": "USER_GUIDED"}}
    assert violation(rest.post(path, json=guided)) == (400, "request.mode")
    assert violation(rest.post(path, json={"suppose": {"ambientNoiseDba": 900}})) == (400, "suppose.ambient_noise_dba")
    assert rest.post(path, json={}).status_code == 400
    other = f"/{LocalMesh.profile_name('somebody-else')}:explain"
    assert rest.post(other, json={"suppose": loud, "request": {"count": 201}}).status_code == 403
