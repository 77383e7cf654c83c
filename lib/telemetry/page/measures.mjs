// What one look at the cluster says beside the one before: how much a second, how long, who had what. The page goes by
// it, and `rust-cluster top` too.

/** A number, or null for whatever else stands in its place. */
export const number = value => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/** How much a counter has grown a second. One that is smaller has begun anew. */
function rate(now, before, seconds) {
  if (number(now) === null || number(before) === null || !(seconds > 0)) return null;
  return (now < before ? now : now - before) / seconds;
}

/** The cumulative buckets of a histogram that grew since `before`. */
export function since(now, before) {
  if (!now) return null;
  if (!before || now.count < before.count) return now;
  const counts = new Map(before.buckets);
  return {
    count: now.count - before.count,
    buckets: now.buckets.map(([le, count]) => [le, count - (counts.get(le) ?? 0)]),
  };
}

/**
 * A quantile of a histogram, as Prometheus estimates it: evenly within a bucket, and beyond the last its bound.
 * @param {{ buckets: [number, number][], count: number } | null} histogram
 * @param {number} share 0.99 of the 99th percentile
 */
export function quantile(histogram, share) {
  if (!histogram || !(histogram.count > 0)) return null;
  const rank = share * histogram.count;
  let [low, below] = [0, 0];
  for (const [le, count] of histogram.buckets) {
    if (number(le) === null) break;
    if (count >= rank) return count === below ? le : low + ((le - low) * (rank - below)) / (count - below);
    [low, below] = [le, count];
  }
  return low;
}

/** The status before, if it is of the same primary, and not of one that has taken its place. */
const comparable = (status, before) =>
  before && before.pid === status.pid && before.uptime <= status.uptime ? before : undefined;

/** What a slot does a second. Its counters are of all workers that were in it. */
function measureSlot(slot, before, seconds) {
  const grown = read => rate(read(slot), before && read(before), seconds);
  return {
    ...slot,
    rate: grown(({ taken }) => taken),
    cpuShare: grown(({ cpu }) => cpu),
    sent: grown(({ messages }) => messages?.sent),
    received: grown(({ messages }) => messages?.received),
  };
}

/**
 * @param {any} status what /status says
 * @param {any} [previous] what it said before
 */
export function measure(status, previous) {
  const before = comparable(status, previous);
  const seconds = before && (status.time - before.time) / 1000;
  const { acceptor = {}, slots = [] } = status;
  const slotBefore = new Map(before?.slots?.map(slot => [slot.slot, slot]));
  const portBefore = new Map(before?.acceptor?.ports?.map(port => [port.address, port]));
  const grown = name => rate(acceptor[name], before?.acceptor?.[name], seconds);
  return {
    time: status.time,
    accepted: grown('accepted'),
    handed: grown('handed'),
    cpuShare: grown('cpu'),
    primaryShare: rate(status.primary?.cpu, before?.primary?.cpu, seconds),
    handoff: before ? since(acceptor.take_seconds, before.acceptor?.take_seconds) : null,
    ports: (acceptor.ports ?? []).map(port => ({
      ...port,
      rate: rate(port.accepted, portBefore.get(port.address)?.accepted, seconds),
    })),
    slots: slots.map(slot => measureSlot(slot, slotBefore.get(slot.slot), seconds)),
  };
}

/** Histograms of several stretches of time as one. */
export function together(histograms) {
  const found = histograms.filter(Boolean);
  if (found.length === 0) return null;
  const counts = new Map();
  for (const { buckets } of found)
    for (const [le, count] of buckets) counts.set(le, (counts.get(le) ?? 0) + count);
  return { count: found.reduce((sum, { count }) => sum + count, 0), buckets: [...counts] };
}

/** Whether it is ready, and what there is to say of it. */
export function readiness({ ready, reasons = [] }) {
  const said = reasons.slice(0, 3).map(String);
  if (reasons.length > said.length) said.push(`and ${reasons.length - said.length} more`);
  return `${ready ? 'ready' : 'not ready'}${said.length > 0 ? ` (${said.join(', ')})` : ''}`;
}

/** How many ended, and by which causes. */
export function exitsOf({ exits = {} }) {
  const causes = Object.entries(exits).filter(([, count]) => count > 0);
  return {
    all: causes.reduce((sum, [, count]) => sum + count, 0),
    causes: causes.map(([cause, count]) => `${cause} ${count}`).join(', '),
  };
}

/** How many slots are in each state. */
export function states(slots) {
  const counts = new Map();
  for (const { state } of slots) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
