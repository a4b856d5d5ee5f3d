// The page's side of a trading session, as a pure machine: numbering, sending again, resuming, dropping repeats.
//
// No socket, clock or chance in here: its owner says what happened and what time it is, and does what the effects say.
// It keeps what docs/client-protocol.md asks of a client (C9, C10, C18, C21), as the SDK's machine does:
//
// * a number always means the same command; it is kept, and sent again, until a report answers it;
// * rows are handed out in strictly ascending (seq, index, leg), each once, none left out.
//
// An owner writes `checkpoint()` down before it sends, so a reload goes on where the page was. What a checkpoint has
// unanswered is sent again if it is young. What is older than STALE_MS the user has long given up: its number is used up
// by a command without effect, so that it can never execute, and the answer says whether it had.

import { Code, EventKind } from "../net/messages.js";

export const State = Object.freeze({
  OFFLINE: "offline", // no connection to the server
  WAITING: "waiting", // between two streams
  CONNECTING: "connecting", // Hello is said, Welcome has not come
  OPEN: "open",
  FAILED: "failed", // for good
});

export const MOST_UNANSWERED = 64;
export const STALE_MS = 30_000;
const WELCOME_MS = 4_000;
const PAUSE_FIRST_MS = 50;
const PAUSE_MOST_MS = 2_000;
const MAX_INDEX = 0xffffffff;
const NEVER = Infinity;

export function freshCheckpoint(sessionId) {
  return { sessionId, nextNo: 1, unanswered: [], lastSeen: { seq: 0, index: 0, leg: 1 }, epoch: 0 };
}

export class SessionMachine {
  /** `seal(command)`: a command without effect that takes the number of a stale one. */
  constructor(checkpoint, { seal }) {
    this.sessionId = checkpoint.sessionId; // [upper 32 bits, lower 32 bits]
    this.nextNo = checkpoint.nextNo;
    this.unanswered = checkpoint.unanswered.map((one) => ({ ...one }));
    this.lastSeen = { ...checkpoint.lastSeen };
    this.epoch = checkpoint.epoch;
    this.state = State.OFFLINE;
    this.failure = null; // {code, text}
    this.why = ""; // why it is not open, in a sentence
    this.deadline = NEVER; // when tick() is due, ms
    this.sealed = 0;
    this.repeats = 0;
    this._seal = seal;
    this._claimed = this._firstUnanswered() - 1;
    this._cursor = 0; // how many of `unanswered` were sent on this stream
    this._knowsNextNo = false;
    this._numbered = false; // whether this life has given out a number
    this._failures = 0;
    this._holdUntil = 0;
  }

  checkpoint() {
    const { sessionId, nextNo, epoch } = this;
    return { sessionId, nextNo, epoch, lastSeen: { ...this.lastSeen }, unanswered: this.unanswered.map((one) => ({ ...one })) };
  }

  /** Whether a new command may be given now; why not is in `why`. */
  get mayNumber() {
    return this.state === State.OPEN && this._knowsNextNo && this.unanswered.length < MOST_UNANSWERED;
  }

  /** Numbers a command (a Command without its number). It leaves with the next effects of `flush`. */
  submit(command, now) {
    if (!this.mayNumber) return null;
    const no = this.nextNo++;
    this._numbered = true;
    this.unanswered.push({ no, command: { ...command, session_no: no }, at: now, sealed: false });
    return no;
  }

  // ---- what happens --------------------------------------------------------------------------------------------------

  onConnected(now) {
    if (this.state !== State.OFFLINE) return {};
    this._enterWaiting("", now, 0);
    return this.tick(now);
  }

  onDisconnected() {
    if (this.state === State.FAILED) return;
    this.state = State.OFFLINE;
    this.why = "the page is not connected";
    this.deadline = NEVER;
  }

  tick(now) {
    if (this.state === State.WAITING && now >= this.deadline) return this._hello(now);
    if (this.state === State.CONNECTING && now >= this.deadline) return this._wait("the gateway does not answer", now);
    return {};
  }

  onWelcome(now) {
    if (this.state !== State.CONNECTING) return {};
    this.state = State.OPEN;
    this.why = this._knowsNextNo ? "" : "the session is being taken up";
    this.deadline = NEVER;
    this._failures = 0;
    return { changed: true, save: this._sealStale(now) };
  }

  onNextNumber({ next_no: nextNo, executed_no: executedNo }) {
    if (this.state !== State.OPEN) return {};
    if (executedNo < this._claimed && !this._numbered) {
      return this._fail(Code.SESSION_OUT_OF_ORDER, "this session is of another history of the cluster");
    }
    this.nextNo = Math.max(this.nextNo, nextNo);
    this._knowsNextNo = true;
    this.why = "";
    return { changed: true, save: true };
  }

