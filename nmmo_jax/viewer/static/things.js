// Things of game systems on the map, rows of tables that have a place: a shape and a colour for each kind.

import {
  BoxGeometry, ConeGeometry, CylinderGeometry, DodecahedronGeometry, IcosahedronGeometry, OctahedronGeometry,
  ShaderMaterial, TetrahedronGeometry, Vector3,
} from "three";
import { Batch, Table, copyOf } from "./batch.js";
import { rgb } from "./colours.js";
import { mergeVertices } from "./geometry.js";
import { uniforms } from "./renderer.js";
import { MOTION, eased } from "./shaders.js";

const NEAR = 14; // pixels of the page: how far from a thing the pointer still means it
const BESIDE = 0.27; // tiles from the middle of its tile, where an agent may stand
const GOLDEN = 2.39996; // radians from one row's place in its tile to the next one's
const LONGEST_STEP = 4; // tiles: what is farther off than this is another thing in the same row
const FLOATS = 8; // of a thing: place before and after (column, row), colour (3), 1 where it is pointed at

const VERTEX = /* glsl */ `
  varying vec3 colour;
  ${MOTION}
  void main() {
    COPY
    place = thing(copy, 0);
    marks = vec4(0.0);
    vec4 tint = thing(copy, 1);
    vec2 here = spot();
    vec4 seen = modelViewMatrix * vec4(here.x, 0.0, here.y, 1.0);
    vec3 p = position * max(1.0, 1.6 * least / tile(seen)); // lower than agents, but seen from as far
    p.y += hop();
    float light = 0.62 + 0.45 * max(0.0, dot(normal, vec3(0.42, 0.80, 0.42))) + 0.12 * position.y;
    colour = mix(tint.rgb, vec3(1.0), 0.3 * tint.a) * light;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(here.x + p.x, p.y, here.y + p.z, 1.0);
  }
`;
const FRAGMENT = /* glsl */ `
  varying vec3 colour;
  void main() { gl_FragColor = vec4(colour, 1.0); }
`;

/** The shapes, in the order of kinds; of more kinds they come again, in other colours. */
function shapes() {
  const ball = (radius, x, y) => new IcosahedronGeometry(radius, 0).translate(x, y, 0);
  const box = (wide, high, y) => new BoxGeometry(wide, high, wide).translate(0, y, 0);
  return [
    [ball(0.22, 0, 0.2), ball(0.13, 0.17, 0.42)],
    [box(0.32, 0.4, 0.2), ball(0.18, 0, 0.54)],
    [box(0.5, 0.5, 0.25), box(0.3, 0.28, 0.64), new ConeGeometry(0.12, 0.24, 4).translate(0, 0.9, 0)],
    [new OctahedronGeometry(0.34).translate(0, 0.36, 0)],
    [new ConeGeometry(0.32, 0.62, 4).translate(0, 0.31, 0)],
    [new CylinderGeometry(0.28, 0.28, 0.42, 7).translate(0, 0.21, 0)],
    [new TetrahedronGeometry(0.4).translate(0, 0.28, 0)],
    [new DodecahedronGeometry(0.32).translate(0, 0.32, 0)],
  ].map(mergeVertices);
}

export class Things {
  constructor(renderer, agents) {
    Object.assign(this, { renderer, agents });
    this.parts = shapes().map((shape) => {
      const table = new Table(FLOATS / 4);
      const material = new ShaderMaterial({
        uniforms: { ...uniforms, thingTable: table.uniform },
        vertexShader: table.glsl("thing") + VERTEX.replace("COPY", copyOf(shape)), fragmentShader: FRAGMENT,
      });
      return { table, batch: new Batch(renderer.scene, shape, material, table, 2), count: 0 };
    });
    this.at = new Map(); // "table number" -> where it is: part, copy, and its kind
    this.pointed = null; // {table, number}
    this.point = new Vector3();
    this.tick = null;
  }

  hello(world) {
    this.world = world;
    this.at.clear();
    this.pointed = null;
    this.tick = null;
    this.colours = world.tables.map(({ kinds }) => kinds.map(({ colour }) => rgb(colour)));
    for (const part of this.parts) part.batch.draw((part.count = 0));
  }

