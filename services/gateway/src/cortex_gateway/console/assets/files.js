// Files: uploaded with their CID computed on both sides, listed, fetched back and checked.

import { count, Held, json, Problem, refused, request } from "./api.js";
import { canCompute, cidOf } from "./cid.js";
import { $, able, announce, apart, el, foreign, isAble, once, refill, setText, status } from "./dom.js";
import { bytes, shortCid, time } from "./format.js";
import { live } from "./live.js";
import { every } from "./rhythm.js";
import { authorization, session } from "./session.js";

const LIMIT = 10;
const cursors = [null];
const names = new Map(); // CID → the name it had here
const verdicts = new Map(); // CID → where it is told what came of a check: stays when the list is drawn again
let next = null;
let file = null;
let uploading = null;
let loaded = false;
let failed = false;

export function startFiles() {
  $("upload-file").addEventListener("change", () => choose($("upload-file").files[0]));
  $("upload-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (isAble($("upload-start"))) upload(file);
  });
  $("upload-cancel").addEventListener("click", () => uploading?.abort());
  droppable($("upload-form"));
  $("files-newer").addEventListener("click", () => turn(-1));
  $("files-older").addEventListener("click", () => turn(+1));
  live.addEventListener("event", ({ detail }) => detail.type === "file.stored" && loaded && cursors.length === 1 && list({ background: true }));
  live.addEventListener("recovered", () => loaded && list({ background: true }));
  every(() => 5_000, () => !failed || list({ background: true }));
  session.addEventListener("change", () => {
    verdicts.clear();
    cursors.splice(1);
    $("files-list").replaceChildren();
    $("upload-result").replaceChildren();
    if (loaded || failed) list({});
  });
}

/** Called when the section is shown. */
export function showFiles() {
  if (!loaded) list({});
}

function choose(chosen) {
  file = chosen ?? null;
  able($("upload-start"), file !== null && !uploading);
  $("upload-error").textContent = "";
}

function droppable(form) {
  const over = (event) => {
    event.preventDefault();
    form.classList.add("over");
  };
  form.addEventListener("dragenter", over);
  form.addEventListener("dragover", over);
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    $("upload-file").files = event.dataTransfer.files;
    choose(event.dataTransfer.files[0]);
  });
}

async function upload(chosen) {
  uploading = new AbortController();
  const { signal } = uploading;
  busy(true);
  try {
    const expected = canCompute ? await cidOf(chosen, { signal, onProgress: (done) => progress("Reading", done, chosen.size, 0) }) : null;
    const stored = await send(chosen, signal, (done) => progress("Sending", done, chosen.size, 50));
    names.set(stored.cid, chosen.name);
    $("upload-result").replaceChildren(outcome(chosen, stored, expected));
    announce(`${apart(chosen.name)} is stored as ${stored.cid}`);
    cursors.splice(1);
    list({});
  } catch (error) {
    if (!(error instanceof Problem) && error.name !== "AbortError") throw error;
    $("upload-error").textContent = error instanceof Problem ? error.words : "Cancelled. Nothing was stored.";
  } finally {
    uploading = null;
    busy(false);
  }
}

function busy(is) {
  able($("upload-start"), !is && file !== null);
  if (document.activeElement === $("upload-cancel")) $("upload-start").focus();
  $("upload-cancel").hidden = !is;
  $("upload-progress-field").hidden = !is;
  if (is) {
    $("upload-error").textContent = "";
    $("upload-result").replaceChildren();
    $("upload-progress").value = 0;
  }
}

function progress(verb, done, size, from) {
  const share = size ? done / size : 1;
  $("upload-progress").value = from + share * 50;
  setText(document.querySelector('label[for="upload-progress"]'), `${verb}, ${Math.round(share * 100)} %`);
}

