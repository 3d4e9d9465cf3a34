"""Copies of what another service, or the database, says of profiles, kept as long as a change feed vouches for them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from rhythmiq_mesh.change_feed import HOLD, SILENCE
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import MeshError

log = logging.getLogger("rhythmiq.copies")

T = TypeVar("T")
Watch = Callable[[], AsyncGenerator[Sequence[str], None]]

LIFE: Final = 300.0
"""Seconds that a copy lives at most, whatever the feed says."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0
_FOREVER: Final = 3600.0


class Copy(NamedTuple, Generic[T]):
    """A value, and for how many seconds it is a copy: 0 when it was asked for just now."""

    value: T
    age: float = 0.0


class _Kept(NamedTuple, Generic[T]):
    value: T
    size: int
    asked: float
    until: float


class Copies(Generic[T]):
    """Answers from copies where that is as good as asking, and asks otherwise.

    Nobody is answered with less than a question asked at that moment would have found, but for what the feed has not
    told yet. Of the profiles asked for least recently the copies go first. Without a feed that works every question is
    asked, just as without copies.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[T]],
        *,
        most: int,
        size: Callable[[T], int] = lambda _: 1,
        life: Callable[[T], float] = lambda _: LIFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Copies of a total `size` of at most `most` are kept; by default it counts profiles.

        `life` is for how many seconds of LIFE a value is true when nothing changes.
        """
        self._ask = ask
        self._most = most
        self._size = size
        self._life = life
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()
        self._total = 0
        self._asking: dict[str, asyncio.Task[T]] = {}
        self._named: set[str] = set()
        self._named_before: set[str] = set()
        self._turn = 0.0
        self._vouched_until = float("-inf")

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, profile_id: str) -> Copy[T]:
        """The value of a profile. Raises what asking raises, and DeadlineExceeded."""
        now = self._clock()
        if now >= self._vouched_until:
            return Copy(await self._ask(profile_id))
        kept = self._kept.get(profile_id)
        if kept is not None and now < kept.until:
            self._kept.move_to_end(profile_id)
            return Copy(kept.value, now - kept.asked)
        if self._on_hold(profile_id, now):
            return Copy(await self._ask(profile_id))
        return await self._asked(profile_id, now)

    def begin(self) -> None:
        """From now on the feed names every change."""
        self._void()
        self._heard()

    def name(self, profile_ids: Iterable[str]) -> None:
        """These change or have changed; none: nothing was missed."""
        now = self._clock()
        if now >= self._vouched_until:
            self._void()
        self._heard()
        self._turn_over(now)
        for profile_id in profile_ids:
            self._forget(profile_id)
            self._asking.pop(profile_id, None)
            self._named.add(profile_id)

    def end(self) -> None:
        """The feed has ended."""
        self._vouched_until = float("-inf")
        self._void()

    def _heard(self) -> None:
        self._vouched_until = self._clock() + SILENCE

    def _void(self) -> None:
        self._kept.clear()
        self._total = 0
        self._asking.clear()

    def _forget(self, profile_id: str) -> None:
        gone = self._kept.pop(profile_id, None)
        if gone is not None:
            self._total -= gone.size

    def _on_hold(self, profile_id: str, now: float) -> bool:
        self._turn_over(now)
        return profile_id in self._named or profile_id in self._named_before

    def _turn_over(self, now: float) -> None:
        """Two generations, so that forgetting costs nothing; a profile is on hold for one HOLD to two."""
        if now >= self._turn + HOLD:
            self._named_before = self._named if now < self._turn + 2 * HOLD else set()
            self._named = set()
            self._turn = now

    async def _asked(self, profile_id: str, now: float) -> Copy[T]:
        """Asks, once for all who want to know at the same time."""
        asking = self._asking.get(profile_id)
        if asking is None:
            asking = asyncio.create_task(self._ask_for_all(profile_id))
            self._asking[profile_id] = asking
            asking.add_done_callback(lambda done: self._answered(profile_id, done, now))
        # Whoever leaves, or has less time, leaves it to the others.
        while not asking.done():
            await asyncio.wait({asking}, timeout=remaining(_FOREVER))
        return Copy(asking.result(), self._clock() - now)

    async def _ask_for_all(self, profile_id: str) -> T:
        set_deadline(None)  # of this task alone
        return await self._ask(profile_id)

    def _answered(self, profile_id: str, done: asyncio.Task[T], asked: float) -> None:
        current = self._asking.get(profile_id) is done
        if current:
            del self._asking[profile_id]
        # A value that was on its way while its profile was named may be from before.
        if done.cancelled() or done.exception() is not None or not current:
            return
        value = done.result()
        until = asked + min(LIFE, self._life(value))
        self._forget(profile_id)
        if until > self._clock():
            self._kept[profile_id] = kept = _Kept(value, self._size(value), asked, until)
            self._total += kept.size
            while self._total > self._most:
                self._forget(next(iter(self._kept)))


class Vouched(Protocol):
    """What a feed vouches for."""

    def begin(self) -> None: ...

    def name(self, profile_ids: Iterable[str]) -> None: ...

    def end(self) -> None: ...


class Follower:
    """Follows a feed on behalf of copies, and begins anew when it ends. For `Server.background`."""

    def __init__(
        self,
        watch: Watch,
        copies: Sequence[Vouched],
        *,
        of: str,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`of` names for a person what the feed tells about."""
        self._watch = watch
        self._copies = copies
        self._of = of
        self._pause = pause

    async def __call__(self) -> None:
        """Until cancelled."""
        seconds = _FIRST_PAUSE
        while True:
            try:
                async with aclosing(self._watch()) as feed:
                    begun = False
                    async for profile_ids in feed:
                        self._take(profile_ids, begun=begun)
                        begun, seconds = True, _FIRST_PAUSE
            except MeshError as error:
                if seconds == _FIRST_PAUSE:
                    log.info("no copies for now", extra={"of": self._of, "detail": error.message})
            finally:
                for copies in self._copies:
                    copies.end()
            await self._pause(seconds)
            seconds = min(2 * seconds, _LAST_PAUSE)

    def _take(self, profile_ids: Sequence[str], *, begun: bool) -> None:
        for copies in self._copies:
            if not begun:
                copies.begin()
            copies.name(profile_ids)
