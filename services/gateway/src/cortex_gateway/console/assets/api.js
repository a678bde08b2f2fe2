// The hub's public API. Owns the credential's header, deadlines, problem+json, and manners: what the page asks by itself
// (`background`) gives way as soon as the limit comes near, so that what the person asks for still gets through.

import { authorization, session } from "./session.js";

const PATIENCE = 10_000; // ms
const SPARE = 30; // requests of the current minute that are left to the person
const LOOK_AGAIN = 15_000; // ms after which a background request may find out whether there is room again

/** Heard: `quota` when the limit's state changed, `refused` (detail: Problem) for 401, 403 and 429, `accepted` when
 * after a 401 somebody was let in again. */
export const api = new EventTarget();
export const quota = { limit: null, remaining: null, seen: 0, waitUntil: 0 };
let unknown = false; // who asks is not known to the hub: asking again would count as knocking with a wrong key

session.addEventListener("change", () => (unknown = false));

export class Problem extends Error {
  constructor(status, told = {}, retryAfter = 0) {
    super(told.detail || told.title || (status ? `answered ${status}` : "no answer"));
    this.status = status;
    this.code = told.code ?? "";
    this.retryAfter = retryAfter;
    this.told = told;
  }

  get words() {
    const said = this.code ? `${this.message} (${this.code})` : this.message;
    return this.retryAfter ? `${said}; try again in ${this.retryAfter} s` : said;
  }
}

/** A background request that was not made. Nobody needs to be told. */
export class Held extends Error {}

/** The response, where it is 2xx or one of `also`. Raises Problem (status 0: no answer), Held. */
export async function request(path, { method = "GET", headers = {}, body, background = false, patience = PATIENCE, signal, also = [] } = {}) {
  if (background && mustWait()) {
    api.dispatchEvent(new Event("quota"));
    throw new Held(path);
  }
  const deadline = AbortSignal.timeout(patience);
  let response;
  try {
    response = await fetch(path, {
      method,
      body,
      headers: { ...authorization(), ...headers },
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: deadline.aborted ? `no answer within ${patience / 1000} s` : "the gateway does not answer" });
  }
  count((name) => response.headers.get(name), response.status);
  if (response.ok && path.startsWith("api/")) accepted();
  if (response.ok || also.includes(response.status)) return response;
  throw refused(response.status, await response.text().catch(() => ""), response.headers.get("retry-after"));
}

export const json = async (path, options) => (await request(path, options)).json();

/** Also for what XMLHttpRequest was told. */
export function refused(status, text, retryAfter) {
  let told = {};
  try {
    told = JSON.parse(text) ?? {};
  } catch {
    // not ours: a proxy's page
  }
  const problem = new Problem(status, told, Math.max(0, Number.parseInt(retryAfter ?? "0", 10) || 0));
  if ([401, 403, 429].includes(status)) {
    unknown ||= status === 401;
    if (status === 429) quota.waitUntil = Date.now() + Math.max(1, problem.retryAfter) * 1000;
    api.dispatchEvent(new CustomEvent("refused", { detail: problem }));
  }
  return problem;
}

export function count(header, status) {
  const [limit, remaining] = ["x-ratelimit-limit", "x-ratelimit-remaining"].map((name) => Number.parseInt(header(name), 10));
  if (Number.isNaN(limit) || Number.isNaN(remaining)) return;
  Object.assign(quota, { limit, remaining, seen: Date.now() });
  if (status !== 429 && Date.now() >= quota.waitUntil) quota.waitUntil = 0;
  api.dispatchEvent(new Event("quota"));
}

function accepted() {
  if (!unknown) return;
  unknown = false;
  api.dispatchEvent(new Event("accepted"));
}

/** Whether the hub wants to know who asks, before anything else counts. */
export const isUnknown = () => unknown;

/** Whether what the page would ask by itself has to wait. */
export function mustWait() {
  if (unknown) return true;
  if (Date.now() < quota.waitUntil) return true;
  const scarce = quota.limit !== null && quota.remaining < Math.min(SPARE, quota.limit / 2);
  return scarce && Date.now() - quota.seen < LOOK_AGAIN;
}
