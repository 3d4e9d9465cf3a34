"""A small recommender behind a real gRPC server: it keeps the contract that callers rely on, over a catalogue that the
test sets, and ranks by one plain rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc, recommender_pb2, recommender_pb2_grpc
from rhythmiq.type.v1 import audio_pb2, environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.interceptors.errors import DETAILS_KEY
from rhythmiq_mesh.interceptors.principal import PAYLOAD_KEY
from rhythmiq_mesh.interceptors.validation import validate

Item = item_pb2.Item


def item(
    number: int, *, kind: Item.Kind.ValueType = Item.TRACK, energy: float | None = 0.5, milliseconds: int = 180_000
) -> Item:
    """An item with an id that follows from its number; 0 milliseconds: duration not known."""
    made = Item(
        name=f"items/00000000-0000-4000-8000-{number:012d}",
        external_id=f"test:{number}",
        kind=kind,
        title=f"Title {number}",
        artists=[f"Artist {number}"],
        features=audio_pb2.AudioFeatures(energy=energy),
    )
    if milliseconds:
        made.duration.FromMilliseconds(milliseconds)
    return made


class SmallRecommender(recommender_pb2_grpc.RecommenderServiceServicer, item_pb2_grpc.CatalogServiceServicer):
    """Recommends in the order of the catalogue; for runners the most energetic first. What is nearest to a target for
    energy comes before all of that.

    `requests` and `callers` are what was asked, and with which identity. Recommend waits until `open` is set.
    """

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.requests: list[recommender_pb2.RecommendRequest] = []
        self.callers: set[str] = set()
        self.degradations: list[recommender_pb2.Degradation] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    def stock(self, items: Iterable[Item]) -> None:
        """Replaces the catalogue."""
        self.items = {each.name: each for each in items}

    async def Recommend(
        self, request: recommender_pb2.RecommendRequest, context: Any
    ) -> recommender_pb2.RecommendResponse:
        validate(request)
        self._note(request, context)
        await self.open.wait()
        for seed in request.seeds.items:
            if seed not in self.items:
                await _refuse(context, "SEED_NOT_FOUND", f"{seed} does not exist")
        fitting = [each for each in self.items.values() if _fits(each, request)]
        if request.environment.activity == environment_pb2.Environment.RUNNING:
            fitting.sort(key=lambda each: -each.features.energy)
        if "energy" in request.tuning.features and request.tuning.features["energy"].HasField("target"):
            wanted = request.tuning.features["energy"].target
            fitting.sort(key=lambda each: abs(each.features.energy - wanted) if each.features.HasField("energy") else 1)
        chosen = fitting[: request.count]
        degradations = list(self.degradations)
        if len(chosen) < request.count:
            degradations.append(_degradation("catalog", "NOT_ENOUGH_ITEMS"))
        return recommender_pb2.RecommendResponse(
            recommendations=[_recommendation(each, rank) for rank, each in enumerate(chosen, 1)],
            environment=[
                recommender_pb2.EnvironmentUse(
                    kind=variable_pb2.Variable.AMBIENT_NOISE,
                    origin=recommender_pb2.EnvironmentUse.READING,
                    value=environment_pb2.Environment(ambient_noise_dba=61.5),
                    age=Duration(seconds=12),
                )
            ],
            preferences=[
                recommender_pb2.PreferenceUse(
                    name=f"{request.parent}/preferences/x",
                    type=preference_pb2.Preference.GENRE,
                    value="jazz",
                    weight=0.7,
                )
            ],
            ranker="small/1",
            degradations=degradations,
        )

    async def Explain(self, request: recommender_pb2.ExplainRequest, context: Any) -> recommender_pb2.ExplainResponse:
        return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")  # type: ignore[no-any-return]

    async def GetItem(self, request: item_pb2.GetItemRequest, context: Any) -> Item:
        if request.name not in self.items:
            await _refuse(context, "ITEM_NOT_FOUND", f"{request.name} does not exist")
        return self.items[request.name]

    async def ListItems(self, request: item_pb2.ListItemsRequest, context: Any) -> item_pb2.ListItemsResponse:
        return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")  # type: ignore[no-any-return]

    async def DeleteItem(self, request: item_pb2.DeleteItemRequest, context: Any) -> Empty:
        return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")  # type: ignore[no-any-return]

    async def ImportItems(self, request_iterator: Any, context: Any) -> item_pb2.ImportItemsResponse:
        return await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")  # type: ignore[no-any-return]

    def _note(self, request: recommender_pb2.RecommendRequest, context: Any) -> None:
        self.requests.append(request)
        self.callers.update(value for key, value in context.invocation_metadata() if key == PAYLOAD_KEY)
        self.asked.set()


def _fits(candidate: Item, request: recommender_pb2.RecommendRequest) -> bool:
    if candidate.kind != (request.kind or Item.TRACK) or candidate.name in request.exclude_items:
        return False
    values = {"energy": candidate.features.energy if candidate.features.HasField("energy") else None}
    values["duration_ms"] = float(candidate.duration.ToMilliseconds()) if candidate.HasField("duration") else None
    for name, target in request.tuning.features.items():
        value = values.get(name)
        if target.HasField("min") and (value is None or value < target.min):
            return False
        if target.HasField("max") and (value is None or value > target.max):
            return False
    return True


def _recommendation(chosen: Item, rank: int) -> recommender_pb2.Recommendation:
    reason = recommender_pb2.Reason(
        group=recommender_pb2.Reason.OTHER, subject="catalogue", contribution=1 / rank, text="it stands there"
    )
    return recommender_pb2.Recommendation(item=chosen, rank=rank, score=1 / rank, reasons=[reason])


def _degradation(subject: str, reason: str) -> recommender_pb2.Degradation:
    return recommender_pb2.Degradation(subject=subject, reason=reason, text="said by the recommender")


async def _refuse(context: Any, reason: str, message: str) -> None:
    status = Status(code=5, message=message)
    status.details.add().Pack(ErrorInfo(reason=reason, domain="rhythmiq.dev"))
    await context.abort(
        grpc.StatusCode.NOT_FOUND, message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
    )
