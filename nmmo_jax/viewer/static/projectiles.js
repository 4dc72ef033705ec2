// Attacks of the tick, in flight: a shape for each style, in its colour.

import { BoxGeometry, IcosahedronGeometry, OctahedronGeometry, ShaderMaterial } from "three";
import { Batch, Table, copyOf } from "./batch.js";
import { ink } from "./colours.js";
import { mergeVertices } from "./geometry.js";
import { uniforms } from "./renderer.js";

const VERTEX = /* glsl */ `
  uniform float flight, focal, least;
  varying float light;
  void main() {
    COPY
    vec4 path = attack(copy, 0); // column and row, from the attacker to the target
    float s = clamp((flight - 0.15) / 0.5, 0.0, 1.0);
    vec2 here = mix(path.xy, path.zw, s);
    float arc = 0.45 + (0.5 + 0.2 * distance(path.xy, path.zw)) * 4.0 * s * (1.0 - s);
    vec4 seen = modelViewMatrix * vec4(here.x, arc, here.y, 1.0);
    float grow = max(1.0, 0.9 * least / (focal / max(0.1, -seen.z)));
    grow *= smoothstep(0.0, 0.15, flight) * (1.0 - smoothstep(0.65, 0.8, flight));
    float turn = 9.0 * flight;
    mat2 spin = mat2(cos(turn), -sin(turn), sin(turn), cos(turn));
    vec3 p = position;
    vec3 n = normal;
    p.xz = spin * p.xz;
    n.xz = spin * n.xz;
    p.xy = spin * p.xy;
    n.xy = spin * n.xy;
    light = 0.7 + 0.45 * max(0.0, dot(n, vec3(0.42, 0.80, 0.42)));
    gl_Position = projectionMatrix * (seen + vec4(mat3(modelViewMatrix) * p * grow, 0.0));
  }
`;
const FRAGMENT = /* glsl */ `
  uniform vec3 ink;
  varying float light;
  void main() { gl_FragColor = vec4(ink * light, 1.0); }
`;

export class Projectiles {
  constructor(renderer, agents) {
    this.agents = agents;
    const shapes = [new BoxGeometry(0.3, 0.3, 0.3), new OctahedronGeometry(0.24), new IcosahedronGeometry(0.22)];
    this.tables = shapes.map(() => new Table(1));
    this.inks = shapes.map(() => ({ value: ink() }));
    this.batches = shapes.map((one, style) => {
      const shape = mergeVertices([one]);
      const table = this.tables[style];
      const material = new ShaderMaterial({
        uniforms: { ...uniforms, ink: this.inks[style], attackTable: table.uniform },
        vertexShader: table.glsl("attack") + VERTEX.replace("COPY", copyOf(shape)), fragmentShader: FRAGMENT,
      });
      return new Batch(renderer.scene, shape, material, table, 3);
    });
    this.counts = [0, 0, 0];
  }

  hello(world) {
    for (const [style, one] of this.inks.entries()) one.value = ink(world.styles[style]?.colour, 1.15);
    for (const batch of this.batches) batch.draw(0);
  }

  /** Where a party of an attack is drawn: the living where their instance goes, the dead on their tile. */
  end(path, at, uid, row, col) {
    if (this.agents.goal(uid, path, at)) return;
    path[at] = col + 0.5;
    path[at + 1] = row + 0.5;
  }

  /** Takes the attacks of the world's newest frame. */
  update(world) {
    const { attacks } = world;
    for (const table of this.tables) table.grow(attacks.length / 8);
    this.counts.fill(0);
    for (let k = 0; k + 7 < attacks.length; k += 8) {
      const style = attacks[k + 1];
      if (!(style in this.tables)) continue;
      const path = this.tables[style].array;
      const at = 4 * this.counts[style]++;
      this.end(path, at, attacks[k], attacks[k + 4], attacks[k + 5]);
      this.end(path, at + 2, attacks[k + 2], attacks[k + 6], attacks[k + 7]);
    }
    for (const [style, batch] of this.batches.entries()) {
      batch.draw(this.counts[style]);
      this.tables[style].touch();
    }
  }
}
