// The six: their state by word, shape and colour, and what each took to say so.

import { json, Problem } from "./api.js";
import { $, announce, el, setPill, setText, status } from "./dom.js";
import { milliseconds, time } from "./format.js";
import { every } from "./rhythm.js";

const SERVICES = ["gateway", "order", "notification", "analytics", "storage", "compute"];
const WORDS = { up: "Up", degraded: "Degraded", down: "Down", unknown: "Unknown" };
let last = "";

export function startHealth(isShown) {
  SERVICES.forEach((name) => $("services").append(tile(name)));
  return every(() => (isShown() ? 5_000 : 15_000), ask);
}

async function ask() {
  try {
    show(await json("health", { also: [503] }));
    return true;
  } catch (error) {
    showNothing(error instanceof Problem ? error.message : "the report makes no sense");
    return false;
  }
}

function show(report) {
  for (const name of SERVICES) {
    const check = report.checks?.[name] ?? { status: "unknown" };
    const inner = name === "gateway" ? own(report.checks ?? {}) : (check.checks ?? {});
    const trouble = Object.entries(inner).filter(([, state]) => state === "down" || state === "degraded").map(([part, state]) => `${part} ${state}`);
    paint(name, check.status, check.durationMs, check.error ?? trouble.join(", "));
  }
  const ill = SERVICES.filter((name) => report.checks?.[name]?.status !== "up");
  const text = report.status === "up" ? "All services up" : ill.length ? `${WORDS[report.status] ?? "Unknown"}: ${ill.join(", ")}` : (WORDS[report.status] ?? "Unknown");
  tell(Object.hasOwn(WORDS, report.status) ? report.status : "unknown", text);
  $("health-age").replaceChildren("As of ", time(report.timestamp ?? new Date().toISOString()));
}

/** The gateway's checks of itself: those that are no service's. */
function own(checks) {
  return Object.fromEntries(Object.entries(checks).filter(([name]) => !SERVICES.includes(name)).map(([name, check]) => [name, check.status]));
}

function showNothing(why) {
  SERVICES.forEach((name) => paint(name, name === "gateway" ? "down" : "unknown", null, name === "gateway" ? why : "not heard of"));
  tell("down", "Gateway does not answer");
  setText($("health-age"), "Trying again");
}

function tell(state, text) {
  setPill($("hub-state"), state, text);
  if (last && text !== last) announce(text);
  last = text;
}

function tile(name) {
  return el("li", { class: "service", id: `service-${name}`, dataset: { state: "unknown" } },
    el("div", { class: "service-name" }, name),
    el("div", { class: "service-line" }, status("unknown", "Unknown"), el("span", { class: "service-time" })),
    el("div", { class: "service-note" }));
}

function paint(name, state, duration, note) {
  const place = $(`service-${name}`);
  const word = Object.hasOwn(WORDS, state) ? WORDS[state] : "Unknown";
  if (place.dataset.state !== state || !place.querySelector(".status").textContent.includes(word)) {
    place.dataset.state = state;
    place.querySelector(".status").replaceWith(status(state, word));
  }
  setText(place.querySelector(".service-time"), typeof duration === "number" ? milliseconds(duration) : "");
  setText(place.querySelector(".service-note"), note);
}
