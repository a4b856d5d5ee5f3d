"""The trading page in a browser, on a real cluster whose market is alive, over a failover.

With LOCKSTEP_SCREENSHOTS=docs it keeps the pictures of docs/page.md there.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.trials.demo_market import DemoMarket, DemoMarketPlan
from tests.calm import CALM
from tests.edge.http.chromium import axe, chromium

PATIENCE_MS = 120_000
UPDATES_PER_S = 1_000
MEASURED_S = 8
SHOTS = os.environ.get("LOCKSTEP_SCREENSHOTS", "")
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def market() -> Iterator[Any]:
    """A cluster with a market that is alive, and a browser."""
    with chromium() as browser, LocalCluster(ClusterPlan(timing=CALM, feeds=1)) as cluster:
        said: list[str] = []
        market = DemoMarket(DemoMarketPlan(cluster.gateway_addresses, auctions=bool(SHOTS)), said.append)
        market.start()
        feed = cluster.topology.feeds[0]
        try:
            yield SimpleNamespace(browser=browser, cluster=cluster, url=f"http://{feed.host}:{feed.http_port}/")
        finally:
            market.stop()
        assert not said


class Visitor:
    """One tab, and what went wrong in it."""

    def __init__(self, market: Any, size: dict[str, int] | None = None, **words: Any) -> None:
        self.context = market.browser.new_context(viewport=size or DESK, **words)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.wrong: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.goto(market.url, wait_until="commit")
        self.until_ready()

    def until_ready(self) -> None:
        """Live, with a book, and ready to take orders."""
        self.page.wait_for_selector("[data-link=live]", state="attached")
        self.page.wait_for_selector(".ladder:not(.stale)", state="attached")
        # A book that a phone does not show has no rows.
        self.page.wait_for_function(
            "!document.querySelector('.ladder').offsetParent || document.querySelector('.bids .level')"
        )

    def epoch(self) -> int:
        """As the bar shows it."""
        return int(self.page.locator("[data-epoch]").get_attribute("data-epoch"))

    def seq(self) -> int:
        """Of the book that is shown."""
        return int(self.page.locator(".middle .right").inner_text().removeprefix("seq ").replace(",", ""))

    def best(self, side: str) -> str:
        """The best price of a side."""
        text: str = self.page.locator(f".{side} .level > span:nth-child(3)").first.inner_text()
        return text.replace(",", "")

    def order(self, side: str, quantity: int, price: str, **choices: str) -> None:
        """Fill in the ticket and send it."""
        page = self.page
        page.locator(".sides button", has_text=side).click()
        for field, choice in choices.items():
            page.locator(f"#{field}").select_option(label=choice)
        page.locator("#quantity").fill(str(quantity))
        page.locator("#price").fill(price)
        page.locator(".go:enabled").click()

    def outcome(self, text: str) -> str:
        """What the ticket says of the last order, once it says this."""
        found = self.page.locator(".outcome", has_text=text)
        found.wait_for()
        words: str = found.inner_text()
        return words

    def open_orders(self) -> list[str]:
        """Ids of those listed."""
        rows = "rows => rows.map((row) => row.dataset.order)"
        found: list[str] = self.page.eval_on_selector_all("[data-order]", rows)
        return found

    def close(self) -> None:
        """The end; nothing may have gone wrong."""
        self.context.close()
        assert self.wrong == []
        assert len(self.hosts) == 1


@pytest.fixture
def visit(market: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens tabs, and ends them."""
    open_ones: list[Visitor] = []

    def opened(**words: Any) -> Visitor:
        open_ones.append(Visitor(market, **words))
        return open_ones[-1]

    yield opened
    for one in open_ones:
        one.close()


