"""`rhythmiq recommend` and `rhythmiq profile` against the real mesh."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
from local_mesh import LocalMesh, wait_until
from typer.testing import CliRunner, Result

from rhythmiq_cli.app import app
from rhythmiq_cli.output import ExitCode


def run(mesh: LocalMesh, *arguments: str) -> Result:
    """Runs a command in this process, against the mesh that runs from its state folder."""
    env = {"RHYTHMIQ_STATE_DIR": str(mesh.state), "RHYTHMIQ_ADDRESS": None, "RHYTHMIQ_TOKEN": None}
    return CliRunner().invoke(app, arguments, env=env)


def test_demo_listener_is_recommended_to_with_reasons_and_surroundings(mesh: LocalMesh) -> None:
    result = run(mesh, "recommend", "--count", "5")
    assert result.exit_code == ExitCode.OK, result.stderr
    for told in ("Why", "Surroundings", "ambient noise", "52 dB(A)", "reading", "Preferences used: jazz", "Ranked by"):
        assert told in result.stdout


def test_surroundings_of_the_request_take_the_place_of_readings(mesh: LocalMesh) -> None:
    command = ("recommend", "--noise", "78", "--activity", "running", "--time", "18:00", "--count", "10", "--json")
    result = run(mesh, *command)
    assert result.exit_code == ExitCode.OK, result.stderr
    answer = json.loads(result.stdout)
    assert len(answer["recommendations"]) == 10
    used = {use["kind"]: use for use in answer["environment"]}
    assert used["AMBIENT_NOISE"]["value"] == {"ambientNoiseDba": 78.0}
    assert used["ACTIVITY"]["value"] == {"activity": "RUNNING"}
    assert {used[kind]["origin"] for kind in ("AMBIENT_NOISE", "ACTIVITY", "LOCAL_TIME")} == {"REQUEST"}
    assert used["WEATHER"]["origin"] == "READING"
    assert answer["ranker"]


def test_supposing_other_surroundings_shows_what_would_move_and_why(mesh: LocalMesh) -> None:
    command = ("recommend", "--noise", "30", "--suppose", "noise=80", "--suppose", "time=08:30", "--suppose",
               "weather=unknown")  # fmt: skip
    result = run(mesh, *command)
    assert result.exit_code == ExitCode.OK, result.stderr
    for told in ("What moves it", "new in the list: ", "would stay where they are", "30 dB(A)", "80 dB(A)", "08:30"):
        assert told in result.stdout
    answer = json.loads(run(mesh, *command, "--json").stdout)
    kinds = [{use["kind"] for use in answer[which]["environment"]} for which in ("actual", "supposed")]
    assert kinds[0] - kinds[1] == {"WEATHER"}
    assert answer["moves"]
    assert "Nothing would move." in run(mesh, "recommend", "--noise", "30", "--suppose", "noise=30").stdout


def test_filters_tuning_and_seeds_reach_the_recommender(mesh: LocalMesh) -> None:
    command = ("recommend", "--kind", "soundscape", "--max", "energy=0.2", "--genre", "rain", "--seed", "7", "--json")
    answer = json.loads(run(mesh, *command).stdout)
    items = [one["item"] for one in answer["recommendations"]]
    assert items
    assert all(item["kind"] == "SOUNDSCAPE" and "rain" in item["genres"] for item in items)
    assert all(item["features"]["energy"] <= 0.2 for item in items)
    seeded = ("recommend", "--seed-genre", "drum and bass", "--target", "tempo=174", "--count", "5", "--json")
    answer = json.loads(run(mesh, *seeded).stdout)
    assert any("drum and bass" in one["item"]["genres"] for one in answer["recommendations"])


def items_of(mesh: LocalMesh, *options: str) -> list[dict[str, Any]]:
    """What is recommended."""
    result = run(mesh, "recommend", "--json", *options)
    assert result.exit_code == ExitCode.OK, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["recommendations"]
    return found


def test_variety_and_exploration_are_as_the_listener_wants_them(mesh: LocalMesh, rest: httpx.Client, who: str) -> None:
    plain = ("--subject", who, "--count", "15", "--seed-genre", "jazz", "--time", "12:00")
    best, varied = (items_of(mesh, *plain, "--no-explore", "--diversity", strength) for strength in ("0", "1"))
    # Variety is paid for with fit.
    assert sum(one["score"] for one in best) > sum(one["score"] for one in varied) + 0.1

    def certain(*option: str) -> bool:
        """Whether every item had to stand where it does."""
        return all(one["propensity"] == 1 for one in items_of(mesh, "--subject", who, "--count", "15", *option))

    assert [certain("--no-explore"), certain("--explore"), certain()] == [True, False, False]


def test_what_was_heard_lately_counts_as_much_as_the_listener_wants(
    mesh: LocalMesh, rest: httpx.Client, who: str, profile: str
) -> None:
    item = rest.get("/items", params={"pageSize": 1, "genre": "jazz"}).json()["items"][0]["name"]
    heard = {"item": item, "type": "PLAY", "eventTime": datetime.now(UTC).isoformat(), "source": "phone"}
    assert rest.post(f"/{profile}/interactions:batchRecord", json={"interactions": [heard]}).status_code == 200

    def tired(fatigue: str) -> bool:
        found = items_of(mesh, "--subject", who, "--genre", "jazz", "--count", "200", "--fatigue", fatigue)
        assert found
        return any(
            reason["subject"] == "heard" and reason["contribution"] < 0
            for one in found
            if one["item"]["name"] == item
            for reason in one["reasons"]
        )

    wait_until(lambda: tired("1"), 10, "what was just played counts against it")
    assert not tired("0")


def test_refusals_are_one_sentence_with_field_and_rule(mesh: LocalMesh) -> None:
    cases = [
        (("recommend", "--count", "500"), ExitCode.REFUSED, "count"),
        (("recommend", "--diversity", "2"), ExitCode.REFUSED, "diversity"),
        (("recommend", "--fatigue", "-1"), ExitCode.REFUSED, "fatigue"),
        (("recommend", "--noise", "900"), ExitCode.REFUSED, "ambient_noise_dba"),
        (("recommend", "--max", "colour=3"), ExitCode.REFUSED, "tuning.features"),
        (("recommend", "--max", "tempo"), ExitCode.USAGE, "must be like tempo=120"),
        (("recommend", "--activity", "flying"), ExitCode.USAGE, "must be one of sleeping"),
        (("recommend", "--time", "25:00"), ExitCode.USAGE, "must be like 18:00"),
        (("recommend", "--suppose", "noise"), ExitCode.USAGE, "must be like noise=80"),
        (("recommend", "--suppose", "noise=900"), ExitCode.REFUSED, "suppose.ambient_noise_dba"),
        (("recommend", "--suppose", "noise=80", "--count", "500"), ExitCode.REFUSED, "request.count"),
        (("recommend", "--kind", "film"), ExitCode.USAGE, "must be one of track"),
        (("profile", "show", "--subject", "nobody"), ExitCode.NOT_FOUND, "profile"),
        (("profile", "create", "--email", "none"), ExitCode.REFUSED, "email"),
        (("profile", "create", "--email", "x@example.org"), ExitCode.CONFLICT, "profile"),
        (("profile", "delete", "--yes"), ExitCode.CONFLICT, "preferences"),
        (("profile", "update"), ExitCode.USAGE, "Nothing to change"),
        (("recommend", "--token", "not-a-token"), ExitCode.NOT_ALLOWED, "not a JWT"),
        (("recommend", "--address", "http://127.0.0.1:1"), ExitCode.UNAVAILABLE, "Cannot reach the mesh"),
    ]
    for command, code, told in cases:
        result = run(mesh, *command)
        assert result.exit_code == code, (command, result.stderr)
        assert told in result.stderr, (command, result.stderr)
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1, (command, result.stderr)


def test_profile_is_created_shown_changed_and_deleted(mesh: LocalMesh) -> None:
    def profile(*arguments: str) -> dict[str, object]:
        result = run(mesh, "profile", *arguments, "--subject", "cli-ada", "--json")
        assert result.exit_code == ExitCode.OK, result.stderr
        found: dict[str, object] = json.loads(result.stdout)
        return found

    created = profile("create", "--email", "cli-ada@example.org", "--name", "Ada", "--time-zone", "Europe/Vienna")
    assert (created["email"], created["displayName"], created["state"]) == ("cli-ada@example.org", "Ada", "ACTIVE")
    assert profile("show") == created
    changed = profile("update", "--time-zone", "Asia/Tokyo", "--learned-weight", "0.2")
    assert (changed["timeZone"], changed["learnedWeight"], changed["displayName"]) == ("Asia/Tokyo", 0.2, "Ada")
    shown = run(mesh, "profile", "show", "--subject", "cli-ada")
    assert "Asia/Tokyo" in shown.stdout
    stale = ("profile", "delete", "--yes", "--subject", "cli-ada", "--etag", str(created["etag"]))
    assert run(mesh, *stale).exit_code == ExitCode.CONFLICT
    deleted = run(mesh, "profile", "delete", "--yes", "--subject", "cli-ada")
    assert deleted.exit_code == ExitCode.OK, deleted.stderr
    assert run(mesh, "profile", "show", "--subject", "cli-ada").exit_code == ExitCode.NOT_FOUND


def test_help_of_every_command_shows_an_example(mesh: LocalMesh) -> None:
    for command in (
        ["recommend"],
        ["import", "catalog"],
        *(["profile", verb] for verb in ("show", "create", "update")),
    ):
        result = run(mesh, *command, "--help")
        assert f"Example: rhythmiq {' '.join(command)}" in " ".join(result.stdout.split())
