"""From a host and a port to a running mesh, or one sentence on why not."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable

from rhythmiq_cli.identity.keys import SigningKey, load_or_create_page_token_key
from rhythmiq_cli.output import CommandError, ExitCode
from rhythmiq_cli.state import StateFolder, default_root
from rhythmiq_cli.up import programs
from rhythmiq_cli.up.mesh import LocalMesh, Place
from rhythmiq_cli.up.report import Report

OnReady = Callable[[StateFolder, SigningKey, str, Report], None]
Afterwards = Callable[[StateFolder, SigningKey, str, Report, Callable[[], bool]], None]


def start(host: str, port: int, on_ready: OnReady, afterwards: Afterwards) -> None:
    """Runs the mesh until SIGTERM or Ctrl-C. `on_ready` is called once all serve, with the address callers use.

    `afterwards` does what need not be waited for, until its last argument says that somebody asked to stop.

    Raises CommandError when it cannot run here.
    """
    check_tools()
    state = StateFolder(default_root())
    state.prepare()
    bind = "127.0.0.1" if host == "localhost" else host
    reach = reachable(bind)
    address = url_of(reach, port)
    report = Report()
    with state.locked(address), state.socket_folder() as sockets:
        check_port(bind, port)
        key = SigningKey.load_or_create(state.signing_key)
        load_or_create_page_token_key(state.page_token_key)
        mesh = LocalMesh(Place(state, sockets, bind, port, reach), key, report)
        asyncio.run(
            mesh.run(
                lambda: on_ready(state, key, address, report),
                lambda stopped: afterwards(state, key, address, report, stopped),
            )
        )


def check_tools() -> None:
    """Raises CommandError for a program that is not installed."""
    programs.check_services()
    programs.find_envoy()
    if not os.environ.get(programs.MONGO_VARIABLE):
        programs.find_mongod()


def reachable(host: str) -> str:
    """The address at which this machine reaches a listener on `host`. Raises CommandError unless that is an IP."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise CommandError(
            f"{host} is not an IP address: use --host 127.0.0.1 for this machine, or 0.0.0.0 for all networks.",
            ExitCode.USAGE,
        ) from None
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_port(host: str, port: int) -> None:
    """Raises CommandError when nobody could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(_why_not(error, host, port), ExitCode.CONFLICT) from None


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        free = port + 1 if port < 65535 else 8080
        return f"Port {port} is in use: stop the other program or run `rhythmiq up --port {free}`."
    if error.errno == errno.EACCES:
        return f"Port {port} is only for root: run `rhythmiq up --port 8080`."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: run `rhythmiq up --host 127.0.0.1`."
    return f"Nobody can listen at {host} port {port} ({error.strerror}): choose others with --host and --port."
