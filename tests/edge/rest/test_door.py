"""The REST door of a real cluster: every operation, keys at two doors, problems, pages, ETags, bounds."""

import json
import socket
import threading
import time
from urllib.parse import quote

import pytest

from tests.edge.rest.conftest import Caller, base_of


def ok(answer, status=200):
    assert answer.status == status, answer
    return answer.json


def test_an_order_from_its_entry_to_its_end(alice):
    placed = ok(alice.place("life", quantity_lots=10), 201)
    order, seq = placed["order_id"], placed["seq"]
    assert (placed["kind"], placed["leaves_lots"], placed["filled_lots"]) == ("accepted", 10, 0)
    shown = ok(alice.get(f"/v1/accounts/1/orders/{order}?min_seq={seq}"))
    assert (shown["status"], shown["price"], shown["leaves_lots"], shown["side"]) == ("live", "101.5", 10, "buy")
    assert order in [one["order_id"] for one in ok(alice.get("/v1/accounts/1/orders"))["orders"]]
    book = ok(alice.get(f"/v1/instruments/ACME/book?min_seq={seq}"))
    assert {"price": "101.5", "side": "buy", "quantity_lots": 10, "orders": 1} in book["bids"]
    money = ok(alice.get("/v1/accounts/1"))
    assert money["reserved"] == "1015"
    terms = {"price": "101.40", "quantity_lots": 8}
    replaced = ok(alice.ask("POST", f"/v1/accounts/1/orders/{order}/replace", terms, key="life-2"))
    assert (replaced["kind"], replaced["leaves_lots"], replaced["reports"][0]["previous_price"]) == (
        "replaced",
        8,
        "101.5",
    )
    canceled = ok(alice.ask("POST", f"/v1/accounts/1/orders/{order}/cancel", key="life-3"))
    assert canceled["kind"] == "canceled"
    ended = ok(alice.get(f"/v1/accounts/1/orders/{order}?min_seq={canceled['seq']}"))
    assert (ended["status"], ended["leaves_lots"], ended["price"]) == ("canceled", 0, "101.4")
    history = ok(alice.get(f"/v1/accounts/1/orders/{order}/history"))["reports"]
    assert [one["kind"] for one in history] == ["accepted", "replaced", "canceled"]
    first = ok(alice.get(f"/v1/accounts/1/orders/{order}/history?limit=2"))
    rest = ok(alice.get(f"/v1/accounts/1/orders/{order}/history?cursor={first['next_cursor']}"))
    assert first["reports"] + rest["reports"] == history
    assert rest["next_cursor"] is None


def test_a_trade_shows_everywhere(alice, bob):
    ask = ok(bob.place("sell", account=3, side="sell", quantity_lots=3, price="99"), 201)
    taken = ok(alice.place("take", quantity_lots=5, price="99.00", tif="ioc"), 201)
    assert (taken["filled_lots"], taken["leaves_lots"]) == (3, 0)
    assert [one["kind"] for one in taken["reports"]] == ["accepted", "trade", "canceled"]
    seq = taken["seq"]
    maker = ok(bob.get(f"/v1/accounts/3/orders/{ask['order_id']}?min_seq={seq}"))
    assert maker["status"] == "filled"
    assert [one["kind"] for one in ok(bob.get(f"/v1/accounts/3/orders/{ask['order_id']}/history"))["reports"]] == [
        "accepted", "trade",
    ]  # fmt: skip
    assert ok(alice.get(f"/v1/accounts/1/orders/{taken['order_id']}"))["status"] == "canceled"
    trade = ok(alice.get(f"/v1/instruments/1/trades?limit=1&min_seq={seq}"))["trades"][0]
    assert (trade["price"], trade["quantity_lots"], trade["aggressor"], trade["seq"]) == ("99", 3, "buy", seq)
    candles = ok(alice.get("/v1/instruments/ACME/candles?seconds=86400"))["candles"]
    assert (candles[-1]["close"], candles[-1]["volume_lots"]) == ("99", 3)
    acme = ok(alice.get("/v1/instruments/ACME"))
    assert (acme["last_price"], acme["tick"], acme["day"]["volume_lots"], acme["status"]["phase"]) == (
        "99", "0.01", 3, "continuous",
    )  # fmt: skip
    positions = ok(alice.get("/v1/accounts/1/positions"))["positions"]
    assert [(one["instrument"], one["quantity_lots"], one["cost"]) for one in positions] == [(1, 3, "297")]
    portfolio = ok(alice.get("/v1/accounts/1/portfolio"))
    assert (portfolio["positions_value"], portfolio["unrealised"]) == ("297", "0")
    short = ok(bob.get("/v1/accounts/3/portfolio"))
    assert (short["positions_value"], short["unrealised"], short["equity"]) == ("-297", "0", "1000000")


