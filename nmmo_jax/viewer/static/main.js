// The viewer: puts the parts together, hands messages and clicks to them, and draws what changed.

import { Agents } from "./agents.js";
import { Bars } from "./bars.js";
import { View } from "./camera.js";
import { byId, element } from "./dom.js";
import { expose } from "./hook.js";
import { Inspector } from "./inspector.js";
import { addHelp, listen } from "./keys.js";
import { Labels } from "./labels.js";
import { Overlays } from "./overlays.js";
import { Panels } from "./panels.js";
import { Control } from "./control.js";
import { Pointer } from "./pointer.js";
import { Projectiles } from "./projectiles.js";
import { Connection } from "./protocol.js";
import { Props } from "./props.js";
import { Renderer, uniforms } from "./renderer.js";
import { Terrain } from "./terrain.js";
import { Things } from "./things.js";
import { Timeline } from "./timeline.js";
import { History, World } from "./world.js";

const PAUSE = 0.62; // share of a tick at which projectiles and damage stand while time does not pass
const REFRESH = 120; // milliseconds between two changes of the panels
const NARROW = matchMedia("(max-width: 820px), (max-height: 500px)"); // as in style.css

const errors = []; // texts of all that went wrong, for people and tests
const world = new World();
const history = new History();
let connection = null;
let drawn = -1; // the world's version in the last picture
let labelled = 0; // when names were last written, seconds
let due = true; // whether names are to be written anew
let arrived = 0; // when the last frame came, milliseconds
let interval = 0.6; // seconds between frames, smoothed
let refreshing = 0;

function report(text, quiet = false) {
  errors.push(text);
  if (!quiet) tell(text);
}

/** Something to read, for a while. */
function tell(text) {
  const toast = element("p", { text });
  byId("toasts").append(toast);
  setTimeout(() => toast.remove(), 6000);
}
addEventListener("error", (event) => report(event.message ?? "a file could not be loaded"));
addEventListener("unhandledrejection", (event) => report(String(event.reason?.message ?? event.reason)));

const send = (request) => connection?.send(request) ?? false;

const renderer = startRenderer();
const terrain = new Terrain(renderer);
const props = new Props(renderer);
const agents = new Agents(renderer);
const things = new Things(renderer, agents);
const bars = new Bars(agents);
const labels = new Labels(renderer, agents);
const projectiles = new Projectiles(renderer, agents);
const view = new View(renderer, agents, () => refresh());
const overlays = new Overlays(world, terrain, props, send);
const timeline = new Timeline(world, send);
const panels = new Panels(world, history, renderer);
const control = new Control(world, view, terrain, send);
const inspector = new Inspector(world, {
  close: () => select(null),
  follow: () => follow(),
  take: () => control.toggle(inspector.uid),
});

function startRenderer() {
  try {
    return new Renderer(byId("view"), step);
  } catch (error) {
    byId("veil-text").textContent = "This browser shows no WebGL 2, which the world is drawn with.";
    byId("veil").hidden = false;
    throw error;
  }
}

/** Moves everything on before a picture; true while something still moves. */
function step(now, delta) {
  if (!world.ready) return false;
  if (drawn !== world.version) {
    props.update();
    terrain.update();
    if (world.frame) {
      things.update(now); // before the agents, whose movement begins anew
      agents.update(now, duration());
      pointer.fill();
      projectiles.update(world);
    }
    drawn = world.version;
    due = true;
  }
  overlays.update();
  uniforms.t.value = agents.share(now);
  uniforms.flight.value = timeline.moving ? uniforms.t.value : Math.min(uniforms.t.value, PAUSE);
  const moved = view.update(now, delta);
  pointer.update();
  if (due || (moved && now - labelled > 0.2)) {
    labels.update();
    labelled = now;
    due = false;
  }
  due ||= moved; // once more when the camera has come to rest
  return moved || due || uniforms.t.value < 1;
}

/** Seconds that the movement to the newest frame takes: as long as the next one is awaited. */
function duration() {
  const chosen = timeline.seconds;
  return timeline.moving ? Math.min(1.2, Math.max(chosen, interval)) : Math.min(0.4, chosen || 0.2);
}

function receive(message) {
  if (message.kind === "hello") hello(message);
  else if (message.kind === "error") showError(message.message);
  else if (!world.ready) return;
  else if (message.kind === "history") history.take(message);
  else if (message.kind === "frame") frame(message);
  else if (message.kind === "agent") inspector.take(message);
  else if (message.kind === "mask") control.mask(message);
  else if (message.kind === "overlay") overlays.take(message);
  refresh();
}

function hello(message) {
  world.hello(message);
  history.clear(world.populations.length);
  document.title = world.title ? `${world.title} · Embyr` : "Embyr";
  byId("title").textContent = world.title || "Embyr";
  const about = new Set([world.game, world.source === "replay" ? "replay" : ""].filter(Boolean));
  about.delete(world.title);
  byId("game").textContent = [...about].join(" · ");
  byId("realms").hidden = !world.can.realm || world.realms < 2;
  byId("realm").max = world.realms - 1;
  byId("realm").value = world.realm;
  byId("realm-count").textContent = ` 0 to ${world.realms - 1}`;
  byId("veil").hidden = true;
  const parts = [terrain, props, agents, things, bars, labels, projectiles, panels, timeline, control, inspector];
  for (const part of parts) part.hello(world);
  select(null);
  overlays.hello();
  view.hello(world); // below the overlays' switches
  renderer.wake();
}

