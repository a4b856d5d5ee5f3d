"""Nasdaq's own client at the door of a real cluster, and tshark between the two."""

import asyncio
import contextlib
from collections import Counter

import pytest
from nasdaq_protocols import soup

from tests.edge.soup import tshark
from tests.edge.soup.conftest import Trader, trading
from tests.edge.soup.ouch_messages import cancel, enter, packet, packets, replace


def kinds(said):
    return "".join(one["type"] for one in said)


def test_orders_are_accepted_executed_and_canceled(cluster):
    async def trade():
        address = cluster.soup_addresses[0]
        async with trading("1", address) as maker, trading("2", address) as taker:
            maker.send(enter("A", "S", 100), cancel("NOTHING"))
            await maker.until(2)
            taker.send(enter("B", "B", 40, tif=0))
            assert kinds(await taker.until(3)) == "SAE"
            assert kinds(await maker.until(3)) == "SAE"
            assert maker.said[2]["match"] == taker.said[2]["match"]
            maker.send(cancel("A"))
            assert (await maker.until(4))[3]["shares"] == 60
            assert maker.session == "1"

    asyncio.run(trade())


def test_a_session_goes_on_at_another_gateway_with_the_same_messages(cluster):
    async def trade():
        first, second = cluster.soup_addresses
        async with trading("3", first) as trader:
            trader.send(*(enter(f"T{at}", price=900_000) for at in range(50)))
            await trader.until(51)
            await trader.close()
            again = Trader("3")
            await again.connect(second, 1)
            await again.until(51)
            assert again.raw == trader.raw
            await trader.connect(second)
            trader.send(*(enter(f"T{at}", price=900_000) for at in range(49, 52)))
            await trader.until(53)
            assert [one["token"].strip() for one in trader.said[51:]] == ["T50", "T51"]
            await again.close()

    asyncio.run(trade())


def test_sessions_have_messages_and_tokens_of_their_own(cluster):
    async def trade():
        address = cluster.soup_addresses[0]
        async with trading("4", address, "20261129") as one, trading("4", address, "20261130") as other:
            assert (one.session, other.session) == ("20261129", "20261130")
            one.send(enter("SAME", price=900_000), cancel("SAME"))
            await one.until(3)
            other.send(enter("SAME", price=900_000), cancel("SAME"))
            await other.until(3)

    asyncio.run(trade())


def test_a_login_that_names_no_message_begins_with_the_next_one(cluster):
    async def trade():
        address = cluster.soup_addresses[0]
        async with trading("5", address) as trader:
            trader.send(enter("A", price=900_000))
            await trader.until(2)
            await trader.close()
            late = Trader("5")
            await late.connect(address, 0)
            late.send(cancel("A"))
            assert kinds(await late.until(1)) == "C"
            await late.close()

    asyncio.run(trade())


def test_a_login_beyond_the_end_of_the_session_is_rejected(cluster):
    async def trade():
        trader = Trader("6")
        with pytest.raises(ConnectionRefusedError, match="SESSION_NOT_AVAILABLE"):
            await trader.connect(cluster.soup_addresses[0], 1000)

    asyncio.run(trade())


def test_a_later_login_takes_the_session(cluster):
    async def trade():
        first, second = cluster.soup_addresses
        async with trading("7", first) as one:
            for address in (first, second):
                two = Trader("7")
                await two.connect(address, 1)
                await one.gone()
                one = two
            one.send(enter("A", price=900_000), cancel("A"))
            await one.until(3)
            await one.close()

    asyncio.run(trade())


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", packet(b"U", enter("A")), packet(b"L", b"\xff" * 46)])
def test_what_does_not_log_in_is_rejected_and_closed(cluster, raw):
    async def call():
        reader, writer = await connection(cluster.soup_addresses[0])
        writer.write(raw)
        assert await asyncio.wait_for(reader.read(), 10) == packet(b"J", b"A")
        writer.close()

    asyncio.run(call())


