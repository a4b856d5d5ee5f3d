"""QuickFIX at the door of a real cluster."""

from pathlib import Path

from tests.edge.fix.initiator import Initiator, order


def states(said):
    return [(one[35], one.get(150), one.get(39)) for one in said]


def test_orders_are_accepted_executed_replaced_and_canceled(cluster, tmp_path: Path):
    address = cluster.fix_addresses[:1]
    with Initiator(tmp_path, "1", address) as maker, Initiator(tmp_path, "2", address) as taker:
        maker.send("D", order("a-name-as-long-as-a-uuid-has-it-36-c", "2", 100, "101.25"))
        maker.heard(1)
        taker.send("D", order("B", "1", 40, "102", t59="3"))
        assert states(taker.heard(2)) == [("8", "0", "0"), ("8", "F", "2")]
        assert (taker.said[1][31], taker.said[1][32], taker.said[1][6]) == ("101.25", "40", "101.25")
        assert maker.heard(2)[1][151] == "60"
        maker.send("G", order("C", "2", 90, "103") | {41: "a-name-as-long-as-a-uuid-has-it-36-c"})
        assert states(maker.heard(3))[2] == ("8", "5", "1")
        assert (maker.said[2][11], maker.said[2][38], maker.said[2][151]) == ("C", "90", "50")
        for name, changed, text in (("X", {54: "1"}, "tag 54"), ("Y", {55: "NOPE"}, "tag 55")):
            maker.send("F", {41: "C", 11: name, 55: "ACME", 54: "2", 60: "20261201-00:00:00"} | changed)
            refused = maker.heard(4 + (name == "Y"))[-1]
            assert (refused[35], refused[434], refused[58]) == ("9", "1", f"NOT_SUPPORTED: {text}")
        maker.send("F", {41: "C", 11: "D", 55: "ACME", 54: "2", 60: "20261201-00:00:00"})
        assert states(maker.heard(6))[5] == ("8", "4", "4")
        assert (maker.said[5][11], maker.said[5][41], maker.said[5][14]) == ("D", "C", "40")
        assert not maker.rejects
        assert not taker.rejects


def test_refusals_come_in_the_words_of_fix(cluster, tmp_path: Path):
    with Initiator(tmp_path, "3", cluster.fix_addresses[:1]) as trader:
        cases = [
            (order("R1") | {55: "NOBODY"}, "1", "UNKNOWN_INSTRUMENT: tag 55"),
            (order("R2", price="100.001"), "16", "BAD_PRICE: tag 44"),
            (order("R3") | {40: "P"}, "11", "NOT_SUPPORTED: tag 40"),
            (order("R4", t1="77777"), "15", "UNKNOWN_ACCOUNT"),
            (order("R5", quantity="1.5"), "13", "BAD_QUANTITY: tag 38"),
        ]
        for fields, reason, text in cases:
            trader.send("D", fields)
            said = trader.heard(cases.index((fields, reason, text)) + 1)[-1]
            assert (said[150], said[39], said[103], said[58]) == ("8", "8", reason, text)
        trader.send("F", {41: "NEVER", 11: "R6", 55: "ACME", 54: "1", 60: "20261201-00:00:00"})
        refused = trader.heard(6)[-1]
        assert (refused[35], refused[434], refused[102], refused[39]) == ("9", "1", "1", "8")
        trader.send("e", {324: "ask", 55: "ACME", 263: "0"})
        refused = trader.heard(7)[-1]
        assert (refused[35], refused[372], refused[380], refused[58]) == ("j", "e", "3", "NOT_SUPPORTED")


def test_a_clordid_is_used_once_and_its_state_can_be_asked_for(cluster, tmp_path: Path):
    with Initiator(tmp_path, "4", cluster.fix_addresses[:1]) as trader:
        trader.send("D", order("ONCE", price="50"))
        trader.send("D", order("ONCE", price="50"))
        assert states(trader.heard(2)) == [("8", "0", "0"), ("8", "8", "8")]
        assert trader.said[1][103] == "6"
        trader.send("H", {11: "ONCE", 55: "ACME", 54: "1", 790: "ask"})
        assert states(trader.heard(3))[2] == ("8", "I", "0")
        assert trader.said[2][790] == "ask"
        trader.send("D", order("SECOND", price="50"))
        trader.heard(4)
        trader.send("AF", {584: "all", 585: "7"})
        assert [one[11] for one in trader.heard(6)[4:]] == ["ONCE", "SECOND"]
        trader.send("q", {11: "M", 530: "7", 60: "20261201-00:00:00"})
        assert states(trader.heard(9))[6:8] == [("8", "4", "4")] * 2
        assert (trader.said[8][35], trader.said[8][531], trader.said[8][533]) == ("r", "7", "2")


def test_fix_50sp2_stops_icebergs_and_lots(cluster, tmp_path: Path):
    with Initiator(tmp_path, "5", cluster.fix_addresses[:1], begin="FIXT.1.1") as trader:
        trader.send("D", order("STOP", t99="120", t59="1") | {40: "4", 44: "121"})
        assert states(trader.heard(1)) == [("8", "0", "0")]
        assert (trader.said[0][99], trader.said[0][40], trader.said[0][59]) == ("120", "4", "1")
        trader.send("D", order("ICE", quantity=1000, price="0.0101", t1138="200", t18="6") | {55: "LOTS-OF-100"})
        assert trader.heard(2)[1][38] == "1000", trader.said
        assert trader.said[1][44] == "0.0101"


def test_a_session_goes_on_at_another_gateway_with_the_messages_it_missed(cluster, tmp_path: Path):
    first, second = cluster.fix_addresses
    with Initiator(tmp_path, "6", [first]) as trader:
        trader.send("D", order("RESTS", "2", 10, "90"))
        trader.heard(1)
    with Initiator(tmp_path, "7", [first]) as other:
        other.send("D", order("TAKES", "1", 4, "90", t59="3"))
        other.heard(2)
    with Initiator(tmp_path, "6", [second]) as trader:
        assert states(trader.heard(1)) == [("8", "F", "1")]
        assert trader.said[0][43] == "Y"
        assert not trader.resets
        trader.send("F", {41: "RESTS", 11: "X", 55: "ACME", 54: "2", 60: "20261201-00:00:00"})
        assert states(trader.heard(2))[1] == ("8", "4", "4")
