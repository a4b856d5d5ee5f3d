// Everything but pixels: the page's one connection, decoding, books, the session. What changed is sent to the page as one
// patch at a time; the next one waits until the page has painted the last, so a slow page gets fewer, never a queue.

import { Connection } from "./net/connection.js";
import { Code } from "./net/messages.js";
import { Questions } from "./net/questions.js";
import { Market } from "./market/market.js";
import { Own } from "./market/own.js";
import { Session } from "./session/session.js";

class Dirty extends Set {
  wake() {
    post();
  }
}

const dirty = new Dirty();
let painted = true; // the page has shown what it was sent
let greeting = null;
let client = null;
let token = "";
let cluster = null;
let session = null;
let opening = false;
let fresh = []; // reports that the page has not been sent
let whole = true; // it has not been sent any of this session
let link = { state: "connecting", why: "", retryAt: 0 };

const url = new URL("/page", self.location.href);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const connection = new Connection(url.href, { onOpen, onFrame, onClosed });
const send = (request) => connection.send(request);
const questions = new Questions(send);
const market = new Market(send, questions, dirty);
const own = new Own(questions, dirty);

function setLink(state, why = "", retryAt = 0) {
  link = { state, why, retryAt };
  dirty.add("link");
  post();
}

function onOpen() {
  setLink("greeting");
}

function onFrame(frame) {
  if (frame.feed) market.onFrame(frame.feed);
  else if (frame.session) session?.onResponse(frame.session);
  else if (frame.session_ended) session?.onEnded(frame.session_ended);
  else if (frame.answer) questions.onAnswer(frame.answer);
  else if (frame.cluster) onCluster(frame.cluster);
  else if (frame.greeting) onGreeting(frame.greeting);
  else if (frame.signed_in) onSignedIn(frame.signed_in);
  post();
}

function onGreeting(said) {
  greeting = said;
  dirty.add("greeting");
  if (!said.needs_token) return;
  if (token) send({ sign_in: { token } });
  else askForToken("");
}

function askForToken(why) {
  connection.close();
  setLink("sign-in", why);
}

function onSignedIn(said) {
  client = said;
  dirty.add("greeting");
  setLink("live");
  market.connected();
  own.connected();
  session?.connected();
}

async function onCluster(state) {
  cluster = state;
  dirty.add("cluster");
  // Which history this is, is known now: a session of another one would mean nothing here.
  if (session || opening || !state.cluster_uuid) return;
  opening = true;
  session = await Session.open({ cluster: state.cluster_uuid, client, send, onRows, onState });
  fresh = session.history.slice();
  dirty.add("reports");
  if (link.state === "live") session.connected();
  post();
}

function onRows(rows) {
  fresh.push(...rows);
  dirty.add("reports");
  own.onRows(rows);
}

function onState() {
  dirty.add("session");
  post();
}

function onClosed({ closing, retryAt }) {
  questions.fail();
  market.disconnected();
  own.disconnected();
  session?.disconnected();
  if (closing?.code === Code.UNAUTHENTICATED) {
    token = "";
    setLink("sign-in", closing.reason);
    return false;
  }
  setLink("reconnecting", closing?.reason ?? "the server can't be reached", retryAt);
  return true;
}

// ---- to the page -------------------------------------------------------------------------------------------------------

const TAKES = {
  link: () => link,
  greeting: () => ({ cluster: greeting?.cluster ?? "", feed: greeting?.feed ?? "", client: client?.name ?? "" }),
  cluster: () => cluster,
  accounts: () => ({ list: own.accounts, account: own.account, known: true }),
  account: () => own.details,
  orders: () => ({ rows: [...own.orders.values()], error: own.ordersError }),
  session: takeSession,
  reports: takeReports,
};

function takeSession() {
  const { state, why, epoch, unanswered, sealed, repeats, nextNo, mayNumber, failure } = session.machine;
  const pending = unanswered.map(({ no, command, at }) => ({ no, command, at }));
  return { state, why, epoch, pending, sealed, repeats, nextNo, mayNumber, failure };
}

function takeReports() {
  const rows = fresh;
  fresh = [];
  const first = whole;
  whole = false;
  return { rows, whole: first };
}

function post() {
  if (!painted || dirty.size === 0) return;
  const patch = {};
  for (const topic of dirty) patch[topic] = TAKES[topic] ? TAKES[topic]() : market.take(topic);
  dirty.clear();
  painted = false;
  self.postMessage({ patch });
}

// ---- from the page -----------------------------------------------------------------------------------------------------

const ASKED = {
  painted() {
    painted = true;
  },
  select: ({ instrument }) => market.select(instrument),
  candles: ({ seconds }) => market.setCandles(seconds),
  account: ({ account }) => own.select(account),
  signIn(said) {
    token = said.token;
    setLink("connecting");
    connection.open();
  },
  renew: () => session?.renew(),
  async command({ id, command }) {
    const no = session ? await session.submit(command) : null;
    const why = session ? session.machine.why || "too many commands wait for their answers" : "the session is being opened";
    self.postMessage({ taken: { id, no, why } });
  },
};

self.onmessage = ({ data }) => {
  ASKED[data.do](data);
  post();
};

connection.open();
