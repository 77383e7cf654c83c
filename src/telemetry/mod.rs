//! The thread that answers: metrics, health and status over HTTP, whatever JavaScript does.
//!
//! ```text
//!   primary's JavaScript ── says what only it knows ──► Table ◄─┐
//!   workers ── their boards, their channels' counters ──────────┤ this thread ◄──► clients
//!           ── their programs' own metrics ──► Registry ◄───────┤
//!   acceptor ── what it has counted ────────────────────────────┘
//! ```
//!
//! It asks nobody: what it says lies in memory, or in `/proc`. It says no more than it knows: that a worker is ready is
//! what the worker's slot says, and not that this thread is alive. What is work, since workers have much to say of their own,
//! another thread does ([`registry`]).

pub mod exposition;
pub mod merge;
pub mod metrics;
pub mod parse;
pub mod registry;
mod server;
pub mod snapshot;
pub mod table;
pub mod totals;

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::HeaderValue;
use nix::errno::Errno;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::bus::figures::Figures as BusFigures;
use crate::bus::hub::Hub;
use crate::connections::acceptor::Acceptor;
use crate::connections::listen::{Kind, Opened};
use crate::os::error::{Error, Result};
use crate::os::sync::thread::JoinHandle;
use crate::os::{socket, thread};
use crate::processes::board::{self, now, Board};
use crate::processes::usage::{Process, Usage};
use registry::Registry;
use server::Listener;
use snapshot::{Primary, Snapshot, LATE};
use table::Table;

/// How often the thread looks at what has no counter, and tells those who watch.
const LOOK: Duration = Duration::from_secs(1);

/// What is served as it is.
#[derive(Debug, Clone)]
pub struct Asset {
    /// As it is asked for.
    pub path: String,
    /// Of the bytes.
    pub content_type: HeaderValue,
    /// What is in it.
    pub bytes: Bytes,
}

/// What the thread works with.
#[derive(Debug)]
pub struct Options {
    /// Names by which it may be asked, besides addresses; `None`: any.
    pub hosts: Option<Vec<String>>,
    /// What is served as it is.
    pub page: Vec<Asset>,
    /// Node's version.
    pub node: String,
    /// Kept by the loop of the primary, which turns twice a second at least.
    pub heart: Option<Arc<Board>>,
}

/// What the thread and JavaScript share.
#[derive(Debug)]
pub struct Shared {
    /// What only JavaScript knows.
    pub table: Mutex<Table>,
    /// What the application counts.
    pub registry: Registry,
    acceptor: OnceLock<Weak<Acceptor>>,
    bus: OnceLock<Arc<Mutex<BusFigures>>>,
    options: Options,
    process: Process,
    own: Mutex<Own>,
    started: Instant,
}

/// What is known of the primary, as far as it takes two looks to know it.
#[derive(Debug, Default)]
struct Own {
    utilization: f64,
    busy: u64,
    usage: Option<Usage>,
    looked: u64,
}

/// What is known, and the thread that says it, from the time on at which it listens. It ends with this.
#[derive(Debug)]
pub struct Telemetry {
    shared: Arc<Shared>,
    serving: Option<Serving>,
}

#[derive(Debug)]
struct Serving {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _counting: Counting,
    /// Its path is removed with it.
    _socket: Opened,
}

/// The thread that counts. It ends with this.
#[derive(Debug)]
struct Counting {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Telemetry {
    /// One that says nothing yet.
    pub fn new(options: Options) -> Telemetry {
        let shared = Shared {
            table: Mutex::default(),
            registry: Registry::default(),
            acceptor: OnceLock::new(),
            bus: OnceLock::new(),
            options,
            process: Process::new(i32::try_from(std::process::id()).unwrap_or_default()),
            own: Mutex::default(),
            started: Instant::now(),
        };
        Telemetry { shared: Arc::new(shared), serving: None }
    }

    /// Starts the threads: one answers at this socket.
    ///
    /// # Errors
    /// [`Error::Os`] when descriptors or threads are missing.
    pub fn listen(&mut self, socket: Opened) -> Result<()> {
        let (kind, duplicate) = (socket.kind(), socket::duplicate(socket.socket())?);
        // Made here, where it can be said that it cannot be.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| {
                Error::os("epoll_create1", error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
            })?;
        let counting = Counting::start(Arc::clone(&self.shared))?;
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = thread::start("cluster-answers", move || {
            // Nothing is left to be told where the socket cannot be watched.
            let _ = runtime.block_on(run(kind, duplicate, shared, ended));
        })?;
        self.serving = Some(Serving { end: Some(end), thread: Some(thread), _counting: counting, _socket: socket });
        Ok(())
    }

    /// Ends the threads; what is known stays.
    pub fn close(&mut self) {
        self.serving = None;
    }

