// The ground: one plane whose colours are a texture of one texel per tile, with a second one over it for overlays.

import {
  BoxGeometry, DataTexture, LinearFilter, LinearMipmapLinearFilter, Mesh, NearestFilter, PlaneGeometry, ShaderMaterial,
  Vector2, Vector4,
} from "three";
import { ink, rgb } from "./colours.js";

const VERTEX = /* glsl */ `
  uniform vec2 size;
  varying vec2 at;
  void main() {
    at = uv * size;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }
`;
const FRAGMENT = /* glsl */ `
  uniform sampler2D tiles, overlay;
  uniform vec2 size;
  uniform float overlaid;
  uniform vec4 reach; // column, row, tiles around it, 1 (0: not shown)
  uniform vec3 ink;
  varying vec2 at;

  void main() {
    vec2 wide = fwidth(at); // tiles per pixel
    // Tiles with smooth edges: linear interpolation, but over one pixel only. Half the cost of a picture in software.
    vec2 corner = floor(at + 0.5);
    #ifdef FINE
      vec2 point = corner + clamp((at - corner) / max(wide, 1e-4), -0.5, 0.5);
      vec3 colour = textureGrad(tiles, point / size, dFdx(at) / size, dFdy(at) / size).rgb;
    #else
      vec3 colour = texture2D(tiles, at / size).rgb;
    #endif

    // From near: a fine grain, and a line between tiles.
    float near = clamp(0.16 / max(wide.x, wide.y) - 0.6, 0.0, 1.0);
    if (near > 0.0) {
      vec2 cell = floor(at * 5.0);
      float grain = fract(sin(dot(cell, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
      vec2 edge = abs(at - corner) / max(wide, 1e-4);
      float line = 1.0 - clamp(min(edge.x, edge.y), 0.0, 1.0);
      colour *= 1.0 + near * (0.05 * grain - 0.10 * line);
    }
    if (overlaid > 0.0) {
      vec4 value = texelFetch(overlay, ivec2(min(at, size - 1.0)), 0);
      float grey = dot(colour, vec3(0.3, 0.59, 0.11));
      colour = mix(colour, vec3(0.10 + 0.42 * grey), overlaid); // grey ground: only values have hues
      colour = mix(colour, value.rgb, value.a * overlaid);
    }
    if (reach.w > 0.0) {
      vec2 away = abs(at - reach.xy);
      float out_ = max(away.x, away.y) - reach.z - 0.5;
      float width = max(wide.x, wide.y);
      float line = 1.0 - smoothstep(0.0, 1.5 * width, abs(out_) - 0.03);
      colour = mix(colour, ink, max(0.85 * line, out_ < 0.0 ? 0.12 : 0.0));
    }
    gl_FragColor = vec4(colour, 1.0);
  }
`;

// The sides of the slab on which the map lies.
const SLAB_VERTEX = /* glsl */ `
  varying float depth;
  void main() {
    depth = -position.y / 1.5;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }
`;
const SLAB_FRAGMENT = /* glsl */ `
  varying float depth;
  void main() { gl_FragColor = vec4(mix(vec3(0.17, 0.15, 0.14), vec3(0.06, 0.065, 0.08), depth), 1.0); }
`;

