"""`rhythmiq up`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import mint
from rhythmiq_cli.output import CommandError, print_line, tells_errors
from rhythmiq_cli.state import StateFolder
from rhythmiq_cli.up.report import Report
from rhythmiq_cli.up.start import start
from rhythmiq_cli.up.welcome import welcome

_HELP = """Start the whole mesh on this machine: MongoDB, five services, Envoy. Ctrl-C stops it.

Example: rhythmiq up --port 8081

Data, keys and logs are kept in the state folder: .state in the project, or RHYTHMIQ_STATE_DIR.
RHYTHMIQ_MONGO_URI uses a replica set of your own in place of the embedded MongoDB.

Exit codes: 0 stopped as asked; 1 something is missing, cannot be written or did not come up; 2 wrong options;
3 a key file or the database of RHYTHMIQ_MONGO_URI cannot be used; 6 that database does not answer;
7 the port is in use, or RhythmIQ runs already.
"""


def register(app: typer.Typer) -> None:
    app.command("up", help=_HELP)(up)


@tells_errors
def up(
    port: Annotated[
        int, typer.Option("--port", envvar="PORT", min=1, max=65535, help="Where callers reach the mesh.")
    ] = 8080,
    host: Annotated[
        str, typer.Option("--host", metavar="IP", help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Make a demo listener and catalogue on the first start.")
    ] = True,
) -> None:
    def ready(state: StateFolder, key: SigningKey, address: str, report: Report) -> None:
        if demo and not state.demo_marker.exists():
            _seed(state, key, address, report)
        report.say(f"Ready after {report.seconds:.1f} s.")
        print_line(welcome(address, mint(key)))

    def afterwards(
        state: StateFolder, key: SigningKey, address: str, report: Report, stopped: Callable[[], bool]
    ) -> None:
        if demo and not state.histories_marker.exists():
            _write_histories(state, key, address, report, stopped)

    start(host, port, ready, afterwards)


def _seed(state: StateFolder, key: SigningKey, address: str, report: Report) -> None:
    # Imported here: nothing else of `up` needs a gRPC client.
    from rhythmiq_cli.client import Client
    from rhythmiq_cli.demo.seed import seed_demo

    report.say("First start: making the demo listener and catalogue.")
    with (
        Client(address, mint(key, admin=True)) as admin,
        Client(address, mint(key)) as listener,
    ):
        seed_demo(admin, listener)
    state.demo_marker.touch()


def _write_histories(
    state: StateFolder, key: SigningKey, address: str, report: Report, stopped: Callable[[], bool]
) -> None:
    # Imported here: later starts need neither NumPy nor a world.
    from rhythmiq_cli.client import Client
    from rhythmiq_cli.demo.histories import LISTENERS, write_histories

    report.say(f"In the background: a past for the demo listener and {LISTENERS - 1} others, to learn from.")
    begin = report.seconds
    try:
        written = write_histories(lambda subject: Client(address, mint(key, subject)), stopped=stopped)
        if written.complete:
            state.histories_marker.touch()
    except (CommandError, OSError) as error:
        if not stopped():
            report.say(f"Not everybody of the demo has a past yet, the next start goes on: {error}")
        return
    if written.complete:
        report.say(
            f"The demo's past is complete: {written.interactions:,} interactions of {written.listeners} listeners"
            f" recorded in {report.seconds - begin:.1f} s."
        )