/** By XMLHttpRequest: fetch does not tell how much of a body is sent. */
function send(chosen, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", "api/storage/files");
    call.setRequestHeader("Content-Type", chosen.type || "application/octet-stream");
    Object.entries(authorization()).forEach(([name, value]) => call.setRequestHeader(name, value));
    call.upload.onprogress = (event) => onProgress(event.loaded);
    call.onload = () => {
      count((name) => call.getResponseHeader(name), call.status);
      if (call.status === 201) resolve(JSON.parse(call.responseText));
      else reject(refused(call.status, call.responseText, call.getResponseHeader("retry-after")));
    };
    call.onerror = () => reject(new Problem(0, { detail: "the gateway does not answer, or ended the upload" }));
    call.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(chosen);
  });
}

function outcome(chosen, stored, expected) {
  const same = expected === stored.cid;
  return el("div", {},
    el("p", {}, el("b", {}, foreign(chosen.name)), ` · ${bytes(stored.size)}`),
    el("p", { class: "mono", id: "upload-cid" }, stored.cid),
    expected === null
      ? el("p", { class: "muted" }, "Not compared: browsers compute hashes on pages from https or this machine only.")
      : status(same ? "up" : "down", same ? "The CID is the one computed in this page" : `This page computed ${expected}`));
}

async function turn(by) {
  if (by > 0 && next) cursors.push(next);
  if (by < 0 && cursors.length > 1) cursors.pop();
  for (const way of ["files-newer", "files-older"]) able($(way), false); // until the page is there: no second step
  if (await list({})) announce(`Page ${cursors.length}`);
}

async function list({ background = false }) {
  const query = new URLSearchParams({ limit: LIMIT, ...(cursors.at(-1) ? { cursor: cursors.at(-1) } : {}) });
  try {
    const told = await json(`api/storage/files?${query}`, { background });
    loaded = true;
    failed = false;
    next = told.nextCursor;
    refill($("files-list"), told.files.map(row), "cid");
    setText($("files-empty"), "No file yet.");
    $("files-empty").hidden = told.files.length > 0;
  } catch (error) {
    if (error instanceof Held) return false;
    if (!(error instanceof Problem)) throw error;
    setText($("files-empty"), `The list is not to be had: ${error.words}.`);
    $("files-empty").hidden = false;
    failed = true; // asked again by itself
  }
  able($("files-newer"), cursors.length > 1);
  able($("files-older"), next !== null);
  setText($("files-page"), `Page ${cursors.length}`);
  return !failed;
}

function row(stored) {
  const verdict = verdicts.get(stored.cid) ?? el("span", { role: "status" });
  verdicts.set(stored.cid, verdict);
  const name = names.get(stored.cid);
  const button = (label, work) => el("button", { type: "button", class: "small", "aria-label": `${label} ${name ? apart(name) : shortCid(stored.cid)}`, onclick: ({ currentTarget }) => once(currentTarget, () => work(stored, verdict)) }, label);
  return el("li", { dataset: { cid: stored.cid } },
    el("div", { class: "grow" },
      el("div", {}, el("span", { class: "mono", title: stored.cid }, shortCid(stored.cid)), ...(name ? [" ", foreign(name)] : [])),
      el("div", { class: "muted meta" }, el("span", {}, bytes(stored.size)), el("span", {}, stored.mediaType ?? ""), time(stored.createdAt), verdict)),
    el("div", { class: "joined" }, button("Download", (...all) => fetchBack(...all, save)), canCompute ? button("Check", (...all) => fetchBack(...all)) : null));
}

/** The bytes as they come back, held against their name; `then` gets them where that is right (or cannot be told). */
async function fetchBack(stored, verdict, then = () => {}) {
  verdict.replaceChildren("Fetching…");
  try {
    const content = await (await request(`api/storage/files/${encodeURIComponent(stored.cid)}`, { patience: 120_000 })).blob();
    const right = !canCompute || (await cidOf(content)) === stored.cid;
    verdict.replaceChildren(status(right ? "up" : "down", right ? "Same bytes" : "Other bytes"));
    if (right) then(content, names.get(stored.cid) ?? stored.cid);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    verdict.replaceChildren(status("down", error.words));
  }
}

function save(content, name) {
  const link = el("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
