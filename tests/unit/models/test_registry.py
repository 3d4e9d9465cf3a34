"""The registry keeps packages and channels: what is promoted was checked, what is written is whole."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from model_packages import made

from rhythmiq_recommender.learning.package import MANIFEST, MODEL, SIGNALS, BadModel, load
from rhythmiq_recommender.models.channels import BadChannel, Channel, Experiment, channel_of
from rhythmiq_recommender.models.registry import ChannelChanged, OtherPromoted, Registry, UnknownVersion, VersionExists
from rhythmiq_recommender.models.store import ATTEMPTS, BadStore, Store, StoreUnavailable

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


def test_a_version_without_a_manifest_is_none(local: Registry, tmp_path: Path) -> None:
    published(local, tmp_path, "v1", "v2")
    (tmp_path / "models" / "packages" / "track" / "all" / "v2" / MANIFEST).unlink()
    assert local.versions(*TRACK) == ["v1"]
    with pytest.raises(UnknownVersion):
        local.manifest(*TRACK, "v2")


def test_an_address_that_nobody_understands_is_refused() -> None:
    with pytest.raises(BadStore, match="not an address"):
        Registry("nowhere://x")
