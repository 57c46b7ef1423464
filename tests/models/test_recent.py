"""Rows computed lately."""

import threading

import numpy as np

from pal.models.encoder import Recent


def test_each_row_is_computed_once_and_the_one_unasked_the_longest_goes_first():
    recent, asked = Recent(limit=3), []

    def double(keys):
        asked.extend(keys)
        return np.array([[2.0 * key] for key in keys])

    assert [row[0] for row in recent.rows([1, 2, 1, 3], double)] == [2, 4, 2, 6]
    assert asked == [1, 2, 3]
    recent.rows([1, 4], double)  # 2 goes
    recent.rows([1, 3, 4], double)
    assert asked == [1, 2, 3, 4]
    recent.rows([2], double)
    assert asked == [1, 2, 3, 4, 2]
    assert recent.rows([], double) == []


def test_more_rows_than_are_remembered_all_come_back():
    recent = Recent(limit=2)
    rows = recent.rows(list(range(10)), lambda keys: np.array([[key] for key in keys]))
    assert [row[0] for row in rows] == list(range(10))


def test_many_threads_get_their_own_rows():
    recent, wrong = Recent(limit=5), []

    def work(start):
        for round in range(200):
            keys = [start + round % 7, start, round % 3]
            rows = recent.rows(keys, lambda keys: np.array([[key] for key in keys]))
            wrong.extend(1 for key, row in zip(keys, rows, strict=True) if row[0] != key)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
