//! The cluster's own metrics: names and units as Prometheus and OpenTelemetry have them. What a label can be is bounded:
//! slots, addresses, causes. No process has a label of its own, since there are ever new ones.

use std::borrow::Cow;

use crate::bus::figures::Figures as Bus;

use super::exposition::{push_label, Family, Kind, Part, Sample};
use super::snapshot::{Histogram, SlotStatus, Snapshot};

/// All of them.
pub fn families(snapshot: &Snapshot) -> Vec<Family<'static>> {
    let mut families = connections(snapshot);
    families.extend(workers(snapshot));
    families.extend(slots(snapshot));
    families.extend(snapshot.bus.iter().flat_map(bus));
    families.extend(primary(snapshot));
    families
}

type Labels = Cow<'static, str>;

/// Numbers by their labels.
pub fn family(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    values: impl IntoIterator<Item = (Labels, f64)>,
) -> Family<'static> {
    let samples = values.into_iter().map(|(labels, value)| Sample { part: Part::Value, labels, value }).collect();
    Family { name, help, kind, samples }
}

/// A number.
pub fn one(name: &'static str, kind: Kind, help: &'static str, value: f64) -> Family<'static> {
    family(name, kind, help, [(Labels::default(), value)])
}

/// A label.
pub fn label(name: &str, value: impl ToString) -> Labels {
    let mut labels = String::new();
    push_label(&mut labels, name, &value.to_string());
    labels.into()
}

fn connections(Snapshot { acceptor, .. }: &Snapshot) -> Vec<Family<'static>> {
    let by_port = |value: fn(&super::snapshot::Port) -> f64| {
        let line = move |port: &super::snapshot::Port| (label("listener", &port.address), value(port));
        acceptor.ports.iter().map(line).collect::<Vec<_>>()
    };
    vec![
        family(
            "cluster_connections_accepted_total",
            Kind::Counter,
            "Connections accepted by the primary",
            by_port(|port| port.accepted as f64),
        ),
        family(
            "cluster_connections_waiting",
            Kind::Gauge,
            "Accepted connections that no worker takes for now",
            by_port(|port| port.waiting as f64),
        ),
        one(
            "cluster_connections_parked",
            Kind::Gauge,
            "Accepted connections whose clients are to say something before a worker is chosen",
            acceptor.parked as f64,
        ),
        one(
            "cluster_connections_dropped_total",
            Kind::Counter,
            "Accepted connections that were closed since nobody could have them",
            acceptor.dropped as f64,
        ),
        handoff(&acceptor.take_seconds),
    ]
}

fn handoff(Histogram { buckets, sum, count }: &Histogram) -> Family<'static> {
    let bucket =
        |most: String, count: u64| Sample { part: Part::Bucket, labels: label("le", most), value: count as f64 };
    let mut samples: Vec<_> = buckets.iter().map(|(most, count)| bucket(most.to_string(), *count)).collect();
    samples.push(bucket("+Inf".into(), *count));
    samples.push(Sample { part: Part::Sum, labels: Labels::default(), value: *sum });
    samples.push(Sample { part: Part::Count, labels: Labels::default(), value: *count as f64 });
    Family {
        name: "cluster_handoff_seconds",
        help: "From the accept of a connection until a worker takes it",
        kind: Kind::Histogram,
        samples,
    }
}

fn workers(snapshot: &Snapshot) -> Vec<Family<'static>> {
    let states = snapshot.states.iter().map(|(state, count)| (label("state", state), *count as f64));
    let exits = snapshot.exits.iter().map(|(cause, count)| (label("cause", cause), *count as f64));
    vec![
        family("cluster_workers", Kind::Gauge, "Workers by what they do", states),
        one("cluster_worker_starts_total", Kind::Counter, "Workers started", snapshot.starts as f64),
        family("cluster_worker_exits_total", Kind::Counter, "Workers that have ended, by cause", exits),
        one(
            "cluster_ready",
            Kind::Gauge,
            "Whether the cluster is ready for requests, as /readyz says",
            f64::from(u8::from(snapshot.ready)),
        ),
    ]
}

