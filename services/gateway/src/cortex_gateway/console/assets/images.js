// Images: one goes to the compute service, and stands beside what came back.

import { json, Problem, request } from "./api.js";
import { $, able, announce, el, once } from "./dom.js";
import { bytes, milliseconds } from "./format.js";

let image = null;
let asked = false;
const addresses = { before: null, after: null };

export function startImages() {
  $("image-file").addEventListener("change", () => $("image-file").files[0] && choose($("image-file").files[0]));
  $("image-sample").addEventListener("click", async () => {
    $("image-file").value = "";
    choose(await sample());
  });
  $("image-form").addEventListener("submit", (event) => {
    event.preventDefault();
    once($("image-start"), work);
  });
  $("compare-slider").addEventListener("input", share);
  share();
}

/** Which operations there are, the API's document knows. */
export async function showImages() {
  if (asked) return;
  asked = true;
  try {
    const document = await json("openapi.json");
    const parameters = document.paths["/api/compute/images"].post.parameters;
    const names = parameters.find((each) => each.name === "operation").schema.enum;
    if (names.length) $("image-operation").replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  } catch {
    asked = false; // what is there already stays, and the next visit asks again
  }
}

function choose(chosen) {
  image = chosen;
  show("before", chosen);
  forget("after");
  $("image-after").hidden = true;
  able($("image-start"), true);
  $("image-error").textContent = "";
  $("compare").hidden = false;
  $("compare-empty").hidden = true;
  $("compare-slider").disabled = true;
  slide(100);
  facts({ "Chosen": `${chosen.name ?? "sample.png"}, ${bytes(chosen.size)}` });
}

async function work() {
  const [sent, operation, began] = [image, $("image-operation").value, performance.now()];
  $("image-error").textContent = "";
  try {
    const response = await request(`api/compute/images?operation=${encodeURIComponent(operation)}`, {
      method: "POST",
      headers: { "Content-Type": sent.type || "application/octet-stream" },
      body: sent,
      patience: 60_000,
    });
    const result = await response.blob();
    if (sent !== image) return; // another was chosen meanwhile
    show("after", result);
    await $("image-after").decode();
    $("image-after").hidden = false;
    $("compare-slider").disabled = false;
    slide(50);
    const size = `${$("image-after").naturalWidth} × ${$("image-after").naturalHeight}`;
    facts({ "Chosen": `${sent.name ?? "sample.png"}, ${bytes(sent.size)}`, "Came back": `${result.type}, ${bytes(result.size)}`, "Pixels": size, "There and back": milliseconds(performance.now() - began) });
    announce(`${operation} done`);
  } catch (error) {
    if (error instanceof Problem) $("image-error").textContent = error.words;
    else if (error.name === "EncodingError") $("image-error").textContent = "What came back cannot be shown here.";
    else throw error;
  }
}

function show(which, blob) {
  forget(which);
  addresses[which] = URL.createObjectURL(blob);
  $(`image-${which}`).src = addresses[which];
}

function forget(which) {
  if (addresses[which]) URL.revokeObjectURL(addresses[which]);
  addresses[which] = null;
}

function slide(to) {
  $("compare-slider").value = String(to);
  share();
}

function share() {
  const value = $("compare-slider").value;
  $("compare").querySelector(".compare-frame").style.setProperty("--share", `${value}%`);
  $("compare-slider").setAttribute("aria-valuetext", `${value} % before, ${100 - value} % after`);
}

const facts = (all) => $("image-facts").replaceChildren(...Object.entries(all).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** Something with colours, edges and a soft gradient, drawn here: the page needs no picture from anywhere. */
function sample() {
  const canvas = el("canvas", { width: 640, height: 420 });
  const pen = canvas.getContext("2d");
  const sky = pen.createLinearGradient(0, 0, 0, 420);
  [["#1d3f8f", 0], ["#d8577b", 0.55], ["#ffc15e", 0.8]].forEach(([colour, at]) => sky.addColorStop(at, colour));
  pen.fillStyle = sky;
  pen.fillRect(0, 0, 640, 420);
  pen.fillStyle = "#fff0b8";
  pen.beginPath();
  pen.arc(430, 250, 58, 0, 7);
  pen.fill();
  ["#7a3b78", "#4b2a63", "#241a45"].forEach((colour, layer) => {
    pen.fillStyle = colour;
    pen.beginPath();
    pen.moveTo(0, 420);
    for (let x = 0; x <= 640; x += 8) pen.lineTo(x, 270 + layer * 44 + Math.sin(x / (70 - layer * 14) + layer * 2) * 26 + Math.sin(x / 23 + layer) * 7);
    pen.lineTo(640, 420);
    pen.fill();
  });
  ["#e4572e", "#f3a712", "#a8c686", "#669bbc"].forEach((colour, at) => {
    pen.fillStyle = colour;
    pen.fillRect(28 + at * 44, 28, 36, 36);
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
