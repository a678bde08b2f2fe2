// Before the first paint: the colours that were chosen here, so that a dark page does not flash white. Classic, not a
// module, because modules wait until the page is parsed.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("cortex.theme");
  } catch {
    // storage is switched off: the system's colours
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