def eventually(holds: Callable[[], bool], patience_s: float = PATIENCE_MS / 1000) -> float:
    """Wait until it holds; the seconds that took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < patience_s
        time.sleep(0.02)
    return time.monotonic() - begin


def shot(visitor: Visitor, name: str) -> None:
    if SHOTS:
        visitor.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_orders_through_the_page_fill_rest_change_and_are_refused_with_a_remedy(visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    visitor.order("Buy", 3, str(round(float(visitor.best("asks")) + 0.5, 2)), tif="Immediate or cancel")
    assert "Filled" in visitor.outcome("Filled")
    visitor.order("Buy", 7, "95.00", tif="Until canceled")
    visitor.outcome("Accepted")
    page.wait_for_selector("[data-order]")
    (order,) = visitor.open_orders()
    page.get_by_role("button", name=f"Change order {order}").click()
    page.get_by_label("New open quantity").fill("4")
    page.keyboard.press("Enter")
    page.locator(f"[data-order='{order}'] td:nth-child(5)", has_text="4").wait_for()
    # A reload in the middle changes nothing: the order is there once, and its session goes on.
    page.reload(wait_until="commit")
    visitor.until_ready()
    page.wait_for_selector("[data-order]")
    assert visitor.open_orders() == [order]
    visitor.order("Buy", 5, "10.00")
    refusal = visitor.outcome("Rejected")
    assert "OUTSIDE_BAND 4015" in refusal
    assert "Choose a price within the band" in refusal
    page.get_by_role("button", name=f"Cancel order {order}").click()
    eventually(lambda: visitor.open_orders() == [])
    page.get_by_role("tab", name="Positions").click()
    page.locator(".area-blotter td", has_text="ACME").wait_for()
    page.get_by_role("tab", name="History").click()
    page.locator(".area-blotter td", has_text="Replaced").wait_for()


def test_a_kill_of_the_primary_shows_as_an_epoch_while_prices_go_on(visit: Any, market: Any) -> None:
    visitor = visit()
    if SHOTS:
        visitor.page.wait_for_timeout(20_000)
        visitor.order("Buy", 25, str(round(float(visitor.best("bids")) - 0.03, 2)))
        visitor.page.wait_for_timeout(3_000)
        shot(visitor, "page-desk")
    before, seq = visitor.epoch(), visitor.seq()
    market.cluster.kill(market.cluster.find("primary"))
    took_s = eventually(lambda: visitor.epoch() > before)
    print(f"\nthe page showed the new epoch {took_s * 1000:.0f} ms after the kill")
    visitor.page.locator(".toast.warn", has_text="Failover").wait_for()
    shot(visitor, "page-failover")
    eventually(lambda: visitor.seq() > seq)
    # An order right behind the failover is executed once.
    visitor.order("Buy", 2, "94.00")
    visitor.outcome("Accepted")
    eventually(lambda: len(visitor.open_orders()) >= 1)
    visitor.page.get_by_role("button", name="Cancel all").click()
    eventually(lambda: visitor.open_orders() == [])
    assert market.cluster.wait_until_whole(60)


@pytest.mark.slow
def test_the_page_survives_the_loss_of_gateway_and_feed(visit: Any, market: Any) -> None:
    visitor = visit()
    visitor.order("Buy", 1, "96.00")
    visitor.outcome("Accepted")
    for name in ("gateway-1", "feed-1"):
        market.cluster.kill(name)
    visitor.page.wait_for_selector("[data-link=reconnecting]", state="attached")
    visitor.until_ready()
    visitor.order("Buy", 2, "96.01")
    visitor.outcome("Accepted: Buy 2")
    eventually(lambda: len(visitor.open_orders()) == 2)
    visitor.page.keyboard.press("Escape")
    visitor.page.get_by_role("button", name="Cancel all").click()
    eventually(lambda: visitor.open_orders() == [])
    # What the browser itself says of a connection that broke is no fault of the page.
    visitor.wrong = [text for text in visitor.wrong if "WebSocket connection" not in text]


@pytest.mark.slow
def test_frames_at_a_thousand_updates_a_second(visit: Any, market: Any) -> None:
    plan = DemoMarketPlan(
        market.cluster.gateway_addresses, seed=2, rate=UPDATES_PER_S, instruments=(1,), auctions=False
    )
    busy = DemoMarket(plan, pytest.fail)
    busy.start()
    try:
        visitor = visit()
        seq = visitor.seq()
        page = visitor.page
        page.wait_for_timeout(2_000)
        gaps = page.evaluate(
            """(ms) => new Promise((done) => {
              const gaps = [];
              let last = performance.now();
              const end = last + ms;
              const frame = (now) => {
                gaps.push(now - last);
                last = now;
                if (now < end) requestAnimationFrame(frame);
                else done(gaps);
              };
              requestAnimationFrame(frame);
            })""",
            MEASURED_S * 1000,
        )
        gaps.sort()
        p50, p95 = gaps[len(gaps) // 2], gaps[int(len(gaps) * 0.95)]
        told = visitor.seq() - seq
        print(f"\n{len(gaps)} frames: p50 {p50:.1f} ms, p95 {p95:.1f} ms, longest {gaps[-1]:.0f} ms; seq +{told}")
        assert told > 0
        # The figure is for a machine of one's own; this only finds a page that hangs.
        assert gaps[-1] < 10_000
    finally:
        busy.stop()


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(visit: Any, theme: str) -> None:
    checker = axe()
    visitor = visit(color_scheme=theme)
    page = visitor.page
    for view in ("Open orders", "Positions", "History"):
        page.get_by_role("tab", name=view).click()
        page.evaluate(checker)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        bad = [
            (one["id"], [node["html"][:160] for node in one["nodes"]][:3])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert bad == []


@pytest.mark.slow
def test_on_a_phone_every_part_is_a_tap_away_and_nothing_is_wider_than_the_screen(visit: Any) -> None:
    visitor = visit(size=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    page = visitor.page
    for name, part in (
        ("Markets", "watch"),
        ("Chart", "chart"),
        ("Book", "ladder"),
        ("Orders", "blotter"),
        ("Account", "account"),
        ("Trade", "ticket"),
    ):
        page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()
        page.locator(f".area-{part}").wait_for()
        # A phone's browser makes the window wider than the screen where the content is.
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth, screen.width]")
        assert max(wide) == PHONE["width"], (name, wide)
    shot(visitor, "page-phone")
    visitor.order("Buy", 1, "96.00")
    visitor.outcome("Accepted")
