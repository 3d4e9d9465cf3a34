"""The workflow's promises: what is done stays done, what was spoiled is made anew, what is away is waited for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rhythmiq_recommender.training.progress import Tell
from rhythmiq_recommender.training.steps import Done, Facts, Retries, Scene, Step, StepFailed, Workflow

SETTINGS = {"seed": 7}


class Away(Exception):
    pass


class Said:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def step(self, name: str, number: int, count: int) -> Iterator[Tell]:
        self.begun.append(name)
        yield lambda share, words: None


class Killed(BaseException):
    """As if the process had ended here."""


class World:
    """Two steps: one writes a number, the other doubles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = Said()
        self.pauses: list[float] = []
        self.away = 0
        self.dies_in = ""
        self.number = 21

    def first(self, scene: Scene) -> Facts:
        if self.away:
            self.away -= 1
            raise Away("the database is away")
        (scene.folder / "part").mkdir()
        (scene.folder / "part" / "number").write_text(str(self.number))
        if self.dies_in == "first":
            raise Killed
        return {"rows": 1}

    def second(self, scene: Scene) -> Facts:
        journal = scene.folder / "journal"
        with journal.open("a") as file:
            file.write("trial\n")
        if self.dies_in == "second":
            raise Killed
        number = int((scene.before["first"] / "part" / "number").read_text())
        (scene.folder / "double").write_text(str(number * 2))
        return {"attempts": len(journal.read_text().splitlines())}

    def run(self, settings: Facts = SETTINGS) -> dict[str, Done]:
        steps = [
            Step("first", self.first),
            Step("second", self.second, after=("first",), keeps=("journal",)),
        ]
        retries = Retries((Away,), attempts=3, pause=self.pauses.append)
        self.said = Said()
        return dict(Workflow(self.folder, steps, settings, self.said, retries).run())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_done_is_not_done_again(world: World) -> None:
    once = world.run()
    again = world.run()
    assert world.said.begun == []
    assert again == once
    assert (world.folder / "second" / "double").read_text() == "42"


def test_a_kill_before_a_step_is_done_makes_only_that_step_again(world: World) -> None:
    world.dies_in = "second"
    with pytest.raises(Killed):
        world.run()
    world.dies_in = ""
    done = world.run()
    assert world.said.begun == ["second"]
    # What a step keeps, such as a journal of trials, the next attempt finds.
    assert done["second"].facts == {"attempts": 2}


def test_half_written_output_of_a_killed_step_is_not_taken_for_output(world: World) -> None:
    world.dies_in = "first"
    with pytest.raises(Killed):
        world.run()
    (world.folder / "first" / "left over").write_text("?")
    world.dies_in = ""
    done = world.run()
    assert set(done["first"].files) == {"part/number"}


@pytest.mark.parametrize("name", ["part/number", "done.json"])
@pytest.mark.parametrize("content", [b"", b"22"])
def test_changed_output_is_noticed_and_made_anew(world: World, name: str, content: bytes) -> None:
    once = world.run()
    (world.folder / "first" / name).write_bytes(content)
    again = world.run()
    assert "first" in world.said.begun
    assert again["first"] == once["first"]
    assert (world.folder / "second" / "double").read_text() == "42"


def test_missing_output_is_made_anew_and_the_same_again_leaves_later_steps_alone(world: World) -> None:
    world.run()
    (world.folder / "first" / "part" / "number").unlink()
    world.run()
    assert world.said.begun == ["first"]


def test_a_done_file_edited_by_hand_is_not_believed(world: World) -> None:
    world.run()
    path = world.folder / "second" / "done.json"
    content = json.loads(path.read_text())
    content["facts"]["attempts"] = 99
    path.write_text(json.dumps(content))
    assert world.run()["second"].facts == {"attempts": 1}


def test_steps_made_from_something_else_are_made_anew_with_nothing_kept(world: World) -> None:
    world.run()
    (world.folder / "first" / "done.json").unlink()
    world.number = 5
    done = world.run()
    assert world.said.begun == ["first", "second"]
    assert (world.folder / "second" / "double").read_text() == "10"
    assert done["second"].facts == {"attempts": 1}


def test_other_settings_make_everything_anew(world: World) -> None:
    world.run()
    world.run({"seed": 8})
    assert world.said.begun == ["first", "second"]


def test_what_is_away_is_tried_again_after_growing_pauses(world: World) -> None:
    world.away = 2
    world.run()
    assert world.pauses == [1.0, 2.0]
    assert (world.folder / "second" / "double").read_text() == "42"


def test_what_stays_away_fails_naming_the_step_and_the_reason(world: World) -> None:
    world.away = 99
    with pytest.raises(StepFailed, match="step first failed after 3 attempts: the database is away"):
        world.run()
    assert not (world.folder / "second").exists()


def test_pauses_grow_no_longer_than_the_longest() -> None:
    retries = Retries((), first=1.0, longest=30.0)
    assert [retries.before(attempt) for attempt in (2, 3, 6, 7, 50)] == [1.0, 2.0, 16.0, 30.0, 30.0]
