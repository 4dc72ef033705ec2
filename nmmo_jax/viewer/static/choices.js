// What systems let an agent choose: a menu for each of their arguments, for the agent that a person plays.

import { element, setText } from "./dom.js";

const BUTTONS = 128; // choices that have a button each; of more, and of tiles, a number is typed
const DIGITS = 10; // choices that one key reaches without turning the page

export class Choices {
  /** @param {(choices: object) => void} choose chooses, by argument, for the coming tick */
  constructor(world, box, choose) {
    Object.assign(this, { world, box, choose });
    this.rows = [];
    this.tabs = element("div", { class: "tabs" });
    this.menu = element("div", { class: "menu" });
    box.append(this.tabs, this.menu);
  }

  hello() {
    const own = this.world.arguments.filter(({ system }) => system !== null);
    this.rows = own.map((argument) => this.row(argument));
    this.marked = 0; // whose menu it is
    this.open = false; // whether it is shown
    this.page = 0; // of its choices, for which keys choose
    this.message = null; // the newest mask
    this.box.hidden = !this.rows.length;
    this.tabs.replaceChildren(...this.rows.map(({ tab }) => tab));
    this.menu.replaceChildren(...this.rows.map(({ part }) => part));
  }

  row(argument) {
    const row = { argument, chosen: null, buttons: [] };
    let options;
    if (argument.size <= BUTTONS && argument.among !== "window") {
      options = row.buttons = Array.from({ length: argument.size }, (_, k) =>
        element("button", { onclick: () => this.take(row, k) }));
    } else {
      row.field = element("input", { type: "number", min: 0, max: argument.size - 1, "aria-label": argument.name });
      row.field.addEventListener("change", () => {
        if (row.field.value !== "") this.take(row, Number(row.field.value)); // emptied, it would be 0
      });
      options = [row.field];
    }
    const show = () => this.show(this.rows.indexOf(row), !this.open || this.rows[this.marked] !== row);
    row.tab = element("button", { text: words(argument.name), title: argument.meaning, onclick: show });
    row.note = element("span", { class: "note", text: argument.meaning });
    row.part = element("section", {}, element("h4", { text: `${argument.system}: ${argument.name}` }), row.note,
      element("div", { class: "options" }, ...options));
    return row;
  }

  /** Opens the menu of an argument, or closes it. */
  show(marked, open = true) {
    if (marked !== this.marked) this.page = 0;
    Object.assign(this, { marked, open });
    this.draw();
  }

  /** Takes a mask: which choices do something now, and whom the agent lists. */
  mask(message) {
    this.message = message;
  }

  /** Whether a choice does something, as far as is known; masks may have a row for each choice before. */
  allows({ argument }, k) {
    const { name, size } = argument;
    if (!(k >= 0 && k < size && Number.isInteger(k))) return false;
    if (!this.there(argument, k)) return false;
    const mask = this.message?.data[`mask.${name}`];
    if (!mask) return true;
    for (let at = k; at < mask.length; at += size) if (mask[at]) return true;
    return false;
  }

  /** Whether there is something at a position. */
  there(argument, k) {
    return !argument.among || k === argument.nothing || thing(argument, k, this.message?.data) >= 0;
  }

  /** Chooses the k-th: of what is listed, what is there. What else its action asks for stays as chosen before. */
  take(row, k) {
    const allowed = this.allows(row, k);
    row.field?.setCustomValidity(allowed ? "" : "does nothing now");
    row.field?.reportValidity();
    if (!allowed) return false;
    row.chosen = k;
    const together = this.rows.filter((one) => one.argument.head === row.argument.head && one.chosen !== null);
    this.choose(Object.fromEntries(together.map((one) => {
      const { argument, chosen } = one;
      return [argument.name, argument.among ? thing(argument, chosen, this.message?.data) : chosen];
    })));
    this.draw();
    return true;
  }

  /** The nearest that can be chosen of what has a place, [row, position], or null. */
  get nearest() {
    let found = null;
    for (const row of this.rows) {
      const { name, columns, agents, size } = row.argument;
      const axes = ["row", "col"].map((axis) => columns.findIndex((column) => column.name === axis));
      const shown = this.message?.data[`shown.${name}`];
      if (agents || !shown || axes.includes(-1)) continue;
      for (let k = 1; k < size; k++) {
        if (!this.allows(row, k)) continue;
        const away = Math.max(...axes.map((axis) => Math.abs(shown[(k - 1) * columns.length + axis])));
        if (!found || away < found.away) found = { row, k, away };
      }
    }
    return found;
  }

  /** Where a row of a table, {table, number}, can be chosen, or null. */
  find({ table, number }) {
    const { name } = this.world.tables[table];
    for (const row of this.rows.filter(({ argument }) => argument.table === name)) {
      for (let k = 1; k < row.argument.size; k++) {
        if (thing(row.argument, k, this.message?.data) === number && this.allows(row, k)) return { row, k };
      }
    }
    return null;
  }

