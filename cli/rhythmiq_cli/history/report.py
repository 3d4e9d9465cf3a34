"""What became of the entries of a history: counts that add up, and what the catalogue did not have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from rhythmiq_cli.history.listens import Listen

_SHOWN = 10
# Counted at once, of artists and of titles; where there are more, the rarest are forgotten on the way.
_COUNTED = 200_000
_TOP = 100


@dataclass
class Summary:
    """Counts of entries. `read` is the sum of those above the line; those below tell more of some of them."""

    # New interactions.
    recorded: int = 0
    # Interactions that were there before: of another import, or of two files that overlap.
    repeated: int = 0
    # Older than interactions are kept.
    expired: int = 0
    # Several items have that name.
    ambiguous: int = 0
    # Not in the catalogue.
    unmatched: int = 0
    # Heard in a private session, and left out.
    private: int = 0
    # Ended by a fault as soon as it began.
    interrupted: int = 0
    # Entries that cannot be read or were refused.
    rejected: int = 0
    # What a dry run would send.
    sendable: int = 0

    matched_by_id: int = 0
    matched_by_name: int = 0
    plays: int = 0
    completes: int = 0
    skips: int = 0
    # Entries of an interrupted run before, that this one did not send again (they are in the counts).
    resumed_at: int = 0
    first_rejections: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        return (
            self.recorded
            + self.repeated
            + self.expired
            + self.ambiguous
            + self.unmatched
            + self.private
            + self.interrupted
            + self.rejected
            + self.sendable
        )

    def counts(self) -> dict[str, int]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name in _COUNTS}

    @classmethod
    def resumed(cls, counts: Mapping[str, int], rows: int) -> Summary:
        """The summary of an interrupted run, by its `counts`."""
        summary = cls(resumed_at=rows)
        for name in _COUNTS:
            setattr(summary, name, int(counts.get(name, 0)))
        return summary

    def add(self, other: Summary) -> None:
        """Adds the counts of a part."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first_rejections += other.first_rejections[: _SHOWN - len(self.first_rejections)]

    def reject(self, where: str, line: int, rule: str) -> None:
        self.rejected += 1
        if len(self.first_rejections) < _SHOWN:
            self.first_rejections.append(f"{where}, line {line}: {rule}")


_COUNTS = frozenset(one.name for one in fields(Summary)) - {"resumed_at", "first_rejections"}


def line_of(outcome: str, where: str, line: int, listen: Listen | None, rule: str = "") -> str:
    """An entry that was not recorded, as the report prints it."""
    record: dict[str, object] = {"kind": "entry", "outcome": outcome, "file": where, "line": line}
    if listen is not None:
        record |= {"artist": listen.artist, "title": listen.title, "ids": list(listen.ids)}
    if rule:
        record["rule"] = rule
    return _json(record)


@dataclass(frozen=True)
class Missing:
    """What was listened to most of all that was not matched: `(artist, listens)` and `(artist, title, listens)`."""

    artists: list[tuple[str, int]]
    titles: list[tuple[str, str, int]]


def missing(journal: Iterable[str]) -> Missing:
    """Counts the unmatched and ambiguous entries of a journal, in bounded memory."""
    artists: Counter[str] = Counter()
    titles: Counter[tuple[str, str]] = Counter()
    for text in journal:
        record = json.loads(text)
        # Entries without a name (what has left the source since) would only crowd out those that can be looked for.
        if record["outcome"] in ("unmatched", "ambiguous") and record["title"]:
            artists[record["artist"]] += 1
            titles[record["artist"], record["title"]] += 1
            if len(titles) > 2 * _COUNTED:
                artists = Counter(dict(artists.most_common(_COUNTED)))
                titles = Counter(dict(titles.most_common(_COUNTED)))
    return Missing(artists.most_common(_TOP), [(*names, count) for names, count in titles.most_common(_TOP)])


def head_of_report(summary: Summary, found: Missing) -> Iterator[str]:
    """The lines of the report before the entries."""
    yield _json({"kind": "summary", **document(summary)})
    for artist, count in found.artists:
        yield _json({"kind": "missingArtist", "artist": artist, "listens": count})
    for artist, title, count in found.titles:
        yield _json({"kind": "missingTitle", "artist": artist, "title": title, "listens": count})


def document(summary: Summary) -> dict[str, int]:
    """The counts as JSON prints them."""
    counts = {_camel(name): count for name, count in summary.counts().items() if name != "sendable" or count}
    resumed = {"resumedAt": summary.resumed_at} if summary.resumed_at else {}
    return {"read": summary.read, **counts, **resumed}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _json(record: Mapping[str, object]) -> str:
    """JSON in UTF-8, also of a name whose bytes were none."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace").decode()
