// A plot of the last samples. Lines differ by dash as well as by colour; what they show is told in words, too.

import uPlot from "./vendor/uPlot.js";
import { el } from "./dom.js";

const KEPT = 240; // samples: twenty minutes at one every five seconds
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3]];
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 168; // px, as in parts.css

export class Plot {
  /** `series`: their names. `show` makes text of a value. */
  constructor(figure, series, show, { least = 1 } = {}) {
    this.figure = figure;
    this.area = figure.querySelector(".plot-area");
    this.names = series;
    this.show = show;
    this.least = least;
    this.data = [[], ...series.map(() => [])];
    this.values = series.map((name, index) => this.#key(name, index));
    new ResizeObserver(() => this.#fit()).observe(this.area);
  }

  /** At `seconds` since 1970; null where there is no value. */
  add(seconds, values) {
    [seconds, ...values].forEach((value, index) => {
      this.data[index].push(value ?? null);
      if (this.data[index].length > KEPT) this.data[index].shift();
    });
    this.values.forEach((place, index) => (place.textContent = this.#text(values[index])));
    this.area.setAttribute("aria-label", this.names.map((name, index) => `${name}: ${this.#text(values[index])}`).join(", "));
    if (this.uplot) this.uplot.setData(this.data);
    else this.#draw();
    this.figure.dataset.samples = String(this.data[0].length);
  }

  clear() {
    this.data = this.data.map(() => []);
    this.values.forEach((place) => (place.textContent = "–"));
    this.area.setAttribute("aria-label", "No samples yet");
    this.figure.dataset.samples = "0";
    this.repaint();
  }

  /** Colours are read when a plot is made: another theme needs another plot. */
  repaint() {
    this.uplot?.destroy();
    this.uplot = null;
    this.#draw();
  }

  #text(value) {
    return value === null || value === undefined ? "–" : this.show(value);
  }

  /** At least two minutes, so that the first samples do not fill the plot. */
  #window() {
    const [start, end] = [this.data[0][0], this.data[0].at(-1)];
    return [Math.min(start, end - 120), end];
  }

  #draw() {
    const width = this.area.clientWidth;
    if (!width || !this.data[0].length) return; // not shown yet
    const style = getComputedStyle(this.figure);
    const [ink, line] = [colour(style, "--muted", this.figure), colour(style, "--line", this.figure)];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.uplot = new uPlot({
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 6, 0, 0],
      scales: { y: { range: (_, __, most) => [0, Math.max(this.least, (most ?? 0) * 1.15)] }, x: { range: () => this.#window() } },
      axes: [{ ...axis, size: 24, space: 70, values: (_, at) => at.map(minute) }, { ...axis, size: 48, space: 34, values: (_, at) => at.map((value) => this.show(value)) }],
      series: [{}, ...this.names.map((label, index) => ({
        label,
        stroke: colour(style, `--series-${index + 1}`, this.figure),
        width: 2,
        dash: DASHES[index],
        points: { show: false },
        spanGaps: false,
      }))],
    }, this.data, this.area);
  }

  #fit() {
    const width = this.area.clientWidth;
    if (!width) return;
    if (this.uplot) this.uplot.setSize({ width, height: HEIGHT });
    else this.#draw();
  }

  #key(name, index) {
    const line = document.createElementNS(SVG, "line");
    Object.entries({ x1: 0, x2: 22, y1: 4, y2: 4, stroke: `var(--series-${index + 1})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[index].join(" ") })
      .forEach(([attribute, value]) => line.setAttribute(attribute, value));
    const sample = document.createElementNS(SVG, "svg");
    sample.setAttribute("aria-hidden", "true");
    sample.append(line);
    const value = el("b", {}, "–");
    this.figure.querySelector(".plot-legend").append(el("span", { class: "key" }, sample, `${name} `, value));
    return value;
  }
}

const minute = (seconds) => new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** What a canvas can paint with: `light-dark()` resolved by the element that would wear it. */
function colour(style, name, place) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(${name})`;
  place.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || style.color;
}