  /** The row of a table that is at a position, as `find` takes it. */
  thingAt({ argument }, k) {
    const table = this.world.tables.findIndex(({ name }) => name === argument.table);
    return { table, number: thing(argument, k, this.message?.data) };
  }

  /** What is at a position, in words. */
  told(row, k) {
    return told(row.argument, k, this.message?.data, this.world);
  }

  /** C opens a menu and goes to the next, digits choose from it, M turns its page: true where it was one of these. */
  key({ code, shiftKey }) {
    if (!this.rows.length) return false;
    const digit = /^Digit([0-9])$/.exec(code);
    const row = this.rows[this.marked];
    if (code === "KeyC") {
      const next = this.open ? this.marked + (shiftKey ? -1 : 1) : this.marked;
      this.show((next + this.rows.length) % this.rows.length);
    } else if (code === "Escape" && this.open) this.show(this.marked, false);
    else if (code === "KeyM" && this.open) this.page = (this.page + 1) % Math.ceil(row.argument.size / DIGITS);
    else if (digit && (this.open || shiftKey)) this.take(row, Number(digit[1]) + this.page * DIGITS);
    else return false;
    this.draw();
    return true;
  }

  /** A tick has passed: what was chosen was for that one, but for actions of which something is still to be chosen. */
  clear() {
    for (const row of this.rows) {
      const together = this.rows.filter(({ argument }) => argument.head === row.argument.head);
      row.done = together.every(({ chosen }) => chosen !== null);
    }
    for (const row of this.rows) if (row.done) row.chosen = null;
  }

  draw() {
    for (const [k, row] of this.rows.entries()) {
      const shown = row.chosen ?? row.argument.nothing;
      const open = this.open && k === this.marked;
      row.part.hidden = !open;
      row.tab.setAttribute("aria-pressed", open);
      row.tab.classList.toggle("chosen", row.chosen !== null);
      if (!open) continue;
      const many = row.argument.size > DIGITS ? `; M: ${this.page ? "other" : "10 and more"}` : "";
      setText(row.note, `${row.argument.meaning} (keys 0 … 9${many}; Esc closes)`);
      for (const [choice, button] of row.buttons.entries()) {
        setText(button, this.label(row.argument, choice));
        button.hidden = !this.there(row.argument, choice);
        button.disabled = !this.allows(row, choice);
        button.setAttribute("aria-pressed", choice === shown);
        button.classList.toggle("reached", Math.floor(choice / DIGITS) === this.page);
      }
      if (row.field && document.activeElement !== row.field) row.field.value = shown;
    }
  }

  label(argument, k) {
    if (!argument.among) return argument.labels ? `${k} ${words(argument.labels[k])}` : String(k);
    return `${k} ${told(argument, k, this.message?.data, this.world)}`;
  }
}

const words = (name) => name.replaceAll("_", " ");

/** What is at a position, as the server takes it: an agent, a row of a table, a tile; -1 for nothing. */
export function thing({ name, among, nothing }, k, data) {
  const things = data?.[among === "visible" ? "visible" : `thing.${name}`];
  return k === nothing ? -1 : (things?.[k] ?? -1);
}

/** What is at a position, in words, as far as the arrays of a message tell. */
export function told(argument, k, data, world) {
  const { name, among, agents, columns, nothing } = argument;
  if (k === nothing) return agents ? "nobody" : "nothing";
  if (among === "window") {
    const middle = Math.floor(world.view / 2);
    const signed = (places) => `${places < 0 ? "" : "+"}${places}`;
    return `${signed(Math.floor(k / world.view) - middle)} row ${signed((k % world.view) - middle)} col`;
  }
  const at = thing(argument, k, data);
  const shown = at >= 0 ? data[`shown.${name}`]?.slice((k - 1) * columns.length, k * columns.length) : null;
  if (shown && argument.own && columns.every(({ empty }, i) => shown[i] === empty)) return "empty";
  const about = shown ? described(columns, shown) : [];
  return [...(agents && at >= 0 ? [world.nameOf(at)] : []), ...about].join(" ");
}

/** The columns of what is listed: kinds by name, what is so or not only where it is, and where it is from oneself. */
function described(columns, values) {
  const parts = [];
  const away = {};
  for (const [i, { name, names, low }] of columns.entries()) {
    const value = values[i];
    if (name === "row" || name === "col") away[name] = value;
    else if (names.join() === "no,yes") parts.push(...(value ? [words(name)] : []));
    else parts.push(names[value - low] ?? `${words(name)} ${value}`);
  }
  if ("row" in away && "col" in away) parts.push(direction(away.row, away.col));
  return parts;
}

function direction(row, col) {
  const along = (places, less, more) => (places ? [`${Math.abs(places)} ${places < 0 ? less : more}`] : []);
  return [...along(row, "north", "south"), ...along(col, "west", "east")].join(" ") || "here";
}
