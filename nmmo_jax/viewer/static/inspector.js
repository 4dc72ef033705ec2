// The inspector: who the selected agent is, how it stands, what it sees, wants and is worth.

import { told } from "./choices.js";
import { number, rgb } from "./colours.js";
import { byId, element, fit, setText, symbol } from "./dom.js";
import { Own } from "./own.js";

const TARGETS = 5; // agents that are listed among the choices
const CHOICES = 16; // other choices that are listed

export class Inspector {
  /** @param {{close: Function, follow: Function, take: Function}} actions of its buttons */
  constructor(world, actions) {
    this.world = world;
    this.uid = null;
    this.message = null; // the newest about it
    this.last = null; // its last numbers, kept after its death
    this.trace = []; // [tick, value] of the newest ticks
    const button = (text, title, action) => element("button", { text, title, onclick: action });
    this.title = element("h2");
    this.line = element("p", { class: "note" });
    this.followButton = button("Follow", "Keep it in the middle (F)", actions.follow);
    this.takeButton = button("Play", "Play this agent yourself (G)", actions.take);
    this.stats = element("div");
    this.key = element("p", { class: "key" });
    this.facts = element("dl", { class: "facts" });
    this.own = new Own();
    this.value = element("strong", { text: "–" });
    this.spark = element("canvas", { class: "spark" });
    this.map = element("canvas", { class: "square" });
    this.mapNote = element("p", { class: "note" });
    this.seen = element("canvas", { class: "square", title: "What it observes: ground, and agents as dots" });
    this.seenNote = element("p", { class: "note" });
    this.chances = element("div", { class: "chances" });
    this.valueBox = element("section", {}, element("h3", { text: "Value" }), this.value, this.spark);
    this.chanceBox = element("section", {}, element("h3", { text: "What it may do next" }), this.chances);
    const close = element("button", { class: "icon", title: "Close (Esc)", "aria-label": "Close" });
    close.addEventListener("click", actions.close);
    close.append(symbol("close"));
    this.body = element("div", {},
      element("div", { class: "head" }, this.title, close), this.line,
      element("div", { class: "buttons" }, this.followButton, this.takeButton),
      this.stats, this.facts, this.own.box, this.valueBox,
      element("section", { class: "pair" },
        element("figure", {}, element("figcaption", { text: "It sees" }), this.seen, this.seenNote),
        element("figure", {}, element("figcaption", { text: "Its hits" }), this.map, this.mapNote)),
      this.key, this.chanceBox);
    this.empty = element("p", { class: "empty", text: "Click an agent to see who it is." });
    byId("inspector").append(this.empty, this.body);
    this.body.hidden = true;
  }

  hello() {
    this.takeButton.hidden = !this.world.can.take;
    this.valueBox.hidden = !this.world.can.value;
    this.chanceBox.hidden = !this.world.can.probabilities;
    this.own.hello(this.world);
    this.bars = this.world.stats.map(({ name, colour, most }) => {
      const bar = { name, most, fill: element("i"), text: element("b") };
      bar.fill.style.background = colour;
      bar.row = row(name, bar.fill, bar.text);
      return bar;
    });
    this.stats.replaceChildren(...this.bars.map((bar) => bar.row));
    this.key.replaceChildren(...this.world.styles.map(({ name, colour }) => {
      const swatch = element("i");
      swatch.style.background = colour;
      return element("span", {}, swatch, name);
    }));
    this.select(null);
  }

  select(uid) {
    this.uid = uid;
    this.message = this.last = null;
    this.trace = [];
    this.body.hidden = uid === null;
    this.empty.hidden = uid !== null;
    if (uid !== null) this.draw();
  }

  /** Takes a message about an agent; of another than the selected one it is late, and dropped. */
  take(message) {
    if (message.uid !== this.uid) return;
    this.message = message;
    if (message.found === false || message.value === null || message.value === undefined) return;
    const last = this.trace.at(-1);
    if (last && message.tick < last[0]) this.trace = [];
    if (last?.[0] !== message.tick) this.trace.push([message.tick, message.value]);
    if (this.trace.length > 120) this.trace.shift();
  }

