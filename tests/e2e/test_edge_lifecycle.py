"""`rhythmiq up` as a newcomer meets it: it comes back, it stops, it keeps the data, it says why it does not start."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from local_mesh import STOP_SECONDS, LocalMesh, environment, free_port, rhythmiq, wait_until


@pytest.fixture
def own_mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    """A mesh of the test's own, without the demo, deep in the file system so that sockets must live elsewhere."""
    deep = tmp_path / ("deep-" * 20)
    deep.mkdir()
    running = LocalMesh(deep / "state", "--no-demo")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def restarted(mesh: LocalMesh, name: str) -> None:
    """Kills one part and waits until another process has taken its place and everything serves."""
    before = mesh.pid_of(name)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return mesh.pid_of(name) != before and mesh.serving()
        except StopIteration:
            return False

    wait_until(is_back, 30, f"{name} is back")
    # A service that was asked a moment ago may still say that it serves: what counts is that every one answers.
    wait_until(mesh.answers, 30, f"every service answers after {name} was killed")


@pytest.mark.parametrize("name", ["profile", "preference", "variable", "tunevector", "recommender", "mongod", "envoy"])
def test_what_is_killed_comes_back_by_itself(mesh: LocalMesh, name: str) -> None:
    restarted(mesh, name)


def test_healthz_names_the_service_that_does_not_serve(mesh: LocalMesh) -> None:
    """Stopped, not killed: it would be back before anybody looked."""
    victim = mesh.pid_of("preference")
    os.kill(victim, signal.SIGSTOP)
    try:
        seen: list[httpx.Response] = []

        def is_named() -> bool:
            # Others may still be noticing what an earlier test did to the database.
            seen.append(mesh.healthz())
            return bool(seen[-1].json().get("message") == "Not serving: preference")

        wait_until(is_named, 30, "it is named")
        response = seen[-1]
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        body = response.json()
        assert body["code"] == 14
        assert body["details"][0]["reason"] == "SERVICE_UNAVAILABLE"
        assert body["details"][0]["metadata"] == {"services": "preference"}
    finally:
        os.kill(victim, signal.SIGCONT)
    mesh.wait_until_serving()


def test_a_service_that_hangs_costs_its_callers_a_deadline_and_not_for_ever(mesh: LocalMesh) -> None:
    victim = mesh.pid_of("preference")
    os.kill(victim, signal.SIGSTOP)
    try:
        with mesh.client("patient") as client:
            # Sooner than the edge's own 15 s, which a caller may shorten and not lengthen.
            path = f"/{mesh.profile_name('patient')}/preferences"
            response = client.get(path, headers={"grpc-timeout": "1S"})
    finally:
        os.kill(victim, signal.SIGCONT)
    assert response.status_code == 504
    assert response.json()["code"] == 4
    assert response.json()["details"][0]["reason"] == "DEADLINE_EXCEEDED"
    mesh.wait_until_serving()


def test_a_service_that_is_away_is_unavailable_with_a_retry_hint(mesh: LocalMesh) -> None:
    """Its socket is taken away: nobody can connect, as while a service starts."""
    note = mesh.state / "sockets.at"
    place = Path(note.read_text()) if note.exists() else mesh.state / "run"
    (place / "profile.sock").rename(place / "away")
    os.kill(mesh.pid_of("envoy"), signal.SIGKILL)  # it had connections open

    def answers() -> bool:
        try:
            return mesh.healthz().status_code == 503
        except httpx.TransportError:
            return False

    wait_until(answers, 30, "Envoy is back")
    with mesh.client() as client:
        response = client.get(f"/{mesh.profile_name()}")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert [detail.get("reason") or detail["retryDelay"] for detail in response.json()["details"]] == [
        "SERVICE_UNAVAILABLE",
        "1s",
    ]
    (place / "away").rename(place / "profile.sock")
    mesh.wait_until_serving()


def create_profile(mesh: LocalMesh, subject: str) -> None:
    with mesh.client(subject) as client:
        assert client.post("/profiles", json={"email": f"{subject}@example.org"}).status_code == 200


def stopped(mesh: LocalMesh, number: signal.Signals) -> None:
    """Asks the mesh to stop and checks that it did, in time and completely."""
    assert len(mesh.processes()) == 8
    began = time.monotonic()
    assert mesh.stop(number) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert mesh.processes() == {}


def test_it_stops_within_10_s_leaves_no_process_and_keeps_the_data(own_mesh: LocalMesh) -> None:
    create_profile(own_mesh, "keeper")
    token = own_mesh.token("keeper")
    stopped(own_mesh, signal.SIGINT)
    own_mesh.start()
    response = httpx.get(
        f"{own_mesh.base_url}/{own_mesh.profile_name('keeper')}", headers={"authorization": f"Bearer {token}"}
    )
    assert response.json()["email"] == "keeper@example.org"
    stopped(own_mesh, signal.SIGTERM)


def test_killed_it_leaves_no_process_and_starts_again(own_mesh: LocalMesh) -> None:
    create_profile(own_mesh, "survivor")
    own_mesh.stop(signal.SIGKILL)
    wait_until(lambda: own_mesh.processes() == {}, 5, "nothing is left")
    own_mesh.start()
    with own_mesh.client("survivor") as client:
        assert client.get(f"/{own_mesh.profile_name('survivor')}").status_code == 200


