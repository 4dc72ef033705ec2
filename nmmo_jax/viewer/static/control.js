// Human play: an agent is taken, moves with the arrow keys, attacks whom one clicks, and does what systems let it do.

import { Choices } from "./choices.js";
import { byId, element, setText } from "./dom.js";

const ARROWS = { east: "→", south: "↓", west: "←", north: "↑" };
const ROUND = ["north", "east", "south", "west"]; // clockwise
const KEYS = { ArrowUp: 0, ArrowRight: 1, ArrowDown: 2, ArrowLeft: 3 };

export class Control {
  /** @param {(request: object) => boolean} send to the server */
  constructor(world, view, terrain, send) {
    Object.assign(this, { world, view, terrain, send });
    this.style = 0;
    this.held = null; // the direction that is held, clockwise from the top of the picture
    this.target = null; // who or what is attacked in the coming tick, in words
    this.quarry = this.foe = null; // the thing, {table, number}, and the agent, a uid, that were attacked last
    this.striking = null; // the attack whose key is held: of the nearest thing, or agent
    this.tick = null; // of the newest frame
    const own = element("div", { class: "own" });
    this.choices = new Choices(world, own, (choices) => this.send({ do: "act", choices }));
    this.name = element("strong");
    this.note = element("span", { class: "note" });
    this.ground = element("p", { class: "ground" });
    this.styles = element("div", { class: "styles" });
    const strike = (text, title, what) =>
      element("button", { text, title, onclick: () => this.strikeNearest(what, true) });
    this.hunt = strike("Strike", "The nearest thing in reach (F)", "KeyF");
    this.fight = strike("Attack", "The nearest agent in reach (X)", "KeyX");
    const pad = ["north", "west", "south", "east"].map((way) => element("button", {
      class: `pad ${way}`, text: ARROWS[way], "aria-label": `move ${way}`,
      onpointerdown: () => this.hold(ROUND.indexOf(way)), onpointerup: () => this.release(),
      onpointerleave: () => this.release(),
    }));
    byId("control").append(
      element("div", {}, this.name, this.note), this.styles, element("div", { class: "styles" }, this.hunt, this.fight),
      element("div", { class: "pads" }, ...pad),
      this.ground, own,
      element("button", { text: "Release", title: "Let it go (G)", onclick: () => this.send({ do: "release" }) }),
    );
  }

  get uid() {
    return this.world.frame?.taken ?? null;
  }

  hello() {
    this.buttons = this.world.styles.map(({ name, colour }, k) => {
      const title = `key ${k + 3}`;
      const button = element("button", { text: name, class: `style style${k}`, title, onclick: () => this.choose(k) });
      button.style.setProperty("--colour", colour);
      return button;
    });
    this.moves = this.world.arguments.find(({ name }) => name === "move").labels;
    this.choices.hello();
    this.targets = this.world.arguments.find(({ name }) => name === "target");
    const isPlaced = ({ argument }) => argument.table && argument.columns.some(({ name }) => name === "row");
    this.hunt.hidden = !this.choices.rows.some(isPlaced);
    this.styles.replaceChildren(...this.buttons);
    this.held = this.target = this.striking = this.quarry = this.foe = null;
    this.choose(0);
  }

  choose(style) {
    if (style >= this.world.styles.length) return;
    this.style = style;
    for (const [k, button] of this.buttons.entries()) button.setAttribute("aria-pressed", k === style);
    this.draw();
  }

  /** Takes the selected agent, or lets go the one that is played. */
  toggle(uid) {
    if (this.uid !== null && (uid === null || uid === this.uid)) this.send({ do: "release" });
    else if (uid !== null && this.world.can.take) this.send({ do: "take", uid });
  }

  /** A move or a choice by key: true where it was one. */
  key(event, down) {
    const { code } = event;
    if (down && this.uid !== null && this.choices.key(event)) return true;
    if (code === "KeyF" || code === "KeyX") return this.strikeKey(code, down, event.repeat);
    if (!(code in KEYS)) return false;
    if (!down && this.held === KEYS[code]) this.held = null; // also of one that has died meanwhile
    if (this.uid === null) return false;
    if (down) this.hold(KEYS[code]);
    return true;
  }

  hold(turn) {
    this.held = turn;
    this.act();
  }

  release() {
    this.held = this.striking = null;
  }

  strikeKey(code, down, repeated) {
    if (!down && this.striking === code) this.striking = null;
    if (this.uid === null) return false;
    if (down && !repeated) {
      this.striking = code;
      this.strikeNearest(code, true);
    }
    return true;
  }

  /** The direction on the map, which depends on where the camera looks. */
  get way() {
    const turned = Math.round(-this.view.controls.getAzimuthalAngle() / (Math.PI / 2));
    return ROUND[(((this.held + turned) % 4) + 4) % 4];
  }