  /** What is shown, with the numbers as received; null where nobody is selected. */
  get state() {
    if (this.uid === null) return null;
    const { message } = this;
    const alive = this.world.agent(this.uid);
    const arrays = {};
    for (const [name, array] of Object.entries(message?.data ?? {})) arrays[name] = Array.from(array);
    const { found, name, value, tick } = message ?? {};
    return { ...(alive ?? this.last), uid: this.uid, alive: alive !== null, found, name, value, tick, ...arrays };
  }

  draw() {
    if (this.uid === null) return;
    const { world, message } = this;
    const numbers = world.agent(this.uid);
    if (numbers) this.last = numbers;
    const shown = numbers ?? this.last;
    const population = shown?.population ?? message?.population;
    const about = world.populations[population];
    setText(this.title, message?.name || (shown ? world.name(population, this.uid) : `#${this.uid}`));
    this.title.style.setProperty("--colour", about?.colour ?? "#888888");
    this.body.classList.toggle("gone", !numbers);
    setText(this.line, numbers ? this.sentence(numbers) : "It is not alive in this tick.");
    this.followButton.disabled = this.takeButton.disabled = !numbers;
    setText(this.takeButton, world.frame?.taken === this.uid ? "Release" : "Play");
    if (shown) {
      for (const { name, most, fill, text } of this.bars) {
        fill.style.width = `${Math.min(100, (100 * shown[name]) / most)}%`;
        setText(text, `${shown[name]} / ${most}`);
      }
      const facts = [["population", about?.name ?? population], ["age", `${number(shown.age)} ticks`],
        ["place", `row ${shown.row}, column ${shown.col}`], ["uid", shown.uid]];
      const pair = ([name, text]) => [element("dt", { text: name }), element("dd", { text })];
      this.facts.replaceChildren(...facts.flatMap(pair));
    }
    this.own.draw(message?.own);
    this.drawValue();
    this.drawMap(message?.data.attack_map, message?.shape.attack_map?.[0] ?? 1);
    this.seen.parentElement.hidden = message !== null && !message.data.tiles; // a replay tells no observations
    this.drawSeen(message?.data.tiles, message?.shape.tiles?.[1] ?? world.view);
    const sees = message?.data.visible?.filter((uid) => uid >= 0 && uid !== this.uid).length;
    setText(this.seenNote, sees === undefined ? "" : `${sees} other agent${sees === 1 ? "" : "s"}`);
    this.drawChances(message?.data ?? {});
  }

  sentence({ freeze, immune, damage }) {
    const parts = [];
    if (freeze) parts.push(`frozen for ${freeze} tick${freeze === 1 ? "" : "s"}`);
    if (immune) parts.push("immune");
    if (damage >= 0) parts.push(`lost ${damage} health in this tick`);
    return parts.length ? parts.join(", ") : "alive";
  }

