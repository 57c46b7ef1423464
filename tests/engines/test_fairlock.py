"""The lock that serves in the order of arrival."""

import threading

import pytest

from pal.engines.base import FairLock


def test_first_come_first_served():
    lock, served, waiting = FairLock(), [], []

    def visit(number):
        with lock.hold():
            served.append(number)

    with lock.hold():
        for number in range(5):
            thread = threading.Thread(target=visit, args=(number,))
            thread.start()
            while len(lock._queue) < number + 2:  # until it stands in line
                pass
            waiting.append(thread)
        assert served == []
    for thread in waiting:
        thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_one_at_a_time():
    lock, inside, most = FairLock(), [], []

    def visit():
        for _ in range(50):
            with lock.hold():
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 200


def test_an_error_inside_lets_the_next_one_in():
    lock = FairLock()
    with pytest.raises(RuntimeError), lock.hold():
        raise RuntimeError
    with lock.hold():
        pass
