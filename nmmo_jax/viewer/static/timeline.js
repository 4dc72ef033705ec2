// Time: play, pause, single steps, speed; going back and forth; playing on from the past.

import { number } from "./colours.js";
import { byId, element, setText, symbol } from "./dom.js";

const SPEEDS = [1.2, 0.6, 0.3, 0.15, 0.06, 0]; // seconds per tick, 0: as fast as possible
const PATIENCE = 3000; // milliseconds until a frame that was asked for counts as lost

/** A speed as people read it. */
function named(seconds) {
  return seconds > 0 ? `${number(Number((1 / seconds).toPrecision(2)))} ticks/s` : "fastest: … ticks/s";
}

export class Timeline {
  /** @param {(request: object) => boolean} send to the server */
  constructor(world, send) {
    Object.assign(this, { world, send });
    this.wanted = null; // tick to go to next
    this.asked = 0; // when a frame was asked for and has not come, milliseconds; 0: none
    this.playing = false; // plays the past, by asking for one frame after the other
    this.timer = 0;
    this.dragging = false;
    this.compiling = 0; // since when the play is compiled for its first tick, milliseconds; 0: it is not
    const button = (id, icon, title, action) =>
      (this[id] = element("button", { class: "icon", title, "aria-label": title, onclick: action }, symbol(icon)));
    this.options = SPEEDS.map((seconds) => element("option", { value: seconds, text: named(seconds) }));
    this.other = element("option", { hidden: true }); // a speed that was chosen elsewhere
    this.speed = element("select", { title: "Speed", "aria-label": "Speed", onchange: () => this.setSpeed() },
      ...this.options, this.other);
    this.speed.value = 0.6;
    this.slider = element("input", {
      type: "range", min: 0, max: 0, value: 0, step: 1, "aria-label": "Tick",
      onpointerdown: () => (this.dragging = true),
      oninput: () => {
        this.stop();
        this.seek(Number(this.slider.value));
      },
      onchange: () => this.slider.blur(), // keys are for the world again
    });
    addEventListener("pointerup", () => (this.dragging = false));
    addEventListener("pointercancel", () => (this.dragging = false));
    this.now = element("output", { text: "tick –" });
    this.follow = element("button", { class: "live", text: "Live", title: "Back to the play that goes on (L)" });
    this.follow.addEventListener("click", () => this.toLive());
    byId("timeline").append(
      button("rewind", "rewind", "From the beginning", () => this.toStart()),
      button("back", "back", "One tick back (,)", () => this.step(-1)),
      button("play", "play", "Play or pause (space)", () => this.toggle()),
      button("ahead", "step", "One tick on (.)", () => this.step(1)),
      this.speed, this.slider, this.now, this.follow,
    );
  }

  hello() {
    this.stop();
    this.asked = 0;
    this.wanted = null;
    this.follow.textContent = this.world.source === "replay" ? "Follow" : "Live";
    this.draw();
  }

  get live() {
    return this.world.frame?.live ?? true;
  }

  /** Whether time passes in this picture. */
  get moving() {
    if (!this.world.frame) return false;
    return this.live ? !this.world.frame.paused : this.playing;
  }

  /** Seconds from one frame to the next as people chose them; 0: as fast as possible. */
  get seconds() {
    return this.live ? (this.world.frame?.seconds ?? 0.6) : Number(this.speed.value);
  }

  /** Takes the newest frame. */
  frame() {
    const { frame } = this.world;
    if (!frame.live) {
      this.asked = 0;
      if (this.wanted !== null && this.wanted !== frame.tick) this.ask();
      else {
        this.wanted = null;
        if (this.playing) this.later();
      }
    } else {
      this.stop();
      if (document.activeElement !== this.speed) this.show(frame.seconds ?? 0.6);
    }
  }

  /** Shows which speed is on, also one that is not offered. */
  show(seconds) {
    if (!SPEEDS.includes(seconds)) {
      this.other.value = seconds;
      setText(this.other, named(seconds));
    }
    this.other.hidden = SPEEDS.includes(seconds);
    this.speed.value = seconds;
  }

