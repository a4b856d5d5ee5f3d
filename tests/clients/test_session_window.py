"""How many commands a session has under way."""

from lockstep.session_window import LEAST, Window


def grown(credit: int) -> Window:
    """One that has found no bound but the credit."""
    window = Window()
    window.on_welcome(credit)
    while window.size < credit:
        window.on_answered(window.size)
    return window


def busy(credit: int, admitted: int) -> Window:
    window = grown(credit)
    window.on_busy(admitted)
    return window


def test_a_stream_begins_with_a_small_window_that_doubles_up_to_the_credit() -> None:
    window = Window()
    window.on_welcome(500)
    sizes = [window.size]
    while window.size < 500:
        window.on_answered(window.size)
        sizes.append(window.size)
    assert sizes == [64, 128, 256, 500]
    small = Window()
    small.on_welcome(10)
    assert small.size == 10


def test_a_refusal_leaves_three_quarters_of_what_was_admitted() -> None:
    assert busy(8192, 4000).size == 3000


def test_a_session_of_which_nothing_was_admitted_keeps_a_small_window() -> None:
    assert busy(8192, 0).size == LEAST
    assert busy(10, 0).size == 10, "never more than the credit"


def test_it_doubles_up_to_half_of_what_it_was_and_then_grows_by_an_eighth() -> None:
    window = busy(8192, 0)
    sizes = []
    for _ in range(8):
        window.on_answered(window.size)
        sizes.append(window.size)
    assert sizes == [128, 256, 512, 1024, 2048, 4096, 4608, 5184]


def test_it_never_exceeds_the_credit_and_the_next_stream_begins_with_what_was_found() -> None:
    window = busy(100, 80)
    window.on_answered(10_000)
    assert window.size == 100
    window.on_busy(90)
    window.on_welcome(1000)
    assert window.size == 67
    window.on_welcome(50)
    assert window.size == 50
