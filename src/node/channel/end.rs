//! This process's end of a channel.

use std::cell::{Cell, OnceCell};
use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::{Arc, LazyLock, OnceLock};

use napi::bindgen_prelude::*;
use napi::{JsString, JsValue};
use nix::errno::Errno;

use super::found::{count, messages, read_parts, Found};
use crate::messages::channel::{Channel as Core, Pushed};
use crate::messages::flusher::Flusher;
use crate::messages::frame::Kind;
use crate::messages::incoming::{Incoming, Read};
use crate::messages::{parts, ring};
use crate::node::text::{append_utf8, string, Value};
use crate::node::uv::{Prepare, Timer};
use crate::node::watch::Watch;
use crate::node::Result;
use crate::os::error::Error;
use crate::os::socket;

/// One for the process: it has nothing to do as long as event loops turn. What is queued when the process
/// exits leaves then.
static FLUSHER: LazyLock<Flusher> = LazyLock::new(|| Flusher::new(have_flushed_at_exit));

/// Messages may wait only if they leave at the exit.
fn have_flushed_at_exit() -> crate::os::error::Result<()> {
    static ASKED: OnceLock<c_int> = OnceLock::new();
    // SAFETY: the function of the C library, with its type; the handler takes locks that no one holds for long.
    match ASKED.get_or_init(|| unsafe { atexit(flush_at_exit) }) {
        0 => Ok(()),
        _ => Err(Error::os("atexit", Errno::ENOMEM)),
    }
}

extern "C" {
    /// [atexit(3)](https://man7.org/linux/man-pages/man3/atexit.3.html)
    fn atexit(handler: extern "C" fn()) -> c_int;
}

extern "C" fn flush_at_exit() {
    FLUSHER.flush_all();
}

/// How long `read` goes on asking the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// So many reads at most, fewer if one shows that it was the last: the loop says when there is more.
    Reads(u32),
    /// Until nothing is there.
    UntilEmpty,
}

impl Budget {
    pub const SPENT: Budget = Budget::Reads(0);

    /// What is left of it after a read.
    fn after(self, read: Read) -> Budget {
        match (self, read) {
            (Budget::UntilEmpty, _) => Budget::UntilEmpty,
            (Budget::Reads(_), Read::Last) => Budget::SPENT,
            (Budget::Reads(left), _) => Budget::Reads(left.saturating_sub(1)),
        }
    }
}

/// `read` found nothing more for now.
const NOTHING: i32 = 0;
/// `read` found the end of the stream.
const END: i32 = -1;
/// `read` found that the process has no descriptor left; `resume` asks again.
const STARVED: i32 = -2;
/// This process's end of the stream.
pub(super) struct End {
    /// `None` once the channel is closed.
    pub core: Option<Arc<Core>>,
    pub incoming: Incoming,
    /// Bytes that a frame may have.
    pub limit: usize,
    pub watch: Option<Rc<Watch>>,
    pub turn: Option<Turn>,
    pub budget: Rc<Cell<Budget>>,
    /// Whether `read` may find more, in this readiness of the socket.
    pub more: Rc<Cell<bool>>,
    pub ended: bool,
    pub most_queued: usize,
    /// Where long strings come from.
    pub ring: Option<ring::Reader>,
    /// What gives the memory of the other ring back; made when that is first used.
    pub rest: OnceCell<Rest>,
}

/// What is known of this turn of the loop.
pub(super) struct Turn {
    prepare: Prepare,
    /// Whether a message was sent in this turn: then the next ones are joined.
    sent: Rc<Cell<bool>>,
}

/// Gives the memory of a ring back that was not used for a while.
pub(super) struct Rest {
    timer: Rc<Timer>,
    is_due: Rc<Cell<bool>>,
}

impl Rest {
    /// How often it looks, in milliseconds.
    const LOOK: u64 = 2_000;

    fn new(env: Env, core: &Arc<Core>) -> Result<Rest> {
        let (core, is_due, own) = (Arc::downgrade(core), Rc::new(Cell::new(false)), Rc::new(OnceCell::new()));
        let (to_come, itself) = (Rc::clone(&is_due), Rc::<OnceCell<Weak<Timer>>>::clone(&own));
        let timer = Rc::new(Timer::new(env.raw(), move || {
            let again = core.upgrade().is_some_and(|core| !core.rest());
            to_come.set(again);
            if let (true, Some(timer)) = (again, itself.get().and_then(Weak::upgrade)) {
                timer.start(Self::LOOK);
            }
        })?);
        timer.set_reference(false);
        let _ = own.set(Rc::downgrade(&timer));
        Ok(Rest { timer, is_due })
    }

    /// Something was put in.
    fn expect(&self) {
        if !self.is_due.replace(true) {
            self.timer.start(Self::LOOK);
        }
    }
}

impl Turn {
    pub fn new(env: Env, core: &Arc<Core>, watch: &Rc<Watch>) -> Result<Turn> {
        let sent = Rc::new(Cell::new(false));
        let (was_sent, writer, watch) = (Rc::clone(&sent), Arc::clone(core), Rc::downgrade(watch));
        let prepare = Prepare::new(env.raw(), move || {
            was_sent.set(false);
            // A gone peer is told by the read that finds the end.
            if let (Ok(Pushed { blocked: Some(block), .. }), Some(watch)) = (writer.flush(), watch.upgrade()) {
                watch.block(block);
            }
        })?;
        Ok(Turn { prepare, sent })
    }
}

