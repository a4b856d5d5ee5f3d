// One session over the page's connection: drives the machine, keeps its checkpoints, sends what it says.

import { Code } from "../net/messages.js";
import { freshCheckpoint, SessionMachine, State } from "./machine.js";
import { CheckpointStore, newSessionId, takeSlot } from "./store.js";

const MOST_HISTORY = 400;
const SAVE_MS = 250;
// No order has it: client order ids of this page are below 2^48.
const NOBODYS_ORDER = 2 ** 52 + 1;

/** Has no effect and takes a number: the cancel of an order that does not exist. */
function seal(command) {
  const { account } = command.new_order ?? command.mass_cancel ?? (command.cancel ?? command.replace).order;
  return { cancel: { order: { account, client_order_id: NOBODYS_ORDER } } };
}

export class Session {
  /** `send(request)`: over the page's connection; `onRows(rows)`, `onState()`: what to show. */
  static async open({ cluster, client, send, onRows, onState }) {
    const store = await CheckpointStore.open();
    const slot = await takeSlot(cluster, client.client_number);
    const key = `${cluster}/${client.client_number}/${slot}`;
    const kept = await store.read(key);
    const id = () => newSessionId(client.client_number, client.any_number);
    return new Session({ store, key, id, send, onRows, onState }, kept ?? { checkpoint: freshCheckpoint(id()), history: [] });
  }

  constructor(parts, { checkpoint, history }) {
    Object.assign(this, parts);
    this.history = history;
    this.machine = new SessionMachine(checkpoint, { seal });
    this._timer = 0;
    this._saving = 0;
    this._writing = Promise.resolve();
  }

  get unanswered() {
    return this.machine.unanswered;
  }

  /** Numbers a command, writes that down, and sends it: its number, or null with the reason in `machine.why`. */
  async submit(command) {
    const machine = this.machine;
    const no = machine.submit(command, Date.now());
    if (no === null) return null;
    this.onState();
    // First on the disk, then on the wire: a reload in between must not give the number to another command.
    await this._save();
    if (machine === this.machine) this._flush();
    return no;
  }

  connected() {
    this._do(this.machine.onConnected(Date.now()));
  }

  disconnected() {
    this.machine.onDisconnected();
    clearTimeout(this._timer);
    this.onState();
  }

  onEnded(ended) {
    this._do(this.machine.onEnded(ended, Date.now()));
  }

  onResponse({ welcome, reports, refusal, next_number: nextNumber }) {
    const now = Date.now();
    if (welcome) this._do(this.machine.onWelcome(now));
    if (reports) this._do(this.machine.onReports(reports.reports, reports.stamp.epoch, now));
    if (refusal) this._do(this.machine.onRefusal(refusal, now));
    if (nextNumber) this._do(this.machine.onNextNumber(nextNumber));
  }

  /** Where a session is over for good, its owner begins another one. */
  async renew() {
    this.machine = new SessionMachine(freshCheckpoint(this.id()), { seal });
    await this._save();
    this.connected();
  }

  _do({ hello, leave, rows, save, changed }) {
    if (leave) this.send({ leave_session: {} });
    if (rows?.length) {
      this.history.push(...rows);
      if (this.history.length > MOST_HISTORY) this.history.splice(0, this.history.length - MOST_HISTORY);
      this.onRows(rows);
    }
    if (save) this._saveSoon();
    if (hello) this.send({ session: { hello } });
    this._flush();
    this._arm();
    if (changed) this.onState();
    // Reports that were cut from every journal can't be had any more (C20): orders and positions are asked for, and a
    // session begins that has nothing to resume.
    if (this.machine.state === State.FAILED && this.machine.failure.code === Code.REPORTS_GONE) this.renew();
  }

  _flush() {
    for (const command of this.machine.flush(Date.now())) this.send({ session: { command } });
  }

  _arm() {
    clearTimeout(this._timer);
    const held = this.machine._holdUntil > Date.now() ? this.machine._holdUntil : Infinity;
    const due = Math.min(this.machine.deadline, held);
    if (due === Infinity) return;
    this._timer = setTimeout(() => this._do(this.machine.tick(Date.now())), Math.max(0, due - Date.now()));
  }

  _saveSoon() {
    if (this._saving) return;
    this._saving = setTimeout(() => this._save(), SAVE_MS);
  }

  _save() {
    clearTimeout(this._saving);
    this._saving = 0;
    const record = { checkpoint: this.machine.checkpoint(), history: [...this.history] };
    this._writing = this._writing.catch(() => {}).then(() => this.store.write(this.key, record));
    return this._writing;
  }
}
