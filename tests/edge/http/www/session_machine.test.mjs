// The page's session: what it promises, whatever the connections do.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, EventKind } from "../../../../edge/http/www/net/messages.js";
import { freshCheckpoint, SessionMachine, STALE_MS, State } from "../../../../edge/http/www/session/machine.js";

const SEAL = () => ({ cancel: { order: { account: 1, client_order_id: 99 } } });
const order = (lots) => ({ new_order: { account: 1, quantity_lots: lots } });

function machine(checkpoint = freshCheckpoint([7, 1])) {
  return new SessionMachine(checkpoint, { seal: SEAL });
}

/** Connected, welcomed, and told the next number. */
function open(one, { now = 0, nextNo = 1, executedNo = nextNo - 1 } = {}) {
  const { hello } = one.onConnected(now);
  one.onWelcome(now);
  one.onNextNumber({ next_no: nextNo, executed_no: executedNo });
  return hello;
}

function row(seq, fields = {}) {
  return { event_id: { seq, index: fields.index ?? 0 }, leg: 0, kind: EventKind.ACCEPTED, code: 0, session_no: 0, ...fields };
}

const numbers = (sends) => sends.map((one) => one.session_no);

test("commands are numbered from the next number on and leave in that order", () => {
  const one = machine();
  assert.equal(one.submit(order(1), 0), null);
  assert.equal(open(one).asks_next_no, true);
  assert.deepEqual([one.submit(order(1), 0), one.submit(order(2), 0)], [1, 2]);
  assert.deepEqual(numbers(one.flush(0)), [1, 2]);
  assert.deepEqual(one.flush(0), []);
});

test("what is unanswered is sent again on the next stream, under its number", () => {
  const one = machine();
  open(one);
  one.submit(order(1), 0);
  one.submit(order(2), 0);
  one.flush(0);
  one.onReports([row(10, { session_no: 1 })], 3, 0);
  one.onDisconnected();
  const { hello } = one.onConnected(5);
  assert.equal(hello.next_no, 2);
  assert.equal(hello.last_epoch, 3);
  one.onWelcome(6);
  const sends = one.flush(6);
  assert.deepEqual(numbers(sends), [2]);
  assert.equal(sends[0].new_order.quantity_lots, 2);
});

test("a reload goes on from the checkpoint: same number, same command, resumed behind the last event", () => {
  const before = machine();
  open(before);
  before.submit(order(5), 1_000);
  before.onReports([row(10, { leg: 1, index: 4 })], 3, 0);
  const after = machine(structuredClone(before.checkpoint()));
  const { hello } = after.onConnected(2_000);
  assert.deepEqual(hello.last_seen, { seq: 10, index: 4 });
  assert.equal(hello.next_no, 1);
  after.onWelcome(2_001);
  assert.deepEqual(after.flush(2_001), [{ ...order(5), session_no: 1 }]);
  assert.equal(after.mayNumber, false);
  after.onReports([row(11, { session_no: 1 })], 3, 2_002);
  after.onNextNumber({ next_no: 2, executed_no: 1 });
  assert.equal(after.submit(order(6), 2_003), 2);
});

test("an old command is not executed after all: its number is used up", () => {
  const before = machine();
  open(before);
  before.submit(order(5), 0);
  const after = machine(before.checkpoint());
  after.onConnected(STALE_MS);
  assert.equal(after.onWelcome(STALE_MS).save, true);
  assert.deepEqual(after.flush(STALE_MS), [{ ...SEAL(), session_no: 1 }]);
  assert.equal(after.sealed, 1);
});

test("rows are handed out once, in order, whatever comes again", () => {
  const one = machine();
  open(one);
  const first = [row(10), row(10, { leg: 1 }), row(11, { index: 2 })];
  assert.equal(one.onReports(first, 1, 0).rows.length, 3);
  assert.equal(one.onReports(first, 1, 0).rows.length, 0);
  assert.equal(one.repeats, 3);
  assert.deepEqual(one.onReports([row(11, { index: 2 }), row(11, { index: 3 })], 1, 0).rows.length, 1);
});

test("the second row of an event may be missing: it is asked for again", () => {
  for (const [id, expected] of [
    [{ seq: 10, index: 3 }, { seq: 10, index: 2 }],
    [{ seq: 10, index: 0 }, { seq: 9, index: 0xffffffff }],
  ]) {
    const one = machine();
    open(one);
    one.onReports([row(id.seq, { index: id.index })], 1, 0);
    one.onDisconnected();
    assert.deepEqual(one.onConnected(0).hello.last_seen, expected);
  }
});

test("a report of a lower epoch is dropped together with its stream", () => {
  const one = machine();
  open(one);
  one.onReports([row(10)], 5, 0);
  const effects = one.onReports([row(11)], 4, 0);
  assert.equal(effects.leave, true);
  assert.equal(effects.rows, undefined);
  assert.equal(one.state, State.WAITING);
  assert.equal(one.lastSeen.seq, 10);
});

test("a retryable refusal is a pause, and what follows it comes again in order", () => {
  const one = machine();
  open(one);
  for (let lots = 1; lots < 4; lots++) one.submit(order(lots), 0);
  one.flush(0);
  one.onRefusal({ from_no: 2, code: Code.BUSY, text: "", retryable: true, retry_after_ms: 100 }, 0);
  assert.deepEqual(one.flush(99), []);
  assert.deepEqual(numbers(one.flush(100)), [2, 3]);
});

