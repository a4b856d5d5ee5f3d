"""Nobody is erased who has a live order: an engine is asked, over gRPC, page by page."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.ops.local.ports import HOST, free_ports
from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.still_open import still_open
from lockstep.posttrade.audit.subjects import Subject, Wanted
from lockstep.replica.answers import answer_query
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.stream.enums import AccountStatus
from lockstep.stream.records import SETTING, CommandKind
from lockstep.v1 import common_pb2, replication_pb2_grpc
from tests.all_features import SESSION, record
from tests.posttrade.flows import History

CLIENT = Subject("client", SESSION >> 32)


class Primary(replication_pb2_grpc.ReplicationServicer):
    """An engine that gives a row at a time."""

    def __init__(self, engine, *, primary: bool = True) -> None:
        self.engine = engine
        self.primary = primary

    def Query(self, request, _context):  # noqa: N802 - gRPC's name
        request.limit = 1
        reply = answer_query(request, self.engine)
        reply.stamp.CopyFrom(common_pb2.Stamp(epoch=1, seq=self.engine.last_seq))
        reply.primary = self.primary
        return reply


@contextmanager
def serving(*engines: Primary):
    servers, members = [], []
    for number, one in enumerate(engines, 1):
        (port,) = free_ports(1)
        server = grpc.server(ThreadPoolExecutor(2))
        replication_pb2_grpc.add_ReplicationServicer_to_server(one, server)
        server.add_insecure_port(f"{HOST}:{port}")
        server.start()
        servers.append(server)
        members.append(Member(ProcessKind.ENGINE, number, HOST, port))
    yield Topology("t", (), Path(), (), tuple(members), ())
    for server in servers:
        server.stop(0)


def order(account: int, number: int):
    return record(
        CommandKind.NEW_ORDER, side=1, order_type=1, tif=2, quantity_lots=5, price_ticks=100, account=account,
        instrument=7, client_order_id=number, session_id=SESSION, session_no=number,
    )  # fmt: skip


@pytest.fixture
def made() -> History:
    made = History(0)
    for number, account in enumerate((1, 1, 2), 1):
        made.stamp(order(account, number))
    return made


def test_live_orders_are_counted_of_accounts_and_of_clients(made):
    other = Subject("client", CLIENT.number + 1)
    subjects = [Subject("account", 1), Subject("account", 3), CLIENT, other]
    with serving(Primary(made.engine, primary=False), Primary(made.engine)) as topology:
        found = still_open(topology, subjects)
    assert found.orders == {Subject("account", 1): 2, CLIENT: 3}
    assert found.seq == made.engine.last_seq


def test_without_a_primary_it_can_not_be_seen(made):
    with (
        serving(Primary(made.engine, primary=False)) as topology,
        pytest.raises(EnvironmentFault, match="engine 1 is not the primary; nobody was erased"),
    ):
        still_open(topology, [CLIENT])


def test_the_command_erases_nobody_who_has_an_order_and_up_to_where_it_looked(made, tmp_path, monkeypatch):
    url = str(tmp_path / "t.keys.db")
    (tmp_path / "t.master.key").write_text(bytes(32).hex())
    account = Subject("account", 1)
    with closing(KeyStore(url, bytes(32), make=True)) as store:
        store.register("one", 0)
        store.announce("one", 3)
        store.resolve([Wanted(account, 2, "2.C.account", from_beginning=True)])

    def erase() -> tuple[int, str]:
        words = ["erase", "--keys", url, "--account", "1", "--reason", "x", "--config", str(tmp_path / "c.toml")]
        done = CliRunner().invoke(cli, ["audit", *words])
        return done.exit_code, done.output

    with serving(Primary(made.engine)) as topology:
        monkeypatch.setattr("lockstep.runtime.config.load", lambda _path: topology)
        code, said = erase()
        assert code == 1
        assert "account 1 has 2; nobody was erased" in said
        made.stamp(record(CommandKind.SET_ACCOUNT_STATUS, SETTING, account=1, value=int(AccountStatus.BANNED)))
        code, said = erase()
    assert (code, "1 keys ended, 0 destroyed" in said) == (0, True), said
    assert "has the same number" not in said
    with closing(KeyStore(url, bytes(32))) as store:
        assert store.pseudonyms_of(account)[0].to_seq == made.engine.last_seq, "the end of his orders is under it, too"
