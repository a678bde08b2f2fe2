// What happens in the hub, as it happens. The newest are on top; so many are kept, here and nowhere else.

import { $, apart, el, setText } from "./dom.js";
import { bytes, money, seconds, shortCid, shortId, time } from "./format.js";
import { live } from "./live.js";
import { session } from "./session.js";

const KEPT = 200;
let events = [];
let paused = false;
let missed = 0;

export function startFeed() {
  live.addEventListener("event", ({ detail }) => take(detail));
  live.addEventListener("recovered", () => take({ type: "gap", time: new Date().toISOString(), data: {} }));
  live.addEventListener("state", tell);
  session.addEventListener("change", empty);
  $("event-filter").addEventListener("change", draw);
  $("clear-feed").addEventListener("click", empty);
  $("pause-feed").addEventListener("click", () => {
    paused = !paused;
    missed = 0;
    $("pause-feed").setAttribute("aria-pressed", String(paused));
    setText($("pause-feed"), paused ? "Go on" : "Pause");
    if (!paused) draw();
    tell();
  });
  tell();
  drawLatest();
}

function empty() {
  events = [];
  draw();
  tell();
}

function take(event) {
  events = [event, ...events].slice(0, KEPT);
  drawLatest();
  if (paused) missed += 1;
  else if (wanted(event)) {
    $("feed").prepend(line(event));
    $("feed").firstElementChild.classList.add("arrived");
    while ($("feed").childElementCount > KEPT) $("feed").lastElementChild.remove();
  }
  tell();
}

const wanted = (event) => event.type === "gap" || event.type.startsWith($("event-filter").value);

function draw() {
  $("feed").replaceChildren(...events.filter(wanted).map(line));
  drawLatest();
}

function drawLatest() {
  const latest = events.filter(({ type }) => type !== "order.state.changed").slice(0, 6).map((event) => el("li", {}, time(event.time), el("span", { class: "mono" }, event.type), el("span", { class: "grow" }, inWords(event))));
  $("latest-events").replaceChildren(...(latest.length ? latest : [el("li", { class: "muted" }, "Nothing yet. What happens in the hub appears here by itself.")]));
}

function tell() {
  $("feed-empty").hidden = $("feed").childElementCount > 0;
  const line = live.state === "up" ? "Connected" : live.state === "waiting" ? "The line is down; connecting again" : "Connecting";
  setText($("events-source"), paused ? `Paused, ${missed} since` : `${line} · ${live.heard} heard`);
}

function line(event) {
  if (event.type === "gap") return el("li", { class: "gap" }, time(event.time), el("span", {}, "reconnected"), el("span", { class: "say" }, "What happened meanwhile is not in this feed; the lists were asked again."));
  return el("li", { dataset: { type: event.type } }, time(event.time), el("span", { class: "mono" }, event.type), el("span", { class: "say" }, inWords(event)));
}

/** One sentence an event. Members that an event does not have, or that are not what they should be, are left out. */
function inWords({ type, data }) {
  const order = typeof data.orderId === "string" ? shortId(data.orderId) : "";
  const said = (value) => value && apart(value);
  const parts = {
    "order.created": () => [order, said(data.customerId), money(data.total, data.currency)],
    "order.state.changed": () => [order, `${data.previous ?? "new"} → ${data.state}`],
    "order.completed": () => [order, money(data.total, data.currency), `in ${seconds(data.processingTime)}`],
    "order.failed": () => [order, said(data.reason), `after ${seconds(data.processingTime)}`],
    "order.cancelled": () => [order, `after ${seconds(data.processingTime)}`],
    "file.stored": () => [shortCid(String(data.cid)), bytes(data.size), said(data.mediaType)],
    "image.processed": () => [said(data.operation), said(data.format), `${data.width} × ${data.height}`, `in ${seconds(data.duration)}`],
  };
  if (type === "gap") return "reconnected";
  return (Object.hasOwn(parts, type) ? parts[type]() : [apart(JSON.stringify(data).slice(0, 200))]).filter(Boolean).join(" · ");
}
