"""`python -m rhythmiq_recommender.models`: the registry by hand. `rhythmiq models` starts it with everything set."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from rhythmiq_recommender.learning.package import BadModel, Manifest
from rhythmiq_recommender.models.channels import BadChannel, Channel, DamagedChannel, Experiment
from rhythmiq_recommender.models.registry import ChannelChanged, Registry, UnknownVersion
from rhythmiq_recommender.models.store import BadStore, StoreUnavailable

STORE: Final = "RHYTHMIQ_RECOMMENDER_MODEL_STORE"
# What they mean in every command: see rhythmiq_cli.output.ExitCode.
_USAGE, _REFUSED, _NOT_FOUND, _UNAVAILABLE, _CONFLICT = 2, 3, 5, 6, 7
_CODES: Final[Mapping[type[Exception], int]] = {
    UnknownVersion: _NOT_FOUND,
    StoreUnavailable: _UNAVAILABLE,
    ChannelChanged: _CONFLICT,
    BadModel: _REFUSED,
    BadChannel: _REFUSED,
    BadStore: _USAGE,
    OSError: _UNAVAILABLE,  # this machine's own disk, such as no room for a copy
}


def main(arguments: Sequence[str]) -> int:
    """Does what the arguments say; returns the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.do is _split and not asked.off and not asked.version:
        parser.error("an experiment needs a name and a version, or --off to end it")
    if not (url := os.environ.get(STORE, "")):
        print(f"{STORE} is not set: name the store of models, such as file:///var/models", file=sys.stderr)
        return _USAGE
    try:
        asked.do(Registry(url), asked)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone. Nothing is wrong; what is left in the buffer must go nowhere at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except tuple(_CODES) as error:
        print(_sentence(error), file=sys.stderr)
        return next(code for kind, code in _CODES.items() if isinstance(error, kind))
    return 0


def _list(registry: Registry, asked: argparse.Namespace) -> None:
    """With a damaged channel, too: whoever mends it needs to know the versions."""
    channel, damage = _channel(registry, asked)
    found = [_summary(registry, asked, channel, version) for version in registry.versions(asked.kind, asked.cohort)]
    found.sort(key=lambda row: (row["trained_until"] or 0, row["version"]), reverse=True)
    if asked.json:
        _print_json({"channel": None if damage else asdict(channel), "models": found})
    elif found:
        _print_table(found)
    elif damage is None:
        print(f"No models of {asked.kind}/{asked.cohort} yet: `rhythmiq train` makes one. The built-in ranker answers.")
    if damage is not None:
        raise damage


def _channel(registry: Registry, asked: argparse.Namespace) -> tuple[Channel, DamagedChannel | None]:
    try:
        return registry.channel(asked.kind, asked.cohort), None
    except DamagedChannel as error:
        return Channel(), error


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for column in ("version", "used as", "trained until", "NDCG@10"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["version"], row["used_as"], _date(row["trained_until"]), _number(row["ndcg"]))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def _summary(registry: Registry, asked: argparse.Namespace, channel: Channel, version: str) -> dict[str, Any]:
    """A package that cannot be used is listed all the same, with the reason. Those in use are loaded to find out."""
    use = _use(channel, version)
    row: dict[str, Any] = {"version": version, "used_as": use, "trained_until": None, "ndcg": None}
    try:
        manifest = registry.manifest(asked.kind, asked.cohort, version)
        row |= {"trained_until": manifest.trained_until, "ndcg": _ndcg(manifest)}
        if gone := registry.missing(asked.kind, asked.cohort, manifest):
            raise BadModel(f"a file is missing: {', '.join(gone)}")
        if version in channel.versions:
            registry.check(asked.kind, asked.cohort, version)
    except (BadModel, UnknownVersion) as error:
        return row | {"used_as": (f"{use}, but " if use else "") + f"cannot be used: {error.__cause__ or error}"}
    return row


