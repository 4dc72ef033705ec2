// The camera: orbit, pan and zoom by mouse, touch and keys; follow an agent; the view from above.

import { MOUSE, TOUCH, Spherical, Vector3 } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { byId } from "./dom.js";

const STEEP = 0.0001; // radians from the vertical: the view from above
const USUAL = 0.72; // radians from the vertical: the usual view
const UPRIGHT = 0.35; // the same in a picture that is higher than wide, of which the map then fills more
const BESIDE = 6; // pixels of the page that are left free around the map
const FLIGHT = 0.45; // seconds from one view to another

export class View {
  /**
   * @param {Renderer} renderer whose camera is moved
   * @param {Agents} agents whom it can follow
   * @param {() => void} onMode called when the mode changes
   */
  constructor(renderer, agents, onMode) {
    this.renderer = renderer;
    this.agents = agents;
    this.onMode = onMode;
    this.controls = new OrbitControls(renderer.camera, renderer.canvas);
    Object.assign(this.controls, {
      enableDamping: true, dampingFactor: 0.16, screenSpacePanning: false, zoomToCursor: true, zoomSpeed: 1.4,
      maxPolarAngle: 1.45, minDistance: 3, touches: { ONE: TOUCH.PAN, TWO: TOUCH.DOLLY_ROTATE },
    });
    this.controls.addEventListener("change", () => this.renderer.wake());
    this.controls.addEventListener("start", () => {
      this.flight = null;
      this.start.copy(renderer.camera.position);
    });
    this.controls.addEventListener("end", () => {
      if (this.start.distanceToSquared(renderer.camera.position) > 1e-4) this.atHome = false;
    });
    renderer.canvas.addEventListener("wheel", () => (this.atHome = false), { passive: true });
    renderer.onResize = () => this.atHome && this.home(false);
    this.start = new Vector3();
    this.atHome = false; // whether all land is shown, and stays so when the window changes
    this.top = false;
    this.following = null; // uid
    this.flight = null;
    this.keys = new Set(); // held: left, right, up, down, in, out, turn left, turn right, higher, lower
    this.moved = 0; // when the camera last moved, seconds
    this.aim = new Vector3();
    this.offset = new Vector3();
    this.sphere = new Spherical();
  }

  /** "follow", "top" or "orbit". */
  get mode() {
    return this.following !== null ? "follow" : this.top ? "top" : "orbit";
  }

  hello(world) {
    this.world = world;
    this.following = null;
    this.controls.maxDistance = 3 * Math.max(world.width, world.height);
    this.renderer.camera.far = 8 * Math.max(world.width, world.height, 50);
    this.renderer.camera.updateProjectionMatrix();
    this.home(false);
  }

  /** All land: the least distance from which its corners are in the picture, below the switches at its top. */
  home(smooth = true) {
    if (!this.world) return;
    this.follow(null);
    const { camera, width: wide, height: high } = this.renderer;
    const polar = this.top ? STEEP : camera.aspect < 1 ? UPRIGHT : USUAL;
    const [row, col, height, width] = this.world.land;
    const above = byId("chips").offsetHeight + 10 + BESIDE; // pixels; in the picture from -1 to 1
    const [highest, lowest] = [1 - (2 * above) / high, (2 * BESIDE) / high - 1];
    const middle = highest + lowest;
    let [near, far] = [1, 8 * Math.max(width, height)];
    for (let k = 0; k < 30; k++) {
      const distance = (near + far) / 2;
      const { top, bottom, side } = this.frame(distance, polar, middle);
      const fits = top - bottom < highest - lowest && side < 1 - (2 * BESIDE) / wide;
      if (fits && distance > height * Math.sin(polar)) far = distance;
      else near = distance;
    }
    this.aim.set(col + width / 2, 0, row + height / 2 + this.frame(far, polar, middle).shift);
    this.fly(this.aim, far, polar, 0, smooth);
    this.atHome = true;
  }

  /**
   * How much of the picture the land fills from a distance, and how far to look beside its middle to centre it.
   *
   * @param {number} middle twice the height of the land's middle in the picture, from -1 to 1
   */
  frame(distance, polar, middle) {
    const [, , height, width] = this.world.land;
    const half = Math.tan((this.renderer.camera.fov * Math.PI) / 360);
    const y = (z) => (-z * Math.cos(polar)) / ((distance - z * Math.sin(polar)) * half);
    let [low, high] = [-height / 2, height / 2];
    for (let k = 0; k < 30; k++) {
      const shift = (low + high) / 2;
      if (y(-height / 2 - shift) + y(height / 2 - shift) > middle) high = shift;
      else low = shift;
    }
    const side = width / 2 / ((distance - (height / 2 - low) * Math.sin(polar)) * half * this.renderer.camera.aspect);
    return { top: y(-height / 2 - low), bottom: y(height / 2 - low), side, shift: low };
  }

