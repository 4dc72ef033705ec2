// The pointer over the picture: what lies under it, who is clicked.

import { Vector3 } from "three";
import { number } from "./colours.js";
import { byId } from "./dom.js";

const STILL = 6; // pixels of the page: more than this between press and release is a drag

export class Pointer {
  /** @param {{click: Function, double: Function, moved: Function}} actions get the uid under the pointer, or null */
  constructor(renderer, world, agents, overlays, actions) {
    Object.assign(this, { renderer, world, agents, overlays, actions });
    this.at = null; // in pixels of the page from the canvas' corner
    this.changed = false;
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
      actions.click(agents.pick(...this.place(event)), event.shiftKey);
    });
    canvas.addEventListener("dblclick", (event) => actions.double(agents.pick(...this.place(event))));
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      this.at = this.place(event);
      this.changed = true;
      renderer.wake();
    });
    canvas.addEventListener("pointerleave", () => {
      this.at = null;
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
    if (!this.changed) return;
    this.changed = false;
    const uid = this.at && !this.down ? this.agents.pick(...this.at) : null;
    if (uid !== this.uid) {
      this.uid = uid;
      this.agents.choose({ pointed: uid });
      this.renderer.canvas.style.cursor = uid === null ? "" : "pointer";
      this.actions.moved();
    }
    const tile = this.at && this.tile();
    byId("pointed").textContent = tile ? this.describe(...tile) : "";
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
