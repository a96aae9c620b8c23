"""Calls of several threads are answered together, and each gets its own."""

import threading

import pytest

from bert_squad.serving.combining import CombinedCalls


class Slow:
    """A function that waits to be let go, and remembers what it was called with."""

    def __init__(self):
        self.calls, self.may_end, self.has_begun = [], threading.Event(), threading.Event()

    def __call__(self, requests):
        self.calls.append(list(requests))
        self.has_begun.set()
        assert self.may_end.wait(10)
        if "bad" in requests:
            raise ValueError("bad")
        return [request.upper() for request in requests]


def ask_from_threads(combined, groups):
    """Call from a thread each, one after the other; return the threads, and what each got, by group."""
    found = {}

    def ask(group):
        try:
            found[group] = combined(group)
        except ValueError as error:
            found[group] = str(error)

    threads = []
    for group in groups:
        thread = threading.Thread(target=ask, args=(group,))
        thread.start()
        threads.append(thread)
    return threads, found


def waits(combined, number):
    """Wait until so many calls do."""
    while len(combined._waiting) < number:
        threading.Event().wait(0.001)


def end(function, threads):
    function.may_end.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_what_waits_is_answered_together_and_in_order():
    function = Slow()
    combined = CombinedCalls(function, at_once=1, most=8)
    first, found = ask_from_threads(combined, [("a",)])
    assert function.has_begun.wait(10)
    others, more = ask_from_threads(combined, [("b", "c"), ("d",), ("e",)])
    waits(combined, 3)
    end(function, [*first, *others])
    assert function.calls[0] == ["a"]
    assert sorted(function.calls[1]) == ["b", "c", "d", "e"]
    assert len(function.calls) == 2
    assert found | more == {("a",): ["A"], ("b", "c"): ["B", "C"], ("d",): ["D"], ("e",): ["E"]}


def test_no_more_are_taken_than_there_is_room_for():
    function = Slow()
    combined = CombinedCalls(function, at_once=1, most=2)
    first, found = ask_from_threads(combined, [("a",)])
    assert function.has_begun.wait(10)
    others, more = ask_from_threads(combined, [("b", "c", "d"), ("e",), ("f",)])
    waits(combined, 3)
    end(function, [*first, *others])
    assert sorted(map(len, function.calls)) == [1, 2, 3]
    assert found | more == {
        ("a",): ["A"],
        ("b", "c", "d"): ["B", "C", "D"],
        ("e",): ["E"],
        ("f",): ["F"],
    }


def test_so_many_are_at_work_at_a_time():
    function = Slow()
    combined = CombinedCalls(function, at_once=2, most=8)
    threads, found = ask_from_threads(combined, [("a",), ("b",)])
    while len(function.calls) < 2:
        threading.Event().wait(0.001)
    others, more = ask_from_threads(combined, [("c",)])
    waits(combined, 1)
    assert len(function.calls) == 2
    end(function, [*threads, *others])
    assert found | more == {("a",): ["A"], ("b",): ["B"], ("c",): ["C"]}


def test_one_that_fails_does_not_take_the_others_along():
    function = Slow()
    combined = CombinedCalls(function, at_once=1, most=8)
    first, found = ask_from_threads(combined, [("a",)])
    assert function.has_begun.wait(10)
    others, more = ask_from_threads(combined, [("b",), ("bad",)])
    waits(combined, 2)
    end(function, [*first, *others])
    assert found | more == {("a",): ["A"], ("b",): ["B"], ("bad",): "bad"}


def test_a_signal_is_not_tried_again():
    calls = []

    def interrupted(requests):
        calls.append(requests)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CombinedCalls(interrupted, at_once=1, most=8)(["a"])
    assert len(calls) == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_many_threads_get_what_they_asked_for(at_once):
    combined = CombinedCalls(lambda requests: [request * 2 for request in requests], at_once, most=5)
    wrong = []

    def ask(begin):
        for number in range(begin, begin + 200):
            if combined([number, number + 1]) != [2 * number, 2 * number + 2]:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(begin,)) for begin in range(0, 8000, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
