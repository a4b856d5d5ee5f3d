// What a filled-in ticket asks for.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderType, Side, TimeInForce } from "../../../../edge/http/www/net/messages.js";
import { decimalsOf, price, ticksOf } from "../../../../edge/http/www/format.js";
import { BLANK, orderOf, settled, worthMicros } from "../../../../edge/http/www/order_terms.js";

const CENTS = { id: 3, tickMicros: 10_000, lotUnits: 1 };
const context = { account: 1, instrument: CENTS, nextId: 7, now: Date.parse("2026-01-01T00:00:00Z") };
const made = (form) => orderOf({ ...BLANK, quantity: "5", ...form }, context);

test("prices are ticks, exactly, and shown with as many digits as a tick has", () => {
  assert.equal(ticksOf(CENTS, "101.50"), 10_150);
  assert.equal(ticksOf(CENTS, "1,101.5"), 110_150);
  assert.ok(Number.isNaN(ticksOf(CENTS, "101.505")));
  assert.ok(Number.isNaN(ticksOf(CENTS, "-1")));
  assert.equal(ticksOf({ tickMicros: 50_000 }, "0.15"), 3);
  assert.deepEqual([10_000, 500_000, 1_000, 1_000_000, 1].map((tickMicros) => decimalsOf({ tickMicros })), [2, 1, 3, 0, 6]);
  assert.equal(price(CENTS, 123_456), "1,234.56");
});

test("each type asks for what it needs, and takes nothing else along", () => {
  assert.equal(made({ price: "" }).wrong.field, "price");
  assert.deepEqual(made({ price: "10", stop: "9", trail: "1" }).order, {
    account: 1, instrument: 3, side: Side.BUY, order_type: OrderType.LIMIT, tif: TimeInForce.GTC, stp: 0,
    client_order_id: 7, quantity_lots: 5, price_ticks: 1000, flags: 0,
  });
  assert.equal(made({ type: OrderType.STOP, stop: "9" }).order.stop_price_ticks, 900);
  assert.equal(made({ type: OrderType.STOP_LIMIT, stop: "9" }).wrong.field, "price");
  assert.equal(made({ type: OrderType.TRAILING_STOP, trail: "0.25" }).order.trail_ticks, 25);
  assert.equal(made({ type: OrderType.MARKET, tif: TimeInForce.IOC }).order.price_ticks, undefined);
  assert.equal(made({ type: OrderType.MARKET, tif: TimeInForce.IOC, price: "11" }).order.price_ticks, 1100);
});

test("terms that do not go with the order are left out, and wrong ones are named", () => {
  const iceberg = { price: "10", display: "2", postOnly: true };
  assert.deepEqual([made(iceberg).order.display_lots, made(iceberg).order.flags], [2, 1]);
  const fok = made({ ...iceberg, tif: TimeInForce.FOK }).order;
  assert.deepEqual([fok.display_lots, fok.flags], [undefined, 0]);
  assert.equal(made({ price: "10", display: "6" }).wrong.field, "display");
  assert.equal(made({ price: "10", quantity: "0" }).wrong.field, "quantity");
  assert.equal(made({ price: "10", quantity: "1.5" }).wrong.field, "quantity");
  assert.equal(made({ price: "10", tif: TimeInForce.GTD, expires: "2025-12-31T00:00" }).wrong.field, "expires");
  assert.equal(made({ price: "10", tif: TimeInForce.GTD, expires: "2026-01-02T00:00:00Z" }).order.expire_ns, Date.parse("2026-01-02T00:00:00Z") * 1e6);
});

test("a type that has not the time in force gets one that it has", () => {
  assert.equal(settled({ ...BLANK, type: OrderType.STOP, tif: TimeInForce.FOK }).tif, TimeInForce.GTC);
  assert.equal(settled({ ...BLANK, type: OrderType.MARKET, tif: TimeInForce.GTD }).tif, TimeInForce.IOC);
});

test("what it is worth is known by its price, or by the best opposite one", () => {
  const quote = { ask_orders: 1, ask_price_ticks: 1010, bid_orders: 0, bid_price_ticks: 0 };
  assert.equal(worthMicros({ side: Side.BUY, quantity_lots: 2, price_ticks: 1000 }, CENTS, quote), 2 * 1000 * 10_000);
  assert.equal(worthMicros({ side: Side.BUY, quantity_lots: 2 }, CENTS, quote), 2 * 1010 * 10_000);
  assert.equal(worthMicros({ side: Side.SELL, quantity_lots: 2 }, CENTS, quote), null);
});
