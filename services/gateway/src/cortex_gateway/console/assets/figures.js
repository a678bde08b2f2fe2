// Key figures: sampled from analytics and from the gateway's own counters, shown as numbers and over time.

import { Held, json, request } from "./api.js";
import { $, setText } from "./dom.js";
import { number, seconds } from "./format.js";
import { Plot } from "./plot.js";
import { every } from "./rhythm.js";
import { session } from "./session.js";

const REQUESTS = /^cortex_hub_http_requests_total(?:\{[^}]*\})?\s+([0-9.eE+]+)/gm;
const ENDED = ["completed", "failed", "cancelled"];
let first = null;
let before = null;

export function startFigures(isShown) {
  const plots = {
    outcomes: new Plot($("plot-outcomes"), ["Completed", "Failed", "Cancelled"], (value) => number(Math.round(value)), { least: 4 }),
    processing: new Plot($("plot-processing"), ["p50", "p95", "p99"], seconds, { least: 0.05 }),
    rate: new Plot($("plot-rate"), ["Requests"], (value) => value.toFixed(value < 10 ? 1 : 0), { least: 2 }),
  };
  session.addEventListener("change", () => { // somebody else's figures
    first = null;
    showNothing();
    Object.values(plots).forEach((plot) => plot.clear());
  });
  const again = every(() => (isShown() ? 5_000 : 15_000), async () => {
    const results = await Promise.all([orders(plots), rate(plots)]);
    return results.every(Boolean);
  });
  return { again, repaint: () => Object.values(plots).forEach((plot) => plot.repaint()) };
}

const showNothing = () => ["active", ...ENDED, "p95"].forEach((name) => setText($(`figure-${name}`), "–"));

async function orders(plots) {
  try {
    const told = await json("api/analytics/metrics", { background: true });
    first ??= told.orders;
    const times = told.processingSeconds;
    setText($("figure-active"), number(told.activeOrders));
    ENDED.forEach((name) => setText($(`figure-${name}`), number(told.orders[name])));
    setText($("figure-p95"), seconds(times.p95));
    const now = Date.now() / 1000;
    plots.outcomes.add(now, ENDED.map((name) => told.orders[name] - first[name]));
    plots.processing.add(now, [times.p50, times.p95, times.p99]);
    return true;
  } catch (error) {
    if (!(error instanceof Held)) showNothing();
    return false;
  }
}

/** From the gateway's own counter. Where `/metrics` is not open to us there is no rate, and the rest goes on. */
async function rate(plots) {
  try {
    const text = await (await request("metrics")).text();
    const total = [...text.matchAll(REQUESTS)].reduce((sum, [, value]) => sum + Number(value), 0);
    const now = performance.now();
    const value = before && total >= before.total ? ((total - before.total) * 1000) / (now - before.now) : null;
    before = { total, now };
    if (value !== null) {
      setText($("figure-rate"), value.toFixed(1));
      plots.rate.add(Date.now() / 1000, [value]);
    }
    return true;
  } catch (error) {
    setText($("figure-rate"), "–");
    before = null;
    return error.status > 0; // refused is an answer: no reason to slow the others down
  }
}
