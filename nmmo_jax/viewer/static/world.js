// What the client knows of the world: the map, the forests, the newest frame, the curves.

const LONGEST_GLIDE = 20; // ticks: a frame further on than this is a jump, not a movement
const NOTHING = new Int32Array(0);

export class World {
  constructor() {
    this.ready = false; // whether a hello came
    this.frame = null; // the newest frame's fields
    this.version = 0; // rises with each frame
    this.index = new Map(); // uid -> position in the frame's columns
  }

  /** Takes a hello; all else is forgotten. */
  hello(message) {
    this.title = message.title ?? "";
    this.game = message.game ?? "";
    this.source = message.source ?? "live";
    [this.rows, this.columns] = message.shape.material ?? [message.rows, message.columns];
    [this.height, this.width] = message.size ?? [this.rows, this.columns];
    this.land = message.land ?? [0, 0, this.height, this.width]; // row, column, rows, columns of what is not lava
    this.populations = message.populations ?? [];
    const { styles, stats, causes, reach, view, materials, harvested, own } = message;
    Object.assign(this, { styles, stats, causes, reach, view, materials, harvested, own });
    this.arguments = message.arguments;
    this.tables = message.tables ?? []; // of systems, whose rows are things on the map
    this.things = []; // of each table in this frame: which rows there are, and their columns
    this.fields = message.agents; // the columns of agents in each frame
    this.realms = message.realms ?? 1;
    this.realm = message.realm ?? 0;
    this.tickSeconds = message.tick_seconds ?? 0.6;
    this.can = { value: false, probabilities: false, take: false, realm: false, ...message.can };
    this.overlays = message.overlays ?? [];
    this.material = message.data.material ?? new Uint8Array(this.rows * this.columns);
    this.depleted = new Uint8Array(this.rows * this.columns);
    this.depletedCount = 0;
    this.changed = new Set(); // tiles that changed since the terrain was last painted
    this.frame = null;
    this.agents = { count: 0, uid: NOTHING };
    this.attacks = this.deaths = NOTHING;
    this.living = [];
    this.index.clear();
    this.jump = true;
    this.ready = true;
    this.version++;
  }

  /** Takes a frame. `jump` says that it does not continue the one before, so that nothing glides. */
  takeFrame(message) {
    const before = this.frame;
    const forward = before === null ? NaN : message.tick - before.tick;
    // A jump holds until it is drawn: several frames may come between two pictures.
    this.jump = this.jump || !(forward >= 0 && forward <= LONGEST_GLIDE);
    const { data, shape, arrays, ...fields } = message;
    this.frame = fields;
    this.agents = { count: data.uid.length };
    for (const name of this.fields) this.agents[name] = data[name];
    this.attacks = data.attacks ?? NOTHING;
    this.deaths = data.deaths ?? NOTHING;
    this.living = data.living ?? [];
    this.things = this.tables.map((about) => ({
      about, number: data[`table.${about.name}`],
      columns: Object.fromEntries(about.columns.map(({ name }) => [name, data[`table.${about.name}.${name}`]])),
    }));
    this.index.clear();
    for (let i = 0; i < this.agents.count; i++) this.index.set(this.agents.uid[i], i);
    for (const tile of data.toggled ?? NOTHING) {
      if (tile >= this.depleted.length) continue;
      this.depleted[tile] ^= 1;
      this.depletedCount += this.depleted[tile] ? 1 : -1;
      this.changed.add(tile);
    }
    this.version++;
  }

  name(population, uid) {
    return `${this.populations[population]?.name ?? `population ${population}`} #${uid}`;
  }

  /** The name and population of an agent that lives, by uid; "#17" where it does not. */
  nameOf(uid) {
    const i = this.index.get(uid);
    return i === undefined ? `#${uid}` : this.name(this.agents.population[i], uid);
  }

  /** Of what an agent has died, in words, as far as this frame tells. */
  deathOf(uid) {
    for (let k = 0; k + 4 < this.deaths.length; k += 5) {
      if (this.deaths[k] !== uid) continue;
      const [population, cause] = [this.deaths[k + 1], this.causes[this.deaths[k + 4] - 1]?.name ?? "age"];
      return `${this.name(population, uid)} has died: ${cause}`;
    }
    return `#${uid} has died`;
  }

  /** The numbers of a living agent as received, or null. */
  agent(uid) {
    const i = this.index.get(uid);
    if (i === undefined) return null;
    const numbers = {};
    for (const name of this.fields) numbers[name] = this.agents[name][i];
    return numbers;
  }

  /** A row of a table, {name, kind, values by column}, or null where it is not there. */
  thing({ table, number }) {
    const { about, number: numbers, columns } = this.things[table] ?? { number: [] };
    const i = numbers.indexOf(number);
    if (i < 0) return null;
    const values = Object.fromEntries(about.columns.map(({ name }) => [name, columns[name][i]]));
    const kind = about.kinds[about.kind === null ? 0 : values[about.kind] - about.low];
    return { name: `${kind?.name ?? about.name} ${number}`, kind, about, values };
  }

  /** What a tile looks like: the material's index and name; a forest that was harvested is scrub. */
  tile(row, col) {
    if (row < 0 || col < 0 || row >= this.height || col >= this.width) return null;
    const at = row * this.columns + col;
    const material = this.materials[this.material[at]]?.name ?? `material ${this.material[at]}`;
    return { material, depleted: this.depleted[at] === 1, at };
  }
}

const MOST_POINTS = 2048;

/** Curves over the ticks: agents per population, mean lifetime and age, thinned as they grow. */
export class History {
  constructor() {
    this.clear(0);
  }

  clear(populations) {
    this.populations = populations;
    this.stride = 1; // ticks from point to point
    this.tick = [];
    this.living = []; // one entry per point: counts by population
    this.lifetime = []; // mean age at death, NaN before the first death
    this.age = []; // mean age of the living, NaN where nobody lives
    this.version = (this.version ?? 0) + 1;
  }

  /** Takes a history message: the curves so far. */
  take(message) {
    const [points, populations] = message.shape.living ?? [0, 0];
    this.clear(populations);
    this.stride = message.stride || 1;
    for (let k = 0; k < points; k++) {
      const living = Array.from(message.data.living.subarray(k * populations, (k + 1) * populations));
      this.push(message.first + k * this.stride, living, message.data.lifetime?.[k], message.data.age?.[k]);
    }
  }

  /** Continues the curves with a live frame. */
  add(tick, living, lifetime, age) {
    if (this.tick.length && tick < this.tick.at(-1) + this.stride) return; // known: a replay's curves come whole
    this.push(tick, Array.from(living), lifetime, age);
  }

  push(tick, living, lifetime, age) {
    this.tick.push(tick);
    this.living.push(living);
    this.lifetime.push(lifetime ?? NaN);
    this.age.push(age ?? NaN);
    this.version++;
    if (this.tick.length <= MOST_POINTS) return;
    for (const name of ["tick", "living", "lifetime", "age"]) this[name] = this[name].filter((_, k) => k % 2 === 0);
    this.stride *= 2;
  }
}
