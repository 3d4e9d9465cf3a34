"""Who waits is told: a line when a step begins and ends, and a bar on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rhythmiq_recommender.training import progress
from rhythmiq_recommender.training.progress import Lines, Terminal, on_stderr


def test_lines_say_when_a_step_begins_and_ends() -> None:
    out = io.StringIO()
    with Lines(out).step("fit", 4, 9) as tell:
        tell(0.5, "half of it")
    begun, done = out.getvalue().splitlines()
    assert begun == "4/9 fit: begun"
    assert done.startswith("4/9 fit: done in ")


def test_a_long_step_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    with Lines(out).step("extract", 1, 9) as tell:
        tell(0.25, "10 interactions")
        tell(None, "5 items")
    assert out.getvalue().splitlines()[1:3] == ["1/9 extract: 25%, 10 interactions", "1/9 extract: 5 items"]


def test_a_step_that_fails_is_not_called_done() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError), Lines(out).step("fit", 4, 9):
        raise ValueError
    assert "done" not in out.getvalue()


def test_a_terminal_shows_a_bar_and_takes_no_markup_from_words() -> None:
    out = io.StringIO()
    bars = Terminal(Console(file=out, force_terminal=True, width=100))
    bars.say("run [bold]x")
    with bars.step("select", 3, 9) as tell:
        tell(None, "[red]a trial")
        tell(0.5, "10 trials")
    assert "run [bold]x" in out.getvalue()
    assert "3/9" in out.getvalue()
    assert "10 trials" in out.getvalue()


def test_standard_error_that_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(on_stderr(), Lines)