    /// What it shares with the thread.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Counting {
    fn start(shared: Arc<Shared>) -> Result<Counting> {
        let registry = Arc::clone(&shared);
        let thread = thread::start("cluster-metrics", move || registry.registry.run())?;
        Ok(Counting { shared, thread: Some(thread) })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.shared.registry.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(kind: Kind, socket: OwnedFd, shared: Arc<Shared>, ended: oneshot::Receiver<()>) -> std::io::Result<()> {
    let listener = match kind {
        Kind::Pipe => Listener::Unix(tokio::net::UnixListener::from_std(socket.into())?),
        Kind::Tcp | Kind::Udp => Listener::Tcp(tokio::net::TcpListener::from_std(socket.into())?),
    };
    let (news, watchers) = watch::channel(Bytes::new());
    tokio::spawn(server::serve(listener, Arc::clone(&shared), watchers));
    tokio::spawn(look_again_and_again(shared, news));
    // They end with the runtime.
    let _ = ended.await;
    Ok(())
}

async fn look_again_and_again(shared: Arc<Shared>, news: watch::Sender<Bytes>) {
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        shared.look();
        // The server has one itself.
        if news.receiver_count() > 1 {
            let _ = news.send(shared.event());
        }
    }
}

impl Shared {
    /// Who accepts connections, from the first fork on.
    pub fn set_acceptor(&self, acceptor: &Arc<Acceptor>) {
        if self.acceptor.set(Arc::downgrade(acceptor)).is_ok() {
            acceptor.time_handoffs();
        }
    }

    /// The bus, from the time on at which somebody uses it.
    pub fn set_bus(&self, hub: &Hub) {
        let _ = self.bus.set(Arc::clone(hub.figures()));
    }

    fn bus(&self) -> Option<BusFigures> {
        self.bus.get().map(|figures| *figures.lock())
    }

    fn acceptor(&self) -> Option<Arc<Acceptor>> {
        self.acceptor.get()?.upgrade()
    }

    /// All that is known now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self)
    }

    /// The same, as those who watch get it.
    fn event(&self) -> Bytes {
        let json = serde_json::to_string(&self.snapshot()).unwrap_or_default();
        format!("data: {json}\n\n").into()
    }

    /// Looks at what takes two looks to know, and at what only the kernel knows.
    fn look(&self) {
        let acceptor = self.acceptor();
        if let Some(acceptor) = &acceptor {
            acceptor.knock();
        }
        let figures = acceptor.map(|acceptor| acceptor.figures()).unwrap_or_default();
        let now = now();
        let mut own = self.own.lock();
        let elapsed = now.saturating_sub(own.looked);
        own.usage = self.process.usage().or(own.usage);
        if let Some(heart) = &self.options.heart {
            let busy = heart.counts().busy;
            let quiet = heart.read(now).turned;
            own.utilization =
                share(busy.saturating_sub(own.busy), if quiet > LATE { quiet } else { Duration::ZERO }, elapsed);
            own.busy = busy;
        }
        own.looked = now;
        drop(own);
        let mut table = self.table.lock();
        for (id, worker) in &mut table.workers {
            worker.look();
            let before = std::mem::replace(&mut worker.busy_before, worker.totals.busy);
            let quiet = figures.workers.get(id).map_or(Duration::ZERO, |figures| figures.quiet);
            worker.utilization = share(worker.totals.busy - before, quiet, elapsed);
            worker.look_at_process();
        }
    }

    /// What is known of the primary.
    fn primary(&self) -> Primary {
        let reading = self.options.heart.as_ref().map(|heart| heart.read(now()));
        let lag =
            reading.map_or(
                Duration::ZERO,
                |reading| if reading.turned > LATE { reading.turned } else { reading.expected_wait },
            );
        let own = self.own.lock();
        Primary {
            stuck: lag > LATE,
            lag: lag.as_secs_f64(),
            utilization: own.utilization,
            cpu: own.usage.map_or(0.0, |usage| usage.cpu),
            rss: own.usage.map_or(0, |usage| usage.resident),
        }
    }

    /// Seconds for which this thread, and the one that counts, had a processor.
    fn processor_time(&self) -> f64 {
        let this = Duration::from_nanos(board::processor_time());
        (this + self.registry.processor_time()).as_secs_f64()
    }
}

/// How much of some time a loop was busy. A turn that has not ended counts, too.
fn share(busy: u64, quiet: Duration, elapsed: u64) -> f64 {
    let quiet = u64::try_from(quiet.as_nanos()).unwrap_or(u64::MAX);
    if elapsed == 0 {
        return 0.0;
    }
    (busy.saturating_add(quiet) as f64 / elapsed as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_asks_is_answered_though_the_metrics_of_workers_are_not_done() {
        let options = Options { hosts: None, page: Vec::new(), node: String::new(), heart: None };
        let telemetry = Telemetry::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody counts: as if that took for ever.
        let worker = telemetry.shared().registry.attach(1, 0).unwrap();
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(telemetry.shared());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
            runtime.block_on(run(Kind::Tcp, listener.into(), shared, ended))
        });
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            stream
        };
        let answer = |mut stream: TcpStream| {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let metrics = ask("/metrics");
        for _ in 0..10 {
            assert!(answer(ask("/livez")).starts_with("HTTP/1.1 200 "));
            assert!(answer(ask("/readyz")).starts_with("HTTP/1.1 503 "));
        }
        let metrics = answer(metrics);
        assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\ncluster_ready 0\n"), "{metrics}");
        drop((end, worker));
        thread.join().unwrap().unwrap();
    }
}