def test_mass_cancel_takes_the_accounts_orders_alone(alice, bob):
    for number in range(3):
        ok(alice.place(f"mass-{number}", account=2, side="sell", price="150"), 201)
    other = ok(bob.place("mass-other", account=3, side="sell", price="150"), 201)
    said = ok(alice.ask("POST", "/v1/accounts/2/mass-cancel", {"instrument": "ACME", "side": "sell"}, key="mass"))
    assert [one["kind"] for one in said["reports"]] == ["canceled"] * 3 + ["mass_canceled"]
    assert ok(alice.get(f"/v1/accounts/2/orders?min_seq={said['reports'][0]['event_id']['seq']}"))["orders"] == []
    assert ok(bob.get(f"/v1/accounts/3/orders/{other['order_id']}"))["status"] == "live"


def test_a_key_has_the_same_answer_byte_by_byte_at_both_doors(alice, alice_elsewhere):
    first = alice.place("same")
    again = [one.place("same") for one in (alice, alice_elsewhere, alice)]
    assert first.status == 201
    assert {(one.status, one.raw) for one in again} == {(201, first.raw)}
    assert first.headers["Idempotency-Replayed"] == "false"
    assert {one.headers["Idempotency-Replayed"] for one in again} == {"true"}
    assert first.headers["Location"] == f"/v1/accounts/1/orders/{first.json['order_id']}"


def test_the_same_request_may_be_written_otherwise_and_another_one_is_refused(alice, alice_elsewhere):
    first = alice.place("written", stp="none")
    assert first.status == 201
    raw = json.dumps(
        {"tif": "gtc", "price": "101.50", "quantity_lots": 1.0, "side": "buy", "instrument": "ACME", "stp": "none"}
    )
    again = alice_elsewhere.ask("POST", "/v1/accounts/1/orders", raw=raw.encode(), key='"written"')
    assert (again.status, again.raw) == (201, first.raw)
    for one in (alice, alice_elsewhere):
        other = one.place("written", quantity_lots=2)
        assert (other.status, other.json["code"]) == (422, "KEY_REUSED")
    assert alice.ask("POST", f"/v1/accounts/1/orders/{first.json['order_id']}/cancel", key="written").status == 422


def test_keys_of_two_clients_have_nothing_to_do_with_each_other(alice, bob):
    mine, theirs = ok(alice.place("shared"), 201), ok(bob.place("shared", account=3), 201)
    assert mine["order_id"] != theirs["order_id"]


def test_a_refusal_is_kept_and_names_code_and_remedy(alice, alice_elsewhere):
    first = alice.place("poor", quantity_lots=1_000_000)
    assert first.status == 409
    problem = first.json
    assert (problem["code"], problem["number"], problem["status"]) == ("INSUFFICIENT_CASH", 3002, 409)
    assert problem["type"] == "urn:lockstep:problem:insufficient-cash"
    assert "pay in cash" in problem["remedy"]
    assert problem["reports"][0]["kind"] == "rejected"
    assert first.headers["Content-Type"] == "application/problem+json"
    again = alice_elsewhere.place("poor", quantity_lots=1_000_000)
    assert (again.status, again.raw) == (409, first.raw)


def test_sixty_orders_at_once_over_both_doors_are_one_each(alice, alice_elsewhere):
    answers: dict[int, list] = {}

    def send(number: int) -> None:
        callers = (alice, alice_elsewhere)
        answers[number] = [
            callers[(number + turn) % 2].place_until_answered(f"burst-{number}", price="90") for turn in range(3)
        ]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len({(one.status, one.raw) for one in same}) == 1 for same in answers.values()), answers
    ids = {same[0].json["order_id"] for same in answers.values()}
    assert len(ids) == 60
    seq = max(int(same[0].json["seq"]) for same in answers.values())
    found, cursor = [], "0"
    while cursor is not None:
        page = ok(alice.get(f"/v1/accounts/1/orders?limit=25&min_seq={seq}&cursor={cursor}"))
        found += [one["order_id"] for one in page["orders"] if one["price"] == "90"]
        cursor = page["next_cursor"]
    assert sorted(found) == sorted(ids)


