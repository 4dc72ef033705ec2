// Overlays: the switch, the colours on the ground, and the legend that says what they mean.

import { SCALES, gradient, number, rgb } from "./colours.js";
import { byId, element } from "./dom.js";

export class Overlays {
  /** @param {(request: object) => boolean} send to the server */
  constructor(world, terrain, props, send) {
    Object.assign(this, { world, terrain, props, send });
    this.name = null; // the overlay that is on
    this.message = null; // its newest values
    this.stale = false; // whether they are still to be painted
  }

  /** A new world: the overlay stays on, if it has it. */
  hello() {
    const { overlays } = this.world;
    this.chips = new Map();
    const chip = (name, label, meaning) => {
      const made = element("button", { text: label, title: meaning || label, onclick: () => this.choose(name) });
      this.chips.set(name, made);
      return made;
    };
    byId("chips").replaceChildren(chip(null, "Map"), ...overlays.map((one) => chip(one.name, one.label, one.meaning)));
    byId("overlays").hidden = overlays.length === 0;
    this.message = null;
    this.choose(overlays.some(({ name }) => name === this.name) ? this.name : null);
  }

  /** Switches an overlay on, by name; null for the map alone. */
  choose(name) {
    if (this.name !== name) this.message = null;
    this.name = name;
    this.send({ do: "overlay", name });
    for (const [one, chip] of this.chips) chip.setAttribute("aria-pressed", one === name);
    this.terrain.showOverlay(false);
    this.props.show(name === null);
    this.drawLegend();
  }

  /** The next overlay in order (-1: the one before). */
  turn(step) {
    const names = [...this.chips.keys()];
    this.choose(names[(names.indexOf(this.name) + step + names.length) % names.length]);
  }

  /** Takes the values; they are painted with the next picture. */
  take(message) {
    if (message.name !== this.name || !message.data.values) return;
    this.message = message;
    this.stale = true;
    this.terrain.renderer.wake();
  }

  /** What was received for a tile: a number, one number per population, or undefined outside. */
  valueAt(row, col) {
    if (!this.message) return undefined;
    const { high, wide, layers } = this.lengths();
    const { scale = 1 } = this.message; // tiles to a side of what has one value
    const r = Math.floor((row - (this.message.row ?? 0)) / scale);
    const c = Math.floor((col - (this.message.col ?? 0)) / scale);
    if (r < 0 || c < 0 || r >= high || c >= wide) return undefined;
    const { values } = this.message.data;
    if (this.message.shape.values.length === 2) return values[r * wide + c];
    return Array.from({ length: layers }, (_, p) => values[(p * high + r) * wide + c]);
  }

  lengths() {
    const shape = this.message.shape.values;
    const [high, wide] = shape.slice(-2);
    return { high, wide, layers: shape.length === 3 ? shape[0] : 1 };
  }

  /** Paints the newest values, once per picture at most. */
  update() {
    if (!this.stale || !this.message) return;
    this.stale = false;
    const texels = this.terrain.overlayData;
    texels.fill(0);
    if (this.message.shape.values.length === 3) this.blend(texels);
    else this.colour(texels);
    this.terrain.showOverlay(true);
    this.drawLegend();
  }

  /** Calls `paint(texel, index)` for each value, with a tile that it speaks of; others of its tiles look the same. */
  each(paint) {
    const { width, height } = this.world;
    const { high, wide } = this.lengths();
    const { row = 0, col = 0, scale = 1 } = this.message;
    const words = new Uint32Array(this.terrain.overlayData.buffer);
    for (let r = 0; r < high; r++) {
      const top = Math.max(0, row + r * scale);
      const bottom = Math.min(height, row + (r + 1) * scale);
      if (top >= bottom) continue;
      for (let c = 0; c < wide; c++) {
        const left = Math.max(0, col + c * scale);
        const right = Math.min(width, col + (c + 1) * scale);
        if (left >= right) continue;
        const first = top * width + left;
        paint(first * 4, r * wide + c);
        if (scale === 1) continue;
        for (let y = top; y < bottom; y++) words.fill(words[first], y * width + left, y * width + right);
      }
    }
  }

  colour(texels) {
    const { values } = this.message.data;
    const { low, high, diverging } = this.message;
    const colours = diverging ? SCALES.diverging : SCALES.sequential;
    const zero = diverging ? 128 : 0; // where all values are the same
    const factor = high > low ? 255 / (high - low) : 0;
    this.each((texel, at) => {
      const value = values[at];
      if (Number.isNaN(value)) return;
      const step = factor ? Math.max(0, Math.min(255, Math.round((value - low) * factor))) : zero;
      for (let k = 0; k < 3; k++) texels[texel + k] = colours[step * 3 + k];
      texels[texel + 3] = 225;
    });
  }

  /** The populations' colours, mixed by their shares; as opaque as there are many of them. */
  blend(texels) {
    const { values } = this.message.data;
    const { layers, high, wide } = this.lengths();
    const colours = this.world.populations.map(({ colour }) => rgb(colour));
    const most = this.message.high > 0 ? this.message.high : 1;
    this.each((texel, at) => {
      let [sum, red, green, blue] = [0, 0, 0, 0];
      for (let p = 0; p < layers; p++) {
        const value = values[p * high * wide + at];
        if (!(value > 0)) continue;
        const colour = colours[p] ?? [200, 200, 200];
        sum += value;
        red += value * colour[0];
        green += value * colour[1];
        blue += value * colour[2];
      }
      if (sum === 0) return;
      texels[texel] = red / sum;
      texels[texel + 1] = green / sum;
      texels[texel + 2] = blue / sum;
      texels[texel + 3] = 255 * Math.min(1, 0.3 + 0.7 * Math.sqrt(sum / most));
    });
  }

  drawLegend() {
    const legend = byId("legend");
    legend.hidden = this.name === null;
    if (this.name === null) return;
    const about = this.world.overlays.find(({ name }) => name === this.name) ?? {};
    const parts = [element("p", { text: about.meaning || about.label })];
    if (!this.message) {
      const needs = about.agent && this.selected === null;
      parts.push(element("p", { class: "note", text: needs ? "Click an agent first." : "Waiting for values …" }));
    } else {
      const { low, high, diverging, unit, tick } = this.message;
      const layered = this.message.shape.values.length === 3;
      const bar = element("div", { class: "scale" });
      bar.style.background = layered ? "linear-gradient(to right, #ffffff1f, #ffffff)" : gradient(diverging);
      const marks = layered ? [0, high] : [low, (low + high) / 2, high];
      const ends = marks.map((value) => element("span", { text: number(value, 2) }));
      parts.push(bar, element("div", { class: "ends" }, ...ends));
      const kind = layered ? "hue: population; opacity: how many" : "";
      if (layered && this.world.populations.length <= 8) parts.push(this.swatches());
      const text = [unit, kind, `tick ${number(tick)}`].filter(Boolean).join(" · ");
      parts.push(element("p", { class: "note", text }));
    }
    legend.replaceChildren(...parts);
  }

  swatches() {
    const one = ({ name, colour }) => {
      const swatch = element("i");
      swatch.style.background = colour;
      return element("span", {}, swatch, name);
    };
    return element("p", { class: "swatches" }, ...this.world.populations.map(one));
  }

  /** Tells the overlays which agent is selected (uid or null): some need one. */
  select(uid) {
    this.selected = uid;
    const about = this.world.overlays?.find(({ name }) => name === this.name);
    if (!about?.agent) return;
    this.message = null;
    this.terrain.showOverlay(false);
    this.drawLegend();
  }
}
