// The agents: one table of numbers, from which bodies, ground marks and bars are drawn; shaders compute the movement.

import { ConeGeometry, IcosahedronGeometry, OctahedronGeometry, PlaneGeometry, ShaderMaterial, Vector3 } from "three";
import { Batch, Table, copyOf } from "./batch.js";
import { mergeVertices } from "./geometry.js";
import { rgb } from "./colours.js";
import { uniforms } from "./renderer.js";
import { BODY_FRAGMENT, BODY_VERTEX, MARK_FRAGMENT, MARK_VERTEX, eased } from "./shaders.js";

// A row of the table: place before and after (column, row), colour (3) and a spare, shares of health, food and water
// and a spare, marks (life, freeze, immune, chosen; shaders.js says more).
const [TINT, STATS, MARKS, WIDTH] = [4, 8, 12, 16];
const NEAR = 14; // pixels of the page: how far from an agent a click still means it

export class Agents {
  constructor(renderer) {
    this.renderer = renderer;
    this.count = 0; // living agents that are drawn
    this.total = 0; // with those that die in this picture
    this.index = new Map(); // uid -> instance, of the living
    this.spots = new Map(); // tile -> how many stand there
    this.chosen = { selected: null, taken: null, pointed: null };
    this.start = 0;
    this.duration = 0.6;
    this.tick = null;
    this.version = -1;
    this.point = new Vector3();
    this.table = new Table(WIDTH / 4);
    this.batches = [];
    const cone = new ConeGeometry(0.31, 0.78, renderer.software ? 7 : 14, 1, true).translate(0, 0.39, 0);
    // In software each triangle counts.
    const head = renderer.software ? new OctahedronGeometry(0.2) : new IcosahedronGeometry(0.19, 1);
    head.translate(0, 0.75, 0);
    const ground = new PlaneGeometry(1, 1).rotateX(-Math.PI / 2);
    const flat = { transparent: true, depthWrite: false };
    // Just above the ground, also from far away.
    Object.assign(flat, { polygonOffset: true, polygonOffsetFactor: -1, polygonOffsetUnits: -8 });
    this.add(ground, { vertexShader: MARK_VERTEX, fragmentShader: MARK_FRAGMENT, ...flat }, 1);
    this.add(mergeVertices([cone, head]), { vertexShader: BODY_VERTEX, fragmentShader: BODY_FRAGMENT }, 2);
  }

  /** Adds a shape that is drawn for each agent; in its vertex shader stands COPY, and `agent(copy, k)` reads. */
  add(shape, { vertexShader, ...settings }, order) {
    const glsl = this.table.glsl("agent") + vertexShader.replace("COPY", copyOf(shape));
    const own = { ...uniforms, ...settings.uniforms, agentTable: this.table.uniform };
    const material = new ShaderMaterial({ ...settings, uniforms: own, vertexShader: glsl });
    this.batches.push(new Batch(this.renderer.scene, shape, material, this.table, order));
  }

  hello(world) {
    this.world = world;
    this.colours = world.populations.map((population) => rgb(population.colour));
    this.count = this.total = 0;
    this.index.clear();
    this.tick = null;
    this.show();
  }

  /**
   * Takes the world's newest frame: agents move to their places from where they are shown now.
   *
   * @param {number} now seconds
   * @param {number} duration seconds that the movement takes
   */
  update(now, duration) {
    const { world } = this;
    const { agents, frame, deaths } = world;
    const same = this.tick === frame.tick && !world.jump; // sent again, say because play was paused
    const total = agents.count + deaths.length / 5;
    this.table.grow(total);
    if (!same) this.remember(now);
    const { array } = this.table;
    const before = this.index;
    this.index = this.spare ?? new Map();
    this.index.clear();
    this.countSpots(agents);
    for (let i = 0; i < agents.count; i++) {
      const uid = agents.uid[i];
      const old = before.get(uid);
      this.stand(i, agents.row[i], agents.col[i]);
      const from = old === undefined || world.jump ? -1 : old * 2;
      this.begin(i, from, same);
      this.index.set(uid, i);
      this.paint(i, agents.population[i]);
      this.measure(i, i);
      const isNew = agents.age[i] === 0 && !world.jump && (same ? array[i * WIDTH + MARKS] === 1 : old === undefined);
      this.mark(i, isNew ? 1 : 0, agents.freeze[i], agents.immune[i]);
    }
    this.count = this.total = agents.count;
    if (!world.jump) this.addDying(before, same);
    this.spare = before;
    if (!same) {
      this.start = now;
      this.duration = duration;
    }
    this.tick = frame.tick;
    world.jump = false;
    this.choose({});
    this.show();
  }

  /** Keeps where the living are shown now, so that the next movement begins there. */
  remember(now) {
    if (!this.shown || this.shown.length < this.count * 2) this.shown = new Float32Array(this.table.capacity * 2);
    const share = eased(this.share(now));
    const { array } = this.table;
    for (let i = 0; i < this.count; i++) {
      for (let k = 0; k < 2; k++) {
        const from = array[i * WIDTH + k];
        this.shown[i * 2 + k] = from + (array[i * WIDTH + 2 + k] - from) * share;
      }
    }
  }

