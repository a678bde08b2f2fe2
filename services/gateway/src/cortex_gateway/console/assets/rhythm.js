// What is asked again and again. Nothing is asked while the page is hidden, nor before the last answer is there; what
// fails is asked less often.

const SLOWEST = 30_000; // ms

/** Calls `work` every `interval()` milliseconds, now and whenever the page is seen again. `work` returns (or resolves
 * to) false where it failed. Gives a function that asks at once. */
export function every(interval, work) {
  let timer = 0;
  let busy = false;
  let failures = 0;

  async function turn() {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      failures = (await work()) === false ? failures + 1 : 0;
    } finally {
      busy = false;
      if (!document.hidden) timer = setTimeout(turn, Math.min(SLOWEST, interval() * 1.5 ** failures));
    }
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : turn()));
  turn();
  return turn;
}
