"""FLOW.csv: round trip, defaults, and one clear message for each mistake."""

import contextlib
import decimal
import gzip
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.bench.replay.flow import FlowError, check_flow, read_flow
from lockstep.bench.replay.numbers import client_id_to_file, file_id_to_client, format_micros, format_price
from lockstep.stream.records import CommandKind

HEADER = "action,order_id,account,instrument,side,type,tif,price,quantity"
TOP = f"""# instrument: ABC tick=0.01 lot=1
# instrument: XYZ tick=0.5 lot=100
# account: A cash=1000.50 positions=ABC:10,XYZ:200
# account: B cash=unlimited positions=unlimited
{HEADER}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "flow.csv"
    path.write_text(text)
    return path


def test_declarations_and_rows_become_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path, TOP + "N,7,A,ABC,B,limit,gtc,12.30,5\nR,7,,,,,,12.4,3\nC,7,,,,,,,\nN,8,B,XYZ,S,market,ioc,,300\n"
    )
    summary = check_flow(path)
    assert summary.by_action == {"N": 2, "C": 1, "R": 1}
    assert summary.accounts[0].cash_micros == 1_000_500_000
    assert summary.accounts[0].positions == (("ABC", 10), ("XYZ", 200))
    assert summary.accounts[1].cash_micros is None
    (chunk,) = read_flow(path, summary)
    assert chunk.kind.tolist() == [
        CommandKind.NEW_ORDER,
        CommandKind.REPLACE,
        CommandKind.CANCEL,
        CommandKind.NEW_ORDER,
    ]
    assert chunk.price_ticks.tolist() == [1230, 1240, 0, 0]
    assert chunk.quantity_lots.tolist() == [5, 3, 0, 3]
    assert chunk.account.tolist() == [0, 0, 0, 1]
    assert chunk.instrument.tolist() == [0, 0, 0, 1]


def test_chunks_are_consecutive(tmp_path: Path) -> None:
    path = write(tmp_path, TOP + "".join(f"N,{i},A,ABC,B,limit,gtc,1,1\n" for i in range(25)))
    chunks = list(read_flow(path, check_flow(path), chunk_rows=10))
    assert [(chunk.first_index, len(chunk)) for chunk in chunks] == [(0, 10), (10, 10), (20, 5)]


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv.gz"
    path.write_bytes(gzip.compress((TOP + "C,1,A,ABC,,,,,\n").encode()))
    assert check_flow(path).commands == 1


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    top = TOP.replace(HEADER, "stp,price,quantity,action,order_id,account,instrument,side,type,tif,post_only")
    path = write(tmp_path, top + "cancel_both,1,1,N,1,A,ABC,B,limit,gtc,1\n")
    (chunk,) = read_flow(path, check_flow(path))
    assert (chunk.stp.tolist(), chunk.flags.tolist()) == ([3], [1])


def test_auto_takes_undeclared_names_with_unlimited_funds(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "\nN,1,ACC,NEW,B,limit,gtc,1.25,1\n")
    summary = check_flow(path, auto=True)
    assert summary.instruments[0].name == "NEW"
    assert summary.accounts[0].cash_micros is None
    with pytest.raises(FlowError, match="--auto"):
        check_flow(path)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("N,1,A,ABC,B,limit,gtc,1.005,1", ["price 1.005", "off the tick 0.01 of ABC", "multiple of 0.01"]),
        ("N,1,A,XYZ,B,limit,gtc,1.3,100", ["off the tick 0.5"]),
        ("N,1,A,ABC,B,limit,gtc,1.00,0", ["quantity 0 is out of range", "1 to 2147483647"]),
        ("N,1,A,ABC,B,limit,gtc,1.00,2147483648", ["quantity 2147483648 is out of range"]),
        ("N,1,A,ABC,B,limit,gtc,1.00,1.5", ["quantity '1.5' is not a whole number"]),
        ("N,1,A,XYZ,B,limit,gtc,1,150", ["whole number of lots", "multiple of 100"]),
        ("N,1,A,ABC,B,limit,gtc,-1,1", ["price '-1' is not a decimal number"]),
        ("N,1,A,ABC,B,limit,gtc,0,1", ["price 0 is out of range"]),
        ("N,1,A,ABC,B,limit,gtc,nan,1", ["price 'nan'"]),
        ("N,1,A,ABC,B,limit,gtc,,1", ["price ''"]),
        ("N,1,A,NOPE,B,limit,gtc,1,1", ["unknown instrument 'NOPE'", "# instrument: NOPE tick=0.01", "--auto"]),
        ("N,1,Z,ABC,B,limit,gtc,1,1", ["unknown account 'Z'", "# account: Z"]),
        ("X,1,A,ABC,B,limit,gtc,1,1", ["action 'X'", "N (new), C (cancel) or R (replace)"]),
        ("N,x,A,ABC,B,limit,gtc,1,1", ["order_id 'x'"]),
        ("N,18446744073709551616,A,ABC,B,limit,gtc,1,1", ["order_id", "out of range"]),
        ("N,1,A,ABC,buy,limit,gtc,1,1", ["side 'buy'", "B, S"]),
        ("N,1,A,ABC,B,peg,gtc,1,1", ["type 'peg'", "limit, market"]),
        ("N,1,A,ABC,B,limit,gtd,1,1", ["tif 'gtd' without expire_ns", "fill in", "day, gtc, ioc, fok"]),
        ("N,1,A,ABC,B,limit,gfd,1,1", ["tif 'gfd'", "day, gtc, ioc, fok, gtd, at_open, at_close"]),
        ("N,1,A,ABC,B,market,ioc,5,1", ["price '5' on a market order", "leave it empty", "protection_price"]),
        ("N,1,A,ABC,B,stop,gtc,5,1", ["price '5' on a stop order", "leave it empty"]),
        ("N,1,A,ABC,B,trailing_stop,gtc,,1", ["trail ''", "decimal number"]),
        ("N,1,A,ABC,B,limit,gtc,1e5,1", ["price '1e5' is not a decimal number"]),
        ("N,1,A,ABC,B,limit,gtc,\u0661,1", ["price", "is not a decimal number"]),
        (f"N,1,A,ABC,B,limit,gtc,{'9' * 5000},1", ["price '9999", "...", "is not a decimal number"]),
        (f"N,{'9' * 5000},A,ABC,B,limit,gtc,1,1", ["order_id '9999", "...", "is not a whole number"]),
        ("M,,,,,,,,", ["a mass cancel of nobody's orders", "name an account"]),
        ("M,5,A,,,,,,", ["order_id '5' means nothing with action M", "leave it empty"]),
        ("M,,A,,,,,1.00,", ["price '1.00' means nothing"]),
        ("P,,,,,,,,", ["phase ''", "use one of: pre_open"]),
        (f"N,1,A,ABC,B,market,ioc,0.{400 * '0'}1,1", ["price '0.0", "on a market order", "leave it empty"]),
        ("N,1,A,ABC,B,limit,gtc,1_000,1", ["price '1_000'"]),
        ("N,1,A,ABC,B,limit,gtc,\uff11,1", ["price '\uff11'"]),
        ("N,1,A,ABC,B,limit,gtc,1e30,1", ["price '1e30'"]),
        ("N,1,A,ABC,B,stop,gtc,,1", ["stop_price ''"]),
        ("R,5,,,,,,1,1", ["order 5 was never entered"]),
        ("N,1,A,ABC,B,limit,gtc,1", ["8 fields", "9 columns"]),
        ("# instrument: LATE tick=1", ["declaration after the column names"]),
    ],
)
def test_mistake_in_a_row_is_named_with_its_line(tmp_path: Path, row: str, parts: list[str]) -> None:
    path = write(tmp_path, TOP + "C,9,A,ABC,,,,,\n" + row + "\n")
    with pytest.raises(FlowError) as caught:
        check_flow(path)
    for part in [f"{path}:7: ", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["no header line"]),
        (HEADER.replace("side", "sid") + "\n", [":1:", "unknown column 'sid'", "use one of", "side"]),
        (HEADER.replace(",side", "") + "\n", ["column 'side' is missing"]),
        (HEADER + ",side\n", ["column 'side' stands twice"]),
        ("# instrument: ABC\n" + HEADER, ["ABC has no tick"]),
        ("# instrument: ABC tick=0.0000001\n" + HEADER, ["more than 6 decimals"]),
        ("# instrument: ABC tick=1 colour=red\n" + HEADER, ["unknown key 'colour'"]),
        ("# account: A cash=lots\n" + HEADER, ["cash of account A 'lots'"]),
        ("# account: A\n# account: A\n" + HEADER, [":2:", "declared twice"]),
        ("# account: A positions=ABC:1\n" + HEADER, ["undeclared instrument ABC"]),
        ("# account: A positions=ABC:1\n" + HEADER, ["undeclared instrument"]),
    ],
)
def test_mistake_in_the_head_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(FlowError) as caught:
        check_flow(path)
    for part in parts:
        assert part in str(caught.value).replace("'ABC'", "ABC")


WIDE = TOP.replace(HEADER, HEADER + ",stop_price,trail,protection_price,expire_ns,hidden,tag,block,phase,time_ns")


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("N,1,A,ABC,B,limit,gtc,1,1,,0.5,,,,,,,", ["trail '0.5' on an order that does not trail", "trailing_stop"]),
        ("N,1,A,ABC,B,trailing_stop,gtc,,1,,0,,,,,,,", ["trail 0 is out of range"]),
        ("N,1,A,ABC,B,trailing_stop,gtc,,1,,0.001,,,,,,,", ["trail 0.001 is off the tick 0.01"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,2,,,,,,", ["protection_price '2' on a limit order", "leave it empty"]),
        ("N,1,A,ABC,B,market,ioc,,1,,,2.001,,,,,,", ["protection_price 2.001 is off the tick"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,,5,,,,,", ["expire_ns '5' on an order that does not expire", "tif gtd"]),
        ("N,1,A,ABC,B,limit,gtd,1,1,,,,0,,,,,", ["expire_ns 0 is out of range"]),
        (f"N,1,A,ABC,B,limit,gtd,1,1,,,,{2**63},,,,,", ["expire_ns", "is out of range"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,,,yes,,,,", ["hidden 'yes'", "use 0 or 1"]),
        (f"N,1,A,ABC,B,limit,gtc,1,1,,,,,,{2**64},,,", ["tag", "is out of range"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,,,,,1,,", ["block '1' means nothing with action N"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,,,,,,halt,", ["phase 'halt' means nothing with action N"]),
        ("C,1,A,ABC,,,,,,,,,,1,,,,", ["hidden '1' means nothing with action C"]),
        ("M,,,ABC,,,,,,,,,,,,1,,", ["block 1 without an account"]),
        ("M,,A,,,,,,,,,,,,,,halt,", ["phase 'halt' means nothing with action M"]),
        ("P,,,ABC,,,,,,,,,,,,,open,", ["phase 'open'", "continuous"]),
        ("P,,,,,,,1.00,,,,,,,,,halt,", ["price '1.00' for every instrument", "name the instrument"]),
        ("P,,A,ABC,,,,,,,,,,,,,halt,", ["account 'A' means nothing with action P"]),
        ("N,1,A,ABC,B,limit,gtc,1,1,,,,,,,,,x", ["time_ns 'x'"]),
    ],
)
def test_mistake_in_an_optional_column_is_named_with_its_line(tmp_path: Path, row: str, parts: list[str]) -> None:
    path = write(tmp_path, WIDE + row + "\n")
    with pytest.raises(FlowError) as caught:
        check_flow(path)
    for part in [f"{path}:6: ", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (("",), ":6: no time_ns, by which the rows are to be sent"),
        (("5", ""), ":7: no time_ns"),
        (("0", ""), ":7: no time_ns"),
        (("5", "5", "4"), ":8: time_ns 4 is before that of the row above (5)"),
    ],
)
def test_rows_that_are_sent_by_their_time_need_one_that_does_not_go_back(
    tmp_path: Path, rows: tuple[str, ...], part: str
) -> None:
    path = write(tmp_path, WIDE + "".join(f"N,{i},A,ABC,B,limit,gtc,1,1,,,,,,,,,{t}\n" for i, t in enumerate(rows)))
    assert check_flow(path).commands == len(rows)
    with pytest.raises(FlowError, match=re.escape(part)):
        check_flow(path, timed=True)


def test_times_may_count_from_0(tmp_path: Path) -> None:
    path = write(tmp_path, WIDE + "".join(f"N,{t},A,ABC,B,limit,gtc,1,1,,,,,,,,,{t}\n" for t in (0, 0, 7)))
    assert check_flow(path, timed=True).commands == 3


def test_stop_orders_are_replaced_without_a_price_and_others_need_one(tmp_path: Path) -> None:
    rows = (
        "N,1,A,ABC,B,stop,gtc,,1,2,,,,,,,,\n"
        "R,1,,,,,,,5,3,,,,,,,,\n"
        "N,2,A,ABC,B,limit,gtc,1,1,,,,,,,,,\n"
        "R,9,A,ABC,,,,,5,3,,,,,,,,\n"
    )
    path = write(tmp_path, WIDE + rows)
    (chunk,) = read_flow(path, check_flow(path))
    assert chunk.price_ticks.tolist() == [0, 0, 100, 0]
    assert chunk.stop_price_ticks.tolist() == [200, 300, 0, 300]
    for row in ("R,2,,,,,,,5,,,,,,,,,\n", "R,9,A,ABC,,,,,5,,,,,,,,,\n"):
        with pytest.raises(FlowError, match="price '' is not a decimal number"):
            check_flow(write(tmp_path, WIDE + rows + row))


def test_a_file_that_changes_after_it_was_checked_is_not_sent(tmp_path: Path) -> None:
    path = write(tmp_path, TOP + "C,9,A,ABC,,,,,\n")
    summary = check_flow(path)
    with path.open("a") as file:
        file.write("C,10,A,ABC,,,,,\n")
    with pytest.raises(FlowError, match="was changed after it had been checked"):
        list(read_flow(path, summary))


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(FlowError, match="is no regular file, and is read twice; save it to a file first"):
            check_flow(path)


def test_money_does_not_depend_on_the_decimal_context(tmp_path: Path) -> None:
    path = write(tmp_path, WIDE + "N,1,B,ABC,B,limit,gtc,1234567.89,1,,,,,,,,,\n")
    with decimal.localcontext(prec=3):
        (chunk,) = read_flow(path, check_flow(path))
    assert chunk.price_ticks.tolist() == [123456789]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), gz=st.booleans(), auto=st.booleans(), whole=st.booleans())
def test_no_bytes_lead_to_anything_but_one_message(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, gz: bool, auto: bool, whole: bool
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / ("flow.csv.gz" if gz else "flow.csv")
    text = data if whole else WIDE.encode() + data
    path.write_bytes(gzip.compress(text)[:-9] + data[:9] if gz else text)
    with contextlib.suppress(FlowError):
        check_flow(path, auto=auto, timed=whole)


def test_missing_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="no such file; check the path"):
        check_flow(tmp_path / "absent.csv")


def test_broken_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(FlowError, match="can't be read"):
        check_flow(path)


ORDERS = st.lists(
    st.tuples(
        st.sampled_from("NCR"),
        st.integers(0, 2**64 - 2),
        st.sampled_from("BS"),
        st.sampled_from(["gtc", "ioc", "fok", "day"]),
        st.integers(1, 10**9),
        st.integers(1, 2**31 - 1),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(orders=ORDERS, tick=st.sampled_from([1, 500, 10_000, 500_000, 1_000_000, 25_000_000]))
def test_rows_survive_the_round_trip_through_text(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[str, int, str, str, int, int]], tick: int
) -> None:
    lines = [f"# instrument: ABC tick={format_micros(tick)}", "# account: A cash=unlimited positions=unlimited", HEADER]
    lines += [f"{a},{o},A,ABC,{s},limit,{t},{format_price(p, tick)},{q}" for a, o, s, t, p, q in orders]
    path = write(tmp_path_factory.mktemp("flow"), "\n".join(lines) + "\n")
    rows = [
        ("NCR"[int(kind) - 1], client_id_to_file(int(order)), int(price), int(quantity))
        for chunk in read_flow(path, check_flow(path), chunk_rows=7)
        for kind, order, price, quantity in zip(
            chunk.kind, chunk.client_order_id, chunk.price_ticks, chunk.quantity_lots, strict=True
        )
    ]
    assert rows == [(a, o, 0 if a == "C" else p, 0 if a == "C" else q) for a, o, s, t, p, q in orders]


@given(st.integers(0, 2**64 - 2))
def test_order_ids_map_to_client_ids_and_back(order_id: int) -> None:
    assert file_id_to_client(order_id) != 0
    assert client_id_to_file(file_id_to_client(order_id)) == order_id
