// What the shaders of everything that belongs to an agent have in common. Colours are those of the screen
// (sRGB) throughout; nothing is converted.

/** GLSL: where an agent stands between two frames, how large it is, and how it comes and goes; to be set first. */
export const MOTION = /* glsl */ `
  vec4 place; // column and row (of the tile's middle) before and after
  vec4 marks; // life: 0 lives, 1 just born, 2 dies; freeze; immune; 1 selected, 2 played, 3 pointed at
  uniform float t, flight, focal, least, density;
  uniform vec2 pixels;

  float eased() { return smoothstep(0.0, 0.75, t); }
  vec2 spot() { return mix(place.xy, place.zw, eased()); }
  float hop() { return 0.14 * min(1.0, distance(place.xy, place.zw)) * sin(3.14159 * eased()); }
  float born() { return marks.x == 1.0 ? smoothstep(0.0, 0.8, t) : 1.0; }
  float dying() { return marks.x == 2.0 ? smoothstep(0.5, 1.0, flight) : 0.0; }

  // Pixels that a tile measures at a distance; agents are drawn larger where they would be too small to see.
  float tile(vec4 seen) { return focal / max(0.1, -seen.z); }
  float size(vec4 seen) { return max(1.0, least / tile(seen)); }

  // Where what hangs over an agent begins, in pixels of the picture: over its head, seen from above beside it.
  // Sets gl_Position for its depth.
  vec2 over(vec2 here, vec4 seen) {
    gl_Position = projectionMatrix * (modelViewMatrix * vec4(here.x, 1.02 * size(seen) + hop(), here.y, 1.0));
    vec4 foot = projectionMatrix * seen;
    vec2 head = (gl_Position.xy / gl_Position.w * 0.5 + 0.5) * pixels;
    float lowest = (foot.y / foot.w * 0.5 + 0.5) * pixels.y + 0.5 * tile(seen) * size(seen);
    return vec2(head.x, max(head.y, lowest));
  }
`;

/** An agent's body. */
export const BODY_VERTEX = /* glsl */ `
  varying vec3 colour;
  ${MOTION}
  void main() {
    COPY
    place = agent(copy, 0);
    marks = agent(copy, 3);
    vec3 tint = agent(copy, 1).rgb;
    vec2 here = spot();
    vec4 seen = modelViewMatrix * vec4(here.x, 0.0, here.y, 1.0);
    vec3 p = position;
    float fallen = 1.5 * smoothstep(0.0, 0.6, dying()); // who dies falls over and shrinks
    p.yz = mat2(cos(fallen), -sin(fallen), sin(fallen), cos(fallen)) * p.yz;
    p.xz *= 1.0 + 0.5 * clamp(1.8 * least / tile(seen) - 0.8, 0.0, 1.0); // stout where it is small
    p *= size(seen) * born() * (1.0 - smoothstep(0.6, 1.0, dying()));
    p.y += hop();
    vec4 at = modelViewMatrix * vec4(here.x + p.x, p.y, here.y + p.z, 1.0);
    float light = 0.66 + 0.40 * max(0.0, dot(normal, vec3(0.42, 0.80, 0.42)));
    float head = step(0.56, position.y);
    colour = mix(tint, vec3(1.0), 0.35 * head);
    if (marks.y > 0.0) colour = mix(vec3(0.80, 0.94, 1.0), tint, 0.12 + 0.45 * head); // frozen: a body of ice
    if (marks.w > 2.5) colour = mix(colour, vec3(1.0), 0.25);
    colour *= light * (1.0 - 0.6 * dying());
    gl_Position = projectionMatrix * at;
  }
`;
export const BODY_FRAGMENT = /* glsl */ `
  varying vec3 colour;
  void main() { gl_FragColor = vec4(colour, 1.0); }
`;

/** What lies on the ground under it: shadow, rings, ice. */
export const MARK_VERTEX = /* glsl */ `
  varying vec2 p;
  varying vec4 state; // life, freeze, immune, selected
  varying float moment;
  ${MOTION}
  void main() {
    COPY
    place = agent(copy, 0);
    marks = agent(copy, 3);
    vec2 here = spot();
    vec4 seen = modelViewMatrix * vec4(here.x, 0.0, here.y, 1.0);
    p = position.xz * 2.0;
    state = marks;
    moment = marks.x == 2.0 ? flight : t;
    float wide = 1.3 * size(seen);
    if (tile(seen) < 5.0 * density && marks.w == 0.0) state = vec4(0.0); // from far away only a shadow
    vec3 ground = vec3(here.x, 0.015, here.y) + position * wide;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(ground, 1.0);
  }
`;
export const MARK_FRAGMENT = /* glsl */ `
  varying vec2 p;
  varying vec4 state;
  varying float moment;
  void put(inout vec4 under, vec3 colour, float alpha) {
    under = vec4(mix(under.rgb, colour, alpha), max(under.a, alpha));
  }
  float ring(float r, float radius, float width) { return 1.0 - smoothstep(width, width + 0.06, abs(r - radius)); }
  void main() {
    float r = length(p);
    if (r > 1.0) discard;
    vec4 mark = vec4(0.0, 0.0, 0.0, 0.45 * (1.0 - smoothstep(0.30, 0.80, r))); // shadow
    if (state.y > 0.0) { // frozen: a hexagon of ice
      vec2 q = abs(p);
      float hex = max(q.x * 0.866 + q.y * 0.5, q.y);
      put(mark, vec3(0.55, 0.85, 1.0), hex < 0.66 ? 0.35 : 0.0);
      put(mark, vec3(0.62, 0.90, 1.0), ring(hex, 0.68, 0.04));
    }
    if (state.z > 0.0) { // immune: a broken golden ring
      float dash = step(0.35, fract(atan(p.y, p.x) * 1.2732395));
      put(mark, vec3(1.0, 0.85, 0.42), dash * ring(r, 0.68, 0.06));
    }
    if (state.x == 1.0) put(mark, vec3(1.0), (1.0 - moment) * ring(r, 0.25 + 0.65 * moment, 0.05)); // birth
    if (state.x == 2.0) put(mark, vec3(0.95, 0.25, 0.25), (1.0 - moment) * ring(r, 0.8 - 0.5 * moment, 0.06)); // death
    if (state.w > 0.0 && state.w < 2.5) {
      put(mark, state.w > 1.5 ? vec3(1.0, 0.83, 0.25) : vec3(1.0), ring(r, 0.86, 0.06));
    }
    if (mark.a < 0.02) discard;
    gl_FragColor = mark;
  }
`;

/** The same on the processor: how far the movement is, eased. */
export function eased(t) {
  const x = Math.min(1, Math.max(0, t / 0.75));
  return x * x * (3 - 2 * x);
}