/** A number from 0 to 1 that looks drawn, always the same for one tile. */
export function chance(tile) {
  let x = Math.imul(tile + 1, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
  return ((x >>> 8) & 65535) / 65535;
}

export class Terrain {
  constructor(renderer) {
    this.renderer = renderer;
    this.uniforms = {
      tiles: { value: null }, overlay: { value: null }, size: { value: new Vector2() }, overlaid: { value: 0 },
      reach: { value: new Vector4() }, ink: { value: ink() },
    };
    const defines = renderer.software ? {} : { FINE: 1 };
    this.material = new ShaderMaterial({
      defines, uniforms: this.uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT,
    });
    this.parts = [];
  }

  /** Builds plane and textures for a new world. */
  hello(world) {
    for (const part of this.parts) {
      this.renderer.scene.remove(part);
      part.geometry.dispose();
    }
    this.uniforms.tiles.value?.dispose();
    this.uniforms.overlay.value?.dispose();
    const { width, height } = world;
    this.world = world;
    this.colours = world.materials.map((material) => rgb(material.colour));

    const tiles = new DataTexture(new Uint8Array(width * height * 4), width, height);
    const plain = this.renderer.software ? NearestFilter : LinearFilter;
    tiles.magFilter = plain;
    // Far away a tile is smaller than a pixel; small maps never come to that, and save the mip levels.
    tiles.generateMipmaps = width * height > 200 * 200;
    tiles.minFilter = tiles.generateMipmaps ? LinearMipmapLinearFilter : plain;
    const overlay = new DataTexture(new Uint8Array(width * height * 4), width, height);
    overlay.magFilter = overlay.minFilter = NearestFilter;
    this.uniforms.tiles.value = tiles;
    this.uniforms.overlay.value = overlay;
    this.uniforms.size.value.set(width, height);
    this.uniforms.overlaid.value = 0;
    this.uniforms.reach.value.w = 0;

    // Row 0 lies at z = 0 and the texture's first row is row 0: texture coordinates run with the plane.
    const plane = new PlaneGeometry(width, height).rotateX(-Math.PI / 2).translate(width / 2, 0, height / 2);
    const uv = plane.attributes.uv;
    for (let i = 0; i < uv.count; i++) uv.setY(i, 1 - uv.getY(i));
    const ground = new Mesh(plane, this.material);
    const box = new BoxGeometry(width, 1.5, height).translate(width / 2, -0.75, height / 2);
    const sides = box.index.array;
    box.setIndex([...sides.slice(0, 12), ...sides.slice(24)]); // without top and bottom
    const slab = new Mesh(
      box,
      new ShaderMaterial({ vertexShader: SLAB_VERTEX, fragmentShader: SLAB_FRAGMENT }),
    );
    this.parts = [ground, slab];
    this.renderer.scene.add(ground, slab);
    for (let row = 0; row < height; row++) {
      for (let col = 0; col < width; col++) this.paint(row * world.columns + col);
    }
    tiles.needsUpdate = overlay.needsUpdate = true;
    this.fresh = true; // the whole texture is still to be sent
    tiles.onUpdate = () => (this.fresh = false);
    world.changed.clear();
  }

  paint(tile) {
    const { columns, width, height, material, depleted } = this.world;
    const row = Math.floor(tile / columns);
    const col = tile % columns;
    if (row >= height || col >= width) return -1;
    const colour = this.colours[depleted[tile] ? this.world.harvested[material[tile]] : material[tile]];
    const at = (row * width + col) * 4;
    const factor = 0.97 + 0.06 * chance(tile); // tiles differ a little in lightness
    const data = this.uniforms.tiles.value.image.data;
    for (let c = 0; c < 3; c++) data[at + c] = Math.min(255, colour[c] * factor);
    data[at + 3] = 255;
    return at;
  }

  /** Paints the forests that changed since the last picture. */
  update() {
    const { changed } = this.world;
    if (!changed.size) return;
    const texture = this.uniforms.tiles.value;
    // Single texels are sent one by one while they are few.
    const few = !this.fresh && changed.size <= 256;
    if (!few) texture.clearUpdateRanges();
    for (const tile of changed) {
      const at = this.paint(tile);
      if (at >= 0 && few) texture.addUpdateRange(at, 4);
    }
    texture.needsUpdate = true;
    changed.clear();
  }

  /** The overlay's texels, RGBA [height, width]; to be followed by `showOverlay`. */
  get overlayData() {
    return this.uniforms.overlay.value.image.data;
  }

  showOverlay(on) {
    this.uniforms.overlaid.value = on ? 1 : 0;
    if (on) this.uniforms.overlay.value.needsUpdate = true;
  }

  /** Shows how far a style reaches around a tile, in its colour; null hides it. */
  showReach(row, col, tiles, colour) {
    if (row === null) this.uniforms.reach.value.w = 0;
    else this.uniforms.reach.value.set(col + 0.5, row + 0.5, tiles, 1);
    this.uniforms.ink.value = ink(colour);
  }
}
