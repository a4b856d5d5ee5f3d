// Where checkpoints are kept: IndexedDB, one record for each session, written whole. So what is unanswered, what was seen
// and what is shown as history never contradict each other, wherever a reload falls.

const NAME = "lockstep";
const STORE = "sessions";

export class CheckpointStore {
  /** Opens it; without IndexedDB (a private window of some browsers) nothing outlives the page. */
  static async open() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      return new CheckpointStore(await done(request));
    } catch {
      return new CheckpointStore(null);
    }
  }

  constructor(database) {
    this._database = database;
    this._memory = new Map();
  }

  async read(key) {
    if (this._database === null) return this._memory.get(key);
    return done(this._database.transaction(STORE).objectStore(STORE).get(key));
  }

  /** Returns when it is written. */
  async write(key, record) {
    if (this._database === null) {
      this._memory.set(key, record);
      return;
    }
    const transaction = this._database.transaction(STORE, "readwrite");
    transaction.objectStore(STORE).put(record, key);
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}

const MOST_SLOTS = 64;

/** The lowest slot that no other tab of this browser holds; it is held as long as this tab lives. */
export async function takeSlot(cluster, client) {
  if (!navigator.locks) return 0; // a plain-http page of another machine: a second tab takes the session over
  for (let slot = 0; slot < MOST_SLOTS; slot++) {
    const got = await new Promise((resolve) => {
      navigator.locks.request(`lockstep-${cluster}-${client}-${slot}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : new Promise(() => {});
      });
    });
    if (got) return slot;
  }
  return MOST_SLOTS;
}

/** A session id nobody has: the client's number above, chance below. */
export function newSessionId(clientNumber, anyNumber) {
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  // Without configured clients, chance keeps the numbers of pages apart, too.
  return [anyNumber ? 1 + (a % 0x7ffe0000) : clientNumber, b];
}
