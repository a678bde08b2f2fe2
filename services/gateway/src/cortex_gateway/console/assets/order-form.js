// Placing an order. The key stays until an answer has come: asked again after a lost one, it is still one order.

import { Problem, request } from "./api.js";
import { learn } from "./book.js";
import { $, el, once } from "./dom.js";
import { minorDigits, money, shortId } from "./format.js";

const MOST = 10; // items: the API takes a hundred, a form reads better with fewer
const SAMPLES = [["book", 2, "12.50"], ["pen", 3, "1.90"], ["lamp", 1, "39.00"], ["mug", 4, "8.20"]];
let made = 0;

export function startOrderForm() {
  addItem();
  newKey();
  $("add-item").addEventListener("click", () => addItem().querySelector("input").focus());
  $("new-key").addEventListener("click", newKey);
  $("order-form").addEventListener("input", showTotal);
  $("order-form").addEventListener("submit", (event) => {
    event.preventDefault();
    once($("place-order"), place);
  });
}

const rows = () => [...$("order-items").children];

function addItem() {
  const [sku, quantity, price] = SAMPLES[made % SAMPLES.length];
  made += 1;
  const at = made;
  const input = (label, name, value, extra = {}) => el("input", { "aria-label": `${label}, item ${at}`, name, value, autocomplete: "off", required: true, "aria-describedby": "order-error", ...extra });
  const item = el("div", { class: "item" },
    input("SKU", "sku", sku, { maxlength: 64, spellcheck: "false" }),
    input("Quantity", "quantity", quantity, { type: "number", min: 1, max: 1_000_000, step: 1 }),
    input("Unit price", "unitPrice", price, { inputmode: "decimal" }),
    el("button", { type: "button", class: "quiet", "aria-label": `Remove item ${at}`, onclick: () => removeItem(item) }, "×"));
  $("order-items").append(item);
  settle();
  return item;
}

function removeItem(item) {
  const neighbour = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  settle();
  (neighbour?.querySelector("input") ?? $("add-item")).focus();
}

function settle() {
  rows().forEach((row) => (row.querySelector("button").disabled = rows().length === 1));
  $("add-item").disabled = rows().length >= MOST;
  showTotal();
}

/** `12.50` in a currency with two digits → 1250; NaN for what is no price in it. */
function minor(text, currency) {
  const digits = minorDigits(currency);
  if (!new RegExp(`^\\d{1,12}([.,]\\d{1,${Math.max(1, digits)}})?$`).test(text.trim())) return Number.NaN;
  const amount = Number(text.trim().replace(",", ".")) * 10 ** digits;
  return Math.abs(amount - Math.round(amount)) < 1e-6 ? Math.round(amount) : Number.NaN;
}

function items() {
  return rows().map((row) => {
    const [sku, quantity, price] = row.querySelectorAll("input");
    return { sku: sku.value.trim(), quantity: Number(quantity.value), unitPrice: minor(price.value, $("order-currency").value) };
  });
}

function showTotal() {
  const sum = items().reduce((total, { quantity, unitPrice }) => total + quantity * unitPrice, 0);
  $("order-total").textContent = Number.isFinite(sum) ? money(sum, $("order-currency").value) : "–";
}

function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  $("order-key").value = `console-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** What can be told without asking: the first field that is wrong, with words for it. */
function mistake() {
  const wrong = [];
  if (!$("order-customer").value.trim()) wrong.push([$("order-customer"), "A customer is needed."]);
  rows().forEach((row) => {
    const [sku, quantity, price] = row.querySelectorAll("input");
    if (!sku.value.trim()) wrong.push([sku, "An item needs a SKU."]);
    if (!/^\d+$/.test(quantity.value) || Number(quantity.value) < 1) wrong.push([quantity, "A quantity is a whole number from 1."]);
    if (Number.isNaN(minor(price.value, $("order-currency").value))) wrong.push([price, `A unit price is an amount in ${$("order-currency").value}, such as ${minorDigits($("order-currency").value) ? "12.50" : "1250"}.`]);
  });
  return wrong;
}

async function place() {
  $("order-form").querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  $("order-error").textContent = "";
  $("order-said").textContent = "";
  delete $("order-said").dataset.order;
  const wrong = mistake();
  if (wrong.length) {
    wrong.forEach(([field]) => field.setAttribute("aria-invalid", "true"));
    $("order-error").textContent = wrong[0][1];
    wrong[0][0].focus();
    return;
  }
  const body = { customerId: $("order-customer").value.trim(), currency: $("order-currency").value, items: items(), paymentToken: $("order-payment").value };
  const key = $("order-key").value.trim();
  try {
    const response = await request("api/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) },
      body: JSON.stringify(body),
    });
    const order = await response.json();
    learn([order]);
    const again = response.headers.get("idempotency-replayed") === "true";
    $("order-said").dataset.order = order.orderId;
    $("order-said").textContent = again ? `That key was used before: it is order ${shortId(order.orderId)}.` : `Order ${shortId(order.orderId)} is placed.`;
    newKey();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    $("order-error").textContent = error.status === 0 ? `${error.message}. Try again: with the same key it is still one order.` : error.words;
    if (error.code === "order.invalid-customer") $("order-customer").setAttribute("aria-invalid", "true");
  }
}