  nearest(seconds) {
    if (!(seconds > 0)) return 0;
    const away = (one) => (one > 0 ? Math.abs(Math.log(one / seconds)) : Infinity);
    return SPEEDS.reduce((best, one) => (away(one) < away(best) ? one : best));
  }

  /** Goes to a tick; while one frame is on its way, only the last wish is kept. */
  seek(tick) {
    const { first = 0, last = 0 } = this.world.frame ?? {};
    this.wanted = Math.max(first, Math.min(last, tick));
    this.slider.value = this.wanted;
    if (!this.asked || performance.now() - this.asked > PATIENCE) this.ask();
  }

  ask() {
    this.asked = performance.now();
    if (!this.send({ do: "seek", tick: this.wanted })) this.asked = 0;
  }

  /** Something could not be done: what was asked for may never come. */
  failed() {
    this.asked = 0;
    this.wanted = null;
  }

  stop() {
    this.playing = false;
    clearTimeout(this.timer);
  }

  later() {
    const { frame } = this.world;
    clearTimeout(this.timer);
    if (frame.tick >= frame.last) return this.toLive();
    this.timer = setTimeout(() => this.seek(this.world.frame.tick + 1), 1000 * this.seconds);
  }

  toggle() {
    if (!this.world.frame) return;
    if (this.live) {
      this.send({ do: this.world.frame.paused ? "play" : "pause" });
    } else if (this.playing) {
      this.stop();
    } else {
      this.playing = true;
      this.later();
    }
    this.draw();
  }

  /** One tick on or back. At the newest frame, on means that the world makes a step. */
  step(by) {
    const { frame } = this.world;
    if (!frame) return;
    this.stop();
    if (this.live && by > 0) this.send({ do: "step" });
    else if (this.live) this.seek(frame.tick - 1);
    else if (by > 0 && frame.tick >= frame.last) this.toLive();
    else this.seek((this.wanted ?? frame.tick) + by);
  }

  toLive() {
    this.stop();
    this.wanted = null;
    this.send({ do: "follow" });
  }

  toStart() {
    this.stop();
    if (this.world.source === "replay") this.send({ do: "restart" });
    else if (this.world.frame) this.seek(this.world.frame.first ?? 0);
  }

  setSpeed() {
    const seconds = Number(this.speed.value);
    this.speed.blur();
    if (this.live) this.send({ do: "speed", seconds });
    else if (this.playing) this.later();
  }

  /** The next speed: 1 faster, -1 slower. */
  faster(by) {
    const k = SPEEDS.indexOf(this.nearest(Number(this.speed.value)));
    this.speed.value = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, k + by))];
    this.setSpeed();
  }

  draw() {
    const { frame } = this.world;
    const icon = this.moving ? "pause" : "play";
    this.play.firstChild.firstChild.setAttribute("href", `#i-${icon}`);
    this.follow.setAttribute("aria-pressed", this.live);
    if (!frame) return;
    const fast = this.moving && this.seconds === 0 && frame.ticks_per_second > 0;
    setText(this.options.at(-1), fast ? `fastest: ${number(frame.ticks_per_second, 0)} ticks/s` : named(0));
    const { first = frame.tick, last = frame.tick } = frame;
    this.slider.min = first;
    this.slider.max = Math.max(last, frame.tick);
    if (!this.dragging && this.wanted === null) this.slider.value = frame.tick;
    const full = (this.slider.value - first) / Math.max(1, this.slider.max - first);
    this.slider.style.setProperty("--full", `${100 * full}%`);
    const end = frame.live && this.world.source === "live" ? "" : ` / ${number(last)}`;
    if (frame.compiling == null) this.compiling = 0;
    else this.compiling ||= performance.now() - 1000 * frame.compiling;
    const waited = Math.round((performance.now() - this.compiling) / 1000);
    setText(this.now, this.compiling ? `compiling, ${waited} s` : `tick ${number(frame.tick)}${end}`);
    this.now.title = this.compiling ? "Before its first tick a world is compiled, which can take minutes" : "";
    byId("timeline").classList.toggle("past", !frame.live);
  }
}