impl End {
    pub fn send_json(&self, env: Env, kind: Kind, message: JsString<'_>, fd: i32) -> Result<u32> {
        self.push(kind, fd, |bytes| append_utf8(env.raw(), message.raw(), bytes))
    }

    pub fn send_parts(&self, env: Env, parts: Vec<JsString<'_>>) -> Result<u32> {
        let Some((json, strings)) = parts.split_first() else { return Ok(0) };
        let pushed = self.push_with(Kind::Parts, -1, |bytes, ring| {
            let mut parts = parts::Writer::new(bytes, ring, count(strings.len()));
            for string in strings {
                parts.string(&Value(env.raw(), string.raw()));
            }
            parts.json(|bytes| append_utf8(env.raw(), json.raw(), bytes));
        });
        // Without a timer the memory stays.
        if let (Some(_), Some(core)) = (&self.ring, &self.core) {
            match self.rest.get() {
                Some(rest) => rest.expect(),
                None => drop(Rest::new(env, core).map(|rest| self.rest.get_or_init(|| rest).expect())),
            }
        }
        pushed
    }

    pub fn push(&self, kind: Kind, fd: i32, write: impl FnOnce(&mut Vec<u8>)) -> Result<u32> {
        self.push_with(kind, fd, |bytes, _| write(bytes))
    }

    fn push_with(
        &self,
        kind: Kind,
        fd: i32,
        write: impl FnOnce(&mut Vec<u8>, Option<&mut ring::Writer>),
    ) -> Result<u32> {
        let (Some(core), Some(turn)) = (&self.core, &self.turn) else {
            return Err(Error::os("sendmsg", Errno::EPIPE).into());
        };
        let descriptor = match fd {
            ..0 => None,
            fd => Some(duplicate(core, fd)?),
        };
        // The cluster's own messages are few, and somebody waits for each: they do not begin a turn's joining.
        let control = kind == Kind::Control;
        let first = !control && !turn.sent.replace(true);
        let mut pushed = core.push_with(kind, descriptor, control || first, write)?;
        if first {
            turn.prepare.arm();
        }
        // What one turn joins has not been offered to the kernel yet.
        if pushed.queued + pushed.shared > self.most_queued {
            pushed = core.flush()?;
        }
        self.update(core, pushed);
        let queued = pushed.queued + pushed.shared;
        if queued > self.most_queued {
            return Err(Error::QueueFull { queued, limit: self.most_queued }.into());
        }
        // What lies in the ring is no more in the queue than what lies in the socket.
        Ok(count(pushed.queued))
    }

    pub fn update(&self, core: &Arc<Core>, pushed: Pushed) {
        if pushed.untold {
            FLUSHER.schedule(core);
        }
        if let Some(block) = pushed.blocked {
            self.with_watch(|watch| watch.block(block));
        }
    }

    pub fn read(&mut self, env: Env, scratch: Unknown<'_>) -> Result<Found<'static>> {
        loop {
            if let Some(run) = self.incoming.next_run()? {
                self.core.as_ref().inspect(|core| core.count_received(&run));
                let found = match (&run.payloads[..], run.kind, &run.descriptor) {
                    (&[text], Kind::Json, None) if !run.lost => Either4::A(string(env, text)?),
                    (payloads, Kind::Parts, _) => {
                        let (parts, shared) = read_parts(env, payloads, self.ring.as_mut())?;
                        self.core.as_ref().inspect(|core| core.count_shared(shared));
                        Either4::B(parts)
                    }
                    _ => Either4::C(messages(env, run, scratch)?),
                };
                self.more.set(self.incoming.has_run() || self.budget.get() != Budget::SPENT);
                return Ok(found);
            }
            let found = match &self.core {
                Some(core) if !self.ended && self.budget.get() != Budget::SPENT => {
                    let read = self.incoming.read(core.socket())?;
                    self.ring.as_ref().inspect(|ring| ring.arrived());
                    self.budget.set(self.budget.get().after(read));
                    match read {
                        Read::Some | Read::Last => continue,
                        Read::Nothing => NOTHING,
                        Read::End => {
                            self.ended = true;
                            END
                        }
                        Read::Starved => {
                            // Not to be told again and again that something is there.
                            self.with_watch(|watch| watch.read(false));
                            STARVED
                        }
                    }
                }
                Some(_) if !self.ended => NOTHING,
                _ => END,
            };
            return Ok(Either4::D(found));
        }
    }

    pub fn with_watch(&self, act: impl FnOnce(&Watch)) {
        if let Some(watch) = &self.watch {
            act(watch);
        }
    }
}

/// A duplicate of what goes along with a message. Those that wait in the queue are many, perhaps: if there is no number
/// left, they are sent first.
fn duplicate(core: &Core, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: not negative, and only duplicated: of a closed one the kernel says EBADF.
    let descriptor = unsafe { BorrowedFd::borrow_raw(fd) };
    match socket::duplicate(descriptor) {
        Err(Error::Os { errno: Errno::EMFILE, .. }) => {
            core.flush()?;
            Ok(socket::duplicate(descriptor)?)
        }
        duplicated => Ok(duplicated?),
    }
}
