"""Certificates that are replaced while an etcd client lives: the first one may be over long since."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime.etcd import CasWon, Deleted, EtcdOptions, EtcdStore, StoreUnavailable, TlsOptions, Versioned
from lockstep.runtime.tls.authority import ETCD, issue, make_authority
from lockstep.runtime.tls.material import Material

_DAY_S = 86_400
_LIFE_S = 8.0
"""Of the first certificate."""


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    make_authority(folder, "c")
    issue(folder, "c", ETCD, ("localhost", "127.0.0.1"))
    return folder


@pytest.fixture
def server(tmp_path: Path, certs: Path) -> Iterator[LocalEtcd]:
    with LocalEtcd.start(tmp_path / "server", cert_dir=certs) as started:
        yield started


def tls_of(material: Material) -> TlsOptions:
    material.refresh()
    return TlsOptions(ca=material.ca, cert=material.certificate, key=material.key)


def options(server: LocalEtcd, material: Material, *, follows: bool = True) -> EtcdOptions:
    newer = (lambda: tls_of(material)) if follows else None
    return EtcdOptions(
        endpoints=(server.endpoint,), tls=tls_of(material), newer_tls=newer, tls_look_s=0.1, call_timeout_s=2,
    )  # fmt: skip


async def until(watch: AsyncIterator[Versioned | Deleted], value: bytes) -> None:
    async for state in watch:
        if isinstance(state, Versioned) and state.value == value:
            return


async def answers(store: EtcdStore, patience_s: float) -> bool:
    give_up_s = time.monotonic() + patience_s
    while time.monotonic() < give_up_s:
        try:
            await store.get(b"k")
        except StoreUnavailable:
            continue
        return True
    return False


@pytest.mark.slow
def test_a_client_goes_on_when_the_certificate_that_it_began_with_is_over(server: LocalEtcd, certs: Path) -> None:
    """A client that keeps its first certificate is let in no more then; one that follows its file watches on."""
    issue(certs, "c", "gateway-1", ("127.0.0.1",), days=_LIFE_S / _DAY_S)
    over_s = time.time() + _LIFE_S

    async def scenario() -> None:
        one, other = Material(certs, "gateway-1"), Material(certs, "gateway-1")
        async with (
            EtcdStore(options(server, one)) as store,
            EtcdStore(options(server, other, follows=False)) as stubborn,
        ):
            assert isinstance(await store.compare_and_swap(b"k", 0, b"first", timeout_s=10), CasWon)
            assert await answers(stubborn, 10)
            watch = store.watch(b"k")
            assert (await asyncio.wait_for(anext(watch), 10)).key == b"k"
            issue(certs, "c", "gateway-1", ("127.0.0.1",))
            news = asyncio.ensure_future(until(watch, b"second"))
            while time.time() <= over_s + 1:
                # Nothing that is under way may be lost when the connection is replaced.
                await store.get(b"k")
                await asyncio.sleep(0.02)
            server.kill()
            server.stop()
            port = int(server.endpoint.rpartition(":")[2])
            again = await asyncio.to_thread(LocalEtcd.start, server.data_dir, client_port=port, cert_dir=certs)
            with again:
                assert await answers(store, 20)
                assert not await answers(stubborn, 3)
                # The server has come back empty.
                assert isinstance(await store.compare_and_swap(b"k", 0, b"second", timeout_s=10), CasWon)
                await asyncio.wait_for(news, 20)

    asyncio.run(scenario())


def test_a_replaced_certificate_that_nobody_takes_does_no_harm(
    server: LocalEtcd, certs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issue(certs, "c", "gateway-1", ("127.0.0.1",))
    strange = tmp_path / "strange"
    make_authority(strange, "c")
    issue(strange, "c", "gateway-1", ("127.0.0.1",))
    good = certs.joinpath("gateway-1.pem").read_bytes()

    async def scenario() -> None:
        async with EtcdStore(options(server, Material(certs, "gateway-1"))) as store:
            assert isinstance(await store.compare_and_swap(b"k", 0, b"first", timeout_s=10), CasWon)
            certs.joinpath("gateway-1.pem").write_bytes(strange.joinpath("gateway-1.pem").read_bytes())
            async with asyncio.timeout(20):
                while "does not answer by the replaced certificate" not in caplog.text:
                    assert await store.get(b"k") is not None
                    await asyncio.sleep(0.02)
            certs.joinpath("gateway-1.pem").write_bytes(good)
            assert await store.get(b"k") is not None

    asyncio.run(scenario())
