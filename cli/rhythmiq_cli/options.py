"""Options that commands share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RHYTHMIQ_ADDRESS",
        metavar="URL",
        help="Where the mesh is. Default: the mesh that `rhythmiq up` runs, http://127.0.0.1:8080.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="RHYTHMIQ_TOKEN",
        metavar="JWT",
        help="Who you are. Default: a token of the local issuer, as `rhythmiq token` prints.",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="NAME", help="Act as this listener of the local issuer. Default: demo."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
