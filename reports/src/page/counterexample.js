// Bars per process over time: what is visible is drawn, and of bars narrower than a pixel one for each pixel. Data comes as
// columns; see `timeline.rs`.
"use strict";
const data = JSON.parse(document.getElementById("history").textContent);
const [stage, lanesBox, canvas, overview, axis, tip, tally] =
  ["stage", "lanes", "timeline", "overview", "axis", "tip", "tally"].map((id) => document.getElementById(id));
const count = data.invoked.length;
const shrunk = new Set(data.shrunk);
const begin = new Float64Array(count), end = new Float64Array(count);
const lane = new Int32Array(count);
let length = 1;
for (let at = 0, time = 0; at < count; at++) {
  time += data.invoked[at];
  begin[at] = time;
  end[at] = data.lasted[at] < 0 ? Infinity : time + data.lasted[at];
  length = Math.max(length, time, end[at] < Infinity ? end[at] : 0);
}

// A process that is never heard of again gives its lane to the next, so that there are about as many as clients.
const lanes = [];
{
  const own = new Map(), first = new Map(), last = new Map();
  for (let at = 0; at < count; at++) {
    const process = data.process[at];
    if (!first.has(process)) first.set(process, begin[at]);
    last.set(process, end[at] < Infinity ? end[at] : data.ended[at] < 0 ? begin[at] : begin[at] + data.ended[at]);
  }
  const free = [];
  for (const [process, from] of first) {
    let place = free.findIndex((until) => until <= from);
    if (place < 0) { place = free.length; free.push(0); lanes.push([]); }
    free[place] = last.get(process);
    own.set(process, place);
  }
  for (let at = 0; at < count; at++) {
    lane[at] = own.get(data.process[at]);
    lanes[lane[at]].push(at);
  }
}
// An open bar is drawn until the next one of its lane begins.
const drawn = Float64Array.from(end);
for (const all of lanes) {
  all.forEach((at, place) => {
    if (drawn[at] === Infinity) drawn[at] = place + 1 < all.length ? begin[all[place + 1]] : length * 1.02;
  });
}

const laneHeight = lanes.length <= 16 ? 30 : lanes.length <= 40 ? 22 : 16;
const air = 12;
let view = [0, length * 1.02], chosenKey = -1, chosen = -1, width = 0, inView = 0;
// Where the mouse rests, or a finger has been, and what `find` has found.
let pointed = null, hits = null;