  /** Takes the world's newest frame, before the agents do: things move to their places from where they are shown. */
  update(now) {
    const { world } = this;
    if (!world.tables.length) return;
    const same = this.tick === world.frame.tick && !world.jump;
    const before = this.places(eased(this.agents.share(now)), same);
    for (const part of this.parts) part.count = 0;
    this.at.clear();
    for (const [t, { about, number, columns }] of world.things.entries()) {
      for (let i = 0; i < number.length; i++) this.put(t, about, number[i], columns, i, before);
    }
    for (const part of this.parts) {
      part.batch.draw(part.count);
      part.table.touch();
    }
    this.tick = world.frame.tick;
    this.choose(this.pointed);
  }

  /** Where each thing's next movement begins, by its key; of a frame that was sent again, where its last one did. */
  places(share, same) {
    const found = new Map();
    for (const [key, { part, copy, kind }] of this.at) {
      const { array } = part.table;
      const [x, z, toX, toZ] = array.subarray(copy * FLOATS, copy * FLOATS + 4);
      found.set(key, same ? [x, z, kind] : [x + (toX - x) * share, z + (toZ - z) * share, kind]);
    }
    return found;
  }

  put(t, about, number, columns, i, before) {
    const kind = about.kind === null ? 0 : columns[about.kind][i] - about.low;
    const part = this.parts[(kind + (about.kind === null ? 3 + t : 0)) % this.parts.length];
    const copy = part.count++;
    part.table.grow(part.count);
    const at = copy * FLOATS;
    const turn = number * GOLDEN;
    const x = columns.col[i] + 0.5 + BESIDE * Math.cos(turn);
    const z = columns.row[i] + 0.5 + BESIDE * Math.sin(turn);
    const key = `${t} ${number}`;
    const old = this.world.jump ? undefined : before.get(key);
    const moves = old && old[2] === kind && Math.hypot(old[0] - x, old[1] - z) < LONGEST_STEP;
    part.table.array.set([moves ? old[0] : x, moves ? old[1] : z, x, z], at);
    const colour = this.colours[t][kind] ?? [200, 200, 200];
    for (let c = 0; c < 3; c++) part.table.array[at + 4 + c] = colour[c] / 255;
    part.table.array[at + 7] = 0;
    this.at.set(key, { part, copy, kind, t, i });
  }

  /** Marks the thing that is pointed at ({table, number}, or null). */
  choose(pointed) {
    const mark = (one, value) => {
      const there = one && this.at.get(`${one.table} ${one.number}`);
      if (!there) return;
      there.part.table.array[there.copy * FLOATS + 7] = value;
      there.part.table.touch();
    };
    mark(this.pointed, 0);
    mark(pointed, 1);
    this.pointed = pointed;
    this.renderer.wake();
  }

  /** A thing's place in the picture: x and y in pixels of the page from the canvas' corner; null: not there. */
  project(table, number) {
    const there = this.at.get(`${table} ${number}`);
    return there ? this.projected(there) : null;
  }

  projected({ part, copy }) {
    const [x, z, toX, toZ] = part.table.array.subarray(copy * FLOATS, copy * FLOATS + 4);
    const share = eased(uniforms.t.value);
    const { point } = this;
    point.set(x + (toX - x) * share, 0.35, z + (toZ - z) * share).project(this.renderer.camera);
    point.x = ((point.x + 1) / 2) * this.renderer.width;
    point.y = ((1 - point.y) / 2) * this.renderer.height;
    return point;
  }

  /** The thing nearest to a place in the picture, {table, number, away}, or null. */
  pick(x, y) {
    let found = null;
    for (const there of this.at.values()) {
      const { x: px, y: py, z } = this.projected(there);
      const away = Math.hypot(px - x, py - y);
      if (z > 1 || away >= (found?.away ?? NEAR)) continue;
      found = { table: there.t, number: this.world.things[there.t].number[there.i], away };
    }
    return found;
  }
}
