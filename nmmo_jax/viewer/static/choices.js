// What systems let an agent choose: their arguments, each with its choices, for the agent that a person plays.

import { element, setText } from "./dom.js";

const BUTTONS = 16; // choices that have a button each; of more, a number is typed

export class Choices {
  /** @param {(choices: object) => void} choose chooses, by argument, for the coming tick */
  constructor(world, box, choose) {
    Object.assign(this, { world, box, choose });
    this.rows = [];
  }

  hello() {
    const own = this.world.arguments.filter(({ system }) => system !== null);
    this.rows = own.map((argument) => this.row(argument));
    this.marked = 0; // for which keys choose
    this.message = null; // the newest mask
    this.box.hidden = !this.rows.length;
    this.box.replaceChildren(...this.rows.map(({ part }) => part));
  }

  row(argument) {
    const row = { argument, chosen: null, buttons: [] };
    let options;
    if (argument.size <= BUTTONS) {
      options = row.buttons = Array.from({ length: argument.size }, (_, k) =>
        element("button", { onclick: () => this.take(row, k) }));
    } else {
      row.field = element("input", { type: "number", min: 0, max: argument.size - 1, "aria-label": argument.name });
      row.field.addEventListener("change", () => {
        if (row.field.value !== "") this.take(row, Number(row.field.value)); // emptied, it would be 0
      });
      options = [row.field];
    }
    const mark = () => (this.marked = this.rows.indexOf(row));
    row.part = element("section", { onfocusin: mark, onclick: mark },
      element("h4", { text: `${argument.system}: ${argument.name}` }),
      element("span", { class: "note", text: argument.meaning }),
      element("div", { class: "options" }, ...options));
    return row;
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

  /** Chooses the k-th: of what is listed, what is there. */
  take(row, k) {
    const allowed = this.allows(row, k);
    row.field?.setCustomValidity(allowed ? "" : "does nothing now");
    row.field?.reportValidity();
    if (!allowed) return;
    row.chosen = k;
    this.choose({ [row.argument.name]: row.argument.among ? thing(row.argument, k, this.message?.data) : k });
    this.draw();
  }

  /** C marks the next argument, shift and a digit choose: true where it was one of these. */
  key({ code, shiftKey }) {
    if (!this.rows.length) return false;
    const digit = /^Digit([0-9])$/.exec(code);
    if (code === "KeyC") this.marked = (this.marked + 1) % this.rows.length;
    else if (shiftKey && digit) this.take(this.rows[this.marked], Number(digit[1]));
    else return false;
    this.draw();
    return true;
  }

  /** A tick has passed: what was chosen was for that one. */
  clear() {
    for (const row of this.rows) row.chosen = null;
  }

  draw() {
    for (const [k, row] of this.rows.entries()) {
      row.part.classList.toggle("marked", k === this.marked);
      const shown = row.chosen ?? row.argument.nothing;
      for (const [choice, button] of row.buttons.entries()) {
        setText(button, this.label(row.argument, choice));
        button.hidden = !this.there(row.argument, choice);
        button.disabled = !this.allows(row, choice);
        button.setAttribute("aria-pressed", choice === shown);
      }
      if (row.field && document.activeElement !== row.field) row.field.value = shown;
    }
  }

  label(argument, k) {
    return argument.among ? `${k} ${told(argument, k, this.message?.data, this.world)}` : String(k);
  }
}

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
  const shown = at >= 0 ? data[`shown.${name}`] : null;
  const about = shown ? columns.map((column, i) => `${column} ${shown[(k - 1) * columns.length + i]}`) : [];
  return [...(agents && at >= 0 ? [world.nameOf(at)] : []), ...about].join(" ");
}
