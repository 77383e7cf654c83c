//! The acceptor and its round-robin handles.

use std::cell::{Cell, OnceCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::callback::Callback;
use super::dispatch::Dispatch;
use super::listen::{name, Query, SocketName};
use super::uv::{Poll, READABLE};
use super::Result;
use crate::connections::acceptor::{Acceptor as Core, Event};
use crate::connections::policy;

/// The thread that accepts connections and hands them over. It runs from the first fork on that could start it.
#[napi]
pub struct Acceptor {
    onevent: Rc<Callback>,
    running: OnceCell<Rc<Running>>,
}

struct Running {
    /// Closed before the descriptor that it watches.
    poll: Poll,
    core: Arc<Core>,
    /// How many listening sockets are open. While there are, the loop stays alive.
    listening: Cell<u32>,
}

impl Running {
    fn set_listening(&self, count: u32) {
        self.listening.set(count);
        self.poll.set_reference(count > 0);
    }
}

/// What the acceptor has to tell.
#[napi(object)]
pub struct AcceptorEvent {
    /// "broken", "starved", "stuck", "recovered", "rescued", "refused", "hasAll".
    pub kind: String,
    /// The worker it is about.
    pub worker: Option<u32>,
    /// The code of the error.
    pub code: Option<String>,
    /// What happened.
    pub message: Option<String>,
    /// How many connections it is about.
    pub count: Option<f64>,
    /// Where they had connected.
    pub address: Option<String>,
}

impl From<Event> for AcceptorEvent {
    fn from(event: Event) -> Self {
        let (mut count, mut address) = (None, None);
        let (kind, worker, error) = match event {
            Event::Broken { worker, error } => ("broken", Some(worker), Some(error)),
            Event::Starved { error } => ("starved", None, Some(error)),
            Event::Stuck { worker } => ("stuck", Some(worker), None),
            Event::Recovered { worker } => ("recovered", Some(worker), None),
            Event::Rescued { worker, count: rescued } => {
                count = Some(rescued as f64);
                ("rescued", Some(worker), None)
            }
            Event::Refused { address: listener, count: refused } => {
                (count, address) = (Some(refused as f64), Some(listener));
                ("refused", None, None)
            }
            Event::HasAll { worker } => ("hasAll", Some(worker), None),
        };
        AcceptorEvent {
            kind: kind.into(),
            worker,
            code: error.as_ref().map(crate::os::error::Error::code),
            message: error.map(|error| error.to_string()),
            count,
            address,
        }
    }
}

#[napi]
impl Acceptor {
    /// `onevent` is called when `nextEvent` has something.
    #[napi(constructor)]
    pub fn new(env: Env, onevent: Function<'_>) -> Self {
        // SAFETY: we are called by JavaScript, with a function.
        let onevent = unsafe { Callback::new(env.raw(), "RUSTCLUSTERACCEPTOR", onevent.raw()) };
        Acceptor { onevent: Rc::new(onevent), running: OnceCell::new() }
    }

    /// The next event, in the order in which they happened.
    #[napi]
    pub fn next_event(&self) -> Option<AcceptorEvent> {
        self.core()?.next_event().map(AcceptorEvent::from)
    }

    /// Takes a worker out; what waits in its queue goes to others.
    #[napi]
    pub fn remove_worker(&self, worker: u32) {
        self.core().inspect(|core| core.remove_worker(worker));
    }

    /// For how many milliseconds a worker has taken nothing, though something is in its queue. With `knock` something is
    /// put there if nothing is.
    #[napi]
    pub fn quiet(&self, worker: u32, knock: bool) -> f64 {
        self.core().map_or(0.0, |core| core.quiet(worker, knock).as_secs_f64() * 1e3)
    }

    /// Whether a worker that retires has all that was accepted for it in its queue; if not, the event "hasAll"
    /// tells when to ask again.
    #[napi]
    pub fn has_all(&self, worker: u32) -> bool {
        self.core().is_none_or(|core| core.has_all(worker))
    }
}

impl Acceptor {
    /// The core, if it runs.
    pub(super) fn core(&self) -> Option<&Core> {
        self.running.get().map(|running| &*running.core)
    }

    /// The same, to be shared.
    pub(super) fn shared_core(&self) -> Option<&Arc<Core>> {
        self.running.get().map(|running| &running.core)
    }

    /// The core, which is started unless it runs.
    pub(super) fn start(&self, env: &Env) -> crate::os::error::Result<&Core> {
        Ok(&self.running(env)?.core)
    }

    fn running(&self, env: &Env) -> crate::os::error::Result<&Rc<Running>> {
        if let Some(running) = self.running.get() {
            return Ok(running);
        }
        let core = Arc::new(Core::start()?);
        let onevent = Rc::clone(&self.onevent);
        let poll = Poll::new(env.raw(), core.news(), move |_| onevent.call(&[]))?;
        poll.start(READABLE);
        poll.set_reference(false);
        Ok(self.running.get_or_init(|| Rc::new(Running { poll, core, listening: Cell::new(0) })))
    }
}

/// A listening socket whose connections go round the workers that joined it.
#[napi]
pub struct RoundRobinHandle {
    acceptor: Rc<Running>,
    open: Cell<bool>,
    listener: u32,
    fd: i32,
    errno: i32,
    name: Option<SocketName>,
    kind: &'static str,
}

#[napi]
impl RoundRobinHandle {
    /// Opens what is asked for; `errno` says whether that went well.
    #[napi(constructor)]
    pub fn new(env: Env, acceptor: &Acceptor, query: Query, backlog: i32, dispatch: Option<Dispatch>) -> Result<Self> {
        let dispatch = dispatch.map(policy::Dispatch::try_from).transpose()?.unwrap_or_default();
        let acceptor = Rc::clone(acceptor.running(&env)?);
        let opened = query.open(env).and_then(|opened| opened.listen(backlog).map(|()| opened));
        Ok(match opened {
            Ok(opened) => {
                let (name, kind) = (name(&opened), super::listen::kind_name(opened.kind()));
                let fd = opened.socket().as_raw_fd();
                let listener = acceptor.core.add_listener(opened, dispatch);
                acceptor.set_listening(acceptor.listening.get() + 1);
                RoundRobinHandle { acceptor, open: Cell::new(true), listener, fd, errno: 0, name, kind }
            }
            Err(error) => RoundRobinHandle {
                acceptor,
                open: Cell::new(false),
                listener: 0,
                fd: -1,
                errno: error.uv_errno(),
                name: None,
                kind: "tcp",
            },
        })
    }

    /// 0, or the error as libuv numbers it.
    #[napi(getter)]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The number under which connections of this handle are handed over.
    #[napi(getter)]
    pub fn listener(&self) -> u32 {
        self.listener
    }

    /// The listening descriptor, open until the last worker is removed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// "tcp" or "pipe": which handle adopts a connection.
    #[napi(getter)]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The address, unless it is a path.
    #[napi(getter)]
    pub fn sockname(&self) -> Option<SocketName> {
        let name = self.name.as_ref()?;
        Some(SocketName { address: name.address.clone(), family: name.family.clone(), port: name.port })
    }

    /// Has a worker get connections; `false` if it is not there.
    #[napi]
    pub fn add(&self, worker: u32) -> bool {
        self.acceptor.core.join(self.listener, worker)
    }

    /// Takes a worker off; `true` if it was the last, and the socket is closed.
    #[napi]
    pub fn remove(&self, worker: u32) -> bool {
        self.closed_if(self.acceptor.core.leave(self.listener, worker))
    }

    /// Takes off a worker that goes on serving what it was given; `true` if it was the last, and the socket is
    /// closed.
    #[napi]
    pub fn retire(&self, worker: u32) -> bool {
        self.closed_if(self.acceptor.core.retire(self.listener, worker))
    }

    /// Closes the socket.
    #[napi]
    pub fn close(&self) {
        self.acceptor.core.close(self.listener);
        self.closed_if(true);
    }
}

impl RoundRobinHandle {
    /// Keeps the loop alive no longer, if the socket is closed.
    fn closed_if(&self, closed: bool) -> bool {
        if closed && self.open.replace(false) {
            self.acceptor.set_listening(self.acceptor.listening.get() - 1);
        }
        closed
    }
}
