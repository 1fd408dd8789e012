// A long list of which the server tells the end first, and what is before when somebody asks.

/** Items by their place, as far as they are known. */
export class Known {
  constructor() {
    this.items = [];
  }

  /** How many there are, known or not. */
  get total() {
    return this.items.length;
  }

  /** The newest items, and how many are before them: there are no others behind them. */
  newest(before, items) {
    const total = before + items.length;
    if (total < this.items.length) this.items = []; // it was rewound: what was known is another story
    this.items.length = total;
    this.put(before, items);
    return this;
  }

  /** Items of which so many are before. */
  put(before, items) {
    items.forEach((item, place) => {
      if (before + place < this.items.length) this.items[before + place] = item;
    });
  }

  has(from, to) {
    for (let place = from; place < to; place++) if (!(place in this.items)) return false;
    return true;
  }

  /** What is known of a part. */
  part(from, to) {
    return this.items.slice(from, to).filter((item) => item !== undefined);
  }
}

/** A list that is known as a whole. */
export function all(items) {
  return new Known().newest(0, items);
}

/** Rows of steps, those of one step together: `[{step, rows}]`. */
export function byStep(rows) {
  const found = [];
  for (const row of rows) {
    if (found.length === 0 || found.at(-1).step !== row.step) found.push({ step: row.step, rows: [] });
    found.at(-1).rows.push(row);
  }
  return found;
}
