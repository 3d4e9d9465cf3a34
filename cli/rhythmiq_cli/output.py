"""What a command says, and the exit code it says it with.

Results go to standard output (a table, or JSON for machines), everything else to standard error. A failure is one
sentence and a code that means the same in every command; a stack trace is never shown.
"""

from __future__ import annotations

import enum
import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn, ParamSpec, TypeVar

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.table import Table

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(enum.IntEnum):
    """What a command's exit code means."""

    OK = 0
    # Something that should not happen: a fault of the program's or the server's own.
    FAILED = 1
    # The command line itself is wrong: an unknown option, a file that is not there.
    USAGE = 2
    # The input was read and refused: a value breaks a rule, or rows were rejected under --strict.
    REFUSED = 3
    # No token, one that is not accepted, or one without the right.
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    # The mesh cannot be reached, or did not answer in time.
    UNAVAILABLE = 6
    # What is there stands against it: it exists already, was changed meanwhile, still has children, or is full.
    CONFLICT = 7
    # Ctrl-C, as shells report it.
    INTERRUPTED = 130


class CommandError(Exception):
    """A failure to be told in one sentence: what happened, to what, and what to do next."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def tells_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turns a CommandError of `command` into its sentence on standard error and its exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except CommandError as error:
            fail(error.message, error.code)
        except KeyboardInterrupt:
            fail("Interrupted.", ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # The reader (`| head`) has gone: nothing is wrong, and there is nobody to tell.
            sys.stderr.close()
            raise typer.Exit(ExitCode.OK) from None

    return run


def fail(message: str, code: ExitCode) -> NoReturn:
    """Prints the sentence to standard error and ends the command with `code`."""
    typer.echo(message, err=True)
    raise typer.Exit(int(code))


def note(message: str) -> None:
    """Prints a line that is not the result: to standard error."""
    typer.echo(message, err=True)


def print_json(value: object) -> None:
    """Prints a value as one JSON document; protobuf messages as the JSON API prints them."""
    typer.echo(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return json_format.MessageToDict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", right: str = "") -> None:
    """Prints rows as a table; `right` names the columns aligned to the right, separated by commas."""
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    aligned = set(right.split(","))
    for column in columns:
        table.add_column(column, justify="right" if column in aligned else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _stdout().print(table)


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Prints names and values, one pair a line; those without a value are left out."""
    shown = {name: value for name, value in pairs.items() if value}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print_line(f"{name:<{width}}  {value}")


def print_line(text: str = "") -> None:
    """Prints a line of the result."""
    typer.echo(text)


def _stdout() -> Console:
    # Made at each use, so that it follows a redirected sys.stdout. Piped into a file, a table is not squeezed into
    # the 80 columns that rich assumes there.
    console = Console(file=sys.stdout)
    return console if console.is_terminal else Console(file=sys.stdout, width=200)
