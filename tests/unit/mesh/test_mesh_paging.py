from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageTokens, page_size

TOKENS = PageTokens(b"a key for tests, 32 characters and more")
QUERY = ("ListPreferences", "profiles/1", "")


@pytest.mark.parametrize(
    ("requested", "served"),
    [(0, DEFAULT_PAGE_SIZE), (1, 1), (MAX_PAGE_SIZE, MAX_PAGE_SIZE), (2**31 - 1, MAX_PAGE_SIZE)],
)
def test_page_size_has_a_default_and_a_ceiling(requested: int, served: int) -> None:
    assert page_size(requested) == served


def test_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="page_size"):
        page_size(-1)


def test_empty_token_is_the_first_page() -> None:
    assert TOKENS.decode(QUERY, "") is None


@given(st.lists(st.one_of(st.text(), st.integers(-(2**53), 2**53)), max_size=4))
def test_token_gives_back_its_position(position: list[str | int]) -> None:
    assert TOKENS.decode(QUERY, TOKENS.encode(QUERY, position)) == position


@given(st.data())
def test_any_altered_token_is_refused(data: st.DataObject) -> None:
    token = TOKENS.encode(QUERY, ["2026-01-01", "id"])
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != token[place]))
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.decode(QUERY, token[:place] + other + token[place + 1 :])
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("query", [("ListVariables", "profiles/1", ""), ("ListPreferences", "profiles/2", ""), ()])
def test_token_of_another_query_is_refused(query: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument):
        TOKENS.decode(query, TOKENS.encode(QUERY, ["x"]))


def test_token_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        PageTokens(b"x" * 32).decode(QUERY, TOKENS.encode(QUERY, ["x"]))


def test_token_with_another_padding_is_refused() -> None:
    token = TOKENS.encode(QUERY, ["x"])
    padded = token + "=" * (-len(token) % 4)
    assert base64.urlsafe_b64decode(padded)
    if padded != token:
        with pytest.raises(InvalidArgument):
            TOKENS.decode(QUERY, padded)
