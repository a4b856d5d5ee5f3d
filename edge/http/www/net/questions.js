// Questions to the server, each answered once: with a reply, a failure, or not in time.

const PATIENCE_MS = 6_000;
const AT_ONCE = 3;

export class Questions {
  constructor(send) {
    this._send = send;
    this._next = 1;
    this._open = new Map();
    this._waiting = [];
  }

  /** Resolves to the reply; rejects with {code, text}. At most a few are under way at once. */
  ask(question) {
    return new Promise((resolve, reject) => {
      this._waiting.push({ question, resolve, reject });
      this._pump();
    });
  }

  onAnswer(answer) {
    const asked = this._open.get(answer.id);
    if (!asked) return;
    this._end(answer.id);
    if (answer.failure) asked.reject(answer.failure);
    else asked.resolve(answer.account ?? answer.accounts ?? answer.open_orders ?? answer.candles);
  }

  /** The connection is gone: nothing will be answered. */
  fail() {
    for (const [id, asked] of [...this._open]) {
      this._end(id, false);
      asked.reject({ code: 0, text: "the page is not connected" });
    }
    for (const asked of this._waiting.splice(0)) asked.reject({ code: 0, text: "the page is not connected" });
  }

  _pump() {
    while (this._open.size < AT_ONCE && this._waiting.length) {
      const asked = this._waiting.shift();
      const id = this._next++;
      asked.timer = setTimeout(() => {
        this._end(id);
        asked.reject({ code: 0, text: "no answer in time" });
      }, PATIENCE_MS);
      this._open.set(id, asked);
      this._send({ question: { id, ...asked.question } });
    }
  }

  _end(id, pump = true) {
    clearTimeout(this._open.get(id).timer);
    this._open.delete(id);
    if (pump) this._pump();
  }
}
