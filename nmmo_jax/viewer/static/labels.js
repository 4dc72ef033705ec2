// Names and damage numbers: letters from a texture, each a small quad that follows its agent.

import { CanvasTexture, LinearFilter, PlaneGeometry, ShaderMaterial, Vector3 } from "three";
import { Batch, Table, copyOf } from "./batch.js";
import { uniforms } from "./renderer.js";
import { MOTION } from "./shaders.js";

const SIDE = 1024; // of the texture of letters, pixels
const MOST = 6000; // letters
const NAMES = 40; // names at once, besides the chosen agents'
const NUMBERS = 600; // damage numbers at once
const FONT = "600 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

const VERTEX = /* glsl */ `
  varying vec2 letter;
  varying vec4 colour;
  ${MOTION}
  void main() {
    COPY
    vec4 cell = text(copy, 0); // of the texture: left, top, width, height in pixels
    vec4 shift = text(copy, 1); // from the agent, pixels of the page: x, y upwards; scale; 1 for damage
    vec4 ink = text(copy, 2); // red, green, blue, whose it is
    place = agent(int(ink.a), 0);
    marks = agent(int(ink.a), 3);
    vec2 here = spot();
    vec4 seen = modelViewMatrix * vec4(here.x, 0.0, here.y, 1.0);
    float measure = tile(seen) / density;
    float rise = clamp((flight - 0.5) / 0.5, 0.0, 1.0);
    vec2 move = shift.xy + vec2(0.0, shift.w * (10.0 + 26.0 * rise) + (1.0 - shift.w) * (measure > 30.0 ? 3.0 : 0.0));
    vec2 middle = floor(over(here, seen) + move * density + 0.5);
    vec2 corner = vec2(position.x + 0.5, position.y + 0.5) * cell.zw * shift.z;
    gl_Position.xy = ((middle + corner) / pixels * 2.0 - 1.0) * gl_Position.w;
    letter = (cell.xy + vec2(position.x + 0.5, 0.5 - position.y) * cell.zw) / ${SIDE}.0;
    colour = vec4(ink.rgb, 1.0);
    if (shift.w > 0.5) {
      colour.a *= smoothstep(0.45, 0.55, flight) * (1.0 - smoothstep(0.85, 1.0, flight));
      if (flight < 0.45 || measure < 11.0) gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
    }
  }
`;
const FRAGMENT = /* glsl */ `
  uniform sampler2D letters;
  varying vec2 letter;
  varying vec4 colour;
  void main() {
    vec4 texel = texture2D(letters, letter);
    if (texel.a < 0.02) discard;
    gl_FragColor = vec4(texel.rgb / max(texel.a, 0.01) * colour.rgb, texel.a * colour.a);
  }
`;

export class Labels {
  constructor(renderer, agents) {
    this.renderer = renderer;
    this.agents = agents;
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.texture = new CanvasTexture(this.canvas);
    this.texture.flipY = false;
    this.texture.premultiplyAlpha = true;
    this.texture.generateMipmaps = false;
    this.texture.minFilter = this.texture.magFilter = LinearFilter;
    this.table = new Table(3);
    this.table.grow(MOST);
    const shape = new PlaneGeometry(1, 1);
    const material = new ShaderMaterial({
      uniforms: {
        ...uniforms, letters: { value: this.texture }, textTable: this.table.uniform, agentTable: agents.table.uniform,
      },
      vertexShader: agents.table.glsl("agent") + this.table.glsl("text") + VERTEX.replace("COPY", copyOf(shape)),
      fragmentShader: FRAGMENT, transparent: true, depthTest: false, depthWrite: false,
    });
    this.batch = new Batch(renderer.scene, shape, material, this.table, 6);
    this.point = new Vector3();
    this.places = []; // [x, y, half the width] of names that are written, pixels of the page
    this.near = []; // [distance, instance] of the nearest agents
    this.texts = new Map(); // uid -> name
    this.shown = true;
    this.ratio = 0;
  }

  hello(world) {
    this.world = world;
    this.texts.clear();
    this.batch.draw(0);
  }

  /** A letter's cell in the texture; drawn there when it first occurs. */
  cell(letter) {
    const ratio = uniforms.density.value;
    if (ratio !== this.ratio) {
      this.ratio = ratio;
      this.cells = new Map();
      this.pen.clearRect(0, 0, SIDE, SIDE);
      this.left = this.top = 0;
    }
    let cell = this.cells.get(letter);
    if (cell) return cell;
    const { pen } = this;
    pen.font = FONT.replace("12px", `${12 * ratio}px`);
    const advance = pen.measureText(letter).width;
    const width = Math.ceil(advance) + 4;
    const height = Math.ceil(18 * ratio);
    if (this.left + width > SIDE) [this.left, this.top] = [0, this.top + height];
    if (this.top + height > SIDE) return this.cells.get("?") ?? [0, 0, 0, 0, 0]; // no room for more letters
    pen.lineJoin = "round";
    pen.lineWidth = 3 * ratio;
    pen.strokeStyle = "#0b0e13";
    pen.fillStyle = "#ffffff";
    pen.strokeText(letter, this.left + 2, this.top + 13 * ratio);
    pen.fillText(letter, this.left + 2, this.top + 13 * ratio);
    cell = [this.left, this.top, width, height, advance];
    this.cells.set(letter, cell);
    this.left += width;
    this.texture.needsUpdate = true;
    return cell;
  }

