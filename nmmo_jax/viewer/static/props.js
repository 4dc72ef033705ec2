// Trees on the forests that are ready, and rocks: two calls; left out on maps with too many, and under overlays.

import { ConeGeometry, IcosahedronGeometry, ShaderMaterial } from "three";
import { Batch, Table, copyOf } from "./batch.js";
import { mergeVertices } from "./geometry.js";
import { ink } from "./colours.js";
import { uniforms } from "./renderer.js";
import { chance } from "./terrain.js";

const VERTEX = /* glsl */ `
  uniform vec3 ink;
  varying vec3 colour;
  void main() {
    COPY
    vec4 spot = thing(copy, 0); // column, row, size (0: not there), turn
    float sine = sin(spot.w);
    float cosine = cos(spot.w);
    mat2 turn = mat2(cosine, -sine, sine, cosine);
    vec3 p = position * spot.z;
    p.xz = turn * p.xz;
    vec3 n = normal;
    n.xz = turn * n.xz;
    float light = 0.62 + 0.5 * max(0.0, dot(n, vec3(0.42, 0.80, 0.42))) + 0.25 * position.y;
    colour = ink * light * (0.9 + 0.03 * spot.w);
    gl_Position = projectionMatrix * modelViewMatrix * vec4(spot.x + p.x, p.y, spot.y + p.z, 1.0);
  }
`;
const FRAGMENT = /* glsl */ `
  varying vec3 colour;
  void main() { gl_FragColor = vec4(colour, 1.0); }
`;

export class Props {
  constructor(renderer) {
    this.renderer = renderer;
    this.most = renderer.software ? 6000 : 60000;
    const pine = [
      new ConeGeometry(0.40, 0.50, 5, 1, true).translate(0, 0.30, 0),
      new ConeGeometry(0.29, 0.45, 5, 1, true).translate(0, 0.60, 0),
    ];
    const rock = new IcosahedronGeometry(0.45, 0).scale(1, 0.62, 1);
    this.kinds = [
      { material: "forest", shape: mergeVertices(pine), lightness: 0.88 },
      { material: "stone", shape: mergeVertices([rock]), lightness: 0.95 },
    ];
    this.shown = true;
    for (const kind of this.kinds) {
      kind.ink = { value: ink() };
      kind.table = new Table(1);
      const material = new ShaderMaterial({
        uniforms: { ...uniforms, ink: kind.ink, thingTable: kind.table.uniform },
        vertexShader: kind.table.glsl("thing") + VERTEX.replace("COPY", copyOf(kind.shape)), fragmentShader: FRAGMENT,
      });
      kind.batch = new Batch(renderer.scene, kind.shape, material, kind.table, 0);
    }
  }

  hello(world) {
    this.world = world;
    this.at = new Map(); // tile -> instance of a tree
    for (const kind of this.kinds) {
      const index = world.materials.findIndex((material) => material.name === kind.material);
      const tiles = [];
      for (let row = 0; row < world.height && index >= 0; row++) {
        for (let col = 0; col < world.width && tiles.length <= this.most; col++) {
          if (world.material[row * world.columns + col] === index) tiles.push(row * world.columns + col);
        }
      }
      kind.count = tiles.length > this.most ? 0 : tiles.length;
      kind.ink.value = ink(world.materials[index]?.colour, kind.lightness);
      kind.table.grow(kind.count);
      for (let i = 0; i < kind.count; i++) {
        const [row, col, luck] = [Math.floor(tiles[i] / world.columns), tiles[i] % world.columns, chance(tiles[i])];
        const place = [col + 0.4 + 0.2 * luck, row + 0.4 + 0.2 * chance(tiles[i] * 7 + 3)];
        kind.table.array.set([...place, this.size(tiles[i]), 6.28 * luck], i * 4);
        if (kind.material === "forest") this.at.set(tiles[i], i);
      }
      kind.table.touch();
    }
    this.show(this.shown);
  }

  size(tile) {
    return this.world.depleted[tile] ? 0 : 0.8 + 0.3 * chance(tile * 3 + 1);
  }

  /** Trees fall and grow where forests changed; to be called before the terrain forgets the changes. */
  update() {
    const [{ table, count }] = this.kinds;
    if (!count || !this.world.changed.size) return;
    for (const tile of this.world.changed) {
      const i = this.at.get(tile);
      if (i !== undefined) table.array[i * 4 + 2] = this.size(tile);
    }
    table.touch();
  }

  show(shown) {
    this.shown = shown;
    for (const kind of this.kinds) kind.batch.draw(shown ? kind.count : 0);
    this.renderer.wake();
  }
}
