"""Children come back, stop when asked, and die with their parent; their logs stay small."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from local_mesh import wait_until

from rhythmiq_cli.up import leash, logs
from rhythmiq_cli.up.child import Child, Program, in_words, pause_after

FOREVER = "import time; print('begun', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


def program(tmp_path: Path, code: str, stop_s: float = 5.0) -> Program:
    return Program("it", [sys.executable, "-c", code], tmp_path / "it.log", dict(os.environ), stop_s)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_killed_child_comes_back(tmp_path: Path) -> None:
    ends: list[int] = []
    child = Child(program(tmp_path, FOREVER), lambda _, code: ends.append(code))
    running = asyncio.create_task(child.run())
    await until(lambda: child.pid is not None)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first))
    assert ends == [-signal.SIGKILL]
    await child.stop()
    await running
    assert child.pid is None


async def test_a_child_that_cannot_run_is_counted(tmp_path: Path) -> None:
    child = Child(program(tmp_path, "import sys; sys.exit('broken')"), lambda *_: None)
    running = asyncio.create_task(child.run())
    await until(lambda: child.quick_ends >= 3)
    await child.stop()
    await running
    assert logs.tail(tmp_path / "it.log") == ["broken"] * child.quick_ends


async def test_a_child_that_does_not_want_to_stop_is_made_to(tmp_path: Path) -> None:
    child = Child(program(tmp_path, STUBBORN, stop_s=0.2), lambda *_: None)
    running = asyncio.create_task(child.run())
    await until(lambda: logs.tail(tmp_path / "it.log") == ["begun"])
    await child.stop()
    await running
    assert child.pid is None


async def test_kill_ends_a_child_at_once_and_for_good(tmp_path: Path) -> None:
    child = Child(program(tmp_path, STUBBORN), lambda *_: None)
    running = asyncio.create_task(child.run())
    await until(lambda: child.pid is not None)
    child.kill()
    await running
    assert child.pid is None


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-I', '-S', {leash.__file__!r}, str(os.getpid()), sys.executable,"
        " '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        # Only what the leash has become can be relied on to die.
        wait_until(lambda: b"leash" not in _command(child), 10, "the leash is on")
        process.kill()
    wait_until(lambda: _command(child) == b"", 10, "the child is gone")


def test_a_leash_without_its_parent_runs_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    command = [sys.executable, "-I", "-S", leash.__file__, "1", "/usr/bin/touch", str(touched)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert result.returncode == 1
    assert not touched.exists()


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_the_pause_before_a_new_start_doubles_up_to_5_s() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 6, 7, 50)] == [0.1, 0.2, 0.4, 3.2, 5.0, 5.0]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (2, "exit code 2"), (-9, "signal 9 (SIGKILL)"), (-99, "signal 99")]
)
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert in_words(code) == words


def test_a_log_that_grew_too_long_moves_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab") as writer:
        writer.write(b"old" * 100)
        writer.flush()
        logs.bound(log, max_bytes=200)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "a.log.1").read_bytes() == b"old" * 100


def test_a_short_or_missing_log_is_left_alone(tmp_path: Path) -> None:
    logs.bound(tmp_path / "missing.log")
    (tmp_path / "a.log").write_text("short")
    logs.bound(tmp_path / "a.log")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log"]


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(str(line) for line in range(10_000)))
    assert logs.tail(tmp_path / "a.log", 2) == ["9998", "9999"]
    assert logs.tail(tmp_path / "missing.log") == []
