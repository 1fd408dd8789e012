// A conversation's journal as a person goes through it: which pages to fetch, what an event is in words.

export const PAGE = 100;

/** The `after` of the page that an event stands on; events are counted from 1. */
export function pageOf(version) {
  return Math.floor((Math.max(version, 1) - 1) / PAGE) * PAGE;
}

/** Events by version, fetched page by page, each page once, and at most `pages` of them kept. */
export class Events {
  /** @param {(after: number, limit: number) => Promise<object[]>} fetch what the server has behind a version. */
  constructor(fetch, pages = 20) {
    this.fetch = fetch;
    this.most = pages;
    this.pages = new Map();
  }

  async page(after) {
    const kept = this.pages.get(after);
    if (kept) {
      this.pages.delete(after);
      this.pages.set(after, kept);
      return kept;
    }
    const asked = this.fetch(after, PAGE);
    this.pages.set(after, asked);
    if (this.pages.size > this.most) this.pages.delete(this.pages.keys().next().value);
    try {
      return await asked;
    } catch (wrong) {
      this.pages.delete(after);
      throw wrong;
    }
  }

  /** The event that made this version, or null where there is none. */
  async at(version) {
    if (version < 1) return null;
    const found = (events) => events.find((event) => event.version === version) ?? null;
    // A page ends early where its events are large.
    return found(await this.page(pageOf(version))) ?? found(await this.fetch(version - 1, 1));
  }

  /** The journal has grown: its last page is to be fetched again. */
  grown(version) {
    this.pages.delete(pageOf(version));
  }
}

/** Of many things asked for one after the other only the last counts. */
export class Latest {
  constructor() {
    this.turn = 0;
  }

  /** @returns what came, or undefined where something was asked for since. */
  async of(promise) {
    const turn = ++this.turn;
    try {
      const came = await promise;
      return turn === this.turn ? came : undefined;
    } catch (wrong) {
      if (turn === this.turn) throw wrong;
      return undefined;
    }
  }

  forget() {
    this.turn++;
  }
}

const WORDS = {
  Accepted: "Question accepted",
  Begin: "Work began",
  Completed: "Model answered",
  CompletionFailed: "Model did not answer",
  Condensed: "History condensed",
  ToolsStarted: "Tools started",
  ToolReturned: "Tool returned",
  Spent: "Money spent",
  HandoffReturned: "Other agent answered",
  ApprovalAsked: "A person was asked",
  Decided: "A person decided",
  Raised: "Limits raised",
  Interrupted: "Interrupted",
  Steered: "Steered",
  NotSteered: "Steering came too late",
  Stopped: "Stopped by its condition",
  Rewound: "Rewound",
  Resumed: "Taken up again",
  CredentialGiven: "Credential given",
  PromptChanged: "Prompt changed",
  Snapshot: "History put together",
  Ended: "Run ended",
};

/** The kind of an event in words; its own name where there are none: `ToolResult` is "Tool result". */
export function inWords(type) {
  if (WORDS[type]) return WORDS[type];
  const apart = String(type).replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_.]/g, " ").toLowerCase();
  return apart.charAt(0).toUpperCase() + apart.slice(1);
}
