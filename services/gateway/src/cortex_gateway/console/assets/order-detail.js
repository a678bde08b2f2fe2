// One order: what it is now, and every step it took.

import { json, Problem } from "./api.js";
import { book, learn } from "./book.js";
import { $, apart, el, status } from "./dom.js";
import { money, time } from "./format.js";
import { session } from "./session.js";

let open = null;
let asking = 0;

export const isShown = (orderId) => orderId === open;

export function startDetail() {
  session.addEventListener("change", () => {
    open = null;
    $("order-detail").hidden = true;
  });
  $("close-detail").addEventListener("click", () => {
    const row = $("orders-body").querySelector(`tr[data-order="${CSS.escape(open ?? "")}"] button`);
    open = null;
    mark();
    $("order-detail").hidden = true;
    (row ?? $("title-orders")).focus();
  });
  book.addEventListener("changed", ({ detail }) => detail.orderId === open && load(open, { background: true }));
}

export async function openDetail(orderId) {
  open = orderId;
  mark();
  $("order-detail").hidden = false;
  await load(orderId);
  if (open === orderId) {
    $("detail-title").focus();
    $("order-detail").scrollIntoView({ block: "nearest" });
  }
}

async function load(orderId, options = {}) {
  const mine = ++asking; // an answer that was overtaken is dropped
  const path = `api/orders/${encodeURIComponent(orderId)}`;
  try {
    const [order, history] = await Promise.all([json(path, options), json(`${path}/events`, options)]);
    if (mine !== asking || open !== orderId) return;
    draw(learn([order])[0], history.events);
  } catch (error) {
    if (mine !== asking || open !== orderId || options.background) return;
    if (!(error instanceof Problem)) throw error;
    $("detail-facts").replaceChildren(el("dt", {}, "Not to be had"), el("dd", {}, error.words));
    $("detail-timeline").replaceChildren();
  }
}

function draw(order, events) {
  const facts = {
    "Order": el("span", { class: "mono" }, order.orderId),
    "Customer": order.customerId,
    "Total": money(order.total, order.currency),
    "Status": status(order.status),
    ...(order.reason ? { "Reason": order.reason } : {}),
    "Placed": time(order.createdAt),
    "Version": String(order.version),
  };
  $("detail-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  $("detail-timeline").replaceChildren(...events.map((event) =>
    el("li", {}, time(event.time), el("span", {}, `v${event.version} ${event.type}${detailOf(event.data)}`))));
}

function detailOf(data) {
  const told = [data?.state, data?.reason, data?.receipt?.chargeId].filter((value) => typeof value === "string");
  return told.length ? ` · ${told.map(apart).join(" · ")}` : "";
}

function mark() {
  for (const row of $("orders-body").rows) {
    if (row.dataset.order === open) row.setAttribute("aria-selected", "true");
    else row.removeAttribute("aria-selected");
  }
}