def test_one_key_at_both_doors_at_the_same_moment_is_one_order(alice, alice_elsewhere):
    def race(number: int) -> list:
        answers: list = []
        threads = [
            threading.Thread(target=lambda one=one: answers.append(one.place(f"race-{number}", price="80")))
            for one in (alice, alice_elsewhere) * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    for number in range(15):
        answers = race(number)
        assert len({(one.status, one.raw) for one in answers}) == 1, answers
        assert answers[0].status == 201


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/accounts/1/orders/999999999", "UNKNOWN_ORDER"),
        ("/v1/accounts/1/orders/1", "UNKNOWN_ORDER"),
        ("/v1/accounts/1/orders/999999999/history", "UNKNOWN_ORDER"),
        ("/v1/instruments/NONE", "UNKNOWN_INSTRUMENT"),
        ("/v1/instruments/99/book", "UNKNOWN_INSTRUMENT"),
        ("/v1/nothing", "NOT_SUPPORTED"),
    ],
)
def test_what_there_is_not_is_404_with_a_code(alice, path, code):
    answer = alice.get(path)
    assert (answer.status, answer.json["code"]) == (404, code)


ORDER = {"instrument": "ACME", "side": "buy", "quantity_lots": 1, "price": "101.50"}


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"side": None}, 400, "/side"),
        ({"side": "up"}, 400, "/side"),
        ({"quantity_lots": 0}, 400, "/quantity_lots"),
        ({"quantity_lots": True}, 400, "/quantity_lots"),
        ({"quantity_lots": "1"}, 400, "/quantity_lots"),
        ({"quantity_lots": 2**31}, 400, "/quantity_lots"),
        ({"quantity_lots": 1.5}, 400, "/quantity_lots"),
        ({"price": 101.5}, 400, "/price"),
        ({"price": "101,50"}, 400, "/price"),
        ({"price": "-1"}, 400, "/price"),
        ({"price": "1e3"}, 400, "/price"),
        ({"price": "101.505"}, 409, "/price"),
        ({"price": "9999999999999"}, 409, "/price"),
        ({"owner": 7}, 400, "/owner"),
        ({"account": 3}, 400, "/account"),
        ({"instrument": "NONE"}, 404, None),
        ({"instrument": 1}, 400, "/instrument"),
        ({"post_only": 1}, 400, "/post_only"),
        ({"client_order_id": "x"}, 400, "/client_order_id"),
    ],
)
def test_wrong_bodies_are_refused_by_field_and_use_no_key(alice, change, status, field):
    body = {name: value for name, value in {**ORDER, **change}.items() if value is not None}
    answer = alice.ask("POST", "/v1/accounts/1/orders", body, key="wrong-bodies")
    assert (answer.status, answer.json.get("field")) == (status, field), answer
    assert answer.json["code"]
    assert "seq" not in answer.json, "nothing of it is part of the history"


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"{", b'{"side":"buy","side":"sell"}', b"[" * 16_000, b'{"quantity_lots": NaN}', b"\xff\xfe",
     b'{"instrument":"ACME","side":"buy","price":"1","quantity_lots":1e999999999}',
     b'{"quantity_lots":' + b"9" * 5_000 + b"}"],
)  # fmt: skip
def test_what_is_no_json_object_is_400(alice, raw):
    answer = alice.ask("POST", "/v1/accounts/1/orders", raw=raw, key="no-json")
    assert answer.status == 400, answer


def test_keys_that_are_none_are_refused(alice):
    assert alice.ask("POST", "/v1/accounts/1/orders", ORDER).status == 400
    for key in ("a b", "é".encode().decode("latin-1"), "x" * 256, '""'):
        answer = alice.ask("POST", "/v1/accounts/1/orders", ORDER, key=key)
        assert answer.status == 400 or key == '""', answer


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "depth=1", "cursor=-1", "cursor=x", "min_seq=1.5", "x=1"],
)
def test_wrong_parameters_are_400(alice, query):
    answer = alice.get(f"/v1/accounts/1/orders?{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_other_methods_are_405_with_those_that_there_are(alice):
    answer = alice.ask("DELETE", "/v1/accounts/1/orders")
    assert answer.status == 405
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "POST"}


def test_bodies_are_bounded_in_length_type_and_coding(alice):
    assert alice.ask("POST", "/v1/accounts/1/orders", raw=b" " * 17_000, key="long").status == 413
    assert alice.ask("POST", "/v1/accounts/1/orders", raw=b"{}", key="type", Content_Type="text/plain").status == 415
    assert alice.ask("POST", "/v1/accounts/1/orders", raw=b"{}", key="gzip", Content_Encoding="gzip").status in (
        400,
        415,
    )