  drawValue() {
    const { value } = this.message ?? {};
    setText(this.value, number(value, 2));
    if (this.valueBox.hidden) return;
    const wide = this.spark.clientWidth || 150;
    const pen = fit(this.spark, wide, 34);
    if (this.trace.length < 2) return;
    const values = this.trace.map(([, one]) => one);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [first, last] = [this.trace[0][0], this.trace.at(-1)[0]];
    pen.strokeStyle = "#9ec5ff";
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const [tick, one] of this.trace) {
      pen.lineTo(2 + ((tick - first) / (last - first)) * (wide - 4), 31 - ((one - low) / (high - low || 1)) * 28);
    }
    pen.stroke();
  }

  /** Hits by place of the target, one colour per style, brighter where it hits more. */
  drawMap(shares, places) {
    const side = this.map.clientWidth || 126;
    const pen = fit(this.map, side, side);
    const cell = side / places;
    const most = shares ? Math.max(...shares) : 0;
    const inks = this.world.styles.map(({ colour }) => rgb(colour));
    for (let k = 0; k < places * places; k++) {
      const colour = [26, 33, 44];
      for (let style = 0; style < inks.length && most > 0; style++) {
        const share = Math.sqrt(shares[k * inks.length + style] / most);
        for (let c = 0; c < 3; c++) colour[c] = Math.min(255, colour[c] + inks[style][c] * share);
      }
      pen.fillStyle = `rgb(${colour.map(Math.round)})`;
      pen.fillRect((k % places) * cell + 0.5, Math.floor(k / places) * cell + 0.5, cell - 1, cell - 1);
    }
    pen.strokeStyle = "#e6ebf2";
    const middle = Math.floor(places / 2) * cell + 0.5;
    pen.strokeRect(middle, middle, cell - 1, cell - 1);
    setText(this.mapNote, most > 0 ? "where its targets stood" : shares ? "no hits so far" : "");
  }

  drawSeen(tiles, view) {
    const side = this.seen.clientWidth || 126;
    const pen = fit(this.seen, side, side);
    if (!tiles) return;
    const cell = side / view;
    for (let k = 0; k < view * view; k++) {
      const [x, y] = [(k % view) * cell, Math.floor(k / view) * cell];
      pen.fillStyle = this.world.materials[tiles[k]]?.colour ?? "#888888";
      pen.fillRect(x, y, cell + 0.5, cell + 0.5);
      const many = tiles[view * view + k];
      if (!many) continue;
      pen.fillStyle = "#0b0e13";
      pen.beginPath();
      pen.arc(x + cell / 2, y + cell / 2, cell * Math.min(0.5, 0.3 + 0.05 * many), 0, 7);
      pen.fill();
      pen.fillStyle = "#ffffff";
      pen.beginPath();
      pen.arc(x + cell / 2, y + cell / 2, cell * Math.min(0.36, 0.18 + 0.05 * many), 0, 7);
      pen.fill();
    }
    const middle = Math.floor(view / 2) * cell;
    pen.strokeStyle = "#ffec9e";
    pen.lineWidth = 1.5;
    pen.strokeRect(middle, middle, cell, cell);
  }

  /** How probable each choice of each argument is. */
  drawChances(data) {
    if (this.chanceBox.hidden) return;
    const rows = [];
    let before = [1]; // probabilities of the argument before, on which those of the next may depend
    for (const argument of this.world.arguments) {
      const given = data[`probability.${argument.name}`];
      if (!given) continue;
      const { size } = argument;
      const shares = new Array(size).fill(0);
      const weights = given.length > size ? before : [1];
      for (let k = 0; k < given.length; k++) shares[k % size] += weights[Math.floor(k / size)] * given[k];
      rows.push(element("h4", { text: argument.name, title: argument.meaning }));
      if (argument.among === "visible") rows.push(...this.byAgent(argument, shares, data.visible));
      else rows.push(...this.byChoice(argument, shares, data));
      before = shares;
    }
    if (!rows.length) rows.push(element("p", { class: "note", text: "Not known in this tick." }));
    this.chances.replaceChildren(...rows);
  }

  /** In their order; the most probable of many, and of what is somewhere or listed. */
  byChoice(argument, shares, data) {
    const { name, labels, among } = argument;
    const known = [...shares.entries()].filter(([, share]) => share > 0 || !among);
    if (among || known.length > CHOICES) known.sort((a, b) => b[1] - a[1]);
    const label = (k) => (among ? told(argument, k, data, this.world) || String(k) : (labels?.[k] ?? String(k)));
    const rows = known.slice(0, CHOICES).map(([k, share]) => {
      return chance(label(k), share, name === "style" ? this.world.styles[k].colour : null);
    });
    const more = known.length - CHOICES;
    if (more > 0) rows.push(element("p", { class: "note", text: `and ${more} more` }));
    return rows;
  }

  byAgent({ nothing }, shares, visible) {
    const sums = new Map();
    for (const [k, share] of shares.entries()) {
      if (!(visible[k] >= 0)) continue;
      const who = k === nothing ? "nobody" : this.world.nameOf(visible[k]);
      sums.set(who, (sums.get(who) ?? 0) + share);
    }
    const most = [...sums].sort((a, b) => b[1] - a[1]).slice(0, TARGETS);
    return most.map(([who, share]) => chance(who, Math.min(1, share)));
  }
}

/** A row with a bar as long as something is probable. */
function chance(label, share, colour = null) {
  const fill = element("i");
  fill.style.width = `${100 * share}%`;
  if (colour) fill.style.background = colour;
  return row(label, fill, element("b", { text: `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%` }));
}

function row(label, fill, text) {
  return element("div", { class: "bar" }, element("span", { text: label }), element("em", {}, fill), text);
}