/// What there is of each slot: its name, kind and help, and where it is.
type OfSlot = (&'static str, Kind, &'static str, fn(&SlotStatus) -> f64);

const OF_SLOTS: [OfSlot; 23] = [
    ("cluster_worker_up", Kind::Gauge, "Whether the slot has a worker that serves", |slot| {
        f64::from(u8::from(slot.state == "ready"))
    }),
    ("cluster_slot_fills_total", Kind::Counter, "How often the slot was filled", |slot| slot.generation as f64),
    (
        "cluster_worker_stuck_episodes_total",
        Kind::Counter,
        "How often a worker took nothing of what it was given",
        |slot| slot.stuck_episodes as f64,
    ),
    (
        "cluster_connections_handed_total",
        Kind::Counter,
        "Connections put into the queue of the slot's workers",
        |slot| slot.handed as f64,
    ),
    (
        "cluster_connections_taken_back_total",
        Kind::Counter,
        "Connections taken out of the queue again, of a worker that died, was stuck or left",
        |slot| slot.taken_back as f64,
    ),
    (
        "cluster_connections_refused_total",
        Kind::Counter,
        "Connections given back by a worker that had no room",
        |slot| slot.refused as f64,
    ),
    (
        "cluster_connections_passed_on_total",
        Kind::Counter,
        "Connections passed on by a worker, since their next request is another's",
        |slot| slot.passed_on as f64,
    ),
    ("cluster_connections_taken_total", Kind::Counter, "Connections taken by the slot's workers", |slot| {
        slot.taken as f64
    }),
    ("cluster_queue_depth", Kind::Gauge, "What waits in the queue of the slot's workers", |slot| slot.queued as f64),
    (
        "cluster_worker_connections_open",
        Kind::Gauge,
        "Connections that the servers of the slot's workers have open",
        |slot| slot.open as f64,
    ),
    (
        "cluster_worker_event_loop_lag_seconds",
        Kind::Gauge,
        "How long something waits for the event loop, over the last second, or has waited, if it takes nothing",
        |slot| slot.lag,
    ),
    (
        "cluster_worker_event_loop_longest_turn_seconds",
        Kind::Gauge,
        "The longest turn of the worker's event loop",
        |slot| slot.longest_turn,
    ),
    (
        "cluster_worker_event_loop_utilization_ratio",
        Kind::Gauge,
        "How much of the last second the event loop was busy",
        |slot| slot.utilization,
    ),
    (
        "cluster_worker_event_loop_busy_seconds_total",
        Kind::Counter,
        "For how long the event loops of the slot's workers were busy",
        |slot| slot.busy,
    ),
    ("cluster_worker_heap_used_bytes", Kind::Gauge, "JavaScript's heap in use", |slot| slot.heap as f64),
    ("cluster_worker_resident_memory_bytes", Kind::Gauge, "Resident memory", |slot| slot.rss as f64),
    ("cluster_worker_cpu_seconds_total", Kind::Counter, "Processor time of the slot's workers", |slot| slot.cpu),
    ("cluster_messages_sent_total", Kind::Counter, "Messages from the primary to the slot's workers", |slot| {
        slot.messages.sent as f64
    }),
    ("cluster_messages_received_total", Kind::Counter, "Messages from the slot's workers to the primary", |slot| {
        slot.messages.received as f64
    }),
    (
        "cluster_messages_sent_bytes_total",
        Kind::Counter,
        "Bytes of messages from the primary to the slot's workers",
        |slot| slot.messages.bytes_sent as f64,
    ),
    (
        "cluster_messages_received_bytes_total",
        Kind::Counter,
        "Bytes of messages from the slot's workers to the primary",
        |slot| slot.messages.bytes_received as f64,
    ),
    ("cluster_messages_queued_bytes", Kind::Gauge, "Bytes of messages that the slot's workers have not read", |slot| {
        slot.messages.queued_bytes as f64
    }),
    (
        "cluster_slot_state_timestamp_seconds",
        Kind::Gauge,
        "Since when the slot is in its state, as Unix time",
        |slot| slot.since as f64 / 1e3,
    ),
];

