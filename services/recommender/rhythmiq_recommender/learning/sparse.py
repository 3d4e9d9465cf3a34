"""Small operations on score blocks (queries x items), dense or sparse, that several signals share."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray, Sparse

Block = FloatArray | Sparse
"""(queries x items) scores; absent entries of a sparse block are 0."""


def unit(matrix: Sparse, axis: int = 1) -> Sparse:
    """Rows (axis 1) or columns (axis 0) of length 1."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis)).ravel())
    scale = sp.diags((1 / np.maximum(length, 1e-9)).astype(np.float32))
    return (scale @ matrix if axis == 1 else matrix @ scale).tocsr()


def row_mean(matrix: Sparse) -> Sparse:
    """Rows that sum to 1 (empty ones stay empty)."""
    total = np.asarray(matrix.sum(1)).ravel()
    return (sp.diags((1 / np.maximum(total, 1)).astype(np.float32)) @ matrix).tocsr()


def keep_top(block: FloatArray, k: int) -> FloatArray:
    """The k largest of each row, 0 elsewhere."""
    if k >= block.shape[1]:
        return block
    cut = np.partition(block, -k, axis=1)[:, -k][:, None]
    return np.where(block >= cut, block, 0).astype(np.float32)


def places(starts: IntArray) -> IntArray:
    """Position of each element inside its run, for runs that begin at `starts` (last entry: total length)."""
    length = np.diff(starts)
    return np.arange(starts[-1], dtype=np.int64) - np.repeat(starts[:-1], length)


def rows_top(matrix: Sparse, k: int) -> tuple[IntArray, IntArray]:
    """(row, column) of the k largest stored values of each row, best first."""
    matrix = matrix.tocsr()
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = order[places(matrix.indptr.astype(np.int64)) < k]
    return row[kept], matrix.indices[kept].astype(np.int64)


def only_top(matrix: Sparse, k: int) -> Sparse:
    """The sparse matrix with the k largest of each row."""
    row, column = rows_top(matrix, k)
    return sp.csr_matrix((lookup(matrix, row, column), (row, column)), shape=matrix.shape)


def lookup(matrix: Sparse, row: IntArray, column: IntArray) -> FloatArray:
    """Values at pairs, 0 where nothing is stored."""
    matrix = matrix.tocsr()
    matrix.sum_duplicates()
    matrix.sort_indices()
    width = matrix.shape[1]
    key = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr)) * width + matrix.indices
    if not len(key):
        return np.zeros(len(row), np.float32)
    wanted = row * width + column
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[place] == wanted, matrix.data[place], 0).astype(np.float32)


def values(block: Block, row: IntArray, column: IntArray) -> FloatArray:
    """Scores of pairs."""
    if isinstance(block, np.ndarray):
        return np.asarray(block[row, column], dtype=np.float32)
    return lookup(block, row, column)


def top(block: Block, k: int, excluded: BoolArray | None = None) -> tuple[IntArray, IntArray]:
    """(row, column) of the k best of each row, best first; of a dense block never excluded ones."""
    if not isinstance(block, np.ndarray):
        return rows_top(block, k)
    k = min(k, block.shape[1])
    open_to = block if excluded is None else np.where(excluded, np.float32(-np.inf), block)
    best = np.argpartition(-open_to, k - 1, axis=1)[:, :k]
    score = np.take_along_axis(open_to, best, 1)
    order = np.lexsort((best, -score), axis=1)
    best, score = np.take_along_axis(best, order, 1), np.take_along_axis(score, order, 1)
    row, place = np.nonzero(np.isfinite(score))
    return row.astype(np.int64), best[row, place].astype(np.int64)


def rank_in(key: IntArray, score: FloatArray | RawArray) -> FloatArray:
    """0-based rank of each row among the rows of the same key, best score first; ties by position."""
    order = np.lexsort((np.arange(len(key)), -score, key))
    ordered = key[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1, len(key)].astype(np.int64)
    rank = np.empty(len(key), np.float32)
    rank[order] = places(starts)
    return rank


def embed_pairs(row: IntArray, column: IntArray, value: FloatArray, shape: tuple[int, int]) -> Sparse:
    """A sparse matrix of float32 from (row, column, value), equal places added up."""
    return sp.csr_matrix((value.astype(np.float32), (row, column)), shape=shape)
