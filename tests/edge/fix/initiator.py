"""QuickFIX, the C++ engine, as a client: one session, over as many connections and gateways as it takes.

It keeps its numbers and what it sent in files, asks for what it misses, and resends what it is asked for. Nothing of
this project is in it.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import quickfix

Fields = dict[int, str]
_SESSION_FIELDS = """
[DEFAULT]
ConnectionType=initiator
NonStopSession=Y
ReconnectInterval=1
HeartBtInt={heartbeat}
FileStorePath={path}/store
FileLogPath={path}/log
ResetOnLogon=N
ResetOnLogout=N
ResetOnDisconnect=N
UseDataDictionary=N
SocketNodelay=Y

[SESSION]
BeginString={begin}
SenderCompID={sender}
TargetCompID=LOCKSTEP
{addresses}
"""


def parsed(raw: str) -> Fields:
    """A message's fields; of repeated ones the last."""
    return {int(tag): value for tag, _, value in (part.partition("=") for part in raw.split("\x01") if part)}


class Initiator(quickfix.Application):  # type: ignore[misc]  # it has no types
    """Invariant: `said` has each application message once, in the order of its number."""

    def __init__(
        self, path: Path, sender: str, addresses: Iterable[str], *, begin: str = "FIX.4.4", heartbeat: int = 5,
        user: str = "", password: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self.said: list[Fields] = []
        self.admin: list[Fields] = []
        self.sent_admin: list[Fields] = []
        self.repeated = 0
        self.logged_on = False
        self._user, self._password = user, password
        self._session: quickfix.SessionID | None = None
        self._count = 0
        lines = []
        for at, address in enumerate(addresses):
            host, _, port = address.rpartition(":")
            suffix = str(at) if at else ""
            lines += [f"SocketConnectHost{suffix}={host}", f"SocketConnectPort{suffix}={port}"]
        if begin == "FIXT.1.1":
            lines.append("DefaultApplVerID=FIX.5.0SP2")
        file = path / f"{sender}.cfg"
        file.write_text(
            _SESSION_FIELDS.format(
                path=path, begin=begin, sender=sender, addresses="\n".join(lines), heartbeat=heartbeat
            )
        )
        self._settings = quickfix.SessionSettings(str(file))
        self._store = quickfix.FileStoreFactory(self._settings)
        self._log = quickfix.FileLogFactory(self._settings)
        self._initiator = quickfix.SocketInitiator(self, self._store, self._settings, self._log)

    # ---- what QuickFIX calls -----------------------------------------------------------------------------------------

    def onCreate(self, session):  # noqa: N802 - QuickFIX's names
        self._session = session

    def onLogon(self, _session):  # noqa: N802
        self.logged_on = True

    def onLogout(self, _session):  # noqa: N802
        self.logged_on = False

    def toAdmin(self, message, _session):  # noqa: N802
        if self._user and parsed(message.toString())[35] == "A":
            message.setField(553, self._user)
            message.setField(554, self._password)
        self.sent_admin.append(parsed(message.toString()))

    def fromAdmin(self, message, _session):  # noqa: N802
        self.admin.append(parsed(message.toString()))

    def toApp(self, _message, _session):  # noqa: N802
        pass

    def fromApp(self, message, _session):  # noqa: N802
        fields = parsed(message.toString())
        self.repeated += fields.get(43) == "Y"
        self.said.append(fields)

    # ---- what tests do -----------------------------------------------------------------------------------------------

    def __enter__(self) -> "Initiator":
        self._initiator.start()
        self.until(lambda: self.logged_on)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Log out. QuickFIX knows a session by its name in the whole process, until its object is gone."""
        self._initiator.stop(True)
        del self._initiator

    def until(self, what: Callable[[], bool], patience_s: float = 30.0) -> None:
        """Wait until it is so."""
        give_up_s = time.monotonic() + patience_s
        while not what():
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"the last messages: {self.said[-3:]} {self.admin[-3:]}")
            time.sleep(0.01)

    def heard(self, count: int, patience_s: float = 30.0) -> list[Fields]:
        """Wait until so many messages have come; all of them."""
        self.until(lambda: len(self.said) >= count, patience_s)
        return self.said

    def send(self, kind: str, fields: Fields) -> None:
        """Hand QuickFIX a message, whether or not it has a connection."""
        message = quickfix.Message()
        message.getHeader().setField(35, kind)
        for tag, value in fields.items():
            message.setField(tag, value)
        quickfix.Session.sendToTarget(message, self._session)

    @property
    def resets(self) -> int:
        """How often either side asked for numbers to start again."""
        both = [*self.admin, *self.sent_admin]
        return sum(one.get(141) == "Y" or (one[35] == "4" and one.get(123) != "Y") for one in both)

    @property
    def rejects(self) -> list[Fields]:
        """Of the session layer, by either side."""
        return [one for one in (*self.admin, *self.sent_admin) if one[35] == "3"]


def order(name: str, side: str = "1", quantity: object = 1, price: str = "100", **more: str) -> Fields:
    """A limit order for ACME; `more`: `t59="3"` for field 59."""
    fields = {11: name, 55: "ACME", 54: side, 60: "20261201-00:00:00", 38: str(quantity), 40: "2", 44: price}
    return fields | {int(tag[1:]): value for tag, value in more.items()}