def _ndcg(manifest: Manifest) -> float | None:
    """NDCG@10 of the model on its hold-out, if that is told as training tells it."""
    found: Any = manifest.metrics
    for name in ("model", "ndcg@10", "mean"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def _use(channel: Channel, version: str) -> str:
    tried = channel.experiment
    uses = [
        ("promoted", version == channel.promoted),
        ("shadow", version == channel.shadow),
        (
            f"experiment {tried.name}, {tried.share:.0%}" if tried else "",
            tried is not None and tried.version == version,
        ),
        ("promoted before", version in channel.history and version != channel.promoted),
    ]
    return ", ".join(words for words, there in uses if there)


def _show(registry: Registry, asked: argparse.Namespace) -> None:
    manifest: Manifest = registry.manifest(asked.kind, asked.cohort, asked.version)
    if asked.json:
        _print_json(asdict(manifest))
        return
    channel, damage = _channel(registry, asked)
    use = "its channel is damaged" if damage else _use(channel, asked.version) or "not in use"
    print(f"{manifest.kind}/{manifest.cohort}/{manifest.version}: {use}")
    print(f"learned from events until {_date(manifest.trained_until)}")
    print(f"{len(manifest.features)} features, {manifest.trees} trees")
    for title, content in (("counts", manifest.counts), ("metrics", manifest.metrics), ("settings", manifest.settings)):
        print(f"{title}:" + ("" if content else " none told"))
        _print_nested(content, "  ")


def _print_nested(content: Mapping[str, Any], margin: str) -> None:
    """One line a value; of an estimate its mean and interval are on one line."""
    for name, value in content.items():
        if isinstance(value, Mapping) and {"mean", "low", "high"} <= value.keys():
            mean, low, high = (_number(value[part]) for part in ("mean", "low", "high"))
            print(f"{margin}{name}: {mean} ({low} to {high})")
        elif isinstance(value, Mapping) and value:
            print(f"{margin}{name}:")
            _print_nested(value, margin + "  ")
        else:
            print(f"{margin}{name}: {_words(value)}")


def _words(value: object) -> str:
    if isinstance(value, list | tuple | Mapping):
        return ", ".join(_number(part) for part in value) or "none"
    return _number(value)


def _promote(registry: Registry, asked: argparse.Namespace) -> None:
    registry.promote(asked.kind, asked.cohort, asked.version)
    print(f"{_name(asked, asked.version)} is promoted: running services take it within 10 seconds.")


def _rollback(registry: Registry, asked: argparse.Namespace) -> None:
    """Goes back first: whoever rolls back is in a hurry. Then it says if that was no good."""
    now = registry.rollback(asked.kind, asked.cohort).promoted
    if now is None:
        print(f"Rolled back: the built-in ranker for {asked.kind}/{asked.cohort} answers within 10 seconds.")
        return
    try:
        registry.check(asked.kind, asked.cohort, now)
    except (BadModel, UnknownVersion) as error:
        print(f"Rolled back to {_name(asked, now)}.")
        print(
            f"But {error}. Services that hold a copy of it answer with that, others with the newest that was promoted "
            "before it and can be used, else with the built-in ranker: roll back further, or promote another.",
            file=sys.stderr,
        )
    else:
        print(f"Rolled back: {_name(asked, now)} answers within 10 seconds.")


def _shadow(registry: Registry, asked: argparse.Namespace) -> None:
    registry.set_shadow(asked.kind, asked.cohort, asked.version)
    print(f"{_name(asked, asked.version)} is the shadow." if asked.version else "There is no shadow any more.")


def _split(registry: Registry, asked: argparse.Namespace) -> None:
    if asked.off:
        registry.set_experiment(asked.kind, asked.cohort, None)
        print("The experiment has ended.")
        return
    registry.set_experiment(asked.kind, asked.cohort, Experiment(asked.name, asked.version, asked.share))
    print(f"Experiment {asked.name}: {_name(asked, asked.version)} answers {asked.share:.0%} of listeners.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rhythmiq_recommender.models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[Registry, argparse.Namespace], None]) -> argparse.ArgumentParser:
        found = commands.add_parser(name)
        found.set_defaults(do=do)
        found.add_argument("--kind", default="track")
        found.add_argument("--cohort", default="all")
        return found

    command("list", _list).add_argument("--json", action="store_true")
    show = command("show", _show)
    show.add_argument("version")
    show.add_argument("--json", action="store_true")
    command("promote", _promote).add_argument("version")
    command("rollback", _rollback)
    shadow = command("shadow", _shadow).add_mutually_exclusive_group(required=True)
    shadow.add_argument("version", nargs="?")
    shadow.add_argument("--off", action="store_true")
    split = command("split", _split)
    split.add_argument("name", nargs="?")
    split.add_argument("version", nargs="?")
    split.add_argument("--share", type=float, default=0.1)
    split.add_argument("--off", action="store_true")
    return parser


def _name(asked: argparse.Namespace, version: str) -> str:
    return f"{asked.kind}/{asked.cohort}/{version}"


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _print_json(content: object) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes") if seconds else "not known"


def _number(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else "not known" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
