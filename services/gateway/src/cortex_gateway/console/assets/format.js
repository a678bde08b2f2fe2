// How values read. Times are shown in the person's own zone, and given in full to machines.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const whole = new Intl.NumberFormat("en");

export const number = (value) => whole.format(value);

/** `2500`, `EUR` → `€25.00`: amounts come in minor units, of which a currency has as many as ISO 4217 says. */
export function money(minor, currency) {
  const digits = minorDigits(currency);
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).format(minor / 10 ** digits);
  } catch {
    return `${minor} ${currency}`;
  }
}

export function minorDigits(currency) {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  } catch {
    return 2;
  }
}

export function time(iso) {
  const date = new Date(iso);
  const element = document.createElement("time");
  if (Number.isNaN(date.getTime())) {
    element.textContent = String(iso ?? "–");
    return element;
  }
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  element.textContent = date.toDateString() === new Date().toDateString() ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
  return element;
}

export function bytes(size) {
  if (!Number.isFinite(size)) return "–";
  if (size < 1024) return `${size} B`;
  const unit = size < 1 << 20 ? ["KiB", 1 << 10] : size < 1 << 30 ? ["MiB", 1 << 20] : ["GiB", 1 << 30];
  return `${(size / unit[1]).toFixed(1)} ${unit[0]}`;
}

export function milliseconds(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`;
}

export const seconds = (value) => (value === null || value === undefined ? "–" : milliseconds(value * 1000));

/** `ord_0192f5c0…` by its end: that is where UUIDv7s of one minute differ. */
export const shortId = (id) => (id.length > 16 ? `${id.slice(0, 4)}…${id.slice(-8)}` : id);
export const shortCid = (cid) => (cid.length > 24 ? `${cid.slice(0, 12)}…${cid.slice(-8)}` : cid);
