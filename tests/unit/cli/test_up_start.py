"""What `rhythmiq up` decides before it starts anything: folders, ports, programs, settings."""

from __future__ import annotations

import importlib.util
import io
import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from rhythmiq_cli.output import CommandError, ExitCode
from rhythmiq_cli.state import StateFolder, default_root
from rhythmiq_cli.up import programs, start
from rhythmiq_cli.up.report import Report
from rhythmiq_cli.up.welcome import welcome


def test_the_state_folder_is_the_one_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RHYTHMIQ_STATE_DIR", str(tmp_path / "a" / ".." / "b"))
    assert default_root() == tmp_path / "b"


def test_the_state_folder_is_the_projects_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RHYTHMIQ_STATE_DIR", raising=False)
    assert default_root().name == ".state"
    assert (default_root().parent / "deploy" / "envoy").is_dir()


def test_a_prepared_state_folder_is_closed_to_others(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "deep" / "state")
    state.prepare()
    state.prepare()
    for folder in (state.root, state.mongo, state.logs, state.envoy):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_state_folder_serves_one_mesh(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.locked("http://127.0.0.1:1"):
        code = (
            "import sys; from pathlib import Path; from rhythmiq_cli.state import StateFolder\n"
            "with StateFolder(Path(sys.argv[1])).locked('x'): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=30
        )
        assert "http://127.0.0.1:1" in second.stderr
        assert second.returncode == 1
    with state.locked("http://127.0.0.1:2"):
        assert json.loads((tmp_path / "lock").read_text())["address"] == "http://127.0.0.1:2"


def test_the_holder_of_a_folder_need_not_have_said_who_it_is(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.locked("x"):
        (tmp_path / "lock").write_text("")
        with pytest.raises(CommandError, match="RhythmIQ runs already from") as refused, state.locked("y"):
            pass
    assert refused.value.code is ExitCode.CONFLICT


def test_sockets_live_in_a_private_folder_that_goes_with_the_mesh(tmp_path: Path) -> None:
    with StateFolder(tmp_path).socket_folder() as folder:
        assert folder == tmp_path / "run"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "left.sock").touch()
    assert not folder.exists()


def test_sockets_of_a_deep_state_folder_live_where_their_path_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with StateFolder(deep).socket_folder() as folder:
        assert not folder.is_relative_to(deep)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(folder / "recommender.sock"))
    assert not folder.exists()
    assert list(deep.iterdir()) == []


def test_the_socket_folder_of_a_killed_mesh_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left, foreign = tmp_path / "rhythmiq-left", tmp_path / "precious"
    left.mkdir()
    foreign.mkdir()
    state = tmp_path / "state"
    state.mkdir()
    for folder in (left, foreign, tmp_path / "rhythmiq-gone"):
        (state / "sockets.at").write_text(str(folder))
        with StateFolder(state).socket_folder():
            pass
    assert not left.exists()
    assert foreign.exists()


