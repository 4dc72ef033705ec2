// What game systems keep of the selected agent: single numbers in a list, what there are several of in a table.

import { number } from "./colours.js";
import { element } from "./dom.js";

/** A number of a column as people read it: of a category its name. */
export function worded({ names = [], low = 0 }, value) {
  return names[value - low] ?? number(value);
}

const words = (name) => name.replaceAll("_", " ");

export class Own {
  constructor() {
    this.box = element("div", { class: "kept" });
  }

  /** Groups the columns: by system, and in it those with the same parts. */
  hello(world) {
    this.groups = [];
    for (const column of world.own) {
      const { system, each } = column;
      const like = (group) => group.system === system && group.each.join() === each.join();
      const group = this.groups.find(like) ?? { system, each, columns: [] };
      if (!group.columns.length) this.groups.push(group);
      group.columns.push({ ...column, short: column.name.slice(system.length + 1) });
    }
    this.box.replaceChildren();
    this.shown = null;
  }

  /** Shows the numbers of an agent, by the names of columns and parts. */
  draw(own = {}) {
    const told = JSON.stringify(own);
    if (told === this.shown) return;
    this.shown = told;
    const parts = [];
    let before = null;
    for (const group of Object.keys(own).length ? this.groups : []) {
      if (group.system !== before) parts.push(element("h3", { text: group.system }));
      before = group.system;
      parts.push(group.each.length ? this.table(group, own) : this.list(group, own));
    }
    this.box.replaceChildren(...parts);
  }

  list({ columns }, own) {
    return element("dl", { class: "facts" }, ...columns.flatMap((column) => [
      element("dt", { text: words(column.short), title: [column.meaning, column.unit].filter(Boolean).join("; ") }),
      element("dd", { text: worded(column, own[column.name]) }),
    ]));
  }

  /** A row for each part that is not empty. */
  table({ each, columns }, own) {
    const value = (column, part) => own[`${column.name}.${part}`];
    const full = each.filter((part) => columns.some((column) => value(column, part) !== column.empty));
    const head = columns.map(({ short, meaning }) => element("th", { text: words(short), title: meaning }));
    const row = (part) => element("tr", {}, element("th", { text: words(part) }),
      ...columns.map((column) => element("td", { text: worded(column, value(column, part)) })));
    const rows = full.map(row);
    if (!rows.length) rows.push(element("tr", {}, element("td", { text: "nothing", colspan: columns.length + 1 })));
    return element("table", {}, element("thead", {}, element("tr", {}, element("th"), ...head)),
      element("tbody", {}, ...rows));
  }
}
