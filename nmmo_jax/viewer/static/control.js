// Human play: an agent is taken, moves with the arrow keys, attacks whom one clicks, and does what systems let it do.

import { Choices } from "./choices.js";
import { byId, element } from "./dom.js";

const ARROWS = { east: "→", south: "↓", west: "←", north: "↑" };
const ROUND = ["north", "east", "south", "west"]; // clockwise
const KEYS = { ArrowUp: 0, ArrowRight: 1, ArrowDown: 2, ArrowLeft: 3 };

export class Control {
  /** @param {(request: object) => boolean} send to the server */
  constructor(world, view, terrain, send) {
    Object.assign(this, { world, view, terrain, send });
    this.style = 0;
    this.held = null; // the direction that is held, clockwise from the top of the picture
    this.target = null; // who is attacked in the coming tick, uid
    this.tick = null; // of the newest frame
    const own = element("div", { class: "own" });
    this.choices = new Choices(world, own, (choices) => this.send({ do: "act", choices }));
    this.name = element("strong");
    this.note = element("span", { class: "note" });
    this.styles = element("div", { class: "styles" });
    const pad = ["north", "west", "south", "east"].map((way) => element("button", {
      class: `pad ${way}`, text: ARROWS[way], "aria-label": `move ${way}`,
      onpointerdown: () => this.hold(ROUND.indexOf(way)), onpointerup: () => this.release(),
      onpointerleave: () => this.release(),
    }));
    byId("control").append(
      element("div", {}, this.name, this.note), this.styles, element("div", { class: "pads" }, ...pad),
      own,
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
    this.styles.replaceChildren(...this.buttons);
    this.held = this.target = null;
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
    if (!(code in KEYS)) return false;
    if (!down && this.held === KEYS[code]) this.release(); // also of one that has died meanwhile
    if (this.uid === null) return false;
    if (down) this.hold(KEYS[code]);
    return true;
  }

  hold(turn) {
    this.held = turn;
    this.act();
  }

  release() {
    this.held = null;
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
  attack(uid) {
    if (uid === this.uid) return;
    this.target = uid;
    this.send({ do: "act", choices: { style: this.style, target: uid } });
    this.draw();
  }

  /** A new frame: what is held goes on; an attack and what else was chosen were for one tick. */
  frame() {
    if (this.uid !== this.played) this.choices.mask(null);
    this.played = this.uid;
    const { tick, last } = this.world.frame;
    const newest = Math.max(tick, last);
    if (newest === this.tick) return; // sent again, say because play was paused
    this.tick = newest;
    this.target = null;
    this.choices.clear();
    if (this.uid !== null) this.act();
  }

  /** Takes a mask; that of an agent that is not played any more is late, and dropped. */
  mask(message) {
    if (message.uid === this.uid) this.choices.mask(message);
  }

  draw() {
    const { uid } = this;
    byId("control").hidden = uid === null;
    const numbers = uid === null ? null : this.world.agent(uid);
    if (!numbers) {
      this.terrain.showReach(null);
      return;
    }
    this.name.textContent = this.world.name(numbers.population, uid);
    const out = numbers.freeze ? "frozen" : "arrow keys move, a click attacks, shift + click selects";
    this.note.textContent = this.target === null ? out : `attacks ${this.world.nameOf(this.target)}`;
    const { reach, styles } = this.world;
    this.terrain.showReach(numbers.row, numbers.col, reach[this.style], styles[this.style].colour);
    this.choices.draw();
  }
}
