// The list of orders: page by page from the API, kept true by events; while the socket is away, by asking.

import { api, Held, json, mustWait, Problem } from "./api.js";
import { book, clear, isOpen, known, learn, newest } from "./book.js";
import { $, able, announce, apart, el, focusIn, foreign, once, refill, setText, status } from "./dom.js";
import { money, shortId, time } from "./format.js";
import { live } from "./live.js";
import { isShown as isDetailed, openDetail } from "./order-detail.js";
import { every } from "./rhythm.js";
import { session } from "./session.js";

const LIMIT = 12;
const cursors = [null]; // of the pages up to this one
let next = null;
let listed = false; // whether the last answer was a list
let trouble = ""; // why it was none
let shown = []; // ids, in the table's order
let asking = 0;
let meanwhile = []; // ids that were heard of since the list was asked for: its answer may be older

export function startOrders(isShown) {
  $("orders-newer").addEventListener("click", () => turn(-1));
  $("orders-older").addEventListener("click", () => turn(+1));
  $("order-filter").addEventListener("change", fromTheStart);
  book.addEventListener("created", ({ detail }) => arrived(detail));
  book.addEventListener("changed", ({ detail }) => changed(detail));
  live.addEventListener("recovered", () => load({ background: true }));
  live.addEventListener("state", tellSource);
  api.addEventListener("refused", tellSource);
  session.addEventListener("change", () => {
    clear();
    fromTheStart();
  });
  every(() => (isShown() ? 5_000 : 15_000), () => (live.state === "up" && listed) || load({ background: true }));
  tellSource();
}

function tellSource() {
  const asking = mustWait() ? "The live line is down, and the page waits" : "The live line is down: asked every few seconds";
  setText($("orders-source"), live.state === "up" ? "Live: states change as they happen" : asking);
}

const filter = () => $("order-filter").value;

function fromTheStart() {
  cursors.splice(1);
  return load({});
}

async function turn(by) {
  if (by > 0 && next) cursors.push(next);
  if (by < 0 && cursors.length > 1) cursors.pop();
  for (const way of ["orders-newer", "orders-older"]) able($(way), false); // until the page is there: no second step
  setText($("orders-error"), "");
  if (await load({})) announce(`Page ${cursors.length}`);
}

async function load({ background = false }) {
  const mine = ++asking;
  meanwhile = [];
  const query = new URLSearchParams({ limit: LIMIT });
  if (filter()) query.set("status", filter());
  if (cursors.at(-1)) query.set("cursor", cursors.at(-1));
  try {
    const told = await json(`api/orders?${query}`, { background });
    if (mine !== asking) return true;
    next = told.nextCursor;
    const ids = learn(told.orders).map((order) => order.orderId);
    const missed = cursors.length > 1 ? [] : meanwhile.filter((id) => !ids.includes(id));
    shown = [...missed, ...ids].slice(0, LIMIT);
    listed = true;
    trouble = "";
    draw();
    return true;
  } catch (error) {
    if (mine !== asking) return false;
    listed = false; // asked again by itself, the live line up or not
    if (error instanceof Held) return false;
    if (!(error instanceof Problem)) throw error;
    if (!shown.length || !background) {
      trouble = `The list is not to be had: ${error.words}.`;
      draw();
    }
    return false;
  }
}

function draw() {
  shown = shown.filter(known); // the book forgets: at another credential all, at five hundred the oldest
  refill($("orders-body"), shown.map((id) => row(known(id))), "order");
  $("orders-empty").hidden = shown.length > 0 && !trouble;
  setText($("orders-empty"), trouble || (filter() ? `No order is ${filter()}.` : "No order yet. Place the first one."));
  able($("orders-newer"), cursors.length > 1);
  able($("orders-older"), next !== null);
  setText($("orders-page"), `Page ${cursors.length}`);
  drawLatest();
}

function row(order) {
  const cancel = isOpen(order)
    ? el("button", { type: "button", class: "small", onclick: ({ currentTarget }) => once(currentTarget, () => callOff(order.orderId)), "aria-label": `Cancel order ${shortId(order.orderId)}` }, "Cancel")
    : null;
  return el("tr", { role: "row", dataset: { order: order.orderId }, "aria-selected": isDetailed(order.orderId) ? "true" : null },
    el("td", { role: "cell" }, el("button", { type: "button", class: "link", title: order.orderId, onclick: () => openDetail(order.orderId) }, shortId(order.orderId))),
    el("td", { role: "cell", class: "wide clip" }, order.customerId ?? "–"),
    el("td", { role: "cell", class: "number" }, order.currency ? money(order.total, order.currency) : "–"),
    el("td", { role: "cell" }, said(order)),
    el("td", { role: "cell", class: "wide" }, time(order.createdAt)),
    el("td", { role: "cell" }, cancel));
}

function said(order) {
  const badge = status(order.status);
  if (order.reason) badge.append(el("span", { class: "muted" }, "· ", foreign(order.reason)));
  return badge;
}

function arrived(order) {
  drawLatest();
  if (asking === 0 || cursors.length > 1 || (filter() && filter() !== order.status) || shown.includes(order.orderId)) return;
  const newestShown = known(shown[0]);
  if (newestShown && newestShown.createdAt > order.createdAt) return; // an older page's, learned just now
  meanwhile = [order.orderId, ...meanwhile];
  shown = [order.orderId, ...shown].slice(0, LIMIT);
  draw();
  $("orders-body").firstElementChild?.classList.add("arrived");
}

function changed(order) {
  drawLatest();
  const old = $("orders-body").querySelector(`tr[data-order="${CSS.escape(order.orderId)}"]`);
  if (!old) return;
  const focused = old.contains(document.activeElement) ? [...old.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  const fresh = row(order);
  fresh.classList.add("arrived");
  old.replaceWith(fresh);
  if (focused >= 0) focusIn(fresh, focused, $("orders-body"));
  if (!isOpen(order)) announce(`Order ${shortId(order.orderId)} ${order.status}${order.reason ? `: ${apart(order.reason)}` : ""}`);
}

async function callOff(orderId) {
  setText($("orders-error"), "");
  try {
    learn([await json(`api/orders/${encodeURIComponent(orderId)}/cancel`, { method: "POST" })]);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    setText($("orders-error"), `Not cancelled: ${error.words}.`);
    learn(await json(`api/orders/${encodeURIComponent(orderId)}`).then((order) => [order], () => []));
  }
}

function drawLatest() {
  const rows = newest(6).map((order) => el("li", {},
    el("span", { class: "mono", title: order.orderId }, shortId(order.orderId)),
    el("span", { class: "grow" }, order.currency ? money(order.total, order.currency) : ""),
    said(order), time(order.createdAt)));
  $("latest-orders").replaceChildren(...(rows.length ? rows : [el("li", { class: "muted" }, trouble ? "The list is not to be had." : "No order yet.")]));
}
