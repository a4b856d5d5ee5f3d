"""Alerts as the protocol has them. Pure."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from lockstep.posttrade.alerts.desk import EVERYTHING, Endpoint, Sight
from lockstep.posttrade.alerts.machine import AT_END, Alert, Firing
from lockstep.posttrade.alerts.rules import LEVELS, Definition, Direction, Kind, Side, Status, first_side
from lockstep.posttrade.alerts.world import World
from lockstep.posttrade.chunks import Position
from lockstep.v1 import alerts_pb2 as pb
from lockstep.v1 import common_pb2

_FIELDS: Final = tuple(Definition.__slots__)  # type: ignore[attr-defined]  # made by the decorator


def _enum(value: int) -> Any:
    """A number as a field of an enum takes it: protobuf's stubs want the enum, its code an int."""
    return value


def stamp(position: Position) -> common_pb2.Stamp:
    """As of which an answer is."""
    return common_pb2.Stamp(epoch=position.epoch, seq=position.seq)


def definition_from(said: pb.AlertDefinition) -> Definition:
    """What a client asks for, not checked yet."""
    return Definition(**{name: getattr(said, name) for name in _FIELDS})


def definition(one: Definition) -> pb.AlertDefinition:
    """And back."""
    return pb.AlertDefinition(**{name: getattr(one, name) for name in _FIELDS})


def alert(one: Alert, now_ns: int, sight: Sight = EVERYTHING) -> pb.Alert:
    """As it stands at a stamped time; of what its owner may not see any more, not how it stands."""
    if not sight.has(one.definition.account, one.definition.instrument):
        return pb.Alert(number=one.number, definition=definition(one.definition), after_seq=one.after_seq)
    said, active = one.definition, one.status == Status.ACTIVE
    over = active and 0 < said.expire_ns <= now_ns
    if said.kind not in LEVELS:
        armed = True
    elif said.direction == Direction.CROSSING:
        armed = one.side != Side.UNKNOWN
    else:
        armed = one.side == first_side(said)
    return pb.Alert(
        number=one.number, definition=definition(said), count=one.count, last_fired_ns=one.last_ns,
        status=pb.ALERT_STATUS_EXPIRED if over else _enum(one.status), after_seq=one.after_seq,
        armed=armed and active and not over,
    )  # fmt: skip


def firing(one: Firing, id_: str) -> pb.Firing:
    """One that has fired."""
    at, said = one.place, one.happened
    made = pb.Firing(
        number=one.number, id=id_, alert=one.alert, count=one.count, kind=_enum(one.kind),
        epoch=at.epoch, seq=at.seq, timestamp_ns=at.timestamp_ns, instrument=one.instrument, account=one.account,
        direction=_enum(one.direction), level=one.level, threshold=one.threshold, note=one.note,
    )  # fmt: skip
    if at.index != AT_END:
        made.index = at.index
    if said is not None:
        made.order_state = _enum(said.state)
        made.order_id, made.client_order_id = said.order_id, said.client_order_id
        made.side, made.code = _enum(said.side), said.code
        made.price_ticks, made.quantity_lots, made.leaves_lots = (
            said.price_ticks, said.quantity_lots, said.leaves_lots
        )  # fmt: skip
    return made


def firing_json(one: Firing, id_: str) -> dict[str, Any]:
    """The same as JSON has it: numbers of 64 bits as texts, names of enums."""
    found: dict[str, Any] = MessageToDict(firing(one, id_), preserving_proto_field_name=True)
    return found


def delivery(one: Firing, id_: str, cluster: str) -> bytes:
    """Body of a webhook's delivery."""
    at = datetime.fromtimestamp(one.place.timestamp_ns // 1_000_000_000, UTC)
    said = {
        "type": f"alert.{Kind(one.kind).name.lower()}",
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "cluster": cluster,
        "data": firing_json(one, id_),
    }
    return json.dumps(said, separators=(",", ":")).encode()


def webhook(one: Endpoint, last: int) -> pb.Webhook:
    """How a webhook does; `last`: the number of the last firing that its owner may see."""
    return pb.Webhook(
        number=one.number, url=one.url, delivered=min(one.delivered, last), discarded=one.discarded,
        failing_since_ns=one.failing_since_ns, last_error=one.last_error, waiting=max(0, last - one.delivered),
    )  # fmt: skip


def quotes(world: World, numbers: list[int]) -> list[pb.Quote]:
    """Prices of instruments, those that there are."""
    found = []
    for number in numbers:
        one = world.instruments.get(number)
        if one is None:
            continue
        bid, ask = world.best(number)
        found.append(
            pb.Quote(
                instrument=number, symbol=one.symbol, last_ticks=one.last, bid_ticks=bid, ask_ticks=ask,
                open_ticks=one.open, close_ticks=one.close, reference_ticks=one.reference, volume_lots=one.volume,
                phase=_enum(one.phase),
            )
        )  # fmt: skip
    return found
