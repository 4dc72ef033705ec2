// The pointer over the picture: what lies under it, who is clicked.

import { Vector3 } from "three";
import { number } from "./colours.js";
import { byId, element } from "./dom.js";
import { worded } from "./own.js";

const STILL = 6; // pixels of the page: more than this between press and release is a drag

export class Pointer {
  /**
   * @param {{click: Function, double: Function, moved: Function}} actions get the uid under the pointer, or null;
   *   a click also the thing, {table, number}, where no agent is nearer
   */
  constructor(renderer, world, agents, things, overlays, actions) {
    Object.assign(this, { renderer, world, agents, things, overlays, actions });
    this.thing = null; // that has its label, {table, number}
    this.label = byId("thing");
    this.at = null; // in pixels of the page from the canvas' corner
    this.changed = false;
    this.left = false; // whether the pointer has gone since
    this.uid = null;
    this.down = null;
    this.point = new Vector3();
    const { canvas } = renderer;
    canvas.addEventListener("pointerdown", (event) => {
      this.down = event.isPrimary && event.button === 0 ? { x: event.clientX, y: event.clientY } : null;
    });
    canvas.addEventListener("pointerup", (event) => {
      const { down } = this;
      this.down = null;
      if (!down || Math.hypot(event.clientX - down.x, event.clientY - down.y) > STILL) return;
      const place = this.place(event);
      const uid = agents.pick(...place);
      const thing = this.thingAt(...place, uid);
      if (event.pointerType === "touch") this.show(thing); // which has no hover
      actions.click(thing ? null : uid, event.shiftKey, thing);
    });
    canvas.addEventListener("dblclick", (event) => actions.double(agents.pick(...this.place(event))));
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      this.at = this.place(event);
      this.changed = true;
      renderer.wake();
    });
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "touch") return; // the label of what was tapped stays
      this.at = null;
      this.left = true;
      this.changed = true;
      renderer.wake();
    });
  }

  place(event) {
    const box = this.renderer.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The tile under the pointer as [row, column]: where the ray meets the ground; null beside it. */
  tile() {
    const { camera, width, height } = this.renderer;
    this.point.set((this.at[0] / width) * 2 - 1, 1 - (this.at[1] / height) * 2, 0.5);
    this.point.unproject(camera).sub(camera.position);
    if (this.point.y >= 0) return null;
    const far = -camera.position.y / this.point.y;
    const [row, col] = [camera.position.z + this.point.z * far, camera.position.x + this.point.x * far].map(Math.floor);
    return this.world.tile(row, col) ? [row, col] : null;
  }

  /** Says what is under the pointer, once per picture. */
  update() {
    if (this.thing) this.moveLabel();
    if (!this.changed) return;
    this.changed = false;
    const uid = this.at && !this.down ? this.agents.pick(...this.at) : null;
    if (uid !== this.uid) {
      this.uid = uid;
      this.agents.choose({ pointed: uid });
      this.renderer.canvas.style.cursor = uid === null ? "" : "pointer";
      this.actions.moved();
    }
    if (this.at) this.show(this.down ? null : this.thingAt(...this.at, uid));
    else if (this.left) this.show(null);
    this.left = false;
    const tile = this.at && this.tile();
    byId("pointed").textContent = tile ? this.describe(...tile) : "";
  }

  /** The thing at a place in the picture, or null: also where an agent (uid) is nearer. */
  thingAt(x, y, uid) {
    const thing = this.things.pick(x, y);
    if (!thing || uid === null) return thing;
    const agent = this.agents.project(this.agents.index.get(uid), this.point);
    return Math.hypot(agent.x - x, agent.y - y) < thing.away ? null : thing;
  }

  /** Shows the label of a thing, with all its columns; null: of none. */
  show(thing) {
    if (thing?.number !== this.thing?.number || thing?.table !== this.thing?.table) this.things.choose(thing);
    this.thing = thing;
    this.fill();
  }

  /** A frame came: what the label says may be another. */
  fill() {
    const told = this.thing && this.world.thing(this.thing);
    this.label.hidden = !told;
    if (!told) return;
    const swatch = element("i");
    swatch.style.background = told.kind?.colour ?? "#888888";
    const shown = told.about.columns.filter(({ name }) => name !== told.about.kind);
    this.label.replaceChildren(element("strong", {}, swatch, told.name), element("dl", { class: "facts" },
      ...shown.flatMap((column) => [
        element("dt", { text: column.name.replaceAll("_", " ") }),
        element("dd", { text: worded(column, told.values[column.name]) }),
      ])));
    this.moveLabel();
  }

  moveLabel() {
    const at = this.things.project(this.thing.table, this.thing.number);
    if (!at) return;
    const { offsetWidth: wide, offsetHeight: high } = this.label;
    const x = at.x + 16 + wide > this.renderer.width ? at.x - 16 - wide : at.x + 16;
    const y = Math.max(4, Math.min(this.renderer.height - high - 4, at.y - high / 2));
    this.label.style.transform = `translate(${Math.round(Math.max(4, x))}px, ${Math.round(y)}px)`;
  }

  describe(row, col) {
    const { material, depleted } = this.world.tile(row, col);
    const parts = [`row ${row}, column ${col}`, depleted ? `harvested ${material}` : material];
    const value = this.overlays.valueAt(row, col);
    const sum = Array.isArray(value) ? value.reduce((all, one) => all + one, 0) : value;
    if (sum !== undefined && !Number.isNaN(sum)) parts.push(`${this.overlays.name} ${number(sum, 2)}`);
    if (this.uid !== null) parts.push(this.world.nameOf(this.uid));
    return parts.join(" · ");
  }
}
