// What the person must know before anything else works: a credential is wanted, a scope is missing, the limit is
// reached. And the dialog in which a credential is given.

import { api, isUnknown, mustWait, quota } from "./api.js";
import { $, announce, setText } from "./dom.js";
import { current, forget, session, usable, use } from "./session.js";

let counting = 0;

export function startNotices() {
  api.addEventListener("quota", showQuota);
  api.addEventListener("refused", ({ detail }) => refused(detail));
  api.addEventListener("accepted", hide);
  session.addEventListener("change", () => {
    hide();
    who();
  });
  $("banner-action").addEventListener("click", open);
  $("open-credentials").addEventListener("click", open);
  $("credential-close").addEventListener("click", () => $("credentials").close());
  $("credential-forget").addEventListener("click", () => {
    forget();
    $("credentials").close();
  });
  $("credentials-form").addEventListener("submit", take);
  $("credentials").addEventListener("close", closed);
  who();
}

function showQuota() {
  if (quota.limit === null || quota.limit > 100_000) return setText($("quota"), "");
  setText($("quota"), `${quota.remaining} of ${quota.limit} requests left${mustWait() && !isUnknown() ? ", the page waits" : ""}`);
}

function refused(problem) {
  clearInterval(counting);
  if (problem.status === 429) return countDown();
  if (problem.status === 401) {
    return show("waiting", current() ? `The credential is not accepted: ${problem.message}.` : "This hub wants to know who is asking: a token or an API key.", true);
  }
  show("waiting", `Not allowed: ${problem.message}.`, true);
}

function countDown() {
  const reached = quota.limit === null ? "The limit is reached." : `The limit of ${quota.limit} requests a minute is reached.`;
  if ($("banner").hidden) announce(reached); // once: as an alert it would be read out every second
  const tick = () => {
    const left = Math.ceil((quota.waitUntil - Date.now()) / 1000);
    if (left <= 0) return hide();
    show("waiting", `${reached} Try again in ${left} s; the page itself waits.`, false);
  };
  tick();
  counting = setInterval(tick, 1000);
}

function show(state, text, offer) {
  $("banner").setAttribute("aria-live", offer ? "assertive" : "off");
  $("banner").dataset.state = state;
  setText($("banner-text"), text);
  $("banner-action").hidden = !offer;
  $("banner").hidden = false;
}

function hide() {
  clearInterval(counting);
  $("banner").hidden = true;
}

function who() {
  const credential = current();
  setText($("who"), credential === null ? "Anonymous" : credential.startsWith("ck_") ? "API key" : "Token");
  $("credential-forget").disabled = credential === null;
}

function open() {
  $("credentials-error").textContent = "";
  $("credentials").showModal();
  $("credential").focus();
}

/** Back to where it was opened from; the banner may have gone meanwhile, and its button with it. */
function closed() {
  $("credential").value = "";
  const at = document.activeElement;
  if (at === document.body || !at.checkVisibility()) $("open-credentials").focus();
}

function take(event) {
  const text = $("credential").value.trim();
  if (usable(text)) return use(text, $("credential-keep").checked);
  event.preventDefault();
  $("credentials-error").textContent = "That is neither a token nor an API key: no spaces, at least eight characters.";
  $("credential").focus();
}