  /** Where an instance's movement begins: where it was shown (`from`, in `shown`), or, below 0, where it ends. */
  begin(i, from, same = false) {
    if (same) return;
    const { array } = this.table;
    array[i * WIDTH] = from < 0 ? array[i * WIDTH + 2] : this.shown[from];
    array[i * WIDTH + 1] = from < 0 ? array[i * WIDTH + 3] : this.shown[from + 1];
  }

  countSpots({ count, row, col }) {
    this.spots.clear();
    for (let i = 0; i < count; i++) {
      const tile = row[i] * this.world.columns + col[i];
      this.spots.set(tile, (this.spots.get(tile) ?? 0) + 0x10001); // high half: how many; low half: still to place
    }
  }

  /** Where an instance goes: the middle of its tile, or one of a ring around it where several share the tile. */
  stand(i, row, col) {
    const tile = row * this.world.columns + col;
    const spot = this.spots.get(tile) ?? 0x10001;
    const many = spot >>> 16;
    const turn = (2 * Math.PI * (spot & 0xffff)) / many;
    const radius = many === 1 ? 0 : 0.26;
    this.spots.set(tile, spot - 1);
    this.table.array[i * WIDTH + 2] = col + 0.5 + radius * Math.cos(turn);
    this.table.array[i * WIDTH + 3] = row + 0.5 + radius * Math.sin(turn);
  }

  paint(i, population) {
    const colour = this.colours[population] ?? [200, 200, 200];
    for (let c = 0; c < 3; c++) this.table.array[i * WIDTH + TINT + c] = colour[c] / 255;
  }

  /** How full an instance's bars are: as of an agent of the frame; null: empty. */
  measure(i, agent) {
    for (const [k, { name, most }] of this.world.stats.entries()) {
      this.table.array[i * WIDTH + STATS + k] = agent === null ? 0 : this.world.agents[name][agent] / most;
    }
  }

  mark(i, life, freeze, immune) {
    const at = i * WIDTH + MARKS;
    this.table.array[at] = life;
    this.table.array[at + 1] = freeze;
    this.table.array[at + 2] = immune;
    this.table.array[at + 3] = 0;
  }

  /** Those who died in this tick follow the living, at the place of their death. */
  addDying(before, same) {
    const { deaths } = this.world;
    for (let k = 0; k + 4 < deaths.length; k += 5) {
      const i = this.total;
      const old = same ? undefined : before.get(deaths[k]);
      this.table.array[i * WIDTH + 2] = deaths[k + 3] + 0.5;
      this.table.array[i * WIDTH + 3] = deaths[k + 2] + 0.5;
      this.begin(i, old === undefined ? -1 : old * 2);
      this.paint(i, deaths[k + 1]);
      this.measure(i, null);
      this.mark(i, 2, 0, 0);
      this.total++;
    }
  }

  /** Marks the agents that are selected, played and pointed at (uid or null). */
  choose(chosen) {
    const { array } = this.table;
    for (const uid of Object.values(this.chosen)) {
      if (this.index.has(uid)) array[this.index.get(uid) * WIDTH + MARKS + 3] = 0;
    }
    Object.assign(this.chosen, chosen);
    for (const [name, mark] of [["pointed", 3], ["selected", 1], ["taken", 2]]) {
      const i = this.index.get(this.chosen[name]);
      if (i !== undefined) array[i * WIDTH + MARKS + 3] = mark;
    }
    this.table.touch();
    this.renderer.wake();
  }

  show() {
    uniforms.least.value = (this.total > 600 ? 6 : 9) * uniforms.density.value; // crowds would hide the map
    for (const batch of this.batches) batch.draw(this.total);
    this.table.touch();
  }

  /** Share of the movement that is done, 0 to 1. */
  share(now) {
    return this.duration > 0 ? Math.min(1, (now - this.start) / this.duration) : 1;
  }

  /** Where a living agent is shown: sets x and z of `out`; false where it does not live. */
  spot(uid, out) {
    const i = this.index.get(uid);
    if (i === undefined) return false;
    this.spotOf(i, out);
    return true;
  }

  spotOf(i, out) {
    const { array } = this.table;
    const share = eased(uniforms.t.value);
    const at = i * WIDTH;
    out.x = array[at] + (array[at + 2] - array[at]) * share;
    out.z = array[at + 1] + (array[at + 3] - array[at + 1]) * share;
  }

  /** Where a living agent's movement ends: writes column and row to `out` at `at`; false where it does not live. */
  goal(uid, out, at) {
    const i = this.index.get(uid);
    if (i === undefined) return false;
    out[at] = this.table.array[i * WIDTH + 2];
    out[at + 1] = this.table.array[i * WIDTH + 3];
    return true;
  }

  /** An instance's place in the picture: x and y in pixels of the page from the canvas' corner; z above 1: behind. */
  project(i, out, height = 0.45) {
    this.spotOf(i, out);
    out.y = height;
    out.project(this.renderer.camera);
    out.x = ((out.x + 1) / 2) * this.renderer.width;
    out.y = ((1 - out.y) / 2) * this.renderer.height;
    return out;
  }

  /** The uid nearest to a place in the picture (pixels of the page from the canvas' corner), or null. */
  pick(x, y) {
    let found = null;
    let least = NEAR;
    for (let i = 0; i < this.count; i++) {
      const { x: px, y: py, z } = this.project(i, this.point);
      const away = Math.hypot(px - x, py - y);
      if (z > 1 || away >= least) continue;
      least = away;
      found = this.world.agents.uid[i];
    }
    return found;
  }
}