fn slots(snapshot: &Snapshot) -> impl Iterator<Item = Family<'static>> + '_ {
    OF_SLOTS.iter().map(|(name, kind, help, value)| {
        let values = snapshot.slots.iter().map(|slot| (label("slot", slot.slot), value(slot)));
        family(name, *kind, help, values)
    })
}

fn bus(bus: &Bus) -> Vec<Family<'static>> {
    let Bus { members, topics, posts, queued_bytes, requests, pending, locks, store } = *bus;
    let gauge = |name, help, value| one(name, Kind::Gauge, help, value as f64);
    let counter = |name, help, value| one(name, Kind::Counter, help, value as f64);
    let locks =
        [("held", locks.held), ("waiting", locks.waiting)].map(|(state, count)| (label("state", state), count as f64));
    vec![
        gauge("cluster_bus_members", "Processes that take part in the bus", members),
        gauge("cluster_bus_channels", "Names of channels on which somebody listens", topics),
        counter("cluster_bus_messages_published_total", "Messages posted to channels", posts.published),
        counter(
            "cluster_bus_messages_published_bytes_total",
            "Bytes of messages posted to channels",
            posts.published_bytes,
        ),
        counter(
            "cluster_bus_messages_delivered_total",
            "Messages on their way to a process that listens",
            posts.delivered,
        ),
        counter(
            "cluster_bus_messages_delivered_bytes_total",
            "Bytes of messages on their way to a process that listens",
            posts.delivered_bytes,
        ),
        counter(
            "cluster_bus_messages_missed_total",
            "Messages that a process that listens has missed, since it does not read",
            posts.missed,
        ),
        gauge("cluster_bus_queued_bytes", "Bytes that wait for processes that do not read", queued_bytes),
        counter("cluster_bus_requests_total", "Requests made over the bus", requests),
        gauge("cluster_bus_requests_pending", "Requests that wait for an answer", pending),
        family("cluster_bus_locks", Kind::Gauge, "Locks that somebody has, and claims that wait for one", locks),
        gauge("cluster_bus_store_entries", "Values and counters in the store", store.entries),
        gauge("cluster_bus_store_bytes", "Bytes of the store", store.bytes),
        counter("cluster_bus_store_evicted_total", "Values and counters that made room for others", store.evicted),
    ]
}

fn primary(snapshot: &Snapshot) -> Vec<Family<'static>> {
    let Snapshot { primary, acceptor, telemetry, .. } = snapshot;
    let mut info = String::new();
    push_label(&mut info, "version", snapshot.version);
    push_label(&mut info, "node", &snapshot.node);
    let mut families = vec![
        family("cluster_info", Kind::Gauge, "What runs", [(info.into(), 1.0)]),
        one(
            "cluster_primary_event_loop_lag_seconds",
            Kind::Gauge,
            "How long something waits for the primary's event loop, over the last second, or has waited, if it does not turn",
            primary.lag,
        ),
        one(
            "cluster_primary_event_loop_utilization_ratio",
            Kind::Gauge,
            "How much of the last second the primary's event loop was busy",
            primary.utilization,
        ),
        one("cluster_primary_cpu_seconds_total", Kind::Counter, "Processor time of the primary", primary.cpu),
        one("cluster_primary_resident_memory_bytes", Kind::Gauge, "Resident memory of the primary", primary.rss as f64),
        one(
            "cluster_telemetry_cpu_seconds_total",
            Kind::Counter,
            "Processor time of the threads that answer here and add up what workers count",
            telemetry.cpu,
        ),
    ];
    families.extend(acceptor.cpu.map(|cpu| {
        one(
            "cluster_acceptor_cpu_seconds_total",
            Kind::Counter,
            "Processor time of the thread that accepts connections",
            cpu,
        )
    }));
    families
}
