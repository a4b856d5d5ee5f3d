"""When a session may take orders: the seal, and why it suffices."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.edge.soup.opening import WINDOW, Opening, Seal, State


def test_numbers_are_used_up_once_all_is_known_and_the_announcement_is_back():
    opening = Opening()
    assert opening.on_all(10, 11) is None
    assert opening.on_announced(12, 14) == Seal(14, 12 + WINDOW)
    assert not opening.on_answered(12 + WINDOW - 1)
    assert opening.on_answered(12 + WINDOW)
    assert opening.state is State.READY


def test_the_announcement_may_come_before_all_is_known():
    opening = Opening()
    assert opening.on_announced(3, 4) is None, "earlier events may name higher numbers"
    assert opening.on_all(20, 21) == Seal(21, 20 + WINDOW)


def test_it_is_sealed_once():
    opening = Opening()
    opening.on_all(1, 2)
    assert opening.on_announced(1, 2) is not None
    assert opening.on_announced(5, 6) is None
    assert opening.on_all(5, 6) is None
    assert opening.through == 1 + WINDOW


class Cluster:
    """Numbers and tokens alone: a command is executed if its number is the session's next one."""

    def __init__(self) -> None:
        self.last = 0
        self.executed: list[str] = []
        self.announced = 0

    def stamp(self, number: int, token: str) -> None:
        if number == self.last + 1:
            self.last = number
            if token:
                self.executed.append(token)


class Gateway:
    """One connection's door: what it has heard of the session, and what of its commands has not been stamped."""

    def __init__(self, cluster: Cluster, connection: int) -> None:
        self.cluster, self.connection = cluster, connection
        self.answered, self.known = cluster.last, set(cluster.executed)
        self.expected = self.answered + 1
        self.under_way: list[tuple[int, str]] = []
        self.left = False

    def hear(self) -> None:
        """All events up to now."""
        self.answered, self.known = self.cluster.last, self.known | set(self.cluster.executed)
        self.expected = max(self.expected, self.answered + 1)
        self.left = self.cluster.announced > self.connection

    def give(self, token: str) -> None:
        if not self.left and token not in self.known and self.expected - 1 - self.answered < WINDOW:
            self.known.add(token)
            self.under_way.append((self.expected, token))
            self.expected += 1

    def flush(self, count: int) -> None:
        for number, token in self.under_way[:count]:
            self.cluster.stamp(number, token)
        del self.under_way[:count]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 300)), max_size=60))
def test_no_token_is_executed_twice_whatever_earlier_gateways_bring_in_late(steps):
    """Gateways of earlier connections hear, number and send whenever they like; the client gives tokens to any of
    them."""
    cluster = Cluster()
    gateways = [Gateway(cluster, 0)]
    for what, which, count in steps:
        one = gateways[which % len(gateways)]
        match what:
            case 0 | 1:
                one.give(f"T{count % 12}")
            case 2:
                one.flush(count % 7)
            case 3:
                one.hear()
            case 4:
                for _ in range(count):
                    one.give(f"U{len(one.known)}")
            case _:
                gateways.append(log_in(cluster, len(gateways), gateways, count))
    for one in gateways:
        one.flush(10_000)
    assert len(cluster.executed) == len(set(cluster.executed))


def log_in(cluster: Cluster, connection: int, others: list[Gateway], count: int) -> Gateway:
    opening = Opening()
    cluster.announced = connection
    gateway = Gateway(cluster, connection)
    opening.on_announced(gateway.answered, gateway.expected)
    # Some of what others have under way is stamped before the numbers are used up, some in between.
    others[count % len(others)].flush(count % 5)
    gateway.hear()
    seal = opening.on_all(gateway.answered, gateway.expected)
    assert seal is not None
    for number in range(seal.first_no, seal.last_no + 1):
        if number == seal.first_no + count % WINDOW:
            others[count % len(others)].flush(count % 3)
        cluster.stamp(number, "")
    gateway.hear()
    assert opening.on_answered(gateway.answered)
    gateway.expected = gateway.answered + 1
    return gateway


def test_without_the_seal_an_order_would_be_executed_twice():
    cluster = Cluster()
    before, after = Gateway(cluster, 0), Gateway(cluster, 1)
    before.give("A")
    before.give("B")
    after.give("B")
    after.flush(1)
    before.flush(2)
    assert cluster.executed == ["B", "B"]