const outcomes = ["it happened", "it surely did not happen", "unknown: it may have happened, or may yet"];
const text = (table, number) => (number < 0 ? "" : data[table][number]);
function label(at) {
  const f = text("names", data.f[at]), argument = text("values", data.argument[at]), result = text("values", data.result[at]);
  const pair = f === "cas" && /^\[([^,[{]+),([^,[{]+)\]$/.exec(argument);
  if (pair) return `cas ${pair[1]} → ${pair[2]}`;
  if (f === "acquire" || f === "release") return f;
  if (f === "txn") return steps(result || argument);
  if (argument === "") return `${f} → ${data.outcome[at] === 0 ? result || "null" : "?"}`;
  return `${f} ${argument}`;
}
// A transaction as `append 1 10, r 0 [1 3]`; as it is written where it was cut or has another shape.
function steps(written) {
  try {
    const step = ([name, key, value]) => `${name} ${key} ${Array.isArray(value) ? `[${value.join(" ")}]` : value ?? "null"}`;
    return JSON.parse(written).map(step).join(", ");
  } catch { return `txn ${written}`; }
}
function seconds(ns) {
  const total = ns + data.base;
  const digits = view[1] - view[0] < 1e5 ? 9 : view[1] - view[0] < 1e8 ? 6 : 3;
  return `${(total / 1e9).toFixed(digits)} s`;
}
function duration(ns) {
  return ns < 1e3 ? `${ns} ns` : ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : ns < 1e9 ? `${(ns / 1e6).toFixed(2)} ms` : `${(ns / 1e9).toFixed(2)} s`;
}
const isShown = (at) => chosenKey < 0 || data.key[at] === chosenKey || shrunk.has(at);
const isFound = (at) => hits !== null && hits[at] === 1;

function fit(target, height) {
  const ratio = window.devicePixelRatio || 1;
  target.style.height = `${height}px`;
  target.width = Math.round(width * ratio);
  target.height = Math.round(height * ratio);
  const pen = target.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  return pen;
}
const place = (time) => ((time - view[0]) / (view[1] - view[0])) * width;
const timeAt = (x) => view[0] + (x / width) * (view[1] - view[0]);
function colors() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["ink", "quiet", "line", "card", "bar", "edge", "open", "fail", "culprit", "other"].map((name) => [name, color(name)]));
}

function draw() {
  width = stage.clientWidth;
  const ink = colors();
  const height = lanes.length * laneHeight + air;
  const pen = fit(canvas, height);
  for (const band of data.bands) {
    const from = Math.max(0, place(band.from)), until = Math.min(width, place(band.until));
    if (until < 0 || from > width) continue;
    pen.globalAlpha = .18; pen.fillStyle = band.color;
    pen.fillRect(from, 0, Math.max(1, until - from), height);
    pen.globalAlpha = 1;
  }
  const middle = [];
  inView = 0;
  for (let row = 0; row < lanes.length; row++) {
    const top = row * laneHeight + air / 2;
    pen.strokeStyle = ink.line;
    pen.beginPath(); pen.moveTo(0, top - .5); pen.lineTo(width, top - .5); pen.stroke();
    drawLane(pen, ink, lanes[row], top, middle);
  }
  // What matters is drawn last, so that nothing hides it.
  for (const [at, top] of middle) drawBar(pen, ink, at, top);
  drawAxis(ink);
  drawOverview(ink);
  tally.textContent = `${inView.toLocaleString("en")} of ${count.toLocaleString("en")} in view`;
  retell();
}
function firstVisible(all) {
  let low = 0, high = all.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if (drawn[all[half]] < view[0]) low = half + 1; else high = half;
  }
  return low;
}
function drawLane(pen, ink, all, top, middle) {
  let reached = -1, marked = -1;
  for (let number = firstVisible(all); number < all.length && begin[all[number]] <= view[1]; number++) {
    const at = all[number];
    if (!isShown(at)) continue;
    inView++;
    if (shrunk.has(at) || at === chosen) { middle.push([at, top]); continue; }
    const until = place(drawn[at]);
    if (until < (isFound(at) ? marked : reached) + .6) continue;
    reached = Math.max(until, place(begin[at]) + 1);
    if (isFound(at)) marked = reached;
    drawBar(pen, ink, at, top);
  }
}
function drawBar(pen, ink, at, top) {
  const from = Math.max(-20, place(begin[at])), until = Math.min(width + 20, place(drawn[at]));
  const wide = Math.max(1, until - from - (until - from > 6 ? 1 : 0)), tall = laneHeight - 7, y = top + 3;
  const isCulprit = at === data.culprit, isKept = shrunk.has(at), isOpen = end[at] === Infinity;
  if (isCulprit) pen.fillStyle = ink.culprit;
  else if (data.outcome[at] === 1) pen.fillStyle = ink.fail;
  else if (isOpen && wide > 3) {
    const fade = pen.createLinearGradient(from, 0, from + wide, 0);
    fade.addColorStop(0, ink.bar); fade.addColorStop(1, ink.card);
    pen.fillStyle = fade;
  } else pen.fillStyle = isKept || !data.shrunk.length ? ink.bar : ink.other;
  pen.fillRect(from, y, wide, tall);
  if (isKept || at === chosen || isFound(at)) {
    pen.lineWidth = 2; pen.strokeStyle = isCulprit ? ink.culprit : isFound(at) && !isKept ? ink.ink : ink.edge;
    pen.strokeRect(from, y, Math.max(2, wide), tall); pen.lineWidth = 1;
  } else if (wide > 5) {
    pen.fillStyle = isOpen ? ink.quiet : ink.edge;
    pen.globalAlpha = .6; pen.fillRect(from, y, 1.5, tall);
    if (!isOpen) pen.fillRect(from + wide - 1.5, y, 1.5, tall);
    pen.globalAlpha = 1;
  }
  if (wide > 34) {
    const start = Math.max(from, 0) + 5, room = Math.min(until, width) - start - 4;
    let words = label(at);
    if (room > 110) words = `${text("processes", data.process[at])}: ${words}`;
    if (pen.measureText(words).width > room) {
      words = words.slice(0, 120);
      while (words && pen.measureText(`${words}…`).width > room) words = words.slice(0, -1);
      words += "…";
    }
    if (room > 24) { pen.fillStyle = isCulprit ? "#fff" : ink.ink; pen.fillText(words, start, y + tall / 2 + 4); }
  } else if (isKept && !isCulprit && wide <= 34) {
    pen.fillStyle = ink.edge; pen.beginPath(); pen.moveTo(from - 4, y - 3); pen.lineTo(from + 5, y - 3); pen.lineTo(from + .5, y + 2); pen.fill();
  } else if (isCulprit) {
    pen.fillStyle = ink.culprit; pen.beginPath(); pen.moveTo(from - 6, y - 4); pen.lineTo(from + 7, y - 4); pen.lineTo(from + .5, y + 4); pen.fill();
  }
}
function drawAxis(ink) {
  const pen = fit(axis, 26);
  const rough = ((view[1] - view[0]) / width) * 120, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
  const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step))));
  pen.fillStyle = ink.quiet; pen.textAlign = "center";
  for (let tick = Math.ceil((view[0] + data.base) / step) * step; tick <= view[1] + data.base; tick += step) {
    const x = place(tick - data.base);
    pen.fillRect(x, 0, 1, 5);
    if (x > 34 && x < width - 34) pen.fillText(`${(tick / 1e9).toFixed(digits)} s`, x, 19);
  }
}
let density = null;
function drawOverview(ink) {
  const height = 34, pen = fit(overview, height);
  if (!density || density.length !== width) {
    density = new Float64Array(width);
    for (let at = 0; at < count; at++) if (isShown(at)) density[Math.min(width - 1, Math.floor((begin[at] / (length * 1.02)) * width))]++;
  }
  const most = density.reduce((most, here) => Math.max(most, here), 1), whole = (time) => (time / (length * 1.02)) * width;
  pen.fillStyle = ink.bar;
  density.forEach((here, x) => { const tall = (here / most) * (height - 10); pen.fillRect(x, height - tall, 1, tall); });
  for (const band of data.bands) { pen.fillStyle = band.color; pen.fillRect(whole(band.from), 0, Math.max(1, whole(band.until) - whole(band.from)), 4); }
  for (const at of data.shrunk) { pen.fillStyle = at === data.culprit ? ink.culprit : ink.edge; pen.fillRect(whole(begin[at]) - 1, 4, 2, height); }
  pen.strokeStyle = ink.ink; pen.lineWidth = 1.5;
  pen.strokeRect(Math.max(.75, whole(view[0])), .75, Math.max(3, Math.min(width - 1.5, whole(view[1])) - Math.max(.75, whole(view[0]))), height - 1.5);
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}
function look(from, until) {
  const least = 20, most = length * 1.04;
  let span = Math.min(most, Math.max(least, until - from));
  let start = (from + until) / 2 - span / 2;
  start = Math.max(-span * .02, Math.min(start, length * 1.02 - span * .98));
  view = [start, start + span];
  redraw();
}
function zoom(factor, x = width / 2) {
  const around = timeAt(x);
  look(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
}
function whole() { look(0, length * 1.02); }
function pan(share) { const by = (view[1] - view[0]) * share; look(view[0] + by, view[1] + by); }
function violation() {
  if (!data.shrunk.length) return whole();
  const from = Math.min(...data.shrunk.map((at) => begin[at]));
  const until = Math.max(...data.shrunk.map((at) => (end[at] < Infinity ? end[at] : begin[at])));
  const culprit = data.culprit >= 0 ? data.culprit : data.shrunk[data.shrunk.length - 1];
  const near = (end[culprit] < Infinity ? end[culprit] - begin[culprit] : 0) * 8;
  // Where the others are far away, the culprit's surroundings say more than a line of dots.
  if (until - from > Math.max(near, 1) * 25) return look(begin[culprit] - near, begin[culprit] + near * 1.2);
  look(from - (until - from) * .15 - 10, until + (until - from) * .15 + 10);
}
function reveal(at) {
  const top = lane[at] * laneHeight;
  if (top < lanesBox.scrollTop || top + laneHeight > lanesBox.scrollTop + lanesBox.clientHeight) lanesBox.scrollTop = top - lanesBox.clientHeight / 2;
  if (begin[at] < view[0] || begin[at] > view[1]) { const half = (view[1] - view[0]) / 2; look(begin[at] - half, begin[at] + half); }
}

function atPoint(x, y) {
  const row = Math.floor((y - air / 2) / laneHeight);
  if (row < 0 || row >= lanes.length) return -1;
  const slack = (3 / width) * (view[1] - view[0]), time = timeAt(x);
  let best = -1;
  const all = lanes[row];
  for (let number = Math.max(0, firstVisible(all) - 1); number < all.length && begin[all[number]] - slack <= time; number++) {
    const at = all[number];
    if (isShown(at) && drawn[at] + slack >= time && (best < 0 || !shrunk.has(best))) best = at;
  }
  return best;
}
function row(name, value) {
  const line = document.createElement("tr");
  for (const words of [name, value]) { const cell = document.createElement("td"); cell.textContent = words; line.append(cell); }
  return line;
}
function tell(at, x, y) {
  if (at < 0) { tip.hidden = true; return; }
  const head = document.createElement("b"), table = document.createElement("table");
  head.textContent = label(at).slice(0, 300);
  const add = (name, value) => { if (value !== "" && value != null) table.append(row(name, String(value).slice(0, 600))); };
  add("process", text("processes", data.process[at]));
  add("operation", text("names", data.f[at]));
  add("key", text("keys", data.key[at]));
  add("argument", text("values", data.argument[at]));
  add("result", data.outcome[at] === 0 ? text("values", data.result[at]) : "");
  add("invoked", seconds(begin[at]));
  const ended = end[at] < Infinity ? end[at] : data.ended[at] < 0 ? NaN : begin[at] + data.ended[at];
  add("completed", Number.isNaN(ended) ? "never" : `${seconds(ended)} (after ${duration(ended - begin[at])})`);
  add("outcome", outcomes[data.outcome[at]]);
  add("node", text("nodes", data.node[at]));
  add("line", data.line[at] > 0 ? data.line[at] : "");
  if (at === data.culprit) add("", "No order explains this one.");
  else if (shrunk.has(at)) add("", "One of those that are needed to fail.");
  tip.replaceChildren(head, table);
  tip.hidden = false;
  const box = stage.getBoundingClientRect(), own = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(x + 14, box.width - own.width - 6))}px`;
  const below = y + 18 + own.height < box.height;
  tip.style.top = `${below ? y + 18 : Math.max(4, y - own.height - 10)}px`;
}
// What the pointer is at, or else what was chosen, wherever it stands now.
function retell() {
  const top = overview.clientHeight - lanesBox.scrollTop;
  if (pointed) return tell(atPoint(pointed.x, pointed.y), pointed.x, pointed.y + top);
  const isThere = chosen >= 0 && begin[chosen] <= view[1] && drawn[chosen] >= view[0];
  tell(isThere ? chosen : -1, Math.max(0, place(begin[chosen])), (lane[chosen] + 1) * laneHeight + top);
}
function choose(at) {
  chosen = at;
  pointed = null;
  if (at >= 0) reveal(at);
  redraw();
}

// The next operation, of those that are shown and found.
function next(by) {
  if (chosen < 0 && data.culprit >= 0 && !hits) return choose(data.culprit);
  let at = chosen < 0 ? (by > 0 ? 0 : count - 1) : chosen + by;
  while (at >= 0 && at < count && !(isShown(at) && (!hits || isFound(at)))) at += by;
  if (at >= 0 && at < count) choose(at);
}

const pointers = new Map();
let pinched = 0;
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, event); pinched = 0; });
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => { pointers.delete(event.pointerId); pinched = 0; });
canvas.addEventListener("pointermove", (event) => {
  const box = canvas.getBoundingClientRect(), before = pointers.get(event.pointerId);
  if (!before) return point(event);
  pointers.set(event.pointerId, event);
  pointed = null;
  if (pointers.size === 2) {
    const [one, other] = [...pointers.values()];
    const apart = Math.abs(one.clientX - other.clientX) + 1;
    if (pinched) zoom(pinched / apart, (one.clientX + other.clientX) / 2 - box.left);
    pinched = apart;
    return;
  }
  const by = (event.clientX - before.clientX) * (view[1] - view[0]) / width;
  look(view[0] - by, view[1] - by);
  if (event.pointerType === "mouse") lanesBox.scrollTop -= event.clientY - before.clientY;
});
function point(event) {
  const box = canvas.getBoundingClientRect();
  pointed = event.type === "pointerleave" ? null : { x: event.clientX - box.left, y: event.clientY - box.top };
  retell();
}
canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(event); });
canvas.addEventListener("click", point);
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) / width);
  else zoom(1.0018 ** Math.max(-300, Math.min(300, event.deltaY)), event.clientX - box.left);
}, { passive: false });
function jump(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = overview.getBoundingClientRect(), half = (view[1] - view[0]) / 2;
  const around = ((event.clientX - box.left) / width) * length * 1.02;
  look(around - half, around + half);
}
overview.addEventListener("pointerdown", jump);
overview.addEventListener("pointermove", jump);
canvas.addEventListener("keydown", (event) => {
  const keys = {
    ArrowLeft: () => pan(-.15), ArrowRight: () => pan(.15), "+": () => zoom(.7), "=": () => zoom(.7), "-": () => zoom(1 / .7),
    0: whole, Home: whole, v: violation, ".": () => next(1), ",": () => next(-1), Escape: () => choose(-1),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  keys[event.key]();
});

const on = (id, deed) => document.getElementById(id)?.addEventListener("click", deed);
on("in", () => zoom(.6)); on("out", () => zoom(1 / .6)); on("back", () => pan(-.3)); on("on", () => pan(.3));
on("all", whole); on("violation", () => { violation(); if (data.culprit >= 0) reveal(data.culprit); });
const keyInput = document.getElementById("key");
function filter() {
  const asked = keyInput.value.trim();
  chosenKey = asked === "" ? -1 : data.keys.findIndex((key) => key === asked || key === JSON.stringify(asked));
  keyInput.setAttribute("aria-invalid", String(asked !== "" && chosenKey < 0));
  density = null;
  redraw();
}
keyInput?.addEventListener("input", filter);
const findInput = document.getElementById("find");
function find() {
  const words = findInput.value.trim().toLowerCase();
  hits = words === "" ? null : Uint8Array.from(begin, (_, at) => Number(label(at).toLowerCase().includes(words)));
  findInput.setAttribute("aria-invalid", String(hits !== null && !hits.includes(1)));
  redraw();
}
findInput.addEventListener("input", find);
findInput.addEventListener("keydown", (event) => { if (event.key === "Enter") next(event.shiftKey ? -1 : 1); });

// Stepping through the orders of the small drawing.
const orders = [...document.querySelectorAll(".order")];
function chooseOrder(number) {
  orders.forEach((order, at) => order.classList.toggle("chosen", at === number));
  for (const group of document.querySelectorAll("g[data-order]")) group.toggleAttribute("hidden", Number(group.dataset.order) !== number);
}
orders.forEach((order, number) => {
  order.querySelector("button")?.addEventListener("click", () => chooseOrder(number));
  for (const step of order.querySelectorAll("li[data-step]")) {
    const light = (lit) => {
      chooseOrder(number);
      step.classList.toggle("lit", lit);
      document.querySelector(`g[data-order="${number}"] [data-step="${step.dataset.step}"]`)?.classList.toggle("lit", lit);
    };
    step.addEventListener("pointerenter", () => light(true));
    step.addEventListener("pointerleave", () => light(false));
  }
});
if (orders.length) chooseOrder(0);
for (const bar of document.querySelectorAll("[data-at]")) {
  bar.addEventListener("click", () => { choose(Number(bar.dataset.at)); stage.scrollIntoView({ block: "nearest" }); });
}

new ResizeObserver(() => { density = null; redraw(); }).observe(stage);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
// What goes to a printer does not wait for the next frame.
window.matchMedia("print").addEventListener("change", draw);
lanesBox.addEventListener("scroll", retell);
if (keyInput && keyInput.value) filter();
width = stage.clientWidth;
violation();
// `#from=1.2&until=1.3` (seconds), `#key=x`, `#find=write 3`, `#operation=17` (its event's number): a place that can be sent to others.
const asked = new URLSearchParams(location.hash.slice(1));
if (asked.has("from")) look(asked.get("from") * 1e9 - data.base, (asked.get("until") ?? asked.get("from")) * 1e9 - data.base);
if (asked.has("key") && keyInput) { keyInput.value = asked.get("key"); filter(); }
if (asked.has("find")) { findInput.value = asked.get("find"); find(); }
draw();
if (data.culprit >= 0) reveal(data.culprit);
if (asked.has("operation")) choose(data.index.indexOf(Number(asked.get("operation"))));
// Where the small drawing is wider than the screen, what matters is in view.
const drawing = document.querySelector(".board"), culprit = document.querySelector(".board .culprit");
if (culprit) drawing.scrollLeft = culprit.getBoundingClientRect().right - drawing.getBoundingClientRect().right + 40;