  onReports(rows, epoch, now) {
    if (this.state !== State.OPEN && this.state !== State.CONNECTING) return {};
    if (epoch < this.epoch) return this._wait("the gateway was left behind by a failover", now);
    this.epoch = epoch;
    const fresh = [];
    let outOfOrder = false;
    for (const row of rows) {
      const id = { seq: row.event_id.seq, index: row.event_id.index, leg: row.leg };
      if (!isAfter(id, this.lastSeen)) {
        this.repeats++;
        continue;
      }
      this.lastSeen = id;
      if (row.leg === 0 && row.code === Code.SESSION_OUT_OF_ORDER) outOfOrder = true;
      else {
        if (row.leg === 0 && row.session_no) this._answer(row);
        fresh.push(row);
      }
    }
    if (outOfOrder) this._cursor = 0; // no outcome: the numbers before it have to come first
    return { rows: fresh.filter((row) => row.kind !== EventKind.DUPLICATE), save: fresh.length > 0, changed: true };
  }

  onRefusal({ from_no: fromNo, code, text, retryable, retry_after_ms: retryAfter }, now) {
    if (this.state !== State.OPEN && this.state !== State.CONNECTING) return {};
    if (!retryable) return this._fail(code, text);
    if (this.state === State.CONNECTING || code === Code.SHUTTING_DOWN) return this._wait(text, now, retryAfter);
    const at = this.unanswered.findIndex((one) => one.no >= fromNo);
    if (at >= 0) this._cursor = Math.min(this._cursor, at);
    this._holdUntil = now + Math.max(retryAfter, PAUSE_FIRST_MS);
    return {};
  }

  onEnded({ code, text, status, retry_after_ms: retryAfter }, now) {
    if (this.state !== State.OPEN && this.state !== State.CONNECTING) return {};
    if (isFatal(code, status)) return this._fail(code, text);
    this._failures++;
    this._enterWaiting(text || "the gateway ended the stream", now, retryAfter);
    return { changed: true };
  }

  /** Commands that leave now, in order. */
  flush(now) {
    if (this.state !== State.OPEN || now < this._holdUntil) return [];
    const sends = this.unanswered.slice(this._cursor).map((one) => one.command);
    this._cursor = this.unanswered.length;
    return sends;
  }

  // ---- its parts -----------------------------------------------------------------------------------------------------

  _firstUnanswered() {
    return this.unanswered.length ? this.unanswered[0].no : this.nextNo;
  }

  _hello(now) {
    this.state = State.CONNECTING;
    this.deadline = now + WELCOME_MS;
    this._cursor = 0;
    const { seq, index, leg } = this.lastSeen;
    // The second row of the same event may not have come yet, and a Hello can't name rows: it is asked for again.
    const whole = leg ? { seq, index } : index ? { seq, index: index - 1 } : { seq: seq - 1, index: MAX_INDEX };
    const hello = {
      session_id: this.sessionId,
      next_no: this._firstUnanswered(),
      last_epoch: this.epoch,
      asks_next_no: !this._knowsNextNo,
    };
    if (seq) hello.last_seen = whole;
    return { hello, changed: true };
  }

  _answer(row) {
    const kept = this.unanswered.findIndex((one) => one.no > row.session_no);
    const gone = kept < 0 ? this.unanswered.length : kept;
    this.unanswered.splice(0, gone);
    this._cursor = Math.max(0, this._cursor - gone);
    if (!this._numbered) this.nextNo = Math.max(this.nextNo, row.session_no + 1);
  }

  _sealStale(now) {
    let any = false;
    for (const one of this.unanswered) {
      if (one.sealed || now - one.at < STALE_MS) continue;
      one.command = { ...this._seal(one.command), session_no: one.no };
      one.sealed = any = true;
      this.sealed++;
    }
    return any;
  }

  _enterWaiting(why, now, retryAfter) {
    this.state = State.WAITING;
    this.why = why;
    const pause = this._failures ? Math.min(PAUSE_FIRST_MS * 2 ** (this._failures - 1), PAUSE_MOST_MS) : 0;
    this.deadline = now + Math.max(pause, retryAfter);
  }

  _wait(why, now, retryAfter = 0) {
    this._failures++;
    this._enterWaiting(why, now, retryAfter);
    return { leave: true, changed: true };
  }

  _fail(code, text) {
    this.state = State.FAILED;
    this.failure = { code, text };
    this.why = text;
    this.deadline = NEVER;
    return { leave: true, changed: true };
  }
}

function isAfter(one, other) {
  if (one.seq !== other.seq) return one.seq > other.seq;
  if (one.index !== other.index) return one.index > other.index;
  return one.leg > other.leg;
}

const FATAL = new Set([Code.REPORTS_GONE, Code.NOT_ENTITLED, Code.UNAUTHENTICATED, Code.SESSION_TAKEN_OVER]);

function isFatal(code, status) {
  return FATAL.has(code) || ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"].includes(status);
}