def test_bytes_that_are_no_message_end_the_connection_with_a_reason_and_what_came_before_counts(cluster):
    async def trade():
        address = cluster.soup_addresses[0]
        async with trading("8", address) as trader:
            debugs: list[str] = []
            trader.on_other = lambda message: debugs.append(message.msg) if isinstance(message, soup.Debug) else None
            trader.send(enter("A", price=900_000), b"Z nonsense", enter("B", price=900_000))
            await trader.gone()
            assert "not a message of OUCH 4.2" in debugs[0]
            await trader.connect_somewhere(address)
            await trader.until(2)
            assert trader.said[1]["token"].strip() == "A"

    asyncio.run(trade())


def test_a_logout_ends_the_connection(cluster):
    async def trade():
        reader, writer = await connection(cluster.soup_addresses[0])
        writer.write(packet(b"L", b"9     " + b" " * 20 + b"1".rjust(20)) + packet(b"O"))
        said = list(packets(await asyncio.wait_for(reader.read(), 10)))
        assert said[0][0] == b"A"
        writer.close()

    asyncio.run(trade())


async def connection(address):
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


# ---- tshark ------------------------------------------------------------------------------------------------------


HEARTBEATS = {True: b"\x00\x01R", False: b"\x00\x01H"}
"""By who says it: the client, the door."""


class Relay:
    """Between a client and the door: keeps what each says, in order."""

    def __init__(self, address: str) -> None:
        self.spoken: list[tuple[bool, bytes]] = []
        self.alive = {by_client: asyncio.Event() for by_client in HEARTBEATS}
        self._address = address

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()

    async def _serve(self, reader, writer):
        to_reader, to_writer = await connection(self._address)
        await asyncio.gather(self._pass(True, reader, to_writer), self._pass(False, to_reader, writer))

    async def _pass(self, by_client, reader, writer):
        with contextlib.suppress(ConnectionError):
            while raw := await reader.read(65_536):
                self.spoken.append((by_client, raw))
                if raw.endswith(HEARTBEATS[by_client]):
                    self.alive[by_client].set()
                writer.write(raw)
        writer.close()


def test_tshark_decodes_a_session_and_finds_nothing_malformed(cluster, tmp_path):
    tshark.find()
    relay = Relay(cluster.soup_addresses[0])

    async def trade():
        async with relay as address, trading("10", address) as trader:
            trader.send(
                enter("A", "S", 100), enter("B", "S", 50, customer=" ")[:-1], replace("A", "C", 70, 1_010_000),
                cancel("C", 20), enter("TAKE", "B", 30, tif=0), enter("BAD", stock="NONE"), cancel("C"),
                enter("long token ~14", "B", 1, price=900_000),
            )  # fmt: skip
            await trader.until(11)
            # Both sides are silent from now on, and say each second that they are there.
            async with asyncio.timeout(30):
                await asyncio.gather(*(said.wait() for said in relay.alive.values()))
            return Counter(one["type"] for one in trader.said)

    told = asyncio.run(trade())
    capture = tmp_path / "session.pcap"
    tshark.write_capture(capture, relay.spoken)
    soup_packets, ouch, malformed = tshark.decode(capture)
    # A login's numbers are to be filled up on the left, says tshark; `nasdaq_protocols` fills them up on the right.
    assert malformed == [True]
    assert soup_packets["L"] == soup_packets["A"] == 1
    assert soup_packets["S"] == sum(told.values())
    assert soup_packets["U"] == 8
    assert soup_packets["H"] >= 1
    assert soup_packets["R"] >= 1
    assert ouch == told + Counter("OOUXOOXO")


def test_tshark_would_find_a_malformed_message(tmp_path):
    tshark.find()
    capture = tmp_path / "odd.pcap"
    short = packet(b"S", b"E" + bytes(20))
    tshark.write_capture(capture, [(True, packet(b"L", b" " * 46)), (False, packet(b"A", b" " * 30) + short)])
    _soup, ouch, malformed = tshark.decode(capture)
    assert malformed or not ouch