function frame(message) {
  const now = performance.now();
  const gap = (now - arrived) / 1000;
  if (gap < 2) interval += (gap - interval) * 0.2;
  arrived = now;
  const { taken = null, tick } = world.frame ?? {};
  world.takeFrame(message);
  if (world.frame.live) history.add(world.frame.tick, world.living, world.frame.lifetime, world.frame.age);
  timeline.frame();
  control.frame();
  const played = taken !== null && world.frame.live && world.frame.tick !== tick;
  if (played && !world.agent(taken)) tell(world.deathOf(taken));
  if ((world.frame.taken ?? null) !== taken) {
    agents.choose({ taken: world.frame.taken ?? null });
    if (control.uid !== null) {
      view.follow(control.uid);
      if (NARROW.matches) open("inspector", false); // for the picture
    }
  }
  renderer.wake();
}

function showError(text) {
  timeline.failed();
  report(text ?? "the server could not do it");
}

/** Shows the newest numbers, but not more often than people read. */
function refresh() {
  if (refreshing) return;
  refreshing = setTimeout(() => {
    refreshing = 0;
    if (document.hidden || !world.ready) return;
    panels.draw();
    timeline.draw();
    inspector.draw();
    control.draw();
    byId("top").setAttribute("aria-pressed", view.top);
    inspector.followButton.setAttribute("aria-pressed", view.following !== null && view.following === inspector.uid);
  }, REFRESH);
}

function select(uid) {
  inspector.select(uid);
  agents.choose({ selected: uid });
  overlays.select(uid);
  send({ do: "select", uid });
  if (uid === null) {
    view.follow(null);
    open("inspector", false);
  } else {
    open("inspector", true);
    if (view.following !== null) view.follow(uid);
  }
  due = true;
  refresh();
}

function follow() {
  view.follow(view.following === null ? inspector.uid : null);
}

/** Selects the next agent in the order of the frame. */
function next() {
  const { uid, count } = world.agents ?? { count: 0 };
  if (!count) return;
  const at = world.index.get(inspector.uid) ?? -1;
  select(uid[(at + 1) % count]);
  if (view.following === null) view.approach(inspector.uid);
}

/** Opens or closes a panel: world or inspector; on a small screen one at a time. */
function open(name, shown = !document.body.classList.contains(`${name}-open`)) {
  if (shown && NARROW.matches) document.body.classList.remove("world-open", "inspector-open");
  document.body.classList.toggle(`${name}-open`, shown);
  byId("inspector").hidden = !document.body.classList.contains("inspector-open");
  byId("world").hidden = !document.body.classList.contains("world-open");
  for (const one of ["world", "inspector"]) byId(`show-${one}`).setAttribute("aria-pressed", !byId(one).hidden);
  refresh();
}

async function screenshot() {
  const blob = await renderer.screenshot();
  if (!blob) return report("the picture could not be read");
  const link = element("a", { href: URL.createObjectURL(blob), download: `embyr-tick-${world.frame?.tick ?? 0}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function toggleBars() {
  labels.shown = !labels.shown;
  bars.show(labels.shown ? 15 : 1e9);
  due = true;
  renderer.wake();
}

const pointer = new Pointer(renderer, world, agents, things, overlays, {
  click: (uid, shift, thing) => {
    const plays = control.uid !== null && !shift;
    if (thing) plays && control.strike(thing);
    else if (plays && uid !== null) control.attack(uid);
    else select(uid);
  },
  double: (uid) => uid !== null && control.uid === null && view.follow(uid),
  moved: () => (due = true),
});
const help = addHelp();
const toggleTop = () => view.toggleTop();
const home = () => view.home();
listen({
  toggle: () => timeline.toggle(), step: (by) => timeline.step(by), live: () => timeline.toLive(),
  faster: (by) => timeline.faster(by), top: toggleTop, home, follow, next, deselect: () => select(null),
  take: () => control.toggle(inspector.uid), bars: toggleBars, screenshot,
  world: () => open("world"), inspector: () => open("inspector"),
  style: (style) => control.choose(style), overlay: (by) => overlays.turn(by), help,
}, view, control);
byId("home").onclick = home;
byId("top").onclick = toggleTop;
byId("screenshot").onclick = screenshot;
byId("show-world").onclick = () => open("world");
byId("show-inspector").onclick = () => open("inspector");
byId("show-help").onclick = help;
byId("realm").onchange = () => {
  const realm = Math.max(0, Math.min(world.realms - 1, Math.trunc(Number(byId("realm").value))));
  byId("realm").value = realm;
  byId("realm").blur();
  send({ do: "realm", realm });
};
renderer.canvas.addEventListener("webglcontextlost", () => report("The graphics were lost; reload the page."));
document.addEventListener("visibilitychange", () => document.hidden || (renderer.wake(), refresh()));
setInterval(() => world.ready && refresh(), 1000);
open("world", !NARROW.matches);

const address = new URL("ws", document.baseURI); // beside this page: a proxy may have put it under some path
address.protocol = address.protocol.replace("http", "ws");
connection = new Connection(
  address.href,
  receive,
  ({ name, text }) => {
    byId("connection").textContent = text;
    byId("connection").className = `state ${name}`;
    if (!world.ready) byId("veil-text").textContent = name === "open" ? "The world is being prepared …" : text;
  },
  (error) => report(error.message),
);

expose({ world, history, agents, things, renderer, view, overlays, inspector, control, timeline, errors, connection });
