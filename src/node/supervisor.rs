//! The supervisor's decisions, in plain objects: `type` says which event or action one is.

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::supervisor::{self as core, Action, Detail, Event, Exit, Failure, Report};

/// [`core::Supervisor`], for JavaScript.
#[napi]
pub struct Supervisor(core::Supervisor);

/// Pauses between restarts, in milliseconds.
#[napi(object)]
pub struct Pauses {
    /// The first.
    pub first: f64,
    /// The longest.
    pub most: f64,
}

/// How many restarts there may be in how many milliseconds.
#[napi(object)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In so many milliseconds.
    pub within: f64,
}

/// [`core::Options`], as JavaScript gives them: numbers only, times in milliseconds, 0 for none. What is left out has
/// its default.
#[napi(object)]
#[allow(missing_docs, reason = "as in core::Options")]
pub struct SupervisorOptions {
    pub workers: u32,
    pub wait_ready: Option<bool>,
    pub ready_timeout: Option<f64>,
    pub drain: Option<f64>,
    pub kill_timeout: Option<f64>,
    pub shutdown_delay: Option<f64>,
    pub backoff: Option<Pauses>,
    pub stable_after: Option<f64>,
    pub max_restarts: Option<Budget>,
    pub stay_down: Option<Vec<i32>>,
    pub max_memory: Option<f64>,
    pub max_lifetime: Option<f64>,
    pub max_connections: Option<f64>,
    pub jitter: Option<f64>,
    pub stuck: Option<f64>,
    pub stuck_report: Option<f64>,
}

/// A number of JavaScript's as a whole one: what is negative, or none, is 0.
fn whole(number: f64) -> u64 {
    number as u64
}

/// A limit, of which 0 is none.
fn limit(number: f64) -> Option<u64> {
    Some(whole(number)).filter(|limit| *limit > 0)
}

impl From<SupervisorOptions> for core::Options {
    fn from(given: SupervisorOptions) -> Self {
        let default = core::Options::new(given.workers);
        let time = |given: Option<f64>, default| given.map_or(default, whole);
        let bound = |given: Option<f64>, default| given.map_or(default, limit);
        core::Options {
            wait_ready: given.wait_ready.unwrap_or(default.wait_ready),
            ready_timeout: bound(given.ready_timeout, default.ready_timeout),
            drain: time(given.drain, default.drain),
            kill_timeout: time(given.kill_timeout, default.kill_timeout),
            shutdown_delay: time(given.shutdown_delay, default.shutdown_delay),
            backoff: given.backoff.map_or(default.backoff, |Pauses { first, most }| core::Pauses {
                first: whole(first),
                most: whole(most),
            }),
            stable_after: time(given.stable_after, default.stable_after),
            max_restarts: given
                .max_restarts
                .map(|Budget { count, within }| core::Budget { count, within: whole(within) }),
            stay_down: given.stay_down.unwrap_or(default.stay_down),
            max_memory: bound(given.max_memory, default.max_memory),
            max_lifetime: bound(given.max_lifetime, default.max_lifetime),
            max_connections: bound(given.max_connections, default.max_connections),
            jitter: given.jitter.unwrap_or(default.jitter),
            stuck: bound(given.stuck, default.stuck),
            stuck_report: bound(given.stuck_report, default.stuck_report),
            ..default
        }
    }
}

#[napi]
impl Supervisor {
    /// One that has not begun.
    #[napi(constructor)]
    pub fn new(options: SupervisorOptions, seed: f64) -> Self {
        Supervisor(core::Supervisor::new(options.into(), whole(seed)))
    }

    /// Goes by other options from now on, but for `workers`.
    #[napi]
    pub fn configure(&mut self, options: SupervisorOptions) {
        self.0.configure(options.into());
    }

    /// Takes what has happened; what is to be done, in this order.
    #[napi]
    pub fn handle<'env>(&mut self, env: &'env Env, now: f64, event: Object<'_>) -> Result<Vec<Object<'env>>> {
        let actions = self.0.handle(whole(now), read(&event)?);
        actions.into_iter().map(|action| write(env, action)).collect()
    }

    /// When it wants to be told the time next.
    #[napi]
    pub fn deadline(&self) -> Option<f64> {
        self.0.deadline().map(|at| at as f64)
    }

    /// What there is.
    #[napi]
    pub fn status<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let status = self.0.status();
        let mut workers = Vec::new();
        for row in status.rows {
            let mut object = Object::new(env)?;
            object.set("slot", row.slot)?;
            object.set("generation", row.generation)?;
            set_some(&mut object, "id", row.worker)?;
            object.set("state", row.state)?;
            object.set("since", row.since as f64)?;
            object.set("restarts", row.restarts)?;
            set_some(&mut object, "memory", row.memory.map(|bytes| bytes as f64))?;
            set_some(&mut object, "connections", row.connections.map(|count| count as f64))?;
            object.set("addresses", row.addresses)?;
            workers.push(object);
        }
        let mut object = Object::new(env)?;
        object.set("state", status.state)?;
        object.set("workers", workers)?;
        Ok(object)
    }
}

