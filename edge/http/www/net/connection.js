// The page's one WebSocket: opened again with growing pauses and some chance, for as long as the page lives.

import { PageFrame, PageRequest } from "./messages.js";

const PROTOCOL = "lockstep.page";
const FIRST_MS = 150;
const MOST_MS = 4_000;
const SILENCE_MS = 5_000; // the feed says a heartbeat once a second
const CONNECT_MS = 15_000;

export class Connection {
  /** `onFrame(frame)`, `onOpen()`, `onClosed({why, retryAt})`. */
  constructor(url, handlers) {
    this._url = url;
    this._handlers = handlers;
    this._socket = null;
    this._failures = 0;
    this._watchdog = 0;
    this._timer = 0;
    this._closing = null; // what the feed said last
  }

  open() {
    this.close();
    const socket = (this._socket = new WebSocket(this._url, PROTOCOL));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this._handlers.onOpen();
    socket.onmessage = ({ data }) => {
      if (socket !== this._socket) return;
      this._watch();
      this._failures = 0;
      const frame = PageFrame.decode(new Uint8Array(data));
      if (frame.feed?.closing) this._closing = frame.feed.closing;
      this._handlers.onFrame(frame);
    };
    socket.onclose = () => socket === this._socket && this._closed();
    this._watch(CONNECT_MS);
  }

  get isOpen() {
    return this._socket?.readyState === WebSocket.OPEN;
  }

  send(request) {
    if (this.isOpen) this._socket.send(PageRequest.encode(request));
  }

  /** Ends it; `open` begins anew. */
  close() {
    clearTimeout(this._timer);
    clearTimeout(this._watchdog);
    const socket = this._socket;
    this._socket = null;
    socket?.close();
  }

  _watch(patience = SILENCE_MS) {
    clearTimeout(this._watchdog);
    this._watchdog = setTimeout(() => {
      // A server that is stopped, or a network that is gone, says nothing: no end of file, either.
      const socket = this._socket;
      this._socket = null;
      socket?.close();
      this._closed();
    }, patience);
  }

  _closed() {
    clearTimeout(this._watchdog);
    this._socket = null;
    const closing = this._closing;
    this._closing = null;
    const pause = Math.min(FIRST_MS * 2 ** this._failures, MOST_MS);
    this._failures++;
    const wait = Math.max(closing?.retry_after_ms ?? 0, pause / 2 + (Math.random() * pause) / 2);
    const again = this._handlers.onClosed({ closing, retryAt: Date.now() + wait });
    if (again !== false) this._timer = setTimeout(() => this.open(), wait);
  }
}
