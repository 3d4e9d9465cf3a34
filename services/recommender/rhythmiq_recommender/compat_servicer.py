"""rhythmiq.recommender.v1.CompatService: protobuf in, use case, protobuf out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import grpc

from rhythmiq.recommender.v1 import compat_pb2, compat_pb2_grpc, item_pb2
from rhythmiq_mesh.errors import FieldViolation, InvalidArgument
from rhythmiq_mesh.principal import current_principal
from rhythmiq_recommender.compat import Pool, RecommendLikeSpotify, SeedType, artist_id, parse_seeds
from rhythmiq_recommender.features import FEATURE_NAMES
from rhythmiq_recommender.situation import DEFAULT_COUNT, Target, Wish

Context = grpc.aio.ServicerContext[Any, Any]

_SPOTIFY: Final = "spotify:"
_PREVIEW: Final = "preview"


class CompatServicer(compat_pb2_grpc.CompatServiceServicer):
    """For the calling listener, whether or not they have a profile."""

    def __init__(self, recommend: RecommendLikeSpotify) -> None:
        self._recommend = recommend

    async def GetRecommendations(
        self, request: compat_pb2.GetRecommendationsRequest, context: Context
    ) -> compat_pb2.GetRecommendationsResponse:
        profile_id = current_principal().profile_id
        seeds = parse_seeds(request.seed_artists, request.seed_genres, request.seed_tracks)
        count = request.limit if request.HasField("limit") else DEFAULT_COUNT
        wish = Wish(profile_id=profile_id, count=count, tuning=_tuning(request))
        pools, answer = await self._recommend(wish, seeds)
        return compat_pb2.GetRecommendationsResponse(
            seeds=map(_seed, pools), tracks=[_track(answer.snapshot.item(pick.row)) for pick in answer.picks]
        )


def _tuning(request: compat_pb2.GetRecommendationsRequest) -> dict[str, Target]:
    """The min_*, max_* and target_* given. Raises InvalidArgument for a min above its max."""
    tuning = {name: target for name in FEATURE_NAMES if (target := _target(request, name)) is not None}
    crossed = [
        FieldViolation(f"min_{name}", f"must not be greater than max_{name}")
        for name, target in tuning.items()
        if target.min is not None and target.max is not None and target.min > target.max
    ]
    if crossed:
        raise InvalidArgument(crossed)
    return tuning


def _target(request: compat_pb2.GetRecommendationsRequest, name: str) -> Target | None:
    given = {
        bound: float(getattr(request, f"{bound}_{name}"))
        for bound in ("min", "max", "target")
        if request.HasField(f"{bound}_{name}")  # type: ignore[arg-type]
    }
    return Target(**given) if given else None


def _seed(pool: Pool) -> compat_pb2.CompatSeed:
    seed = pool.seed
    return compat_pb2.CompatSeed(
        id=seed.given,
        type=seed.type.value,
        initial_pool_size=pool.initial,
        after_filtering_size=pool.after_filtering,
        after_relinking_size=pool.after_filtering,
        href=f"/{seed.name}" if seed.type is SeedType.TRACK else "",
    )


def _track(item: item_pb2.Item) -> compat_pb2.CompatTrack:
    spotify_id = item.external_id.removeprefix(_SPOTIFY) if item.external_id.startswith(_SPOTIFY) else ""
    track = compat_pb2.CompatTrack(
        id=spotify_id or item.uid,
        name=item.title,
        artists=map(_artist, item.artists),
        external_ids=item.other_ids,
        external_urls=dict(_pages(item)),
        preview_url=item.links.get(_PREVIEW, ""),
        type="track",
        uri=f"spotify:track:{spotify_id}" if spotify_id else f"rhythmiq:track:{item.uid}",
        href=f"/{item.name}",
    )
    if item.HasField("duration"):
        track.duration_ms = item.duration.ToMilliseconds()
    if item.HasField("explicit"):
        track.explicit = item.explicit
    if item.HasField("popularity"):
        track.popularity = round(item.popularity)
    if item.HasField("release_date"):
        track.album.CopyFrom(_album(item))
    return track


def _pages(item: item_pb2.Item) -> Iterator[tuple[str, str]]:
    return ((purpose, link) for purpose, link in item.links.items() if purpose != _PREVIEW)


def _artist(name: str) -> compat_pb2.CompatArtist:
    own_id = artist_id(name)
    return compat_pb2.CompatArtist(id=own_id, name=name, type="artist", uri=f"rhythmiq:artist:{own_id}")


def _album(item: item_pb2.Item) -> compat_pb2.CompatAlbum:
    date = item.release_date
    parts = [f"{date.year:04d}", *(f"{part:02d}" for part in (date.month, date.day) if part)]
    precision = ("year", "month", "day")[len(parts) - 1]
    return compat_pb2.CompatAlbum(release_date="-".join(parts), release_date_precision=precision, type="album")