  /** Writes a text above an instance: `up` in pixels of the page, `kind` 1 for damage. */
  write(text, instance, up, scale, kind, [red, green, blue]) {
    const ratio = uniforms.density.value;
    const { array } = this.table;
    let width = 0;
    for (const letter of text) width += this.cell(letter)[4];
    let x = (-width / 2) * scale;
    for (const letter of text) {
      const k = this.used;
      if (k >= MOST) return;
      const one = this.cell(letter);
      const at = k * 12;
      for (let c = 0; c < 4; c++) array[at + c] = one[c];
      array[at + 4] = (x - 2 * scale) / ratio;
      array[at + 5] = up;
      array[at + 6] = scale;
      array[at + 7] = kind;
      array[at + 8] = red / 255;
      array[at + 9] = green / 255;
      array[at + 10] = blue / 255;
      array[at + 11] = instance;
      x += one[4] * scale;
      this.used++;
    }
  }

  /** The nearest agents in the picture that are large enough to carry a name: fills `near`. */
  findNear() {
    const { agents, near } = this;
    const least = 20 * uniforms.density.value; // pixels per tile
    const camera = this.renderer.camera.position;
    near.length = 0;
    if (!this.shown) return;
    for (let i = 0; i < agents.count; i++) {
      agents.spotOf(i, this.point);
      const distance = Math.hypot(this.point.x - camera.x, camera.y, this.point.z - camera.z);
      if (uniforms.focal.value / distance < least) continue;
      if (near.length === NAMES && distance >= near[NAMES - 1][0]) continue;
      const { x, y, z } = agents.project(i, this.point);
      if (z > 1 || x < 0 || y < 0 || x > this.renderer.width || y > this.renderer.height) continue;
      if (near.length === NAMES) near.pop();
      let k = near.length;
      while (k > 0 && near[k - 1][0] > distance) k--;
      near.splice(k, 0, [distance, i]);
    }
  }

  /** Whether there is room for an instance's name in the picture, which it then takes. */
  isFree(i) {
    const { x, y } = this.agents.project(i, this.point, 1);
    const half = 3.6 * this.name(i).length; // pixels, roughly
    const taken = ([px, py, wide]) => Math.abs(px - x) < wide + half && Math.abs(py - y) < 13;
    if (this.places.some(taken)) return false;
    this.places.push([x, y, half]);
    return true;
  }

  name(i) {
    const uid = this.world.agents.uid[i];
    let text = this.texts.get(uid);
    if (!text) {
      if (this.texts.size > 5000) this.texts.clear();
      this.texts.set(uid, (text = this.world.name(this.world.agents.population[i], uid)));
    }
    return text;
  }

  /** Writes all anew: after a frame, and now and then while the camera moves. */
  update() {
    const { agents, world } = this;
    if (!world?.frame) return;
    this.used = 0;
    const chosen = new Set();
    for (const uid of Object.values(agents.chosen)) {
      if (agents.index.has(uid)) chosen.add(agents.index.get(uid));
    }
    this.findNear();
    this.places.length = 0;
    for (const i of chosen) this.isFree(i);
    for (const [, i] of this.near) {
      if (!chosen.has(i) && this.isFree(i)) this.write(this.name(i), i, 8, 1, 0, [226, 232, 240]);
    }
    this.writeDamage();
    for (const i of chosen) this.write(this.name(i), i, 8, 1.08, 0, [255, 236, 160]);
    this.batch.draw(this.used);
    this.table.touch();
  }

  /** What agents lost in this tick; for those it killed, the sum of the hits. */
  writeDamage() {
    const { agents, world } = this;
    const { damage } = world.agents;
    let left = NUMBERS;
    const put = (i, lost) => {
      if (left-- > 0) this.write(lost ? `−${lost}` : "0", i, 14, 1.25, 1, lost ? [255, 120, 104] : [190, 198, 210]);
    };
    for (let i = 0; i < agents.count; i++) if (damage[i] >= 0) put(i, damage[i]);
    for (let i = agents.count; i < agents.total; i++) {
      const uid = world.deaths[(i - agents.count) * 5];
      let lost = 0;
      for (let k = 0; k < world.attacks.length; k += 8) if (world.attacks[k + 2] === uid) lost += world.attacks[k + 3];
      if (lost) put(i, lost);
    }
  }
}
