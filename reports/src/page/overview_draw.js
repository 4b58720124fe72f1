// The panels of the time axis on one canvas: faults, leaders and terms, latency, throughput, nodes. Each is a height and a function
// that draws between two edges; all share the horizontal axis, the bands behind and the line under the pointer.
const stage = document.getElementById("stage"), canvas = document.getElementById("panels");
let view = [0, runEnd], width = 0, left = 64, pointed = null, selected = null, isPrinting = false;
const right = 12, font = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const place = (time) => left + ((time - view[0]) / (view[1] - view[0])) * (width - left - right);
const timeAt = (x) => view[0] + ((x - left) / (width - left - right)) * (view[1] - view[0]);
const isDark = () => !isPrinting && matchMedia("(prefers-color-scheme: dark)").matches;
let ink = {};
function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "quiet", "line", "card", "culprit", "good", "bad", "unsure"]) ink[name] = style.getPropertyValue(`--${name}`).trim();
}
// Colours are chosen for paper; on dark ground they need light.
function tint(color) {
  if (!isDark()) return color;
  const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * .3)).join(" ")})`;
}

const panels = [
  { title: "faults", height: () => laneCount * 18, gap: 20, draw: drawFaults, when: () => laneCount > 0 || run.violation },
  { title: "leader and term", height: () => 62, gap: 26, draw: drawLeaders, when: () => run.leaders.length + run.terms.length > 0 },
  { title: "latency", height: () => (width < 560 ? 220 : 280), gap: 32, draw: drawLatency, when: () => true },
  { title: "operations per second", short: "per second", height: () => 110, gap: 32, draw: drawThroughput, key: () => [["ok", ink.good], ["failed", ink.quiet], ["unknown", ink.bad]], when: () => true },
  { title: "answered by, per node", height: () => run.nodes.length * 22, gap: 32, draw: drawNodes, when: () => run.nodes.length > 0 },
].filter((panel) => panel.when());

function draw() {
  width = stage.clientWidth;
  if (!width) return;
  left = width < 560 ? 46 : 64;
  readColors();
  let top = 6;
  for (const panel of panels) {
    top += panel.gap;
    panel.top = top;
    panel.bottom = top += panel.height();
  }
  const bottom = top, height = bottom + 30;
  const pen = fit(height);
  const first = panels.find((panel) => panel.draw !== drawFaults) ?? panels[0];
  drawTime(pen, first.top - 4, bottom);
  shadeFaults(pen, first.top - 4, bottom);
  for (const panel of panels) {
    words(pen, width < 560 && panel.short || panel.title, left, panel.top - 9, { color: ink.quiet, size: 12 });
    drawKey(pen, panel.key?.() ?? [], panel.top - 9);
    pen.save();
    pen.beginPath(); pen.rect(0, panel.top - 6, width, panel.bottom - panel.top + 12); pen.clip();
    panel.draw(pen, panel.top, panel.bottom);
    pen.restore();
  }
  drawViolation(pen, panels[0].top - 4, bottom);
  drawPointer(pen, panels[0].top - 4, bottom);
}
function fit(height) {
  const ratio = isPrinting ? 2 : window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
function words(pen, text, x, y, { color = ink.ink, size = 12, align = "left", bold = false } = {}) {
  pen.font = `${bold ? "600 " : ""}${size}px ${font}`;
  pen.fillStyle = color;
  pen.textAlign = align;
  pen.fillText(text, x, y);
}
// What the colours of a panel mean, at its right end.
function drawKey(pen, entries, y) {
  let x = width - right;
  for (const [text, color] of entries.toReversed()) {
    words(pen, text, x, y, { color: ink.quiet, align: "right" });
    x -= pen.measureText(text).width + 14;
    pen.globalAlpha = .75; pen.fillStyle = color; pen.fillRect(x, y - 9, 10, 10); pen.globalAlpha = 1;
    x -= 12;
  }
}
function line(pen, x1, y1, x2, y2, color, thick = 1, dash = []) {
  pen.strokeStyle = color; pen.lineWidth = thick; pen.setLineDash(dash);
  pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke();
  pen.setLineDash([]);
}
// Round steps, about `count` of them: 1, 2 or 5 times a power of ten.
function ticks(from, until, count) {
  const wanted = (until - from) / count, power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= wanted * .999);
  const all = [];
  for (let tick = Math.ceil(from / step) * step; tick <= until + step * 1e-6; tick += step) all.push(tick);
  return all;
}
function drawTime(pen, top, bottom) {
  const times = ticks(view[0] / 1e6, view[1] / 1e6, Math.max(2, (width - left) / 110));
  const digits = times.length > 1 ? Math.max(0, -Math.floor(Math.log10(times[1] - times[0]) + 1e-9)) : 1;
  for (const time of times) {
    const x = place(time * 1e6);
    line(pen, x, top, x, bottom + 4, ink.line);
    words(pen, `${time.toFixed(digits)} s`, x, bottom + 20, { color: ink.quiet, align: x > width - 34 ? "right" : x < left + 10 ? "left" : "center" });
  }
}
function shadeFaults(pen, top, bottom) {
  pen.globalAlpha = .1;
  for (const band of run.bands) {
    const from = Math.max(left, place(band.from)), until = Math.min(width - right, place(band.until));
    if (until < left || from > width - right) continue;
    pen.fillStyle = tint(band.color);
    pen.fillRect(from, top, Math.max(1, until - from), bottom - top);
  }
  pen.globalAlpha = 1;
}
function drawFaults(pen, top) {
  for (const band of run.bands) {
    const from = Math.max(left, place(band.from)), until = Math.min(width - right, place(band.until));
    if (until < left || from > width - right) continue;
    const y = top + band.lane * 18;
    pen.globalAlpha = isDark() ? .55 : .8;
    pen.fillStyle = tint(band.color);
    pen.fillRect(from, y, Math.max(1.5, until - from), 15);
    pen.globalAlpha = 1;
    // What does not fit loses its target, then its shape, then all.
    pen.font = `11px ${font}`;
    const fitting = [band.label, band.label.split("@")[0], band.kind].find((label) => pen.measureText(label).width + 8 <= until - from);
    if (fitting) words(pen, fitting, from + 4, y + 11.5, { size: 11 });
  }
}
function drawLeaders(pen, top, bottom) {
  run.leaders.forEach((leader, number) => {
    const until = run.leaders[number + 1]?.at ?? runEnd;
    const x1 = Math.max(left, place(leader.at)), x2 = Math.min(width - right, place(until));
    if (x2 <= left || x1 >= width - right) return;
    pen.globalAlpha = number % 2 ? .2 : .1;
    pen.fillStyle = ink.ink;
    pen.fillRect(x1, top, x2 - x1, 20);
    pen.globalAlpha = 1;
    if (place(leader.at) >= left) line(pen, x1, top, x1, top + 20, ink.ink, 1.5);
    pen.font = `600 12px ${font}`;
    const label = [`${leader.node}, term ${leader.term}`, `${leader.node} t${leader.term}`, leader.node].find((label) => pen.measureText(label).width + 10 <= x2 - x1);
    if (label) words(pen, label, x1 + 5, top + 14.5, { bold: true });
  });
  drawTerms(pen, top + 30, bottom - 2);
}
function drawTerms(pen, top, bottom) {
  const steps = run.terms.length ? run.terms : run.leaders.map((leader) => [leader.at, leader.term]);
  if (!steps.length) return;
  const low = steps[0][1], high = Math.max(low + 1, steps[steps.length - 1][1]);
  const y = (term) => bottom - ((term - low) / (high - low)) * (bottom - top);
  pen.strokeStyle = ink.ink; pen.lineWidth = 1.4; pen.beginPath();
  pen.moveTo(Math.max(left, place(0)), y(termAt(Math.max(0, view[0])) ?? low));
  for (const [at, term] of steps) {
    if (at < view[0] || at > view[1]) continue;
    pen.lineTo(place(at), y(before(steps, at))); pen.lineTo(place(at), y(term));
  }
  pen.lineTo(Math.min(width - right, place(runEnd)), y(termAt(Math.min(runEnd, view[1])) ?? high)); pen.stroke();
  words(pen, String(low), left - 7, bottom + 2, { color: ink.quiet, align: "right", size: 11 });
  words(pen, String(high), left - 7, top + 6, { color: ink.quiet, align: "right", size: 11 });
}
const before = (steps, time) => steps.findLast(([at]) => at < time)?.[1] ?? steps[0][1];

const latencyLow = () => Math.log10(fastestUs) - .05, latencyHigh = () => Math.max(Math.log10(slowestUs), Math.log10(fastestUs) + 1) + .08;
function latencyY(us, top, bottom) {
  return bottom - ((Math.log10(Math.max(1, us)) - latencyLow()) / (latencyHigh() - latencyLow())) * (bottom - top);
}
function drawLatency(pen, top, bottom) {
  for (let power = Math.ceil(latencyLow()); power <= latencyHigh(); power++) {
    const y = latencyY(10 ** power, top, bottom);
    line(pen, left, y, width - right, y, ink.line);
    words(pen, power < 3 ? `${10 ** power} µs` : power < 6 ? `${10 ** (power - 3)} ms` : `${10 ** (power - 6)} s`, left - 7, y + 4, { color: ink.quiet, align: "right", size: 11 });
  }
  pen.save();
  pen.beginPath(); pen.rect(left - 1, top, width - left - right + 3, bottom - top); pen.clip();
  const first = Math.max(0, firstFrom(points.at, view[0]) - 1), last = firstFrom(points.at, view[1] + 1);
  const size = last - first < 1500 ? 4 : last - first < 5000 ? 3 : 2.4;
  // What is ordinary is drawn first, so that nothing hides what is not.
  for (const outcome of [1, 0, 2]) {
    for (let at = first; at < last; at++) if (points.outcome[at] === outcome) drawPoint(pen, at, size, top, bottom);
  }
  for (const name of run.names) drawQuantiles(pen, name, top, bottom);
  // The slowest of the run stand out wherever they are.
  for (let at = first; at < last; at++) if (points.lasted[at] >= slowUs && points.outcome[at] < 2) drawSlow(pen, at, top, bottom);
  pen.restore();
}
function drawPoint(pen, at, size, top, bottom) {
  const x = place(points.at[at]), y = latencyY(points.lasted[at], top, bottom), color = tint(run.names[points.name[at]].color);
  if (points.outcome[at] === 0) {
    pen.globalAlpha = .5; pen.fillStyle = color;
    pen.fillRect(x - size / 2, y - size / 2, size, size);
  } else if (points.outcome[at] === 1) {
    pen.globalAlpha = .6;
    line(pen, x - 2, y - 2, x + 2, y + 2, color); line(pen, x - 2, y + 2, x + 2, y - 2, color);
  } else {
    pen.globalAlpha = 1; pen.strokeStyle = color; pen.lineWidth = 1.4;
    pen.beginPath(); pen.arc(x, y, 3.4, 0, 7); pen.stroke();
  }
  pen.globalAlpha = 1;
}
function drawSlow(pen, at, top, bottom) {
  pen.fillStyle = tint(run.names[points.name[at]].color);
  pen.beginPath(); pen.arc(place(points.at[at]), latencyY(points.lasted[at], top, bottom), 2.6, 0, 7); pen.fill();
}
function drawQuantiles(pen, name, top, bottom) {
  const slice = run.latency_slice;
  for (const [column, dash] of [[name.p50, []], [name.p99, [4, 3]]]) {
    pen.beginPath();
    let drawnTo = -2;
    name.slice.forEach((number, at) => {
      const x = place((number + .5) * slice), y = latencyY(column[at], top, bottom);
      if (number - drawnTo > 1) pen.moveTo(x, y); else pen.lineTo(x, y);
      drawnTo = number;
    });
    for (const [color, thick] of [[ink.card, 3.4], [tint(name.color), 1.7]]) {
      pen.strokeStyle = color; pen.lineWidth = thick; pen.setLineDash(dash); pen.stroke();
    }
    pen.setLineDash([]);
  }
}

// So many microseconds that a column of the screen holds some whole slices.
function columnUs() {
  const wanted = ((view[1] - view[0]) / (width - left - right)) * 3;
  return Math.max(1, Math.ceil(wanted / run.slice)) * run.slice;
}
// Whole pixels, so that neighbours neither overlap nor leave a gap.
function edges(from, step) {
  return [Math.max(left, Math.round(place(from))), Math.min(width - right, Math.round(place(Math.min(from + step, runEnd))))];
}
function drawThroughput(pen, top, bottom) {
  const step = columnUs(), columns = [];
  for (let from = Math.floor(view[0] / step) * step; from < Math.min(view[1], runEnd); from += step) {
    const rate = (column) => counted(column, from, from + step) * 1e6 / step;
    columns.push({ from, parts: [[rate(run.ok), ink.good], [rate(run.fail), ink.quiet], [rate(run.info), ink.bad]] });
  }
  const most = columns.reduce((most, { parts }) => Math.max(most, parts.reduce((sum, [rate]) => sum + rate, 0)), 1);
  for (const tick of ticks(0, most, 3)) {
    const y = bottom - (tick / most) * (bottom - top);
    line(pen, left, y, width - right, y, ink.line);
    words(pen, tick >= 1e4 ? `${tick / 1e3}k` : grouped(tick), left - 7, Math.max(top + 9, y + 4), { color: ink.quiet, align: "right", size: 11 });
  }
  for (const { from, parts } of columns) {
    const [x1, x2] = edges(from, step);
    let y = bottom;
    for (const [rate, color] of parts) {
      const height = (rate / most) * (bottom - top);
      pen.fillStyle = color; pen.globalAlpha = color === ink.good ? .6 : .8;
      if (height > 0 && x2 > x1) pen.fillRect(x1, y - height, x2 - x1, height);
      y -= height;
    }
  }
  pen.globalAlpha = 1;
}
function drawNodes(pen, top) {
  const step = columnUs();
  const most = served.map((column) => { let most = 1; for (let from = 0; from < runEnd; from += step) most = Math.max(most, counted(column, from, from + step)); return most; }).reduce((a, b) => Math.max(a, b), 1);
  run.nodes.forEach((node, number) => {
    const y = top + number * 22;
    words(pen, node.name.length > 8 ? `${node.name.slice(0, 7)}…` : node.name, left - 7, y + 13, { align: "right", size: 11.5 });
    line(pen, left, y + 17.5, width - right, y + 17.5, ink.line);
    for (let from = Math.floor(view[0] / step) * step; from < Math.min(view[1], runEnd); from += step) {
      const count = counted(node.served, from, from + step);
      if (!count) continue;
      const [x1, x2] = edges(from, step), height = 4 + 11 * Math.sqrt(count / most);
      pen.fillStyle = ink.good; pen.globalAlpha = .75;
      if (x2 > x1) pen.fillRect(x1, y + 17 - height, x2 - x1, height);
    }
    pen.globalAlpha = 1;
    for (const band of run.bands) if (band.nodes.includes(number)) hatch(pen, band, y + 1, 16);
  });
}
// Stripes, so that harm is not told by colour alone.
function hatch(pen, band, y, height) {
  const from = Math.max(left, place(band.from)), until = Math.min(width - right, place(band.until));
  if (until < left || from > width - right) return;
  pen.save();
  pen.beginPath(); pen.rect(from, y, Math.max(2, until - from), height); pen.clip();
  pen.globalAlpha = .22; pen.fillStyle = ink.bad; pen.fillRect(from, y, Math.max(2, until - from), height);
  pen.globalAlpha = .65;
  for (let x = Math.floor(from / 7) * 7 - 16; x < until + 16; x += 7) line(pen, x, y + height, x + height, y, ink.bad, 1);
  pen.restore();
}
function drawViolation(pen, top, bottom) {
  if (!run.violation) return;
  const [from, until] = run.violation.map(place);
  if (until < left || from > width - right) return;
  const x1 = Math.max(left, from), x2 = Math.max(Math.min(width - right, until), x1 + 1.5);
  pen.globalAlpha = .12; pen.fillStyle = ink.culprit; pen.fillRect(x1, top, x2 - x1, bottom - top); pen.globalAlpha = 1;
  for (const x of [x1, x2]) line(pen, x, top, x, bottom, ink.culprit, 1.5);
  const isRight = x2 > width - 90;
  words(pen, "violation", isRight ? x1 - 5 : x2 + 5, bottom - 6, { color: ink.bad, bold: true, align: isRight ? "right" : "left" });
}
function drawPointer(pen, top, bottom) {
  if (selected) {
    const [x1, x2] = selected.map(place).sort((a, b) => a - b);
    pen.globalAlpha = .15; pen.fillStyle = ink.ink; pen.fillRect(x1, top, x2 - x1, bottom - top); pen.globalAlpha = 1;
  }
  if (!pointed) return;
  const x = place(pointed.time);
  if (x < left || x > width - right) return;
  line(pen, x, top, x, bottom, ink.ink, 1);
  if (pointed.point < 0) return;
  const panel = panels.find((panel) => panel.draw === drawLatency);
  pen.strokeStyle = ink.ink; pen.lineWidth = 2;
  pen.beginPath(); pen.arc(place(points.at[pointed.point]), latencyY(points.lasted[pointed.point], panel.top, panel.bottom), 6, 0, 7); pen.stroke();
}
