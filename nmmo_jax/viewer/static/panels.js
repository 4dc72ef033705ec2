// The world panel: how fast it goes, who lives, curves over time, causes of death.

import { number } from "./colours.js";
import { byId, element, fit, setText } from "./dom.js";

const HIGH = 96; // pixels of a chart
const CURVES = 1000; // milliseconds between two drawings of the curves
const AGES = [ // of the history; nobody has died in the first ticks
  { name: "age", colour: "#6fb1ff", text: "Mean age of the living, ticks" },
  { name: "lifetime", colour: "#e6ebf2", text: "Mean age at death so far, ticks" },
];

/** A round number at or above a value: 1, 2 or 5 times a power of ten. */
function round(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((factor) => factor * power >= value) * power;
}

/** Draws curves over ticks: `series` are {colour, value(point)}; `cursor` the tick that is shown. */
function curves(canvas, ticks, series, cursor) {
  const wide = canvas.clientWidth;
  if (!wide) return;
  const pen = fit(canvas, wide, HIGH);
  const [left, right, top, bottom] = [34, wide - 4, 6, HIGH - 16];
  let most = 0;
  for (const { value } of series) {
    for (let k = 0; k < ticks.length; k++) if (value(k) > most) most = value(k);
  }
  most = round(most * 1.02);
  const [first, last] = [ticks[0] ?? 0, Math.max(ticks.at(-1) ?? 1, (ticks[0] ?? 0) + 1)];
  const x = (tick) => left + ((tick - first) / (last - first)) * (right - left);
  const y = (value) => bottom - (value / most) * (bottom - top);
  pen.font = "10px system-ui, sans-serif";
  pen.fillStyle = "#8b97a8";
  pen.strokeStyle = "#273140";
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(y(most * share)) + 0.5;
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(right, at);
    pen.stroke();
    pen.fillText(number(most * share), left - 5, at);
  }
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText(number(first), left, HIGH - 4);
  pen.textAlign = "right";
  pen.fillText(`tick ${number(last)}`, right, HIGH - 4);
  pen.lineJoin = "round";
  pen.lineWidth = 1.5;
  for (const { colour, value } of series) {
    pen.strokeStyle = colour;
    pen.beginPath();
    let drawn = false;
    for (let k = 0; k < ticks.length; k++) {
      const here = value(k);
      if (Number.isNaN(here)) continue;
      if (drawn) pen.lineTo(x(ticks[k]), y(here));
      else {
        pen.moveTo(x(ticks[k]), y(here));
        pen.arc(x(ticks[k]), y(here), 0.5, 0, 7); // seen also where it is the only one
      }
      drawn = true;
    }
    pen.stroke();
  }
  if (cursor >= first && cursor <= last) {
    pen.strokeStyle = "#e6ebf2";
    pen.globalAlpha = 0.5;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(cursor), top);
    pen.lineTo(x(cursor), bottom);
    pen.stroke();
    pen.globalAlpha = 1;
  }
}

export class Panels {
  constructor(world, history, renderer) {
    Object.assign(this, { world, history, renderer });
    this.when = -CURVES; // when the curves were drawn
    const figure = (id, label) => {
      this[id] = element("strong", { text: "–" });
      return element("div", { class: "figure" }, this[id], element("span", { text: label }));
    };
    this.population = element("canvas", { class: "chart" });
    this.lifetimes = element("canvas", { class: "chart" });
    this.legend = element("ul", { class: "populations" });
    this.ages = element("ul", { class: "populations note" }, ...AGES.map(({ text, colour }) => {
      const swatch = element("i");
      swatch.style.background = colour;
      return element("li", {}, swatch, element("span", { text }));
    }));
    this.kinds = element("ul", { class: "populations kinds" });
    this.causes = element("dl", { class: "causes" });
    byId("world").append(
      element("div", { class: "figures" },
        figure("alive", "agents alive"), figure("ticks", "ticks per second"),
        figure("steps", "agent-steps / s"), figure("fps", "pictures / s")),
      element("h2", { text: "Populations" }), this.legend, this.population,
      element("h2", { text: "On the map" }), this.kinds,
      element("h2", { text: "Lifetimes" }), this.lifetimes, this.ages,
      element("h2", { text: "Causes of death" }), this.causes,
    );
    new ResizeObserver(() => this.draw()).observe(byId("world"));
  }

  hello() {
    this.legend.replaceChildren();
    this.counts = this.world.populations.map((population) => {
      const count = element("b", { text: "0" });
      const swatch = element("i");
      swatch.style.background = population.colour;
      this.legend.append(element("li", {}, swatch, element("span", { text: population.name }), count));
      return count;
    });
    this.kinds.replaceChildren(...this.onTheMap().map(([name, round, title, ...colours]) => {
      const swatches = colours.map((colour) => {
        const swatch = element("i", { class: round ? "thing" : "" });
        swatch.style.background = colour;
        return swatch;
      });
      return element("li", { title }, ...swatches, element("span", { text: name }));
    }));
    this.causes.replaceChildren();
    this.rows = Object.fromEntries(this.world.causes.map(({ name, colour }) => {
      const row = { bar: element("i"), count: element("b") };
      row.bar.style.background = colour;
      this.causes.append(element("dt", { text: name, title: name }), element("dd", {}, row.bar, row.count));
      return [name, row];
    }));
  }

  /** What one can see there: kinds of things, and the materials of this map; of what is harvested two colours. */
  onTheMap() {
    const { tables, materials, harvested, material } = this.world;
    const words = (name) => name.replaceAll("_", " ");
    const things = tables.flatMap(({ kinds }) => kinds.map(({ name, colour }) => [words(name), true, "", colour]));
    const there = [...new Set(material)].sort((a, b) => a - b);
    return [...things, ...there.map((k) => {
      const { name, colour } = materials[k];
      if (harvested[k] === k) return [words(name), false, "", colour];
      const then = materials[harvested[k]];
      return [words(name), false, `ready; harvested it looks like ${words(then.name)}`, colour, then.colour];
    })];
  }

  /** Shows the newest frame. */
  draw() {
    const { world, history } = this;
    const { frame } = world;
    setText(this.fps, number(this.renderer.fps, 0));
    if (!frame) return;
    setText(this.alive, number(world.agents.count));
    setText(this.ticks, number(frame.ticks_per_second));
    setText(this.steps, number(Math.round(frame.agent_steps_per_second ?? NaN)));
    for (const [p, count] of this.counts.entries()) setText(count, number(world.living[p] ?? 0));
    this.drawCauses(frame.deaths ?? {});
    this.drawCurves(frame.tick);
  }

  /** Curves change slowly: they are drawn once in a while, and when a person goes through time. */
  drawCurves(tick) {
    const { world, history } = this;
    const now = performance.now();
    const wide = byId("world").clientWidth;
    const drawn = `${tick} ${history.version} ${wide}`;
    if (!wide || drawn === this.drawn || (world.frame.live && now - this.when < CURVES)) return;
    this.drawn = drawn;
    this.when = now;
    const shown = world.populations.map(({ colour }, p) => ({ colour, value: (k) => history.living[k][p] ?? NaN }));
    curves(this.population, history.tick, shown, tick);
    const ages = AGES.map(({ name, colour }) => ({ colour, value: (k) => history[name][k] }));
    curves(this.lifetimes, history.tick, ages, tick);
  }

  drawCauses(deaths) {
    const most = Math.max(1, ...Object.values(deaths));
    for (const [cause, count] of Object.entries(deaths)) {
      const row = this.rows[cause];
      row.bar.style.width = `${(100 * count) / most}%`;
      setText(row.count, number(count));
    }
  }
}
