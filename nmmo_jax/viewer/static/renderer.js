// The picture: renderer, the loop that draws only when something moved, frames per second, the screenshot.

import { Color, PerspectiveCamera, Scene, Vector2, WebGLRenderer } from "three";

const FIELD = 45; // degrees, vertical
const SLOW = 1 / 30; // seconds per picture: slower than this, fine pixels are given up
const WINDOW = 3; // seconds over which frames are counted

/** Uniforms that every material shares: the same objects, so they are set once per picture. */
export const uniforms = {
  t: { value: 1 }, // share of the movement between two frames that is done
  flight: { value: 1 }, // the same for what is shown of the tick: projectiles, damage, deaths
  focal: { value: 1 }, // pixels that one tile measures at distance 1
  least: { value: 9 }, // least height of an agent in pixels of the picture
  pixels: { value: new Vector2(1, 1) }, // size of the picture
  density: { value: 1 }, // pixels of the picture per pixel of the page
};

/** Whether WebGL is drawn by the processor: then every pixel counts. */
function isSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return true;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Renderer {
  /**
   * @param {HTMLCanvasElement} canvas where the world is drawn
   * @param {(now: number, delta: number) => boolean} step moves things before each picture (seconds);
   *   true: something still moves, another picture is needed
   */
  constructor(canvas, step) {
    this.canvas = canvas;
    this.step = step;
    this.software = isSoftware();
    this.webgl = new WebGLRenderer({ canvas, antialias: !this.software, powerPreference: "high-performance" });
    this.webgl.setClearColor(new Color("#0b0e13"));
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FIELD, 1, 0.5, 4000);
    this.camera.position.set(0, 10, 10);
    this.coarse = this.software; // one pixel per pixel of the page at most
    this.asked = 0; // the animation frame that was asked for
    this.before = 0; // when the last picture was drawn, 0 after a rest
    this.times = []; // [when, seconds since the picture before] of the last pictures
    this.slow = 0;
    this.pending = []; // screenshots that wait for the next picture
    this.onResize = () => {}; // called when the picture has another size
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) return;
    const ratio = this.coarse ? Math.min(1, devicePixelRatio) : Math.min(2, devicePixelRatio);
    this.width = width;
    this.height = height;
    this.webgl.setPixelRatio(ratio);
    this.webgl.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    uniforms.pixels.value.set(width * ratio, height * ratio);
    uniforms.density.value = ratio;
    uniforms.focal.value = (height * ratio) / (2 * Math.tan((FIELD * Math.PI) / 360));
    this.onResize();
    this.wake();
  }

  /** Asks for a picture; hidden pages draw none (the browser holds the request back). */
  wake() {
    if (!this.asked) this.asked = requestAnimationFrame((now) => this.draw(now / 1000));
  }

  draw(now) {
    this.asked = 0;
    const delta = this.before ? now - this.before : 0;
    const moving = this.step(now, Math.min(delta, 0.1));
    this.webgl.render(this.scene, this.camera);
    this.count(now, delta);
    // Read at once: the drawing buffer is not kept after the picture is shown.
    for (const done of this.pending.splice(0)) this.canvas.toBlob(done, "image/png");
    this.before = moving ? now : 0;
    if (moving) this.wake();
  }

  count(now, delta) {
    if (!delta || delta > 2) return;
    this.times.push([now, delta]);
    while (this.times[0][0] < now - WINDOW) this.times.shift();
    if (this.coarse) return;
    this.slow = delta > SLOW ? this.slow + 1 : Math.max(0, this.slow - 2);
    if (this.slow < 40) return;
    this.coarse = true;
    this.resize();
  }

  /** Pictures per second while something moved, over the last seconds; 0 before the first. */
  get fps() {
    let seconds = 0;
    for (const [, delta] of this.times) seconds += delta;
    return seconds ? this.times.length / seconds : 0;
  }

  /** The next picture as a PNG. */
  screenshot() {
    return new Promise((done) => {
      this.pending.push(done);
      this.wake();
    });
  }
}
