//! The thread that answers, as the primary's JavaScript sees it.

use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::acceptor::Acceptor;
use super::board::Clock;
use super::bus::Hub;
use super::callback::Callback;
use super::channel::Channel;
use super::fork::WorkerProcess;
use super::listen::{name, Query, SocketName};
use super::uv::{Timer, Turns};
use super::Result;
use crate::processes::board::Board;
use crate::telemetry::registry::{Given, LeftOutOf, Notice};
use crate::telemetry::table::{Reload, State};
use crate::telemetry::{Asset, Options, Telemetry as Core};

/// How often the primary's loop is made to turn, in milliseconds: so that one that idles is not taken for stuck.
const BEAT: u64 = 500;

/// Clients that may wait to be let in.
const BACKLOG: i32 = 511;

/// How often workers sample what takes longer to learn.
const SAMPLE: Duration = Duration::from_secs(1);

/// Where there are metrics, health and status.
#[napi]
pub struct Telemetry {
    core: Core,
    _heart: Heart,
}

/// What is served as it is.
#[napi(object)]
pub struct TelemetryAsset {
    /// As it is asked for.
    pub path: String,
    /// Of the bytes.
    #[napi(js_name = "type")]
    pub content_type: String,
    /// What is in it.
    pub bytes: Buffer,
}

/// What a worker publishes by: see `Sheet`.
#[napi(object, object_from_js = false)]
pub struct TelemetryGiven {
    /// A descriptor of memory.
    pub sheet: i32,
    /// A descriptor of a socket.
    pub bell: i32,
}

/// Metrics of a worker that are left out.
#[napi(object, object_from_js = false)]
pub struct TelemetryNotice {
    /// Whose they are.
    pub worker: u32,
    /// How many; without it, all that it has said.
    pub count: Option<f64>,
    /// Why.
    pub reason: String,
}

impl From<Notice> for TelemetryNotice {
    fn from(Notice { worker, what }: Notice) -> Self {
        let (count, reason) = match what {
            LeftOutOf::Text(nonsense) => (None, nonsense.as_str()),
            LeftOutOf::New(left_out) => (Some(left_out.count as f64), left_out.bound.as_str()),
        };
        TelemetryNotice { worker, count, reason: reason.into() }
    }
}

/// See [`Options`].
#[napi(object)]
pub struct TelemetryOptions {
    /// Names by which it may be asked, besides addresses; without them any.
    pub hosts: Option<Vec<String>>,
    /// What is served as it is.
    pub page: Vec<TelemetryAsset>,
    /// Node's version.
    pub node: String,
}

/// What shows that the primary's loop turns, and tells it twice a second what there is to be told.
struct Heart {
    _turns: Turns,
    _beat: Timer,
}

impl Heart {
    fn new(env: Env, board: &Arc<Board>, tell: impl FnMut() + 'static) -> crate::os::error::Result<Heart> {
        let (mut clock, board) = (Clock::new(), Arc::clone(board));
        let turns = Turns::new(env.raw(), move |idle| {
            let (now, busy) = clock.turned(idle);
            board.turned(now, busy);
        })?;
        let beat = Timer::new(env.raw(), tell)?;
        beat.set_reference(false);
        beat.repeat(BEAT);
        Ok(Heart { _turns: turns, _beat: beat })
    }
}

#[napi]
impl Telemetry {
    /// One that says nothing yet. `onnotice` is called when `nextNotice` has something.
    #[napi(constructor)]
    pub fn new(env: Env, options: TelemetryOptions, onnotice: Function<'_>) -> Result<Self> {
        let (heart, _) = Board::new()?;
        let heart = Arc::new(heart);
        let TelemetryOptions { hosts, page, node } = options;
        let page = page.into_iter().filter_map(Asset::try_from_js).collect();
        let core = Core::new(Options { hosts, page, node, heart: Some(Arc::clone(&heart)) });
        // SAFETY: we are called by JavaScript, with a function.
        let onnotice = unsafe { Callback::new(env.raw(), "RUSTCLUSTERTELEMETRY", onnotice.raw()) };
        let shared = Arc::clone(core.shared());
        let tell = move || {
            if shared.registry.has_notices() {
                onnotice.call(&[]);
            }
        };
        Ok(Telemetry { core, _heart: Heart::new(env, &heart, tell)? })
    }

    /// The next worker of whose metrics something is left out: one of each slot.
    #[napi]
    pub fn next_notice(&self) -> Option<TelemetryNotice> {
        self.core.shared().registry.next_notice().map(TelemetryNotice::from)
    }

    /// Starts the thread, which answers there; the address, unless it is a path.
    #[napi]
    pub fn listen(&mut self, env: Env, query: Query) -> Result<Option<SocketName>> {
        let socket = query.open(env)?;
        socket.listen(BACKLOG)?;
        let name = name(&socket);
        self.core.listen(socket)?;
        Ok(name)
    }

    /// The process ends: nobody is answered any more, and a path is removed.
    #[napi]
    pub fn close(&mut self) {
        self.core.close();
    }

    /// A worker was started.
    #[napi]
    pub fn forked(
        &self,
        worker: u32,
        slot: u32,
        process: &WorkerProcess,
        channel: Option<&Channel>,
        acceptor: Option<&Acceptor>,
    ) {
        let shared = self.core.shared();
        acceptor.and_then(Acceptor::shared_core).inspect(|acceptor| shared.set_acceptor(acceptor));
        let board = process.board();
        board.inspect(|board| board.sample(SAMPLE));
        let traffic = channel.and_then(Channel::traffic);
        shared.table.lock().forked(worker, slot, process.pid(), board.cloned(), traffic);
    }

    /// Somebody uses the bus.
    #[napi]
    pub fn set_bus(&self, hub: &Hub) {
        self.core.shared().set_bus(hub.core());
    }

    /// A worker does something else: "ready", "draining".
    #[napi]
    pub fn set_state(&self, worker: u32, state: String) {
        let state = if state == "ready" { State::Ready } else { State::Draining };
        self.core.shared().table.lock().set_state(worker, state);
    }

    /// A worker runs, and may count something. What it is given is JavaScript's to send, and to close.
    #[napi]
    pub fn collect(&self, worker: u32, slot: u32) -> Result<TelemetryGiven> {
        let Given { sheet, bell } = self.core.shared().registry.attach(worker, slot)?;
        Ok(TelemetryGiven { sheet: sheet.into_raw_fd(), bell: bell.into_raw_fd() })
    }

    /// A worker's process has ended.
    #[napi]
    pub fn exited(&self, worker: u32, cause: String) {
        let shared = self.core.shared();
        shared.table.lock().exited(worker, &cause);
        shared.registry.ended(worker);
    }

    /// A reload has begun, has come further, or has ended.
    #[napi]
    pub fn reloaded(&self, is_running: bool, done: u32, of: u32) {
        self.core.shared().table.lock().reload = Some(Reload { is_running, done, of });
    }

    /// All are to end.
    #[napi]
    pub fn stopping(&self) {
        self.core.shared().table.lock().is_stopping = true;
    }
}

impl Asset {
    /// One whose type can be said in a header.
    fn try_from_js(asset: TelemetryAsset) -> Option<Asset> {
        let TelemetryAsset { path, content_type, bytes } = asset;
        Some(Asset { path, content_type: content_type.parse().ok()?, bytes: Vec::from(bytes).into() })
    }
}