  /** Goes to a view: aim, distance, angle from the vertical, angle around it. */
  fly(aim, distance, polar, azimuth, smooth = true) {
    const { camera } = this.renderer;
    this.atHome = false;
    this.sphere.setFromVector3(this.offset.subVectors(camera.position, this.controls.target));
    let turn = azimuth - this.sphere.theta;
    turn -= 2 * Math.PI * Math.round(turn / (2 * Math.PI)); // the short way round
    const { radius, phi, theta } = this.sphere;
    const from = { aim: this.controls.target.clone(), radius, phi, theta };
    this.flight = { from, aim: aim.clone(), radius: distance, phi: polar, turn, share: 0 };
    if (!smooth || matchMedia("(prefers-reduced-motion: reduce)").matches) this.advance(1);
    this.renderer.wake();
  }

  advance(share) {
    const { from, aim, radius, phi, turn } = this.flight;
    const s = share * share * (3 - 2 * share);
    this.controls.target.lerpVectors(from.aim, aim, s);
    this.sphere.set(from.radius * (radius / from.radius) ** s, from.phi + (phi - from.phi) * s, from.theta + turn * s);
    this.sphere.makeSafe();
    this.renderer.camera.position.setFromSpherical(this.sphere).add(this.controls.target);
    this.flight.share = share;
    if (share >= 1) this.flight = null;
  }

  /** Between the view from above, with north up, and the usual one. */
  toggleTop() {
    this.top = !this.top;
    this.controls.enableRotate = !this.top;
    this.controls.mouseButtons.LEFT = this.top ? MOUSE.PAN : MOUSE.ROTATE;
    const distance = this.renderer.camera.position.distanceTo(this.controls.target);
    if (this.atHome) this.home();
    else this.fly(this.controls.target, distance, this.top ? STEEP : USUAL, 0);
    this.onMode();
  }

  /** Keeps an agent in the middle (uid), or lets it go (null). */
  follow(uid) {
    if (this.following === uid) return;
    this.following = uid;
    this.controls.zoomToCursor = uid === null;
    if (uid !== null) this.approach(uid);
    this.onMode();
  }

  /** Goes near an agent. */
  approach(uid) {
    const { camera } = this.renderer;
    if (!this.agents.spot(uid, this.aim)) return;
    this.aim.y = 0;
    const distance = camera.position.distanceTo(this.controls.target);
    this.sphere.setFromVector3(this.offset.subVectors(camera.position, this.controls.target));
    this.fly(this.aim, Math.min(distance, 16), this.top ? STEEP : this.sphere.phi, this.sphere.theta);
  }

  /** A key that moves the camera is held or let go. */
  hold(name, held) {
    if (held) this.keys.add(name);
    else this.keys.delete(name);
    this.renderer.wake();
  }

  moveByKeys(delta) {
    const { camera } = this.renderer;
    const { target } = this.controls;
    const amount = (name, other) => (this.keys.has(name) ? 1 : 0) - (this.keys.has(other) ? 1 : 0);
    this.flight = null;
    this.atHome = false;
    this.sphere.setFromVector3(this.offset.subVectors(camera.position, target));
    const right = amount("right", "left");
    const ahead = amount("up", "down");
    if (right || ahead) {
      this.follow(null);
      const way = this.sphere.radius * delta * 0.9;
      const [sin, cos] = [Math.sin(this.sphere.theta), Math.cos(this.sphere.theta)];
      target.x += (right * cos - ahead * sin) * way;
      target.z += (-right * sin - ahead * cos) * way;
    }
    this.sphere.radius *= Math.exp(amount("out", "in") * delta * 1.6);
    this.sphere.radius = Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, this.sphere.radius));
    if (!this.top) {
      this.sphere.theta += amount("turnRight", "turnLeft") * delta * 1.6;
      this.sphere.phi = Math.min(1.45, Math.max(0.05, this.sphere.phi + amount("lower", "higher") * delta));
    }
    camera.position.setFromSpherical(this.sphere).add(target);
  }

  /** Moves the camera on; true while it moves. */
  update(now, delta) {
    const { camera } = this.renderer;
    const { target } = this.controls;
    if (this.flight) {
      if (this.following !== null && this.agents.spot(this.following, this.aim)) {
        this.flight.aim.set(this.aim.x, 0, this.aim.z);
      }
      this.advance(Math.min(1, this.flight.share + Math.max(delta, 0.001) / FLIGHT));
    } else if (this.following !== null && this.agents.spot(this.following, this.aim)) {
      this.aim.y = 0;
      this.offset.subVectors(this.aim, target);
      camera.position.add(this.offset);
      target.copy(this.aim);
    }
    if (this.keys.size) this.moveByKeys(delta);
    this.clamp();
    // The nearest that is drawn goes with the distance: depth stays fine enough for what lies on the ground.
    const near = Math.max(0.3, 0.08 * camera.position.distanceTo(target));
    if (Math.abs(near - camera.near) > 0.05 * near) {
      camera.near = near;
      camera.updateProjectionMatrix();
    }
    const moved = this.controls.update() || this.flight !== null || this.keys.size > 0;
    if (moved) this.moved = now;
    return moved;
  }

  /** Keeps what is looked at on the map. */
  clamp() {
    if (!this.world) return;
    const { target } = this.controls;
    const x = Math.min(this.world.width, Math.max(0, target.x));
    const z = Math.min(this.world.height, Math.max(0, target.z));
    this.offset.set(x - target.x, -target.y, z - target.z);
    if (this.offset.lengthSq() === 0) return;
    target.add(this.offset);
    this.renderer.camera.position.add(this.offset);
  }
}
