// The run as the time axis reads it: columns unpacked, and questions about a moment answered. Times are microseconds since the start.
// Draws nothing; all three scripts of the axis share one scope, in the order data, drawing, deeds.
const run = JSON.parse(document.getElementById("series").textContent);
const runEnd = Math.max(1, run.end);
const points = (() => {
  const { invoked, lasted, what } = run.points, at = new Float64Array(invoked.length);
  let sum = 0;
  for (let i = 0; i < at.length; i++) at[i] = sum += invoked[i];
  return { ...run.points, at, lasted, name: what.map((number) => Math.floor(number / 3)), outcome: what.map((number) => number % 3) };
})();
// Faults that overlap get lanes of their own, the last of which is shared where there are too many.
const lanesMax = 6;
const laneCount = (() => {
  const freeFrom = [];
  for (const band of run.bands) {
    let lane = freeFrom.findIndex((time) => time <= band.from);
    if (lane < 0) lane = Math.min(freeFrom.length, lanesMax - 1);
    band.lane = lane;
    freeFrom[lane] = Math.max(freeFrom[lane] ?? 0, band.until);
  }
  return freeFrom.length;
})();
const served = run.nodes.map((node) => node.served);
const slowestUs = points.lasted.reduce((most, lasted) => Math.max(most, lasted), 1);
// From here on an operation is one of the thirty slowest.
const slowUs = Object.keys(points.told).map((at) => points.lasted[at]).sort((a, b) => b - a)[29] ?? 0;
const fastestUs = points.lasted.reduce((least, lasted) => Math.min(least, Math.max(1, lasted)), slowestUs);

const outcomes = ["ok", "failed", "outcome unknown"];
function spell(us) {
  return us < 1e3 ? `${us} µs` : us < 1e4 ? `${(us / 1e3).toFixed(2)} ms` : us < 1e6 ? `${(us / 1e3).toFixed(us < 1e5 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(2)} s`;
}
function clock(us, span) {
  return `${(us / 1e6).toFixed(span < 2e4 ? 5 : span < 2e6 ? 3 : span < 2e7 ? 2 : 1)} s`;
}
const grouped = (number) => Math.round(number).toLocaleString("en");
const inForce = (time) => run.bands.filter((band) => band.from <= time && time < Math.max(band.until, band.from + 1));
const leaderAt = (time) => run.leaders.findLast((leader) => leader.at <= time);
const termAt = (time) => run.terms.findLast(([at]) => at <= time)?.[1] ?? leaderAt(time)?.term;
// The first of the ascending `times` that is not before `time`.
function firstFrom(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1; else high = middle;
  }
  return low;
}
// What was counted between two times, from whole slices: at least the one that the first lies in.
function counted(column, from, until) {
  const first = Math.max(0, Math.floor(from / run.slice)), last = Math.min(column.length, Math.max(first + 1, Math.ceil(until / run.slice)));
  let sum = 0;
  for (let i = first; i < last; i++) sum += column[i];
  return sum;
}
const latencyAt = (name, time) => {
  const place = name.slice.indexOf(Math.floor(time / run.latency_slice));
  return place < 0 ? null : { count: name.count[place], p50: name.p50[place], p99: name.p99[place], max: name.max[place] };
};
function describe(at) {
  const told = points.told[at] ?? {}, name = run.names[points.name[at]].f;
  const value = [told.key, told.asked, told.answered && `→ ${told.answered}`].filter(Boolean).join(" ");
  return {
    title: `${name} ${value}`.trim(),
    rows: [
      ["took", spell(points.lasted[at])],
      ["outcome", outcomes[points.outcome[at]] + (told.error ? `: ${told.error}` : "")],
      ["process", String(points.process[at])],
      points.node[at] >= 0 && ["node", run.nodes[points.node[at]].name],
      points.count[at] > 1 && ["stands for", `${grouped(points.count[at])} operations like it`],
    ].filter(Boolean),
  };
}
