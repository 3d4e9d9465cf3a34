"""The registry keeps packages and channels: what is promoted was checked, what is written is whole."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from model_packages import made

from rhythmiq_recommender.learning import package
from rhythmiq_recommender.learning.package import MANIFEST, MODEL, SIGNALS, BadModel, load
from rhythmiq_recommender.models.channels import BadChannel, Channel, DamagedChannel, Experiment, channel_of
from rhythmiq_recommender.models.registry import ChannelChanged, OtherPromoted, Registry, UnknownVersion, VersionExists
from rhythmiq_recommender.models.store import ATTEMPTS, MARKER, MOST_BYTES, BadStore, Store, StoreUnavailable

TRACK = ("track", "all")


@pytest.fixture(params=["file", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    address = f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/models"
    return Registry(address)


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    return Registry(f"file://{tmp_path}/models")


def published(registry: Registry, tmp_path: Path, *versions: str) -> Registry:
    for version in versions:
        registry.publish(made(tmp_path / f"made-{version}", version), *TRACK, version)
    return registry


def test_what_was_published_comes_back_as_it_was(registry: Registry, tmp_path: Path) -> None:
    assert registry.versions(*TRACK) == []
    published(registry, tmp_path, "v1", "v2")
    assert registry.versions(*TRACK) == ["v1", "v2"]
    assert registry.manifest(*TRACK, "v2").version == "v2"
    registry.fetch(*TRACK, "v1", tmp_path / "back")
    for name in (MANIFEST, MODEL, SIGNALS):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "made-v1" / name).read_bytes()
    assert load(tmp_path / "back").manifest.version == "v1"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".unfinished")) == []


def test_a_version_is_written_once(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1", "v1")
    other = made(tmp_path / "other", "v1", rounds=10)
    with pytest.raises(VersionExists, match="publish under a new version"):
        registry.publish(other, *TRACK, "v1")
    assert registry.manifest(*TRACK, "v1").trees == 20


def test_promotions_are_gone_back_along_one_by_one_to_the_prior(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1", "v2", "v3")
    assert registry.channel(*TRACK) == Channel()
    for version in ("v1", "v2", "v3"):
        registry.promote(*TRACK, version)
    assert registry.channel(*TRACK).history == ("v3", "v2", "v1")
    assert [registry.rollback(*TRACK).promoted for _ in range(3)] == ["v2", "v1", None]
    with pytest.raises(BadChannel, match="nothing to go back"):
        registry.rollback(*TRACK)
    channel = registry.channel(*TRACK)
    assert (channel.revision, channel.promoted, channel.history) == (6, None, ())
    assert channel.updated


def test_a_version_promoted_again_is_in_the_history_once(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1", "v2")
    for version in ("v1", "v2", "v1"):
        registry.promote(*TRACK, version)
    assert registry.channel(*TRACK).history == ("v1", "v2")


def test_shadow_and_experiment_end_when_their_version_is_promoted(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1", "v2")
    registry.promote(*TRACK, "v1")
    registry.set_shadow(*TRACK, "v2")
    channel = registry.set_experiment(*TRACK, Experiment("more trees", "v2", 0.2))
    assert channel.versions == ("v1", "v2")
    assert registry.channel(*TRACK) == channel
    assert registry.set_shadow(*TRACK, None).shadow is None
    registry.set_shadow(*TRACK, "v2")
    channel = registry.promote(*TRACK, "v2")
    assert (channel.promoted, channel.shadow, channel.experiment) == ("v2", None, None)
    assert registry.set_experiment(*TRACK, None).experiment is None


def test_what_could_not_be_served_is_neither_published_nor_promoted(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1")
    with pytest.raises(BadModel, match="it says that it is track/all/v1, not track/all/v9"):
        local.publish(tmp_path / "made-v1", *TRACK, "v9")
    with pytest.raises(BadModel, match="not podcast_episode/all/v1"):
        local.publish(tmp_path / "made-v1", "podcast_episode", "all", "v1")
    shutil.copytree(tmp_path / "made-v1", tmp_path / "cut")
    (tmp_path / "cut" / MODEL).write_bytes((tmp_path / "cut" / MODEL).read_bytes()[:1000])
    with pytest.raises(BadModel, match="truncated or changed"):
        local.publish(tmp_path / "cut", *TRACK, "v1")
    with pytest.raises(UnknownVersion, match="rhythmiq models"):
        local.promote(*TRACK, "v2")
    # What went bad in the store since.
    at = tmp_path / "models" / "packages" / "track" / "all"
    (at / "v1" / SIGNALS).write_bytes(b"something else")
    with pytest.raises(BadModel, match="truncated or changed"):
        local.promote(*TRACK, "v1")
    (at / "v1" / SIGNALS).unlink()
    with pytest.raises(BadModel, match="a file is missing"):
        local.promote(*TRACK, "v1")
    assert local.channel(*TRACK) == Channel()
    assert not (tmp_path / "models" / "channels" / "track" / "all.json").exists()


@pytest.mark.parametrize("name", ["../../etc", "", ".hidden", "a/b", "x" * 101])
def test_names_that_would_leave_their_folder_are_refused(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadChannel):
        registry.fetch(*TRACK, name, tmp_path / "out")
    with pytest.raises(BadChannel):
        registry.promote("track", name or "nobody", "v1")
    with pytest.raises(BadChannel):
        registry.channel(name, "all")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"revision": 1, "promoted": "../v1", "history": []}',
        b'{"revision": 1, "promoted": 7, "history": []}',
        b'{"revision": 1, "promoted": null, "history": [], "experiment": {"name": "x", "version": "v1", "share": 2}}',
        b'{"revision": 1, "promoted": null, "history": [], "experiment": {"name": "x"}}',
        b'{"revision": 1, "promoted": null, "history": [], "experiment": {"name": "x", "version": "v", "share": "a"}}',
    ],
)
def test_a_file_that_is_no_channel_is_refused(content: bytes) -> None:
    with pytest.raises(BadChannel):
        channel_of(content)


def test_changes_at_the_same_moment_are_all_made(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1", "v2", "v3", "v4")
    threads = [
        threading.Thread(target=Registry(f"file://{tmp_path}/models").promote, args=(*TRACK, version))
        for version in ("v1", "v2", "v3", "v4")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    channel = local.channel(*TRACK)
    assert channel.revision == 4
    assert set(channel.history) == {"v1", "v2", "v3", "v4"}


def test_a_promotion_that_expects_another_one_before_it_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1", "v2", "v3")
    registry.promote(*TRACK, "v1", expected=(None,))
    registry.promote(*TRACK, "v2")
    with pytest.raises(OtherPromoted, match="v2 is promoted now") as caught:
        registry.promote(*TRACK, "v3", expected=("v1", "v3"))
    assert (caught.value.now, registry.channel(*TRACK).promoted) == ("v2", "v2")
    assert registry.promote(*TRACK, "v3", expected=("v2", "v3")).promoted == "v3"
    for _ in range(3):
        registry.rollback(*TRACK)
    with pytest.raises(OtherPromoted, match="no model is promoted now"):
        registry.promote(*TRACK, "v1", expected=("v3",))


def test_what_is_promoted_while_a_model_is_loaded_is_seen(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/models"
    published(Registry(address), tmp_path, "v1", "v2")

    class Slow(Store):
        """Somebody promotes another model while ours is read to be checked."""

        def read(self, path: str) -> bytes:
            if path.endswith(f"v2/{MODEL}"):
                Registry(address).promote(*TRACK, "v1")
            return super().read(path)

    with pytest.raises(OtherPromoted):
        Registry(Slow(address)).promote(*TRACK, "v2", expected=(None,))
    assert Registry(address).channel(*TRACK).promoted == "v1"


class Hasty(Store):
    """A store where someone else writes right after each of our writes."""

    def write(self, path: str, content: bytes) -> None:
        super().write(path, content)
        super().write(path, Channel(revision=1, promoted="other", history=("other",)).to_json())


def test_a_change_that_got_lost_is_told(tmp_path: Path) -> None:
    published(Registry(f"file://{tmp_path}/models"), tmp_path, "v1")
    with pytest.raises(ChannelChanged, match="by someone else"):
        Registry(Hasty(f"file://{tmp_path}/models")).promote(*TRACK, "v1")


def test_a_store_that_is_away_is_said_after_a_few_attempts(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the store should be")
    pauses: list[float] = []
    registry = Registry(Store(f"file://{tmp_path}/models", pause=pauses.append))
    with pytest.raises(StoreUnavailable, match="models"):
        published(registry, tmp_path, "v1")
    assert len(pauses) == ATTEMPTS - 1
    assert pauses == sorted(pauses)


def test_a_store_that_comes_back_between_attempts_is_read(tmp_path: Path) -> None:
    root = tmp_path / "models"
    root.write_text("in the way")

    def clear(_: float) -> None:
        root.unlink(missing_ok=True)

    published(Registry(Store(f"file://{root}", pause=clear)), tmp_path, "v1")
    assert Registry(f"file://{root}").versions(*TRACK) == ["v1"]


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another volume"])
def test_a_store_that_has_vanished_is_not_taken_for_an_empty_one(local: Registry, tmp_path: Path, left: str) -> None:
    published(local, tmp_path, "v1", "v2")
    local.promote(*TRACK, "v1")
    root, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    root.rename(elsewhere)
    if left != "nothing":
        root.mkdir()
    if left == "another volume":
        (root / "lost+found").mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    registry = Registry(Store(f"file://{root}/", pause=lambda _: None))
    attempts: list[Callable[[], object]] = [
        lambda: registry.versions(*TRACK),
        lambda: registry.channel(*TRACK),
        registry.channels,
        lambda: registry.promote(*TRACK, "v2"),
        lambda: registry.rollback(*TRACK),
        lambda: registry.publish(tmp_path / "made-v2", *TRACK, "v2"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match=r"is gone.*\.models\.made"):
            attempt()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    # It comes back; or somebody says that it never will.
    shutil.rmtree(root, ignore_errors=True)
    elsewhere.rename(root)
    assert registry.channel(*TRACK).promoted == "v1"
    shutil.rmtree(root)
    (tmp_path / ".models.made").unlink()
    published(registry, tmp_path, "v2")
    assert registry.versions(*TRACK) == ["v2"]


def test_a_store_of_before_there_were_markers_is_read_and_marked(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1")
    (tmp_path / "models" / MARKER).unlink()
    (tmp_path / ".models.made").unlink()
    assert local.versions(*TRACK) == ["v1"]
    local.promote(*TRACK, "v1")
    assert (tmp_path / "models" / MARKER).exists()
    assert (tmp_path / ".models.made").exists()


@pytest.mark.parametrize("harm", ["no store", "no lock", "no folder of channels"])
def test_whatever_the_disk_refuses_is_a_store_that_is_away(local: Registry, tmp_path: Path, harm: str) -> None:
    published(local, tmp_path, "v1", "v2")
    local.promote(*TRACK, "v1")
    models = tmp_path / "models"
    at = {"no store": models, "no lock": models / "channels" / "track" / ".all.lock"}.get(harm, models / "channels")
    if at.is_dir():
        shutil.rmtree(at)
        at.write_text("in the way")
    else:
        at.unlink()
        at.mkdir()
    registry = Registry(Store(f"file://{models}", pause=lambda _: None))
    changes: list[Callable[[], object]] = [
        lambda: registry.rollback(*TRACK),
        lambda: registry.promote(*TRACK, "v2"),
        lambda: registry.set_shadow(*TRACK, None),
        lambda: registry.set_experiment(*TRACK, None),
    ]
    for change in changes:
        with pytest.raises(StoreUnavailable):
            change()


def test_a_copy_that_finds_no_place_is_told_and_leaves_nothing(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot copy track/all/v1"):
        local.fetch(*TRACK, "v1", tmp_path / "file" / "copy")
    (tmp_path / "copies" / "v1").mkdir(parents=True)
    (tmp_path / "copies" / "v1").rmdir()
    (tmp_path / "copies" / "v1").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot copy"):
        local.fetch(*TRACK, "v1", tmp_path / "copies" / "v1")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["v1"]


def test_what_is_too_large_to_be_promoted_is_not_published(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(package.MOST_BYTES.values()) == MOST_BYTES  # one limit
    folder = made(tmp_path / "large", "v1")
    monkeypatch.setitem(package.MOST_BYTES, SIGNALS, (folder / SIGNALS).stat().st_size - 1)
    with pytest.raises(BadModel, match=r"track/all/v1 cannot be published: signals.npz is larger than"):
        registry.publish(folder, *TRACK, "v1")
    assert registry.versions(*TRACK) == []


def test_a_file_that_has_grown_too_large_since_is_named(
    local: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(local, tmp_path, "v1")
    monkeypatch.setattr("rhythmiq_recommender.models.store.MOST_BYTES", 50_000)
    at = tmp_path / "models" / "packages" / "track" / "all" / "v1"
    (at / MODEL).write_bytes(b" " * 50_001)
    with pytest.raises(BadModel, match=r"the model track/all/v1 cannot be used: .*50,001 bytes"):
        local.promote(*TRACK, "v1")
    (at / MANIFEST).write_bytes(b" " * 50_001)
    assert local.versions(*TRACK) == ["v1"]
    with pytest.raises(BadModel, match="50,001 bytes"):
        local.manifest(*TRACK, "v1")
    channel = tmp_path / "models" / "channels" / "track" / "all.json"
    channel.parent.mkdir(parents=True, exist_ok=True)
    channel.write_bytes(b" " * 50_001)
    with pytest.raises(DamagedChannel, match="50,001 bytes"):
        local.channel(*TRACK)
    assert list(local.channels().values()) == [b""]


def test_a_damaged_channel_is_named_and_only_a_promotion_by_hand_writes_it_anew(
    local: Registry, tmp_path: Path
) -> None:
    published(local, tmp_path, "v1", "v2")
    local.promote(*TRACK, "v1")
    path = tmp_path / "models" / "channels" / "track" / "all.json"
    path.write_text("garbage")
    attempts: list[Callable[[], object]] = [
        lambda: local.channel(*TRACK),
        lambda: local.rollback(*TRACK),
        lambda: local.set_shadow(*TRACK, None),
        lambda: local.promote(*TRACK, "v2", expected=("v1", None)),
    ]
    for attempt in attempts:
        with pytest.raises(DamagedChannel, match=r"channels/track/all\.json is damaged .*promote VERSION"):
            attempt()
    assert path.read_text() == "garbage"
    assert local.promote(*TRACK, "v2").history == ("v2",)
    assert local.channel(*TRACK).promoted == "v2"


def test_an_experiment_keeps_its_start_until_something_in_it_is_another(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1", "v2", "v3")
    local.promote(*TRACK, "v1")
    tried = Experiment("autumn", "v2", 0.2)
    path = tmp_path / "models" / "channels" / "track" / "all.json"
    long_ago = "2026-03-01T00:00:00+00:00"

    def aged() -> None:
        """As if the channel had been written long ago."""
        content = json.loads(path.read_text())
        content["experiment"]["since"] = content["updated"] = long_ago
        path.write_text(json.dumps(content))

    def since(channel: Channel) -> str:
        assert channel.experiment is not None
        return channel.experiment.since

    channel = local.set_experiment(*TRACK, tried)
    assert since(channel) == channel.updated
    aged()
    assert since(local.set_shadow(*TRACK, "v3")) == long_ago
    assert since(local.set_experiment(*TRACK, tried)) == long_ago
    assert since(local.promote(*TRACK, "v1")) == long_ago
    changes: list[Callable[[], Channel]] = [
        lambda: local.set_experiment(*TRACK, Experiment("autumn", "v2", 0.3)),  # others are treated
        lambda: local.promote(*TRACK, "v3"),  # it is compared with another one
        lambda: local.rollback(*TRACK),
        lambda: local.set_experiment(*TRACK, Experiment("winter", "v2", 0.3)),
    ]
    for change in changes:
        channel = change()
        assert since(channel) == channel.updated > long_ago
        aged()


def test_an_experiment_written_before_starts_were_kept_began_when_the_channel_changed() -> None:
    old = '{"revision": 1, "promoted": null, "history": [], "updated": "%s", "experiment": %s}'
    tried = '{"name": "x", "version": "v1", "share": 0.5}'
    channel = channel_of((old % ("2026-03-01T00:00:00+00:00", tried)).encode())
    assert channel.experiment == Experiment("x", "v1", 0.5, "2026-03-01T00:00:00+00:00")
    channel = channel_of((old % ("", tried)).encode())
    assert channel.experiment == Experiment("x", "v1", 0.5, "1970-01-01T00:00:00+00:00")
    with pytest.raises(BadChannel):
        channel_of((old % ("yesterday", tried)).encode())


def test_the_promoted_model_is_not_compared_with_itself(registry: Registry, tmp_path: Path) -> None:
    published(registry, tmp_path, "v1")
    registry.promote(*TRACK, "v1")
    with pytest.raises(BadChannel, match="v1 is promoted: an experiment needs another version"):
        registry.set_experiment(*TRACK, Experiment("autumn", "v1", 0.5))
    assert registry.channel(*TRACK).experiment is None


def test_a_version_without_a_manifest_is_none(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1", "v2")
    (tmp_path / "models" / "packages" / "track" / "all" / "v2" / MANIFEST).unlink()
    assert local.versions(*TRACK) == ["v1"]
    with pytest.raises(UnknownVersion):
        local.manifest(*TRACK, "v2")


def test_an_address_that_nobody_understands_is_refused() -> None:
    with pytest.raises(BadStore, match="not an address"):
        Registry("nowhere://x")