def test_an_etag_spares_what_has_not_changed(alice):
    ok(alice.place("etag", price="70"), 201)
    for path in ("/v1/instruments/ACME/book", "/v1/accounts/1", "/v1/accounts/1/orders", "/v1/instruments"):
        first = alice.get(path)
        again = alice.get(path, If_None_Match=first.headers["ETag"])
        assert (again.status, again.raw) == (304, b""), path
    book = alice.get("/v1/instruments/ACME/book")
    placed = ok(alice.place("etag-2", price="71"), 201)
    changed = alice.get(f"/v1/instruments/ACME/book?min_seq={placed['seq']}", If_None_Match=book.headers["ETag"])
    assert changed.status == 200


def test_min_seq_is_waited_for_and_refused_when_it_does_not_come(alice):
    for path in ("/v1/accounts/1", "/v1/instruments/ACME/book", "/v1/cluster"):
        answer = alice.get(f"{path}?min_seq=999999999")
        assert (answer.status, answer.headers["Retry-After"]) == (409, "1"), path
    now = ok(alice.get("/v1/cluster"))
    later = alice.get(f"/v1/accounts/1?min_seq={int(now['seq']) + 1}")
    assert later.status == 200, "the next tick is less than two seconds away"
    assert int(later.headers["Lockstep-Seq"]) > int(now["seq"])


def test_symbols_that_need_quoting_are_found(alice):
    assert ok(alice.get(f"/v1/instruments/{quote('LOTS/X', safe='')}"))["id"] == 2
    placed = ok(alice.place("lots", instrument="LOTS/X", price="0.000123", quantity_lots=2), 201)
    assert placed["reports"][0]["price"] == "0.000123"


def test_accounts_come_in_pages(alice, cluster):
    operator = Caller(base_of(cluster), "operator-token")
    everybody, cursor = [], "0"
    while cursor is not None:
        page = ok(operator.get(f"/v1/accounts?limit=3&cursor={cursor}"))
        everybody += [one["account"] for one in page["accounts"]]
        cursor = page["next_cursor"]
    assert everybody == [1, 2, 3, 4]
    assert [one["account"] for one in ok(alice.get("/v1/accounts"))["accounts"]] == [1, 2]
    assert ok(operator.get("/v1/instruments?limit=1"))["next_cursor"] == "1"


def test_trades_go_back_page_by_page(alice, bob):
    for number in range(4):
        ok(bob.place(f"page-{number}", account=3, side="sell", price="60"), 201)
        ok(alice.place(f"page-take-{number}", price="300", quantity_lots=1), 201)
    seq = ok(alice.place("page-end", price="50"), 201)["seq"]
    whole = ok(alice.get(f"/v1/instruments/ACME/trades?min_seq={seq}"))["trades"]
    pages, cursor = [], ""
    while cursor is not None:
        page = ok(alice.get(f"/v1/instruments/ACME/trades?limit=3{cursor and '&cursor=' + cursor}"))
        pages += page["trades"]
        cursor = page["next_cursor"]
    assert pages == whole
    assert len(whole) >= 4


def test_head_is_get_without_its_body(alice):
    got, head = alice.get("/v1/instruments/ACME"), alice.ask("HEAD", "/v1/instruments/ACME")
    assert (head.status, head.raw, head.headers["ETag"]) == (200, b"", got.headers["ETag"])


def test_the_viewer_and_the_document_are_there_and_ask_no_other_host(alice):
    nobody = Caller(alice.base, None)
    page = nobody.get("/docs")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in ("/docs", "/docs/viewer.js", "/docs/viewer.css"):
        text = nobody.get(path).raw.decode()
        assert "http://" not in text
        assert "https://" not in text
    assert ok(nobody.get("/openapi.json"))["openapi"] == "3.1.0"


def test_a_request_that_stays_away_and_a_body_that_does_not_come_end(alice):
    host, _, port = alice.base.removeprefix("http://").rpartition(":")
    head = (
        f"POST /v1/accounts/1/orders HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {alice.token}\r\n"
        "Idempotency-Key: slow\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    for said, wanted in ((b"GET /v1/cluster HTT", b""), (head.encode(), b"HTTP/1.1 408")):
        with socket.create_connection((host, int(port)), timeout=15) as sock:
            sock.sendall(said)
            begin = time.monotonic()
            answer = b""
            try:
                while part := sock.recv(4096):
                    answer += part
                    if wanted:
                        break
            except ConnectionResetError:
                pass
            assert answer.startswith(wanted)
            assert time.monotonic() - begin < 12