@pytest.mark.parametrize(
    ("host", "reach", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:80"),
        ("::", "::1", "http://[::1]:80"),
        ("192.0.2.7", "192.0.2.7", "http://192.0.2.7:80"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(host: str, reach: str, url: str) -> None:
    assert start.reachable(host) == reach
    assert start.url_of(reach, 80) == url


def test_a_host_name_is_refused_with_the_way_out() -> None:
    with pytest.raises(CommandError, match=r"use --host 127\.0\.0\.1") as refused:
        start.reachable("example.org")
    assert refused.value.code is ExitCode.USAGE


def test_a_busy_port_is_told_with_the_next_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} is in use: .* --port {port + 1}"):
            start.check_port("127.0.0.1", port)
    start.check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(CommandError, match=r"192\.0\.2\.7 is not an address of this machine"):
        start.check_port("192.0.2.7", 8080)


def test_programs_on_the_path_take_the_place_of_the_embedded_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, find in (("mongod", programs.find_mongod), ("envoy", programs.find_envoy)):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find() == str(tmp_path / name)
        monkeypatch.setenv("PATH", "/nowhere")
        assert Path(find()).is_file()
        assert find() != str(tmp_path / name)


def test_a_missing_program_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CommandError, match="There is no envoy: install it"):
        programs.find_envoy()
    with pytest.raises(CommandError, match="There is no mongod: install MongoDB"):
        programs.find_mongod()
    with pytest.raises(CommandError, match="Not installed: profile, preference"):
        programs.check_services()


def test_a_service_is_told_where_its_peers_are_and_keeps_the_users_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RHYTHMIQ_PROFILE_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("RHYTHMIQ_PROFILE_LISTEN", "0.0.0.0:1")
    sockets = {name: Path(f"/run/{name}.sock") for name in programs.SERVICES}
    log = tmp_path / "log"
    profile = programs.service("profile", sockets, "mongodb://x", "k" * 32, log, models=tmp_path / "models").environment
    assert profile["RHYTHMIQ_PROFILE_LISTEN"] == "unix:/run/profile.sock"
    assert profile["RHYTHMIQ_PROFILE_LOG_LEVEL"] == "DEBUG"
    assert json.loads(profile["RHYTHMIQ_PROFILE_CHILDREN_ADDRESSES"]) == [
        "unix:/run/preference.sock",
        "unix:/run/variable.sock",
        "unix:/run/tunevector.sock",
        "unix:/run/recommender.sock",
    ]
    variable = programs.service(
        "variable", sockets, "mongodb://x", "k" * 32, log, models=tmp_path / "models"
    ).environment
    assert json.loads(variable["RHYTHMIQ_VARIABLE_ERASURE_ADDRESSES"]) == ["unix:/run/recommender.sock"]
    recommender = programs.service(
        "recommender", sockets, "mongodb://x", "k" * 32, log, models=tmp_path / "models"
    ).environment
    assert recommender["RHYTHMIQ_RECOMMENDER_VARIABLE_ADDRESS"] == "unix:/run/variable.sock"
    assert recommender["RHYTHMIQ_RECOMMENDER_MODEL_STORE"] == f"file://{tmp_path}/models"
    monkeypatch.setenv("RHYTHMIQ_RECOMMENDER_MODEL_STORE", "s3://bucket/models")
    recommender = programs.service("recommender", sockets, "mongodb://x", "k" * 32, log, models=tmp_path).environment
    assert recommender["RHYTHMIQ_RECOMMENDER_MODEL_STORE"] == "s3://bucket/models"


def test_stopping_everything_in_order_fits_into_10_s(tmp_path: Path) -> None:
    sockets = {name: Path(f"/run/{name}.sock") for name in programs.SERVICES}
    parts = [
        programs.mongod("mongod", tmp_path, tmp_path / "mongod.sock", tmp_path / "log"),
        programs.envoy("envoy", tmp_path, tmp_path / "log"),
        programs.service("profile", sockets, "mongodb://x", "k" * 32, tmp_path / "log", models=tmp_path / "models"),
    ]
    assert sum(part.stop_s for part in parts) + 1.5 < 10


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    report = Report(Console(file=output))
    with report.working():
        report.waiting("waiting for mongod")
        report.waiting("waiting for mongod")
        report.say("[ready]")
    assert output.getvalue() == "waiting for mongod\n[ready]\n"


def test_progress_moves_on_a_terminal() -> None:
    output = io.StringIO()
    report = Report(Console(file=output, force_terminal=True))
    with report.working():
        report.waiting("waiting for mongod")
    assert report.seconds >= 0
    assert "\x1b[" in output.getvalue()


def test_the_welcome_has_an_address_a_token_and_two_calls() -> None:
    text = welcome("http://127.0.0.1:8080", "TOKEN")
    assert "Address   http://127.0.0.1:8080" in text
    assert "Token     TOKEN" in text
    assert "curl -s http://127.0.0.1:8080/profiles/" in text
    assert "grpc.insecure_channel('127.0.0.1:8080')" in text
