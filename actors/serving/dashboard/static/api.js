// All that the page asks the server. The key goes with each request in a header: nothing a foreign page could ride on.

import { backoff, reader } from "./logic/sse.js";

/** What the server has refused: `status`, `code`, `detail` and `where` of its problem. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server has answered ${status}.`);
    this.name = "Refused";
    this.status = status;
    this.code = problem.code ?? "";
    this.detail = this.message;
    this.where = problem.where ?? "";
  }
}

const PATIENCE = 20_000; // milliseconds without a sign of life until a stream counts as cut off, beside its interval

/**
 * @param {string} key sent as a bearer; empty: none.
 * @param {() => void} lost called where the process that was chosen is there no more.
 * @param {URL} base where the page is; the interface is below its `api/`.
 */
export function createApi(key, lost = () => {}, base = new URL("./", document.baseURI.split("#")[0])) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  let process = null;

  async function ask(path, options) {
    const url = new URL(`api/${path}`, base);
    if (process !== null) url.searchParams.set("process", process);
    let answer;
    try {
      answer = await fetch(url, {
        credentials: "omit",
        cache: "no-store",
        ...options,
        headers: { accept: "application/json", ...headers, ...options.headers },
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, { code: "unreachable", detail: "The server cannot be reached." });
    }
    if (answer.ok) return answer;
    const refused = new Refused(answer.status, await answer.json().catch(() => ({})));
    if (refused.code === "unknown_process" && process !== null) lost();
    throw refused;
  }

  /** What is at a path below `api/`. Raises `Refused`. */
  async function get(path, { signal } = {}) {
    const answer = await ask(path, { signal });
    return answer.json();
  }

  /** Sends JSON to a path below `api/`; returns what is answered, null where that is nothing. Raises `Refused`. */
  async function post(path, body = {}) {
    const answer = await ask(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return answer.status === 204 ? null : answer.json();
  }

  /**
   * Reads a view as it changes; begins again after a cut; rests while the page is hidden.
   *
   * @param {string|null} view its name; null: the summary alone.
   * @param {number} every seconds between two readings.
   * @param {{data: (event: string, data: object) => void, state?: (state: string, more: object) => void}} on `state`
   *   is told `connecting`, `live`, `cut` with `{seconds}` until the next attempt, `{failed}` attempts so far and
   *   the `{error}`, where there is one; `resting` while the page is hidden, `refused` with `{error}`, after which it ends.
   * @returns {() => void} stops it.
   */
  function live(view, every, on) {
    const say = (state, more = {}) => on.state?.(state, more);
    let stopped = false;
    let failed = 0;
    let timer = 0;
    let control = null;

    async function once() {
      const mine = new AbortController();
      control = mine;
      say("connecting", { failed });
      let alarm = 0;
      let failure = null;
      const wake = () => {
        clearTimeout(alarm);
        alarm = setTimeout(() => mine.abort(), PATIENCE + every * 2000);
      };
      try {
        wake();
        const query = new URLSearchParams(view === null ? { every } : { view, every });
        const answer = await ask(`live?${query}`, { signal: mine.signal, headers: { accept: "text/event-stream" } });
        const feed = reader((event, text) => {
          if (control !== mine) return;
          on.data(event, JSON.parse(text));
          if (failed > 0 || event === "snapshot") {
            failed = 0;
            say("live");
          }
        });
        const bytes = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await bytes.read();
          if (done) break;
          wake();
          feed(value);
        }
      } catch (error) {
        failure = error;
        if (control === mine && error instanceof Refused && error.status >= 400 && error.status < 500) {
          if (error.status !== 429 && error.status !== 408) {
            control = null;
            say("refused", { error });
            return;
          }
        } else if (error.name !== "AbortError" && error.name !== "TypeError" && !(error instanceof Refused)) {
          console.error(error); // a fault of the page itself: say it, and go on with a new snapshot
        }
      } finally {
        clearTimeout(alarm);
        mine.abort();
      }
      if (control !== mine) return;
      control = null;
      if (stopped || document.hidden) return;
      const seconds = backoff(failed);
      failed += 1;
      say("cut", { seconds, failed, error: failure });
      timer = setTimeout(once, seconds * 1000);
    }

    function rest() {
      clearTimeout(timer);
      const mine = control;
      control = null;
      mine?.abort();
    }

    function turn() {
      rest();
      if (document.hidden) say("resting");
      else once();
    }

    document.addEventListener("visibilitychange", turn);
    if (document.hidden) say("resting");
    else once();
    return () => {
      stopped = true;
      document.removeEventListener("visibilitychange", turn);
      rest();
    };
  }

  /** Has all that is asked from now on be answered by one process of several; null: by any. */
  function choose(number) {
    process = number;
  }

  return { get, post, live, choose };
}