/// An event that JavaScript tells.
fn read(event: &Object<'_>) -> Result<Event> {
    let kind: String = field(event, "type")?;
    let worker = || field(event, "worker");
    let slot = || field(event, "slot");
    Ok(match kind.as_str() {
        "start" => Event::Start,
        "forked" => Event::Forked { slot: slot()?, worker: worker()? },
        "forkFailed" => Event::ForkFailed { slot: slot()?, why: field(event, "why")? },
        "online" => Event::Online { worker: worker()? },
        "listening" => Event::Listening { worker: worker()?, address: field(event, "address")? },
        "ready" => Event::Ready { worker: worker()? },
        "disconnected" => Event::Disconnected { worker: worker()? },
        "exited" => {
            let exit = Exit { code: optional(event, "code")?, signal: optional(event, "signal")? };
            Event::Exited { worker: worker()?, exit }
        }
        "quiet" => Event::Quiet { worker: worker()?, duration: whole(field(event, "for")?) },
        "memory" => Event::Memory { worker: worker()?, bytes: whole(field(event, "bytes")?) },
        "connections" => Event::Connections { worker: worker()?, count: whole(field(event, "count")?) },
        "time" => Event::Time,
        "reload" => Event::Reload { worker: optional(event, "worker")? },
        "scale" => Event::Scale { count: field(event, "count")? },
        "stop" => Event::Stop { now: optional(event, "now")?.unwrap_or(false) },
        _ => return Err(wrong(format!("there is no event '{kind}'"))),
    })
}

/// An action, for JavaScript.
fn write<'env>(env: &'env Env, action: Action) -> Result<Object<'env>> {
    let mut object = Object::new(env)?;
    let kind = match action {
        Action::Fork { slot, generation } => {
            object.set("slot", slot)?;
            object.set("generation", generation)?;
            "fork"
        }
        Action::Drain { worker, within } => {
            object.set("worker", worker)?;
            object.set("within", within as f64)?;
            "drain"
        }
        Action::Signal { worker, signal } => {
            object.set("worker", worker)?;
            object.set("signal", signal.as_str())?;
            "signal"
        }
        Action::Diagnose { worker } => {
            object.set("worker", worker)?;
            "diagnose"
        }
        Action::Report(report) => {
            object.set("report", write_report(env, report)?)?;
            "report"
        }
        Action::Reloaded { replaced } => {
            object.set("replaced", replaced)?;
            "reloaded"
        }
        Action::ReloadFailed(failure) => {
            write_failure(&mut object, failure)?;
            "reloadFailed"
        }
        Action::Scaled { count } => {
            object.set("count", count)?;
            "scaled"
        }
        Action::ScaleFailed(failure) => {
            write_failure(&mut object, failure)?;
            "scaleFailed"
        }
        Action::End { code } => {
            object.set("code", code)?;
            "end"
        }
    };
    object.set("type", kind)?;
    Ok(object)
}

fn write_report<'env>(env: &'env Env, report: Report) -> Result<Object<'env>> {
    let mut object = Object::new(env)?;
    object.set("event", report.event)?;
    set_some(&mut object, "slot", report.slot)?;
    set_some(&mut object, "worker", report.worker)?;
    for (name, detail) in report.details {
        match detail {
            Detail::Number(number) => object.set(name, number as f64)?,
            Detail::Text(text) => object.set(name, text)?,
            Detail::Truth(truth) => object.set(name, truth)?,
        }
    }
    Ok(object)
}

fn write_failure(object: &mut Object<'_>, failure: Failure) -> Result<()> {
    set_some(object, "slot", failure.slot)?;
    set_some(object, "worker", failure.worker)?;
    object.set("why", failure.why)?;
    Ok(())
}

fn set_some(object: &mut Object<'_>, name: &str, value: Option<impl ToNapiValue>) -> Result<()> {
    if let Some(value) = value {
        object.set(name, value)?;
    }
    Ok(())
}

/// A member that may be left out, or null.
fn optional<T: FromNapiValue>(object: &Object<'_>, name: &str) -> Result<Option<T>> {
    Ok(object.get::<Option<T>>(name)?.flatten())
}

/// A member that there has to be.
fn field<T: FromNapiValue>(object: &Object<'_>, name: &str) -> Result<T> {
    optional(object, name)?.ok_or_else(|| wrong(format!("an event has no '{name}'")))
}

/// Our own JavaScript does not do that.
fn wrong(why: String) -> Error {
    Error::new(Status::InvalidArg, why)
}
