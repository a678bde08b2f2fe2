// Orders as this page knows them: from the API's lists, and from events as they come. An order never goes back: what
// an older answer or an event that came late says of its status is dropped.

const RANK = { pending: 0, processing: 1, completed: 2, failed: 2, cancelled: 2 };
const KEPT = 500;

export const book = new EventTarget(); // `changed` (detail: the order) and `created`
const orders = new Map();

export const known = (orderId) => orders.get(orderId);
export const newest = (count, wanted = () => true) => [...orders.values()].filter(wanted).sort(byAge).slice(0, count);
export const isOpen = (order) => (RANK[order.status] ?? 2) < 2;

/** Newest first; ids of one moment are in order, too (UUIDv7). */
const byAge = (one, other) => (other.createdAt ?? "").localeCompare(one.createdAt ?? "") || other.orderId.localeCompare(one.orderId);

/** What the API said. Returns what is known now, in the same order. */
export const learn = (list) => list.map((order) => merge(order));

export function hear({ type, time, data }) {
  if (!type.startsWith("order.") || typeof data.orderId !== "string") return;
  if (type === "order.created") return merge({ ...data, createdAt: data.createdAt ?? time, status: "pending" });
  if (!orders.has(data.orderId)) return;
  const status = type === "order.state.changed" ? data.state : type.slice("order.".length);
  if (Object.hasOwn(RANK, status)) merge({ orderId: data.orderId, status, ...(data.reason ? { reason: data.reason } : {}) });
}

export function clear() {
  orders.clear();
}

function merge(told) {
  const old = orders.get(told.orderId);
  const goesBack = old && (RANK[told.status] ?? 0) < RANK[old.status];
  const now = { ...old, ...told, ...(goesBack ? { status: old.status } : {}) };
  orders.set(told.orderId, now);
  if (!old) {
    if (orders.size > KEPT) orders.delete(orders.keys().next().value);
    book.dispatchEvent(new CustomEvent("created", { detail: now }));
  } else if (old.status !== now.status || old.reason !== now.reason) {
    book.dispatchEvent(new CustomEvent("changed", { detail: now }));
  }
  return now;
}