test("out of order is no outcome", () => {
  const one = machine();
  open(one);
  one.submit(order(1), 0);
  one.flush(0);
  one.onReports([row(10, { session_no: 1, kind: EventKind.REJECTED, code: Code.SESSION_OUT_OF_ORDER })], 1, 0);
  assert.equal(one.unanswered.length, 1);
  assert.deepEqual(numbers(one.flush(0)), [1]);
});

test("streams that end are opened again with growing pauses, and no Welcome is an end as well", () => {
  const one = machine();
  one.onConnected(0);
  const pauses = [];
  let now = 0;
  for (let time = 0; time < 5; time++) {
    one.onEnded({ code: Code.UNAVAILABLE, status: "UNAVAILABLE", text: "", retry_after_ms: 0 }, now);
    pauses.push(one.deadline - now);
    now = one.deadline;
    assert.ok(one.tick(now).hello);
  }
  assert.deepEqual(pauses, [50, 100, 200, 400, 800]);
  assert.equal(one.tick(one.deadline).leave, true);
  assert.equal(one.state, State.WAITING);
});

test("a session of another history, or one that is taken over, ends for good", () => {
  const foreign = machine({ ...freshCheckpoint([7, 1]), nextNo: 9 });
  open(foreign, { nextNo: 1, executedNo: 0 });
  assert.equal(foreign.state, State.FAILED);
  const taken = machine();
  open(taken);
  taken.onRefusal({ from_no: 0, code: Code.SESSION_TAKEN_OVER, text: "elsewhere", retryable: false, retry_after_ms: 0 }, 0);
  assert.equal(taken.failure.code, Code.SESSION_TAKEN_OVER);
  assert.equal(taken.submit(order(1), 0), null);
});

test("no order is lost or doubled over random breaks, reloads, refusals and failovers", () => {
  for (let seed = 1; seed <= 300; seed++) new Run(seed).play();
});

/** A cluster that executes a session's numbers in order, and a page before it to which anything may happen. */
class Run {
  constructor(seed) {
    this.seed = seed;
    this.value = seed * 2654435761 + 1;
    this.executed = []; // by number: lots
    this.events = []; // all rows, in order
    this.page = machine();
    this.disk = this.page.checkpoint();
    this.submitted = [];
    this.seen = [];
    this.now = 0;
    this.epoch = 1;
  }

  dice(most) {
    this.value = (Math.imul(this.value, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.value / 2 ** 32) * most);
  }

  play() {
    for (let step = 0; step < 200; step++) this.step(true);
    for (let step = 0; step < 200 && !(this.page.mayNumber && !this.page.unanswered.length); step++) this.step(false);
    this.tell();
    const told = this.events.filter((one) => one.kind !== EventKind.DUPLICATE).map((one) => one.event_id.seq);
    assert.deepEqual(this.executed, this.submitted, `seed ${this.seed}`);
    assert.deepEqual(this.seen, told, `seed ${this.seed}`);
  }

  step(trouble) {
    this.now += trouble ? 10 : 200;
    if (this.page.state === State.OFFLINE) this.connect(this.page.onConnected(this.now));
    else this.connect(this.page.tick(this.now));
    const dice = this.dice(trouble ? 10 : 5);
    if (dice < 3 && trouble && this.page.mayNumber) {
      const lots = this.submitted.length + 1;
      this.page.submit(order(lots), this.now);
      this.submitted.push(lots);
      this.disk = structuredClone(this.page.checkpoint()); // before it is sent
    }
    if (dice === 7) this.page.onDisconnected();
    if (dice === 8) {
      // A reload: what was seen since the last write is seen again, so it is told from the disk on.
      this.page = machine(structuredClone(this.disk));
      this.seen = this.seen.filter((seq) => seq <= this.disk.lastSeen.seq);
    }
    if (dice === 9) this.epoch++;
    this.deliver(this.dice(4) > 0);
  }

  connect({ hello }) {
    if (!hello || this.dice(5) === 0) return;
    this.behind = hello.last_seen?.seq ?? 0;
    this.page.onWelcome(this.now);
    this.tell();
    if (hello.asks_next_no) this.page.onNextNumber({ next_no: this.executed.length + 1, executed_no: this.executed.length });
  }

  /** Sends what is due; it arrives or it does not, whole or in part. */
  deliver(arrives) {
    const sends = this.page.flush(this.now);
    if (!arrives) {
      if (sends.length) this.page.onDisconnected();
      return;
    }
    for (const command of sends) {
      const seq = this.events.length + 1;
      if (command.session_no > this.executed.length + 1) throw new Error("a gap");
      if (command.session_no === this.executed.length + 1) {
        this.executed.push(command.new_order.quantity_lots);
        this.events.push(row(seq, { session_no: command.session_no, leg: 0 }));
      } else {
        assert.equal(this.executed[command.session_no - 1], command.new_order.quantity_lots);
        this.events.push(row(seq, { session_no: command.session_no, kind: EventKind.DUPLICATE }));
      }
    }
    if (this.page.state === State.OPEN && this.dice(3)) this.tell();
  }

  tell() {
    const from = Math.max(0, (this.behind ?? 0) - 1);
    const { rows = [] } = this.page.onReports(this.events.slice(from), this.epoch, this.now);
    this.seen.push(...rows.map((one) => one.event_id.seq));
    this.behind = this.events.length;
    if (this.dice(2)) this.disk = structuredClone(this.page.checkpoint());
  }
}
