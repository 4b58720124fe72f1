// What a reader can do with the time axis: zoom, move, point, read step by step, and go where a link leads. Nothing here draws.
const tip = document.getElementById("tip"), range = document.getElementById("range"), told = document.getElementById("told");
const narrowest = 200;
let isDue = false;
function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; draw(); });
}
function show(from, until) {
  const span = Math.min(runEnd, Math.max(narrowest, until - from)), middle = (from + until) / 2;
  const start = Math.min(Math.max(0, middle - span / 2), runEnd - span);
  view = [start, start + span];
  range.textContent = span >= runEnd ? "whole run" : `${clock(view[0], span)} – ${clock(view[1], span)}`;
  redraw();
}
const zoom = (factor, around = (view[0] + view[1]) / 2) => show(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
const move = (part) => { const by = (view[1] - view[0]) * part; show(Math.max(0, view[0] + by), Math.max(0, view[0] + by) + view[1] - view[0]); };
const showAll = () => show(0, runEnd);

function nearestPoint(x, y) {
  const panel = panels.find((panel) => panel.draw === drawLatency);
  if (y < panel.top - 8 || y > panel.bottom + 8) return -1;
  let best = -1, least = 14 ** 2;
  for (let at = Math.max(0, firstFrom(points.at, timeAt(x - 14))); at < points.at.length && points.at[at] <= timeAt(x + 14); at++) {
    const distance = (place(points.at[at]) - x) ** 2 + (latencyY(points.lasted[at], panel.top, panel.bottom) - y) ** 2;
    if (distance < least) { least = distance; best = at; }
  }
  return best;
}
// Everything that is known of a moment, as a title and rows of two words.
function facts(time) {
  const span = view[1] - view[0], step = Math.max(run.slice, columnUs()), from = Math.floor(time / step) * step;
  const rate = (column) => grouped((counted(column, from, from + step) * 1e6) / step);
  const leader = leaderAt(time), faults = inForce(time), rows = [];
  rows.push(["ok, fail, info", `${rate(run.ok)}, ${rate(run.fail)}, ${rate(run.info)} per s`]);
  for (const name of run.names) {
    const latency = latencyAt(name, time);
    if (latency) rows.push([name.f, `p50 ${spell(latency.p50)}, p99 ${spell(latency.p99)}, max ${spell(latency.max)}`]);
  }
  if (leader) rows.push(["leader", `${leader.node}, elected in term ${leader.term}`]);
  if (termAt(time) > (leader?.term ?? Infinity)) rows.push(["term", `${termAt(time)}: nobody leads it`]);
  const answering = run.nodes.filter((node) => counted(node.served, from, from + step) > 0).map((node) => node.name);
  rows.push(["answered by", answering.join(" ") || "nobody"]);
  for (const fault of faults.slice(0, 4)) rows.push(["fault", fault.label]);
  if (faults.length > 4) rows.push(["", `and ${faults.length - 4} more`]);
  return { title: clock(time, span), rows };
}
function tell(parts) {
  tip.replaceChildren(...parts.map(({ title, rows }) => {
    const part = document.createElement("div"), head = document.createElement("b"), list = document.createElement("dl");
    head.textContent = title;
    for (const [name, value] of rows) {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name; text.textContent = value;
      list.append(term, text);
    }
    part.append(head, list);
    return part;
  }));
}
function point(x, y) {
  const at = nearestPoint(x, y), time = at >= 0 ? points.at[at] : Math.min(runEnd, Math.max(0, timeAt(x)));
  pointed = { time, point: at };
  tell(at >= 0 ? [describe(at), facts(time)] : [facts(time)]);
  tip.hidden = false;
  // Beside the line, on the side that has room, and never over it.
  const box = tip.getBoundingClientRect(), line = place(time);
  tip.style.left = `${Math.max(4, line + 16 + box.width > width ? line - 16 - box.width : line + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(y - 20, stage.clientHeight - box.height - 4))}px`;
  redraw();
}
function leave() { pointed = null; tip.hidden = true; redraw(); }
// The same for those who hear the page.
function read(direction) {
  const step = (view[1] - view[0]) / 40;
  const time = Math.min(view[1], Math.max(view[0], (pointed?.time ?? view[0]) + direction * step));
  point(place(time), panels[0].top);
  const { title, rows } = facts(time);
  told.textContent = `${title}: ${rows.map(([name, value]) => `${name} ${value}`).join("; ")}`;
}

const held = new Map();
let pinch = null, wasMoved = false;
const local = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.addEventListener("pointerdown", (event) => {
  const [x, y] = local(event);
  held.set(event.pointerId, x);
  wasMoved = false;
  if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
  if (held.size === 2) { const [a, b] = held.values(); pinch = { a: timeAt(a), b: timeAt(b) }; selected = null; }
  else if (event.pointerType === "mouse" && event.button === 0 && !event.shiftKey) selected = [timeAt(x), timeAt(x)];
  else if (event.pointerType !== "mouse") point(x, y);
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = local(event), before = held.get(event.pointerId);
  if (before === undefined) return point(x, y);
  held.set(event.pointerId, x);
  if (Math.abs(x - before) > 0) wasMoved = true;
  if (held.size === 2 && pinch) {
    // What was under the fingers stays under them.
    const [a, b] = held.values(), scale = (pinch.b - pinch.a) / ((b - a) || 1);
    if (scale > 0) show(pinch.a - (a - left) * scale, pinch.a + (width - right - a) * scale);
  } else if (selected) { selected[1] = timeAt(x); point(x, y); }
  else move((before - x) / (width - left - right));
});
function release(event) {
  held.delete(event.pointerId);
  if (held.size < 2) pinch = null;
  if (!selected) return;
  const [from, until] = selected.sort((a, b) => a - b);
  selected = null;
  // A click moves a little, too.
  if (place(until) - place(from) > 6) { leave(); show(from, until); } else redraw();
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") leave(); });
canvas.addEventListener("dblclick", showAll);
canvas.addEventListener("wheel", (event) => {
  // The page scrolls under a reader who has not chosen the axis; a pinch on a touchpad comes with ctrl.
  const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (!isSideways && !event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
  event.preventDefault();
  if (isSideways) move(event.deltaX / width); else zoom(Math.exp(event.deltaY * (event.ctrlKey ? .01 : .002)), timeAt(local(event)[0]));
}, { passive: false });
const keys = {
  ArrowLeft: () => move(-.2), ArrowRight: () => move(.2), "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2),
  0: showAll, Home: showAll, ",": () => read(-1), ".": () => read(1), Escape: leave,
};
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
for (const [id, deed] of Object.entries({ all: showAll, in: () => zoom(.5), out: () => zoom(2), earlier: () => move(-.3), later: () => move(.3) })) {
  document.getElementById(id).addEventListener("click", deed);
}

// A link shows a stretch: #t=12.5,14.25 in seconds. It can be sent to somebody who has the same file.
function follow() {
  const [, from, until] = /^#t=([\d.]+),([\d.]+)$/.exec(location.hash) ?? [];
  if (from === undefined) return false;
  show(from * 1e6, until * 1e6);
  document.getElementById("axis").scrollIntoView({ block: "start" });
  return true;
}
addEventListener("hashchange", follow);
// A second click on the same link changes nothing in the address, and should still lead there.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#t="]');
  if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); follow(); }
});

const namesItem = document.getElementById("legend-names");
namesItem.replaceWith(...run.names.map((name) => {
  const item = document.createElement("li"), mark = document.createElement("i");
  mark.className = "disc";
  mark.style.background = name.color;
  item.append(mark, name.f);
  return item;
}));

new ResizeObserver(redraw).observe(stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
// On paper the axis is as it was left, in the colours of paper.
function print(isBegun) {
  isPrinting = isBegun;
  document.documentElement.classList.toggle("printing", isBegun);
  leave();
  draw();
}
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
document.querySelector(".overview").hidden = false;
if (!follow()) showAll();