def test_the_printed_calls_work_as_pasted(mesh: LocalMesh) -> None:
    lines = mesh.output().splitlines()
    calls = [line for line in lines if line.startswith("curl ") or " -c " in line]
    assert len(calls) == 2
    curl, native = (
        subprocess.run(call, shell=True, capture_output=True, text=True, timeout=30, check=True) for call in calls
    )
    assert len(httpx.Response(200, text=curl.stdout).json()["recommendations"]) == 3
    assert mesh.profile_name() in native.stdout


def test_keys_logs_and_sockets_are_closed_to_other_users(mesh: LocalMesh) -> None:
    for path in ("signing-key.pem", "page-token.key"):
        assert stat.S_IMODE((mesh.state / path).stat().st_mode) == 0o600
    for path in (".", "mongo", "logs", "envoy", "run"):
        folder = mesh.state / path
        assert not folder.exists() or stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_the_edge_listens_on_the_network(mesh: LocalMesh) -> None:
    inodes = set()
    for pid in mesh.processes():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = str(link.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    listening = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    ports = {int(row[1].rsplit(":", 1)[1], 16) for row in listening if row[3] == "0A" and row[9] in inodes}
    assert ports == {mesh.port}


def test_a_second_mesh_on_the_same_state_is_one_clear_sentence(mesh: LocalMesh) -> None:
    result = rhythmiq("up", "--port", str(free_port()), state=mesh.state)
    assert result.returncode == 7
    assert result.stderr.count("\n") == 1
    assert f"RhythmIQ runs already from {mesh.state} (process {mesh.pid}, {mesh.base_url})" in result.stderr


def test_a_busy_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = rhythmiq("up", "--port", str(port), state=tmp_path / "state")
    assert result.returncode == 7
    assert result.stderr == f"Port {port} is in use: stop the other program or run `rhythmiq up --port {port + 1}`.\n"


def test_the_port_can_come_from_the_environment(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = rhythmiq("up", state=tmp_path / "state", PORT=str(port))
    assert f"Port {port} is in use" in result.stderr


def test_a_state_folder_that_cannot_be_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = rhythmiq("up", "--port", str(free_port()), state=tmp_path / "file" / "state")
    assert result.returncode == 1
    assert result.stderr.startswith(f"The state folder {tmp_path / 'file' / 'state'} cannot be written")
    assert result.stderr.count("\n") == 1


def test_a_corrupt_key_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "signing-key.pem").write_text("not a key")
    for command in (("up", "--port", str(free_port())), ("token",)):
        result = rhythmiq(*command, state=tmp_path)
        assert result.returncode == 3
        assert f"The key file {tmp_path / 'signing-key.pem'} cannot be used: delete it" in result.stderr


def test_a_missing_tool_is_one_clear_sentence(tmp_path: Path) -> None:
    code = "import sys; from rhythmiq_cli.app import app; sys.executable = '/nowhere/python'; app(['up'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, PATH="/nowhere"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("There is no envoy: install it")


@pytest.mark.parametrize(
    ("uri", "code", "begin"),
    [
        (
            "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300",
            6,
            "The database in RHYTHMIQ_MONGO_URI does not answer",
        ),
        ("postgres://somewhere", 2, "RHYTHMIQ_MONGO_URI is no connection string of MongoDB"),
    ],
)
def test_a_database_of_the_users_that_cannot_be_used_is_one_clear_sentence(
    tmp_path: Path, uri: str, code: int, begin: str
) -> None:
    result = rhythmiq("up", "--port", str(free_port()), state=tmp_path / "state", RHYTHMIQ_MONGO_URI=uri)
    assert result.returncode == code
    assert result.stderr.startswith(begin)


def test_a_part_that_does_not_come_up_shows_its_last_lines(tmp_path: Path) -> None:
    result = rhythmiq("up", "--port", str(free_port()), state=tmp_path / "state", RHYTHMIQ_PROFILE_DRAIN_SECONDS="soon")
    assert result.returncode == 1
    assert "These did not come up: profile." in result.stderr
    assert "profile: RHYTHMIQ_PROFILE_DRAIN_SECONDS: Input should be a valid number" in result.stderr


def test_a_database_of_the_users_is_used(tmp_path: Path, mongo_uri: str) -> None:
    mesh = LocalMesh(tmp_path / "state", "--no-demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local_mesh.environment", lambda state: environment(state, RHYTHMIQ_MONGO_URI=mongo_uri))
        mesh.start()
    try:
        assert not [command for command in mesh.processes().values() if "mongod --dbpath" in command]
        create_profile(mesh, f"guest-{mesh.port}")
    finally:
        assert mesh.stop() == 0


def test_a_token_of_the_command_is_accepted(mesh: LocalMesh) -> None:
    result = rhythmiq("token", "--subject", "ana", "--expires", "5m", state=mesh.state)
    assert result.returncode == 0
    assert result.stderr == ""
    response = httpx.get(f"{mesh.base_url}/items", headers={"authorization": f"Bearer {result.stdout.strip()}"})
    assert response.status_code == 200


def test_an_expired_token_stops_working(mesh: LocalMesh) -> None:
    token = mesh.token(lifetime=timedelta(seconds=-30))
    assert httpx.get(f"{mesh.base_url}/items", headers={"authorization": f"Bearer {token}"}).status_code == 401
