// The WebSocket: one line to the hub's events, kept open. Owns reconnecting (later each time, with jitter; at once when
// the browser is online again), telling apart what came twice, and noticing a line that is dead without saying so.
//
// The service keeps nothing for those who were away. After a gap `recovered` says: ask the API again.

import { quota } from "./api.js";
import { session, subprotocols } from "./session.js";

const FIRST = 500; // ms, doubled at each failure
const LONGEST = 30_000;
const PING = 20_000;
const PATIENCE = 8_000; // ms for the answer to a ping
const REMEMBERED = 2_000; // ids

export const live = new EventTarget();
live.state = "connecting"; // connecting, up, waiting
live.heard = 0;

let socket = null;
let failures = 0;
let opened = 0;
let timer = 0;
let pinging = 0;
let overdue = 0;
const known = new Set();

export function connect() {
  still();
  to("connecting");
  const address = new URL("ws", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  const mine = (socket = new WebSocket(address, subprotocols()));
  mine.onmessage = (message) => mine === socket && hear(message.data);
  mine.onclose = () => mine === socket && lost();
}

function drop() {
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
}

function hear(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return;
  }
  clearTimeout(overdue);
  if (frame?.type === "welcome") return welcome();
  if (typeof frame?.type !== "string" || frame.type === "pong" || frame.type === "error") return;
  if (typeof frame.data !== "object" || frame.data === null) return;
  if (frame.id) {
    if (known.has(frame.id)) return;
    known.add(frame.id);
    if (known.size > REMEMBERED) known.delete(known.values().next().value);
  }
  live.heard += 1;
  live.dispatchEvent(new CustomEvent("event", { detail: frame }));
}

function welcome() {
  failures = 0;
  opened += 1;
  pinging = setInterval(ping, PING);
  to("up");
  if (opened > 1) live.dispatchEvent(new Event("recovered"));
}

function ping() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send('{"type":"ping"}');
  clearTimeout(overdue);
  overdue = setTimeout(() => {
    drop();
    lost();
  }, PATIENCE);
}

function lost() {
  socket = null;
  clearInterval(pinging);
  clearTimeout(overdue);
  to("waiting");
  const longest = Math.min(LONGEST, FIRST * 2 ** failures);
  failures += 1;
  const limited = quota.waitUntil - Date.now(); // a handshake counts as a request: before that it would be refused
  timer = setTimeout(document.hidden ? whenSeen : connect, Math.max(limited, longest * (0.5 + Math.random() / 2)));
}

/** A page that nobody looks at does not knock. */
function whenSeen() {
  document.addEventListener("visibilitychange", () => live.state === "waiting" && connect(), { once: true });
}

/** Knocks no more until somebody else asks, or `connect` is called. */
export function rest() {
  still();
  to("waiting");
}

function still() {
  clearTimeout(timer);
  clearInterval(pinging);
  clearTimeout(overdue);
  drop();
}

function to(state) {
  if (live.state === state) return;
  live.state = state;
  live.dispatchEvent(new Event("state"));
}

function again() {
  if (live.state !== "up") {
    failures = 0;
    connect();
  }
}
addEventListener("online", again);
session.addEventListener("change", () => {
  failures = 0;
  connect();
});
