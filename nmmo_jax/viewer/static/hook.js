// What a test in a browser reads: window.nmmo.state, plain values of what is shown.

import { Vector3 } from "three";

export function expose(parts) {
  const { world, history, agents, things, renderer, view, overlays, inspector, control, timeline } = parts;
  const { errors, connection } = parts;
  const point = new Vector3();
  const state = {
    get connected() { return connection.connected; },
    get ready() { return world.ready && world.frame !== null && agents.tick !== null; },
    get tick() { return agents.tick; }, // of the picture
    get live() { return world.frame?.live ?? null; },
    get paused() { return world.frame?.paused ?? null; },
    get moving() { return timeline.moving; },
    get realm() { return world.realm ?? null; },
    get first() { return world.frame?.first ?? null; },
    get last() { return world.frame?.last ?? null; },
    get taken() { return world.frame?.taken ?? null; },
    get masked() { return control.choices.message?.tick ?? null; }, // the tick of which it is known what can be chosen
    get agentsDrawn() { return agents.count; },
    get dyingDrawn() { return agents.total - agents.count; },
    get uids() { return [...agents.index.keys()]; },
    /** The numbers of a living agent as received, by name; null where it does not live. */
    agent(uid) { return world.agent(uid); },
    /** The things on the map, {table, number, and their columns}, as received. */
    get things() {
      return world.things.flatMap(({ about, number, columns }, table) => Array.from(number, (one, i) => ({
        table, number: one, ...Object.fromEntries(about.columns.map(({ name }) => [name, columns[name][i]])),
      })));
    },
    get thingsDrawn() { return things.parts.reduce((sum, { count }) => sum + count, 0); },
    /** Where a thing is on the page, [x, y] in CSS pixels, also beside the picture; null: it is not there. */
    thingPosition(table, number) {
      const at = things.project(table, number);
      const box = renderer.canvas.getBoundingClientRect();
      return at && [box.left + at.x, box.top + at.y];
    },
    /** What the inspector shows, numbers as received; null where nobody is selected. */
    get selected() { return inspector.state; },
    /** The overlay that is on; `valueAt` gives one number, or one per population. */
    get overlay() {
      if (overlays.name === null) return null;
      const { tick = null, low = null, high = null } = overlays.message ?? {};
      return { name: overlays.name, tick, low, high, valueAt: (row, col) => overlays.valueAt(row, col) };
    },
    get fps() { return renderer.fps; },
    get software() { return renderer.software; },
    get calls() { return renderer.webgl.info.render.calls; },
    get history() {
      const { tick, stride, populations, age, lifetime } = history;
      return { length: tick.length, stride, populations, ages: [...age], lifetimes: [...lifetime] };
    },
    get depleted() { return world.depletedCount ?? 0; },
    get land() { return world.land ?? null; },
    get populations() { return world.populations.map(({ name }) => name); },
    get camera() { return view.mode; },
    get errors() { return errors; },
    /** Where the upper left corner of a tile is on the page, [x, y] in CSS pixels, also beside the picture. */
    screenPlace(row, col) {
      point.set(col, 0, row).project(renderer.camera);
      const box = renderer.canvas.getBoundingClientRect();
      return [box.left + ((point.x + 1) / 2) * renderer.width, box.top + ((1 - point.y) / 2) * renderer.height];
    },
    /** Where a living agent is on the page, [x, y] in CSS pixels; null where it is not in the picture. */
    screenPosition(uid) {
      const i = agents.index.get(uid);
      if (i === undefined) return null;
      const { x, y, z } = agents.project(i, point);
      if (z > 1 || x < 0 || y < 0 || x > renderer.width || y > renderer.height) return null;
      const box = renderer.canvas.getBoundingClientRect();
      return [box.left + x, box.top + y];
    },
  };
  window.nmmo = { state };
}
