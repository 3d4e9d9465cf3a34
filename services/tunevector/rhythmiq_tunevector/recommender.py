"""The recommender service over gRPC."""

from __future__ import annotations

import grpc
from google.rpc.code_pb2 import NOT_FOUND

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc, recommender_pb2, recommender_pb2_grpc
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.interceptors.errors import RemoteError
from rhythmiq_mesh.names import profile_name
from rhythmiq_tunevector.messages import (
    degradation_of,
    environment_message,
    environment_use_of,
    filter_message,
    preference_use_of,
    reason_of,
    seeds_message,
    tuning_message,
)
from rhythmiq_tunevector.model import Candidate, Item, Kind, Mode
from rhythmiq_tunevector.ports import Query, Recommendations

RETRIED = (
    "rhythmiq.recommender.v1.RecommenderService/Recommend",
    "rhythmiq.recommender.v1.CatalogService/GetItem",
)
"""Methods that change nothing, and so may be repeated."""
MAX_ARTISTS = 20
"""Artists that a list keeps of an item, so that 500 items with their names always fit into one document."""
_KINDS = {
    Kind.PLAYLIST: item_pb2.Item.TRACK,
    Kind.PODCAST: item_pb2.Item.PODCAST_EPISODE,
    Kind.SOUNDSCAPE: item_pb2.Item.SOUNDSCAPE,
}
_MODES = {
    Mode.USER_GUIDED: recommender_pb2.RecommendRequest.USER_GUIDED,
    Mode.AI_DRIVEN: recommender_pb2.RecommendRequest.AI_DRIVEN,
}


class GrpcRecommender:
    """Asks the recommender service on the caller's behalf. Timeouts in seconds."""

    def __init__(
        self, channel: grpc.aio.Channel, *, recommend_timeout: float = 10.0, item_timeout: float = 3.0
    ) -> None:
        self._recommender = recommender_pb2_grpc.RecommenderServiceStub(channel)
        self._catalog = item_pb2_grpc.CatalogServiceStub(channel)
        self._recommend_timeout = recommend_timeout
        self._item_timeout = item_timeout

    async def recommend(self, query: Query) -> Recommendations:
        answer = await invoke(
            self._recommender.Recommend, _request(query), timeout=self._recommend_timeout, peer="recommender"
        )
        return Recommendations(
            candidates=[_candidate(one) for one in answer.recommendations],
            environment=[environment_use_of(use) for use in answer.environment],
            preferences=[preference_use_of(use) for use in answer.preferences],
            ranker=answer.ranker,
            degradations=[degradation_of(one) for one in answer.degradations],
        )

    async def item(self, name: str) -> Item | None:
        try:
            answer = await invoke(
                self._catalog.GetItem,
                item_pb2.GetItemRequest(name=name),
                timeout=self._item_timeout,
                peer="recommender",
            )
        except RemoteError as error:
            if error.status.code == NOT_FOUND:
                return None
            raise
        return _item(answer)


def _request(query: Query) -> recommender_pb2.RecommendRequest:
    return recommender_pb2.RecommendRequest(
        parent=profile_name(query.profile_id),
        kind=_KINDS[query.kind],
        count=query.count,
        environment=environment_message(query.environment),
        tuning=tuning_message(query.tuning),
        seeds=seeds_message(query.seeds),
        exclude_items=query.exclude,
        filter=filter_message(query.filter),
        seed=query.seed,
        mode=_MODES[query.mode],
        diversity=None if query.varied else 0.0,
        # A list is kept and heard in its own order, without propensities: nothing could be learned from it.
        explore=False,
    )


def _candidate(message: recommender_pb2.Recommendation) -> Candidate:
    return Candidate(_item(message.item), message.score, tuple(reason_of(reason) for reason in message.reasons))


def _item(message: item_pb2.Item) -> Item:
    return Item(
        name=message.name,
        title=message.title,
        artists=tuple(message.artists[:MAX_ARTISTS]),
        duration=message.duration.ToTimedelta() if message.HasField("duration") else None,
        energy=message.features.energy if message.features.HasField("energy") else None,
    )
