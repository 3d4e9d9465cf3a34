"""Copies: never older than a question asked now would find, but for what the feed has not told yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest

from rhythmiq_mesh.change_feed import HOLD, SILENCE
from rhythmiq_mesh.copies import LIFE, Copies, Follower
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import DeadlineExceeded, Unavailable

ADA, BOB = "ada", "bob"


class Truth:
    """What is stored, by profile; answers wait while `open` is not set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stored: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.away = False

    async def ask(self, profile_id: str) -> int:
        self.asked[profile_id] += 1
        if self.away:
            raise Unavailable("away")
        found = self.stored.get(profile_id, 0)  # read first, told later: as over a network
        await self.open.wait()
        remaining(60.0)  # as every call and operation
        return found

    def copies(self, *, most: int = 100, life: float = LIFE) -> Copies[int]:
        return Copies(self.ask, most=most, life=lambda _: life, clock=lambda: self.now)


@pytest.fixture
async def truth() -> Truth:
    return Truth()


async def value(copies: Copies[int], profile_id: str = ADA) -> int:
    return (await copies.get(profile_id)).value


async def until_asked(truth: Truth, times: int) -> None:
    async with asyncio.timeout(10):
        while truth.asked[ADA] < times:
            await asyncio.sleep(0)


async def test_who_asks_again_is_answered_from_the_copy(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.stored[ADA] = 7
    assert [await value(copies) for _ in range(3)] == [7, 7, 7]
    assert truth.asked[ADA] == 1
    assert await value(copies, BOB) == 0


async def test_without_a_feed_every_question_is_asked(truth: Truth) -> None:
    copies = truth.copies()
    assert [await value(copies) for _ in range(2)] == [0, 0]
    copies.begin()
    copies.end()
    truth.stored[ADA] = 1
    assert await value(copies) == 1
    assert truth.asked[ADA] == 3
    assert len(copies) == 0


async def test_a_named_profile_is_asked_for_and_the_others_are_not(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    for who in (ADA, BOB):
        await value(copies, who)
    truth.stored = {ADA: 1, BOB: 1}
    copies.name([ADA])
    assert (await value(copies, ADA), await value(copies, BOB)) == (1, 0)


async def test_a_change_after_its_announcement_is_seen_however_long_before_the_next_word(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    copies.name([ADA])  # about to change
    assert await value(copies) == 0
    truth.stored[ADA] = 1
    assert await value(copies) == 1


async def test_a_profile_is_copied_again_once_it_has_been_quiet(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    copies.name([ADA])
    for seconds in (0.0, 0.5 * HOLD, 0.9 * HOLD):
        truth.now = 1000.0 + seconds
        await value(copies)
    assert truth.asked[ADA] == 3
    truth.now = 1000.0 + 2 * HOLD
    await value(copies)
    await value(copies)
    assert truth.asked[ADA] == 4


async def test_a_profile_named_at_the_end_of_a_turn_is_held_for_a_whole_one(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    copies.name([BOB])
    truth.now += 0.9 * HOLD
    copies.name([ADA])
    truth.now += 0.9 * HOLD
    for _ in range(2):
        await value(copies)
    assert truth.asked[ADA] == 2


async def test_an_answer_on_its_way_while_its_profile_is_named_is_not_kept(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.open.clear()
    early = asyncio.create_task(value(copies))
    await until_asked(truth, 1)
    truth.stored[ADA] = 1
    copies.name([ADA])
    late = asyncio.create_task(value(copies))
    await until_asked(truth, 2)
    truth.open.set()
    # Who asked before the change may get what was before it; who asked after it must not.
    assert (await early, await late) == (0, 1)
    assert len(copies) == 0
    assert await value(copies) == 1


@pytest.mark.parametrize("anew", [False, True])
async def test_an_answer_on_its_way_while_the_feed_breaks_is_not_kept(truth: Truth, anew: bool) -> None:
    copies = truth.copies()
    copies.begin()
    truth.open.clear()
    early = asyncio.create_task(value(copies))
    await until_asked(truth, 1)
    copies.end()
    if anew:
        copies.begin()
    truth.stored[ADA] = 1
    truth.open.set()
    assert await early == 0
    copies.begin()
    assert await value(copies) == 1


async def test_many_who_ask_at_the_same_time_cause_one_question(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.stored[ADA] = 5
    assert await asyncio.gather(*(value(copies) for _ in range(50))) == [5] * 50
    assert truth.asked[ADA] == 1


async def test_who_gives_up_leaves_the_answer_to_the_others(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.open.clear()
    truth.stored[ADA] = 5
    first, second = (asyncio.create_task(value(copies)) for _ in range(2))
    await until_asked(truth, 1)
    first.cancel()
    await asyncio.wait({first})
    truth.open.set()
    assert await second == 5
    assert truth.asked[ADA] == 1


async def test_a_short_deadline_is_its_callers_own(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.open.clear()

    async def hurried() -> int:
        set_deadline(0.01)
        return await value(copies)

    first = asyncio.create_task(hurried())
    await until_asked(truth, 1)
    second = asyncio.create_task(value(copies))
    with pytest.raises(DeadlineExceeded):
        await first
    truth.open.set()
    assert await second == 0
    assert truth.asked[ADA] == 1


async def test_a_failure_reaches_all_who_asked_and_is_not_kept(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    truth.away = True
    answers = await asyncio.gather(*(value(copies) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    truth.away = False
    assert await value(copies) == 0


async def test_a_feed_that_falls_silent_no_longer_vouches(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    await value(copies)
    truth.now += SILENCE
    truth.stored[ADA] = 1
    assert await value(copies) == 1
    # What it says later does not make copies from before the silence good again.
    copies.name(())
    truth.stored[ADA] = 2
    assert await value(copies) == 2


async def test_heartbeats_keep_copies_until_their_life_is_over(truth: Truth) -> None:
    copies = truth.copies()
    copies.begin()
    end = truth.now + LIFE
    while truth.now < end:
        copies.name(())
        await value(copies)
        truth.now += 1.0
    assert truth.asked[ADA] == 1
    copies.name(())
    await value(copies)
    assert truth.asked[ADA] == 2


async def test_a_value_is_kept_no_longer_than_it_is_true(truth: Truth) -> None:
    copies = truth.copies(life=2.0)
    copies.begin()
    await value(copies)
    truth.now += 1.5
    copy = await copies.get(ADA)
    assert (truth.asked[ADA], copy.age) == (1, 1.5)
    truth.now += 0.5
    await value(copies)
    assert truth.asked[ADA] == 2


async def test_memory_is_bounded_and_who_has_not_asked_for_longest_goes_first(truth: Truth) -> None:
    copies = truth.copies(most=3)
    copies.begin()
    for who in ("a", "b", "c", "a", "d"):
        await value(copies, who)
        assert len(copies) <= 3
    for who in ("a", "c", "d"):
        await value(copies, who)
    assert truth.asked == {"a": 1, "b": 1, "c": 1, "d": 1}
    await value(copies, "b")
    assert truth.asked["b"] == 2


async def test_large_values_take_the_place_of_many_small_ones(truth: Truth) -> None:
    copies = Copies(truth.ask, most=10, size=lambda found: found, clock=lambda: truth.now)
    copies.begin()
    truth.stored = {"a": 3, "b": 3, "c": 3, "large": 8, "too large": 11}
    for who in ("a", "b", "c", "large"):
        await value(copies, who)
    assert len(copies) == 1
    await value(copies, "too large")
    assert len(copies) == 0
    # Nothing of the room is lost.
    for who in ("a", "b", "c", "a", "b", "c"):
        await value(copies, who)
    copies.name(["a"])
    truth.now += 2 * HOLD
    await value(copies, "a")
    assert len(copies) == 3


async def test_random_orders_of_changes_words_and_answers_never_show_what_was_before_the_last_word(
    truth: Truth,
) -> None:
    """Each write is announced, done, and named again; a reader who starts after that must see it."""
    copies = truth.copies(most=2)
    copies.begin()

    async def write(who: str, number: int) -> None:
        copies.name([who])
        await asyncio.sleep(0)
        truth.stored[who] = number
        if number % 3:
            await asyncio.sleep(0)
        copies.name([who])
        truth.now += 0.3 * (number % 5)

    async def look(who: str) -> None:
        least = truth.stored.get(who, 0)
        assert await value(copies, who) >= least

    async def keep_looking(who: str) -> None:
        for _ in range(300):
            await look(who)
            await asyncio.sleep(0)

    async def keep_writing(who: str) -> None:
        for number in range(1, 100):
            await write(who, number)
            await asyncio.sleep(0)

    people = ("a", "b", "c")
    await asyncio.gather(*(keep_looking(who) for who in people * 3), *(keep_writing(who) for who in people))
    assert sum(truth.asked.values()) < 2700


class Feed:
    """A feed that says what the test wants; None ends it with a failure."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[Sequence[str] | None] = asyncio.Queue()
        self.watches = 0

    async def watch(self) -> AsyncGenerator[Sequence[str], None]:
        self.watches += 1
        while (word := await self.words.get()) is not None:
            yield word
        raise Unavailable("broken")


async def test_a_feed_that_ends_is_watched_again_ever_more_slowly_and_copies_are_void_between(truth: Truth) -> None:
    feed, copies = Feed(), truth.copies()
    pauses: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await go_on.wait()
        go_on.clear()

    running = asyncio.create_task(Follower(feed.watch, [copies], of="tests", pause=pause)())
    waited = []
    for _ in range(6):
        feed.words.put_nowait(None)
        waited.append(await pauses.get())
        go_on.set()
    assert waited == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    feed.words.put_nowait(())
    async with asyncio.timeout(10):
        while truth.asked[ADA] == 0 or len(copies) == 0:  # until the word has arrived
            await value(copies)
            await asyncio.sleep(0)
    truth.stored[ADA] = 1
    feed.words.put_nowait(None)
    assert await pauses.get() == 0.1
    assert await value(copies) == 1
    running.cancel()
    await asyncio.wait({running})
    assert len(copies) == 0
