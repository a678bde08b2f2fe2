// Elements from data. Text only ever becomes a text node or an attribute's value: there is no way here to make markup
// of a string, and the page's content policy (Trusted Types) takes the browser's own ways.

export const $ = (id) => document.getElementById(id);

/** `el("a", {href: "…", class: "…", onclick: f, dataset: {…}}, "text", node, null)`: null children are left out. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const CONTROLS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const BACKWARDS = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** What somebody else wrote, so that its direction ends where it ends: as an element, and within a sentence. */
export const foreign = (text) => el("bdi", {}, text);
export function apart(text) {
  const plain = String(text).replace(CONTROLS, "");
  return BACKWARDS.test(plain) ? `\u2068${plain}\u2069` : plain;
}

/** A word with the shape and colour of its state. */
export function status(state, text = state) {
  return el("span", { class: "status", dataset: { state } }, el("span", { class: "glyph", "aria-hidden": "true" }), text);
}

export function setPill(pill, state, text) {
  if (pill.dataset.state !== state) pill.dataset.state = state;
  setText(pill.querySelector(".pill-text"), text);
}

/** Leaves the page alone where it says so already: screen readers hear of changes only. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether a button does anything now. Not by `disabled`: the browser would take the focus from whoever has just pressed
 * it, and give it to nobody. It stays where it is, says that it is off, and `click` below sees to it that it is. */
export function able(button, is) {
  if (is) button.removeAttribute("aria-disabled");
  else button.setAttribute("aria-disabled", "true");
}

export const isAble = (button) => button.getAttribute("aria-disabled") !== "true";

// Enter in a form's field is a click on its button, too.
addEventListener("click", (event) => {
  if (!event.target.closest?.('[aria-disabled="true"]')) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

/** `work`, unless what the button began is still under way. */
export async function once(button, work) {
  if (!isAble(button)) return;
  able(button, false);
  try {
    await work();
  } finally {
    able(button, true);
  }
}

/** `rows` in place of what `list` holds. The focus stays in its row (the one whose `data-…` `key` is the same), at the
 * same button where there is one; without the row it goes to the section's heading. */
export function refill(list, rows, key) {
  const active = document.activeElement;
  const old = [...list.children].find((row) => row.contains(active));
  const at = old ? [...old.querySelectorAll("button")].indexOf(active) : -1;
  list.replaceChildren(...rows);
  if (at >= 0) focusIn(rows.find((row) => row.dataset[key] === old.dataset[key]), at, list);
}

export function focusIn(row, at, list) {
  const buttons = row ? [...row.querySelectorAll("button")] : [];
  (buttons[at] ?? buttons[0] ?? list.closest(".view").querySelector("h1")).focus({ preventScroll: true });
}

let waiting = [];
/** For those who do not see it happen. What comes at the same time is said together. */
export function announce(text) {
  waiting.push(text);
  if (waiting.length > 1) return;
  setTimeout(() => {
    $("announcer").textContent = waiting.slice(-3).join(". ");
    waiting = [];
  }, 150);
}
