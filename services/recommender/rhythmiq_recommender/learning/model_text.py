"""LightGBM's model text, checked line by line before LightGBM reads it: its parser ends the process on some bad input.

What is checked is what `Booster.model_to_string` of LightGBM 4 writes for numeric features and one score a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_END: Final = "end of trees\n"
_FLOATS_A_LEAF: Final = ("leaf_value", "leaf_weight")
_INTS_A_LEAF: Final = ("leaf_count",)
_FLOATS_A_SPLIT: Final = ("split_gain", "threshold", "internal_value", "internal_weight")
_INTS_A_SPLIT: Final = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_MUST_BE: Final = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "label_index": "0"}
_OBJECTIVES: Final = ("lambdarank", "rank_xendcg", "binary", "regression")


class BadText(ValueError):
    """Not a model that this program could have written; the message says where."""


def checked(text: str, features: Sequence[str]) -> str:
    """The part of the text that LightGBM needs. Raises BadText."""
    head, found, rest = text.partition("\n\nTree=")
    trees, end, _ = ("Tree=" + rest).partition(_END)
    if not found or not end:
        raise BadText("it has no trees, or they have no end")
    header = _lines(head.removeprefix("tree\n"))
    _check_header(header, features)
    sizes = _numbers(header, "tree_sizes", int)
    starts = np.cumsum(np.r_[0, sizes]).astype(np.int64)
    if not len(sizes) or sizes.min() < 1 or int(starts[-1]) != len(trees.encode()):
        raise BadText("its trees are not as long as it says")
    content = trees.encode()
    for number in range(len(sizes)):
        block = content[int(starts[number]) : int(starts[number + 1])].decode()
        try:
            _check_tree(block, number, len(features))
        except BadText as error:
            raise BadText(f"tree {number}: {error}") from None
    return f"{head}\n\n{trees}{_END}\npandas_categorical:null\n"


def _lines(block: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in block.strip("\n").split("\n"):
        name, equals, value = line.partition("=")
        if not equals or name in found:
            raise BadText(f"a line that does not belong there: {line[:60]!r}")
        found[name] = value
    return found


def _check_header(header: dict[str, str], features: Sequence[str]) -> None:
    wrong = [name for name, value in _MUST_BE.items() if header.get(name) != value]
    if wrong:
        raise BadText(f"{wrong[0]} is not {_MUST_BE[wrong[0]]}")
    if header.get("objective", "").split(" ")[0] not in _OBJECTIVES:
        raise BadText(f"its objective is none of {', '.join(_OBJECTIVES)}")
    if header.get("max_feature_idx") != str(len(features) - 1) or header.get("feature_names", "").split(" ") != list(
        features
    ):
        raise BadText("its features are not those of the manifest")
    if len(header.get("feature_infos", "").split(" ")) != len(features):
        raise BadText("it does not describe each feature")


def _check_tree(block: str, number: int, features: int) -> None:
    tree = _lines(block)
    fixed = {"Tree": str(number), "num_cat": "0", "is_linear": "0"}
    wrong = [name for name, value in fixed.items() if tree.get(name) != value]
    if wrong:
        raise BadText(f"{wrong[0]} is not {fixed[wrong[0]]}")
    leaves = int(_numbers(tree, "num_leaves", int, 1)[0])
    if leaves < 1:
        raise BadText("it has no leaf")
    _numbers(tree, "shrinkage", float, 1)
    if leaves == 1:
        _numbers(tree, "leaf_value", float, 1)
        return
    for names, kind, count in (
        (_FLOATS_A_LEAF, float, leaves),
        (_INTS_A_LEAF, int, leaves),
        (_FLOATS_A_SPLIT, float, leaves - 1),
    ):
        for name in names:
            _numbers(tree, name, kind, count)
    split = {name: _numbers(tree, name, int, leaves - 1) for name in _INTS_A_SPLIT}
    if split["split_feature"].min() < 0 or split["split_feature"].max() >= features:
        raise BadText("it splits by a feature that there is not")
    if split["decision_type"].min() < 0 or split["decision_type"].max() > 15:
        raise BadText("it decides in a way that there is not")
    _check_shape(split["left_child"], split["right_child"], leaves)


def _check_shape(left: NDArray[Any], right: NDArray[Any], leaves: int) -> None:
    """Every leaf and every split but the first is the child of one earlier split: so that every path ends."""
    children = np.r_[left, right]
    parents = np.r_[np.arange(leaves - 1), np.arange(leaves - 1)]
    expected = np.r_[np.arange(-leaves, 0), np.arange(1, leaves - 1)]
    if not np.array_equal(np.sort(children), expected) or ((children >= 0) & (children <= parents)).any():
        raise BadText("it is not a tree")


def _numbers(lines: dict[str, str], name: str, kind: Callable[[str], Any], count: int | None = None) -> NDArray[Any]:
    try:
        found = np.array([kind(word) for word in lines[name].split()], np.float64 if kind is float else np.int64)
    except KeyError:
        raise BadText(f"{name} is missing") from None
    except (ValueError, OverflowError):
        raise BadText(f"{name} holds what is not a number") from None
    # A split of what is known from what is not has an infinite threshold.
    bad = np.isnan(found) if name == "threshold" else ~np.isfinite(found)
    if (count is not None and len(found) != count) or bad.any():
        raise BadText(f"{name} does not hold {'finite' if count is None else count} numbers")
    return found
