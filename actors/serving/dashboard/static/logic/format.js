// How figures and texts are written. No DOM here: tested with node.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A count: 12,345. What is no number is a dash. */
export function count(value) {
  return Number.isFinite(value) ? WHOLE.format(value) : "–";
}

/** A count where there is little room: 1.2 k, 3.4 M. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size < 1000) return size < 10 && size % 1 !== 0 ? value.toFixed(1) : WHOLE.format(value);
  for (const [unit, name] of [
    [1e3, "k"],
    [1e6, "M"],
    [1e9, "G"],
  ]) {
    const scaled = value / unit;
    if (Math.abs(scaled) < 999.5 || name === "G") return `${scaled.toFixed(Math.abs(scaled) < 10 ? 1 : 0)} ${name}`;
  }
  return "–";
}

/** US dollars: two digits after the point, four where it is less than a dollar. */
export function dollars(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const sign = value < 0 ? "-" : "";
  if (size === 0) return "$0.00";
  if (size < 0.0001) return `${sign}<$0.0001`;
  if (size < 1) return `${sign}$${size.toFixed(4)}`;
  if (size < 10_000) return `${sign}$${size.toFixed(2)}`;
  return `${sign}$${short(size)}`;
}

/** A time that has passed: <1 ms, 400 ms, 12 s, 3 min 05 s, 2 h 07 min, 3 d 4 h. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const time = Math.max(0, seconds);
  if (time === 0) return "0 s";
  if (time < 0.0005) return "<1 ms";
  if (time < 1) return `${Math.round(time * 1000)} ms`;
  if (time < 9.95) return `${time.toFixed(1)} s`;
  const whole = Math.round(time);
  if (whole < 60) return `${whole} s`;
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** A share of one: 12 %, 0.4 %. */
export function share(value) {
  if (!Number.isFinite(value)) return "–";
  const percent = value * 100;
  return `${percent !== 0 && Math.abs(percent) < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** A size in bytes: 512 B, 84 MB. */
export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  for (const [unit, name] of [
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ]) {
    if (value >= unit) return `${(value / unit).toFixed(value / unit < 10 ? 1 : 0)} ${name}`;
  }
  return `${Math.round(value)} B`;
}

/** A time of day, in the reader's zone; with the date where it is not of the same day as `now`. Unix seconds. */
export function clock(at, now = Date.now() / 1000) {
  if (!Number.isFinite(at) || at <= 0) return "–";
  const then = new Date(at * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  if (then.toDateString() === new Date(now * 1000).toDateString()) return time;
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${time}`;
}

/** `1 run`, `3 runs`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** The first and the last characters of a long id: ids of one moment begin alike. */
export function shortId(id, length = 10) {
  const text = String(id);
  const first = Math.floor(length / 2);
  return text.length > length + 1 ? `${text.slice(0, first)}…${text.slice(first - length)}` : text;
}
