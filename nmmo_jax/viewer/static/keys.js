// Keys, and the help panel that lists them.

import { byId, element } from "./dom.js";

const CAMERA = {
  KeyA: "left", KeyD: "right", KeyW: "up", KeyS: "down", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up",
  ArrowDown: "down", KeyQ: "turnLeft", KeyE: "turnRight", KeyR: "higher", KeyV: "lower", Equal: "in", NumpadAdd: "in",
  Minus: "out", NumpadSubtract: "out",
};

const HELP = [
  ["Look", [
    ["drag", "turn around (from above: move)"], ["right drag · two fingers", "move · turn and zoom"],
    ["wheel", "zoom to the pointer"], ["W A S D · arrows", "move"], ["Q E · R V", "turn · tilt"], ["+ −", "zoom"],
    ["T", "view from above, and back"],
    ["Home", "all land"], ["F", "follow the selected agent (not while playing)"],
  ]],
  ["Time", [
    ["space", "play, pause"], [", .", "one tick back, on"], ["[ ]", "slower, faster"],
    ["L", "back to the play that goes on"],
    ["slider", "go to a tick; play goes on from there"],
  ]],
  ["Agents", [
    ["click", "select an agent"], ["N", "select another agent"], ["Esc", "select nobody"],
    ["G", "play the selected agent, or let it go"],
  ]],
  ["Playing an agent", [
    ["arrows", "move, as long as they are held; what lies there is harvested"],
    ["F", "strike the nearest thing in reach, say a monster, and then the same again; held: in every tick"],
    ["X", "attack the nearest agent in reach, likewise"], ["3 4 5", "style of the attack"],
    ["click", "attack this agent, strike this thing"], ["shift click", "select instead"],
    ["C · shift C", "open the menu of what can be chosen (use, craft …) · the next, the one before"],
    ["0 … 9", "choose from the open menu; 0: nothing"], ["M", "10 and more of a long menu"],
    ["Esc", "close the menu"], ["space · .", "pause to choose in peace · play one tick"],
    ["shift 0 … 9", "choose from the menu while it is closed"],
  ]],
  ["Show", [
    ["O · shift O", "next, previous overlay"], ["B", "bars and names"], ["1 · 2", "world panel, agent panel"],
    ["P", "save a picture"], ["?", "this help"],
  ]],
];

const MARKS = [
  ["ring, white", "selected"], ["ring, broken and golden", "immune, as newborns are"],
  ["hexagon, pale blue", "frozen by a mage"], ["ring, growing", "born in this tick"],
  ["ring, red", "died in this tick"], ["bars", "health, food, water from above"],
  ["other shapes", "things of game systems, a shape and a colour for each kind; hover tells"],
  ["red cube, green octahedron, blue icosahedron", "attacks: melee, range, mage"],
];

/** Listens to keys. `actions` are by name; `control` takes the keys that it knows first. */
export function listen(actions, view, control) {
  const once = {
    Space: actions.toggle, Comma: () => actions.step(-1), Period: () => actions.step(1), KeyL: actions.live,
    BracketLeft: () => actions.faster(-1), BracketRight: () => actions.faster(1), KeyT: actions.top, Home: actions.home,
    KeyF: actions.follow, KeyN: actions.next, Escape: actions.deselect, KeyG: actions.take, KeyB: actions.bars,
    KeyP: actions.screenshot, Digit1: actions.world, Digit2: actions.inspector, Digit3: () => actions.style(0),
    Digit4: () => actions.style(1), Digit5: () => actions.style(2),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.code !== "Escape") return;
    if (event.target.tagName === "BUTTON" && ["Space", "Enter"].includes(event.code)) return;
    if (event.key === "?") actions.help();
    else if (byId("help").open) return;
    else if (event.code === "KeyO") actions.overlay(event.shiftKey ? -1 : 1);
    else if (control.key(event, true)) event.preventDefault();
    else if (event.code in once) event.repeat || once[event.code]();
    else if (event.code in CAMERA) view.hold(CAMERA[event.code], true);
    else return;
    event.preventDefault();
  });
  addEventListener("keyup", (event) => {
    control.key(event, false);
    if (event.code in CAMERA) view.hold(CAMERA[event.code], false);
  });
  addEventListener("blur", () => {
    view.keys.clear();
    control.release();
  });
}

/** Fills the help panel; returns what opens and closes it. */
export function addHelp() {
  const dialog = byId("help");
  const list = (rows) => element("dl", {}, ...rows.flatMap(([keys, text]) => [
    element("dt", {}, ...keys.split(" · ").flatMap((key, k) => [k ? " " : "", element("kbd", { text: key })])),
    element("dd", { text }),
  ]));
  const pair = ([mark, text]) => [element("dt", { text: mark }), element("dd", { text })];
  const marks = element("dl", { class: "marks" }, ...MARKS.flatMap(pair));
  dialog.append(
    element("div", { class: "head" }, element("h2", { text: "How to watch" }),
      element("button", { text: "Close", onclick: () => dialog.close() })),
    element("div", { class: "columns" },
      ...HELP.map(([title, rows]) => element("section", {}, element("h3", { text: title }), list(rows))),
      element("section", {}, element("h3", { text: "Marks" }), marks)),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return () => (dialog.open ? dialog.close() : dialog.showModal());
}
