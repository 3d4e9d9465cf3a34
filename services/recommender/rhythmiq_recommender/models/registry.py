"""The registry of models: packages by kind, cohort and version, and channels that say which of them answer.

    packages/<kind>/<cohort>/<version>/…    written once, manifest.json last: without one there is no such version
    channels/<kind>/<cohort>.json           see channels.Channel; written whole

A change of a channel reads it, and writes it with the next revision. In a store on this machine a lock makes that one
step. An object store has no such lock for everyone: of two changes within the same moment one is lost, and whoever lost
is told (ChannelChanged), except when both read back before either wrote. Promote from one place at a time.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rhythmiq_recommender.learning.package import MANIFEST, BadModel, Manifest, load, read_manifest
from rhythmiq_recommender.models.channels import (
    BadChannel,
    Channel,
    DamagedChannel,
    Experiment,
    Key,
    channel_of,
    check_version,
)
from rhythmiq_recommender.models.store import Store, StoreUnavailable, TooLarge

log = logging.getLogger("rhythmiq.models")

PACKAGES: Final = "packages"
CHANNELS: Final = "channels"


class UnknownVersion(LookupError):
    """The registry has no such version."""

    def __init__(self, key: Key, version: str) -> None:
        super().__init__(
            f"there is no model {key.kind}/{key.cohort}/{version}: `rhythmiq models list` says which there are"
        )


class VersionExists(ValueError):
    """Another package has been published under this version."""

    def __init__(self, key: Key, version: str) -> None:
        super().__init__(f"{key.kind}/{key.cohort}/{version} exists, with other content: publish under a new version")


class ChannelChanged(RuntimeError):
    """Someone else changed the channel at the same time."""

    def __init__(self, key: Key) -> None:
        super().__init__(
            f"the channel of {key.kind}/{key.cohort} was changed by someone else just now: look and repeat"
        )


class OtherPromoted(RuntimeError):
    """Not the version is promoted that was expected; `now` is, None for the prior."""

    def __init__(self, key: Key, now: str | None) -> None:
        super().__init__(f"{now or 'no model'} is promoted now for {key.kind}/{key.cohort}: somebody changed that")
        self.now = now


class Registry:
    """See the module. Every call may raise StoreUnavailable, and BadChannel for kinds and names that cannot be.

    Blocks: call it in a thread from an event loop.
    """

    def __init__(self, store: Store | str) -> None:
        self._store = Store(store) if isinstance(store, str) else store

    def publish(self, folder: Path, kind: str, cohort: str, version: str) -> None:
        """Stores the package in `folder`. Once more the same is nothing new.

        Raises BadModel for what could not be served as this, VersionExists.
        """
        key = Key(kind, cohort).check()
        try:
            manifest = _checked(folder, key, check_version(version))
        except BadModel as error:
            raise BadModel(f"the model {'/'.join(key)}/{version} cannot be published: {error}") from error
        at = _package(key, version)
        content = (folder / MANIFEST).read_bytes()
        try:
            if self._store.read(f"{at}/{MANIFEST}") != content:
                raise VersionExists(key, version)
        except FileNotFoundError:
            for name in manifest.files:  # the manifest comes last
                self._store.write(f"{at}/{name}", (folder / name).read_bytes())
            self._store.write(f"{at}/{MANIFEST}", content)

    def promote(
        self, kind: str, cohort: str, version: str, *, expected: tuple[str | None, ...] | None = None
    ) -> Channel:
        """Lets a version answer, after it was loaded as serving loads it.

        With `expected` only if one of these is promoted at that moment (None: the prior answers); without, a damaged
        channel is written anew. Raises UnknownVersion, BadModel, OtherPromoted, DamagedChannel.
        """
        key = Key(kind, cohort).check()
        self.check(*key, version)

        def promoting(channel: Channel) -> Channel:
            if expected is not None and channel.promoted not in expected:
                raise OtherPromoted(key, channel.promoted)
            return channel.promoting(version)

        return self._change(key, promoting, anew=expected is None)

    def rollback(self, kind: str, cohort: str) -> Channel:
        """Lets the version before answer again; before the first one that is the prior. Raises BadChannel."""
        return self._change(Key(kind, cohort).check(), Channel.back)

    def set_shadow(self, kind: str, cohort: str, version: str | None) -> Channel:
        """Lets a version score what is answered, without being shown. Raises UnknownVersion, BadModel."""
        key = Key(kind, cohort).check()
        if version is not None:
            self.check(*key, version)
        return self._change(key, lambda channel: replace(channel, shadow=version))

    def set_experiment(self, kind: str, cohort: str, experiment: Experiment | None) -> Channel:
        """Lets a version answer a share of the listeners; None ends it.

        Raises UnknownVersion, BadModel, and BadChannel for the promoted version: it would be compared with itself.
        """
        key = Key(kind, cohort).check()
        if experiment is not None:
            self.check(*key, experiment.check().version)

        def trying(channel: Channel) -> Channel:
            if experiment is not None and experiment.version == channel.promoted:
                raise BadChannel(
                    f"{experiment.version} is promoted: an experiment needs another version to compare with"
                )
            return replace(channel, experiment=experiment)

        return self._change(key, trying)

    def versions(self, kind: str, cohort: str) -> list[str]:
        """All that have been published, sorted by name."""
        key = Key(kind, cohort).check()
        found = self._store.names(f"{PACKAGES}/{key.kind}/{key.cohort}")
        return [version for version in found if self._has(key, version)]

    def manifest(self, kind: str, cohort: str, version: str) -> Manifest:
        """What a version says of itself. Raises UnknownVersion, BadModel."""
        key = Key(kind, cohort).check()
        try:
            content = self._store.read(f"{_package(key, check_version(version))}/{MANIFEST}")
        except FileNotFoundError:
            raise UnknownVersion(key, version) from None
        except TooLarge as error:
            raise BadModel(str(error)) from error
        with tempfile.TemporaryDirectory(prefix="rhythmiq-model-") as scratch:
            (Path(scratch) / MANIFEST).write_bytes(content)
            return read_manifest(Path(scratch))

    def channel(self, kind: str, cohort: str) -> Channel:
        """The channel; a new one, of revision 0, where none has been written. Raises DamagedChannel."""
        return self._read(Key(kind, cohort).check()) or Channel()

    def channels(self) -> dict[Key, bytes]:
        """The content of every channel's file, unread: one that is broken is no reason not to see the others."""
        found: dict[Key, bytes] = {}
        for kind in self._store.names(CHANNELS):
            for name in self._store.names(f"{CHANNELS}/{kind}"):
                key = Key(kind, name.removesuffix(".json"))
                try:
                    found[key.check()] = self._store.read(_channel(key))
                except TooLarge:
                    found[key] = b""  # no channel either
                except (BadChannel, FileNotFoundError):
                    continue  # not a channel, such as a lock; or gone in between
        return found

    def fetch(self, kind: str, cohort: str, version: str, folder: Path) -> None:
        """Copies a package to `folder`, which is there whole or not at all. Raises UnknownVersion, BadModel."""
        key = Key(kind, cohort).check()
        files = self.manifest(kind, cohort, version).files
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-"))
        except OSError as error:
            raise StoreUnavailable(f"cannot copy {'/'.join(key)}/{version} to {folder}: {error.strerror}") from error
        try:
            for name in (*files, MANIFEST):
                (unfinished / name).write_bytes(self._file(key, version, name))
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        except OSError as error:
            raise StoreUnavailable(f"cannot copy {'/'.join(key)}/{version} to {folder}: {error.strerror}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def check(self, kind: str, cohort: str, version: str) -> None:
        """Loads a package as serving loads it. Raises UnknownVersion, BadModel."""
        key = Key(kind, cohort).check()
        with tempfile.TemporaryDirectory(prefix="rhythmiq-model-") as scratch:
            folder = Path(scratch) / "package"
            try:
                self.fetch(*key, version, folder)
                _checked(folder, key, version)
            except BadModel as error:
                raise BadModel(f"the model {'/'.join(key)}/{version} cannot be used: {error}") from error

    def missing(self, kind: str, cohort: str, manifest: Manifest) -> list[str]:
        """Files that the package should have and has not."""
        there = self._store.names(_package(Key(kind, cohort).check(), check_version(manifest.version)))
        return [name for name in manifest.files if name not in there]

    def _file(self, key: Key, version: str, name: str) -> bytes:
        try:
            return self._store.read(f"{_package(key, version)}/{name}")
        except FileNotFoundError as error:
            raise BadModel(f"a file is missing: {name}") from error
        except TooLarge as error:
            raise BadModel(str(error)) from error

    def _has(self, key: Key, version: str) -> bool:
        try:
            self._store.read(f"{_package(key, check_version(version))}/{MANIFEST}")
        except (FileNotFoundError, BadChannel):
            return False
        except TooLarge:
            return True  # there it is, and why it cannot be used is said when it is read
        return True

    def _read(self, key: Key) -> Channel | None:
        try:
            return channel_of(self._store.read(_channel(key)))
        except FileNotFoundError:
            return None
        except (BadChannel, TooLarge) as error:
            raise DamagedChannel(
                f"the channel {self._store.url}/{_channel(key)} is damaged ({error}). What answers goes on; "
                f"`rhythmiq models promote VERSION --kind {key.kind} --cohort {key.cohort}` writes it anew"
            ) from error

    def _change(self, key: Key, change: Callable[[Channel], Channel], *, anew: bool = False) -> Channel:
        """With `anew` also a damaged channel."""
        with self._store.locked(f"{CHANNELS}/{key.kind}/.{key.cohort}.lock"):
            try:
                before = self._read(key) or Channel()
            except DamagedChannel:
                if not anew:
                    raise
                log.warning("The channel of %s was damaged: what was promoted before is forgotten.", "/".join(key))
                before = Channel()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            after = replace(change(before).since_when(before, now), revision=before.revision + 1, updated=now)
            self._store.write(_channel(key), after.to_json())
            if self._read(key) != after:
                raise ChannelChanged(key)
        return after


def _checked(folder: Path, key: Key, version: str) -> Manifest:
    """What the package says of itself. Raises BadModel unless it can be served as this."""
    manifest = load(folder).manifest
    require(manifest, key, version)
    return manifest


def require(manifest: Manifest, key: Key, version: str) -> None:
    """Raises BadModel for a package of something else."""
    said, wanted = (manifest.kind, manifest.cohort, manifest.version), (*key, version)
    if said != wanted:
        raise BadModel(f"it says that it is {'/'.join(said)}, not {'/'.join(wanted)}")


def _package(key: Key, version: str) -> str:
    return f"{PACKAGES}/{key.kind}/{key.cohort}/{version}"


def _channel(key: Key) -> str:
    return f"{CHANNELS}/{key.kind}/{key.cohort}.json"