  act() {
    if (this.held !== null) this.send({ do: "act", choices: { move: this.moves.indexOf(this.way) } });
  }

  /** Attacks an agent in the coming tick. */
  attack(uid, style = this.style) {
    if (uid === this.uid) return;
    this.foe = uid;
    this.target = this.world.nameOf(uid);
    this.send({ do: "act", choices: { style, target: uid } });
    this.draw();
  }

  /** Chooses a thing on the map, {table, number}, in the coming tick, with the style that is on. */
  strike(thing) {
    const found = this.choices.find(thing);
    if (found) this.strikeAt(found);
    else this.say("that cannot be reached now");
  }

  strikeAt({ row, k }) {
    this.target = this.choices.told(row, k);
    this.quarry = this.choices.thingAt(row, k);
    this.send({ do: "act", choices: { style: this.style } });
    this.choices.take(row, k);
    this.draw();
  }

  /** Of what the mask allows, things (KeyF) or agents (KeyX): the one that was attacked last, else the nearest. */
  strikeNearest(what, told = false) {
    const again = this.quarry && this.choices.find(this.quarry);
    const found = what === "KeyF" ? again || this.choices.nearest : this.nearestAgent;
    if (!found) return told && this.say(this.choices.message ? "nothing is in reach" : "not known yet: a moment");
    if (what === "KeyF") this.strikeAt(found);
    else this.attack(found.uid, found.style);
  }

  /** Of the agents that can be attacked, by the style that is on where it can, or else by another; first the last. */
  get nearestAgent() {
    const { data } = this.choices.message ?? {};
    const mask = data?.["mask.target"];
    const own = this.world.agent(this.uid);
    if (!mask || !own) return null;
    const { size, nothing } = this.targets;
    let found = null;
    for (const [style] of this.world.styles.entries()) {
      for (let k = 0; k < size; k++) {
        const other = k !== nothing && mask[style * size + k] ? this.world.agent(data.visible[k]) : null;
        if (!other) continue;
        const away = Math.max(Math.abs(other.row - own.row), Math.abs(other.col - own.col));
        const order = away + (style === this.style ? 0 : 0.5) - (data.visible[k] === this.foe ? 1000 : 0);
        if (!found || order < found.order) found = { uid: data.visible[k], style, order };
      }
    }
    return found;
  }

  /** A word to the player, until the next tick. */
  say(text) {
    this.said = text;
    this.draw();
  }

  /** A new frame: what is held goes on; an attack and what else was chosen were for one tick. */
  frame() {
    if (this.uid !== this.played) {
      this.choices.mask(null);
      this.quarry = this.foe = null;
    }
    this.played = this.uid;
    const { tick, last } = this.world.frame;
    const newest = Math.max(tick, last);
    if (newest === this.tick) return; // sent again, say because play was paused
    this.tick = newest;
    this.target = this.said = null;
    this.choices.clear();
    if (this.uid !== null) this.act();
  }

  /** Takes a mask; that of an agent that is not played any more is late, and dropped. */
  mask(message) {
    if (message.uid !== this.uid) return;
    this.choices.mask(message);
    if (this.striking !== null) this.strikeNearest(this.striking);
  }

  /** What it stands on, and what lies beside it. */
  around({ row, col }) {
    const named = (down, right) => {
      const tile = this.world.tile(row + down, col + right);
      return tile ? `${tile.depleted ? "harvested " : ""}${tile.material}`.replaceAll("_", " ") : "nothing";
    };
    const beside = { north: [-1, 0], east: [0, 1], south: [1, 0], west: [0, -1] };
    const told = Object.entries(beside).map(([way, step]) => `${way} ${named(...step)}`);
    return `stands on ${named(0, 0)}; ${told.join(", ")}`;
  }

  draw() {
    const { uid } = this;
    byId("control").hidden = uid === null;
    const numbers = uid === null ? null : this.world.agent(uid);
    if (!numbers) {
      this.terrain.showReach(null);
      byId("control").hidden = true; // who has died is played no more
      return;
    }
    this.name.textContent = this.world.name(numbers.population, uid);
    const { choices, target, said } = this;
    const strikes = this.hunt.hidden ? "X attacks" : "F strikes";
    const keys = `arrows move, ${strikes}${choices.rows.length ? ", C chooses" : ""}`;
    const out = said ?? (numbers.freeze ? "frozen" : `${keys}, ? all keys`);
    setText(this.note, target === null ? out : `attacks ${target}`);
    this.note.classList.toggle("hint", target === null && !said); // left out where there is little room
    setText(this.ground, this.around(numbers));
    const { reach, styles } = this.world;
    this.terrain.showReach(numbers.row, numbers.col, reach[this.style], styles[this.style].colour);
    this.choices.draw();
  }
}
