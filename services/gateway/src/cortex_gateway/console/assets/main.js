// Where the page begins: its sections, who is shown, and the parts wired together.

import { api } from "./api.js";
import { hear } from "./book.js";
import { $, announce, setPill } from "./dom.js";
import { startFeed } from "./feed.js";
import { startFigures } from "./figures.js";
import { showFiles, startFiles } from "./files.js";
import { startHealth } from "./health.js";
import { showImages, startImages } from "./images.js";
import { connect, live, rest } from "./live.js";
import { startNotices } from "./notices.js";
import { startDetail } from "./order-detail.js";
import { startOrderForm } from "./order-form.js";
import { startOrders } from "./orders.js";

const VIEWS = { overview: "Overview", orders: "Orders", events: "Notifications", files: "Files", images: "Images" };
const ON_SHOW = { files: showFiles, images: showImages };
const LINE = { up: "Live", connecting: "Connecting…", waiting: "Live line down" };
let view = "overview";

function show(asked, { focus }) {
  view = Object.hasOwn(VIEWS, asked) ? asked : "overview";
  for (const name of Object.keys(VIEWS)) $(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[view]} · Cortex Hub`;
  ON_SHOW[view]?.();
  if (focus) {
    scrollTo(0, 0);
    $(`title-${view}`).focus();
  }
}

const asked = () => location.hash.replace(/^#\//, "");

function startTheme(repaint) {
  const chosen = document.documentElement.dataset.theme ?? "system";
  $("theme").value = chosen;
  $("theme").addEventListener("change", () => {
    const theme = $("theme").value;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("cortex.theme", theme);
    } catch {
      // storage is switched off: for this visit only
    }
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

function tellLine() {
  setPill($("live-state"), live.state, LINE[live.state]);
  if (live.state === "waiting") announce("The live line is down; connecting again");
}

show(asked(), { focus: false });
addEventListener("hashchange", () => location.hash !== "#main" && show(asked(), { focus: true }));
startNotices();
startDetail();
startOrderForm();
startFiles();
startImages();
startFeed();
live.addEventListener("event", ({ detail }) => hear(detail));
live.addEventListener("state", tellLine);
startOrders(() => view === "orders" || view === "overview");
const askHealth = startHealth(() => view === "overview");
const figures = startFigures(() => view === "overview");
startTheme(figures.repaint);
live.addEventListener("state", () => live.state === "waiting" && askHealth());
live.addEventListener("recovered", () => [askHealth, figures.again].forEach((ask) => ask()));
api.addEventListener("refused", ({ detail }) => detail.status === 401 && live.state !== "up" && rest());
api.addEventListener("accepted", connect);
connect();
