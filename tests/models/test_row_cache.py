"""Rows of the keys that were used lately."""

import threading

import numpy as np

from pal.models.encoder import RowCache


def test_each_row_is_computed_once_and_the_least_recently_used_goes_first():
    cache, computed = RowCache(limit=3), []

    def double(keys):
        computed.extend(keys)
        return np.array([[2.0 * key] for key in keys])

    assert [row[0] for row in cache.rows([1, 2, 1, 3], double)] == [2, 4, 2, 6]
    assert computed == [1, 2, 3]
    cache.rows([1, 4], double)  # 2 goes
    cache.rows([1, 3, 4], double)
    assert computed == [1, 2, 3, 4]
    cache.rows([2], double)
    assert computed == [1, 2, 3, 4, 2]
    assert cache.rows([], double) == []


def test_more_rows_than_are_remembered_all_come_back():
    cache = RowCache(limit=2)
    rows = cache.rows(list(range(10)), lambda keys: np.array([[key] for key in keys]))
    assert [row[0] for row in rows] == list(range(10))


def test_many_threads_get_their_own_rows():
    cache, wrong = RowCache(limit=5), []

    def work(start):
        for round in range(200):
            keys = [start + round % 7, start, round % 3]
            rows = cache.rows(keys, lambda keys: np.array([[key] for key in keys]))
            wrong.extend(1 for key, row in zip(keys, rows, strict=True) if row[0] != key)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_cache_of_nothing_computes_every_time():
    asked = []
    cache = RowCache(0)
    for _ in range(2):
        assert [
            row[0] for row in cache.rows([1, 2], lambda keys: asked.append(keys) or np.array([[1], [2]]))
        ] == [
            1,
            2,
        ]
    assert asked == [[1, 2], [1, 2]]
