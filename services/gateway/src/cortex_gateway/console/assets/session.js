// Who is asking. The credential lives in this module's memory, and on request in sessionStorage, which ends with the
// tab. It leaves in the `Authorization` header and the socket's subprotocol, never in an address.

const KEY = "cortex.credential";
const LOOKS_RIGHT = /^[A-Za-z0-9._~+/-]{8,8192}$/; // what both a header and a subprotocol can carry (RFC 6750, RFC 9110)

export const session = new EventTarget();
export const current = () => credential;
export const usable = (text) => LOOKS_RIGHT.test(text);

let credential = restored();

export function use(text, keep) {
  credential = text;
  stored(keep ? text : null);
  session.dispatchEvent(new Event("change"));
}

export function forget() {
  credential = null;
  stored(null);
  session.dispatchEvent(new Event("change"));
}

export const authorization = () => (credential ? { Authorization: `Bearer ${credential}` } : {});
export const subprotocols = () => (credential ? ["cortex.events", `cortex.bearer.${credential}`] : []);

function restored() {
  let text = null;
  try {
    text = sessionStorage.getItem(KEY);
  } catch {
    // storage is switched off
  }
  return text !== null && usable(text) ? text : null;
}

function stored(text) {
  try {
    if (text === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, text);
  } catch {
    // storage is switched off: it stays in memory
  }
}
