// What each agent has of health and the like, over it: one quad per agent that faces the viewer.

import { PlaneGeometry } from "three";
import { ink } from "./colours.js";
import { MOTION } from "./shaders.js";

const VERTEX = /* glsl */ `
  uniform float detail;
  varying vec2 at; // pixels from the quad's upper left corner
  varying vec3 full;
  varying float wide;
  ${MOTION}
  void main() {
    COPY
    place = agent(copy, 0);
    marks = agent(copy, 3);
    vec2 here = spot();
    vec4 seen = modelViewMatrix * vec4(here.x, 0.0, here.y, 1.0);
    float measure = tile(seen) / density; // pixels of the page per tile
    bool shown = marks.x < 1.5 && (measure > detail || (marks.w > 0.0 && measure > 5.0));
    wide = floor(clamp(measure * 0.85, 14.0, 46.0) * density);
    float high = (measure > 30.0 ? 13.0 : 10.0) * density;
    full = agent(copy, 2).rgb;
    at = vec2(position.x + 0.5, 0.5 - position.y) * vec2(wide, high);
    vec2 corner = vec2(position.x * wide, (position.y + 0.5) * high);
    // On whole pixels, so that the thin lines stay sharp.
    vec2 middle = floor(over(here, seen));
    gl_Position.xy = ((middle + corner) / pixels * 2.0 - 1.0) * gl_Position.w;
    if (!shown) gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
    at.y *= 10.0 * density / high; // three lines of three pixels with a border of one, before it is stretched
  }
`;
const FRAGMENT = /* glsl */ `
  uniform float density;
  uniform vec3 inks[3];
  varying vec2 at;
  varying vec3 full;
  varying float wide;
  void main() {
    float line = (at.y / density - 0.5) / 3.0;
    int k = int(clamp(floor(line), 0.0, 2.0));
    float share = k == 0 ? full.x : k == 1 ? full.y : full.z;
    float x = (at.x - density) / (wide - 2.0 * density);
    bool inside = x >= 0.0 && x < share && fract(line) < 0.72 && line >= 0.0 && line < 3.0;
    vec3 back = vec3(0.04, 0.05, 0.07);
    gl_FragColor = inside ? vec4(inks[k], 1.0) : vec4(back, 0.78);
  }
`;

export class Bars {
  constructor(agents) {
    this.detail = { value: 15 };
    this.inks = { value: new Array(9).fill(0.5) };
    const own = { inks: this.inks, detail: this.detail };
    const shaders = { vertexShader: VERTEX, fragmentShader: FRAGMENT };
    agents.add(new PlaneGeometry(1, 1), { uniforms: own, ...shaders, transparent: true, depthWrite: false }, 4);
  }

  hello(world) {
    this.inks.value = world.stats.flatMap(({ colour }) => Object.values(ink(colour)));
  }

  /** Shows bars from so many pixels per tile on. */
  show(least) {
    this.detail.value = least;
  }
}
