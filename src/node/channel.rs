//! The channel, driven on Node's loop.
//!
//! In: the loop says that the socket is readable, JavaScript is called once and takes out one run of messages
//! after the other with `read`. Out: `send` queues, and writes the first message of a turn at once, and each of the
//! cluster's own; the rest of the turn leaves at its end, in one write.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, LazyLock, OnceLock};

use napi::bindgen_prelude::*;
use napi::{JsString, JsValue};
use napi_derive::napi;
use nix::errno::Errno;

use super::callback::Callback;
use super::text::{append_string, append_utf8, string, whole};
use super::uv::Prepare;
use super::watch::Watch;
use super::{function, own, Result};
use crate::messages::channel::{Channel as Core, Pushed};
use crate::messages::flusher::Flusher;
use crate::messages::frame::{Kind, LIMIT};
use crate::messages::incoming::{Incoming, Read, Run};
use crate::messages::parts;
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

/// Bytes that a message may be longer because of a handle that comes along, and longer than any of the cluster's own.
const ENVELOPE: usize = 64 * 1024;

/// How many reads one readiness of the socket is good for, before others on the loop get their turn.
const READS: u32 = 16;

/// How long `read` goes on asking the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Budget {
    /// So many reads at most, fewer if one shows that it was the last: the loop says when there is more.
    Reads(u32),
    /// Until nothing is there.
    UntilEmpty,
}

impl Budget {
    const SPENT: Budget = Budget::Reads(0);

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
/// In the place of a descriptor: one came, and found no number.
const LOST: i32 = -2;

/// The message stream between the primary and a worker.
#[napi]
pub struct Channel {
    end: Rc<RefCell<End>>,
}

/// This process's end of the stream.
struct End {
    /// `None` once the channel is closed.
    core: Option<Arc<Core>>,
    incoming: Incoming,
    watch: Option<Rc<Watch>>,
    turn: Option<Turn>,
    budget: Rc<Cell<Budget>>,
    /// Whether `read` may find more, in this readiness of the socket.
    more: Rc<Cell<bool>>,
    ended: bool,
    most_queued: usize,
}

/// What the other process may cost us.
#[napi(object)]
pub struct Limits {
    /// Bytes of the longest message it may send, without the envelope of a handle.
    pub max_message_size: Option<u32>,
    /// Bytes that may wait for it; without a number, as many as memory has room for.
    pub max_queued_bytes: Option<f64>,
}

/// What is known of this turn of the loop.
struct Turn {
    prepare: Prepare,
    /// Whether a message was sent in this turn: then the next ones are joined.
    sent: Rc<Cell<bool>>,
}

impl Turn {
    fn new(env: Env, core: &Arc<Core>, watch: &Rc<Watch>) -> Result<Turn> {
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

fn callback(env: Env, function: &Function<'_>) -> Callback {
    // SAFETY: we are called by JavaScript, with a function.
    unsafe { Callback::new(env.raw(), "RUSTCLUSTERCHANNEL", function.raw()) }
}

/// What [`Channel::read`] took out, unless it is one message of JSON text, or of parts.
#[napi(object, object_from_js = false)]
pub struct Messages<'env> {
    /// The kind of the messages: 1 JSON, 2 advanced, 3 control.
    pub kind: i32,
    /// JSON and control: the messages as the text of one JSON array.
    #[napi(ts_type = "string")]
    pub json: Option<Unknown<'env>>,
    /// Advanced: the lengths of the messages, which lie one after the other in the scratch buffer.
    pub lengths: Option<Vec<u32>>,
    /// The scratch buffer, if the one that was given is too small.
    pub scratch: Option<Buffer>,
    /// The descriptor that came with the message, -1 if none did, -2 if it was lost: no number was free.
    pub fd: i32,
}

#[napi]
impl Channel {
    /// Takes over a socket. `onread` is called when `read` has something; `onwrite` when the loop has tried again to
    /// write what waited, with 0, or with the number of the error for which the kernel has refused it for a while.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        fd: i32,
        onread: Function<'_>,
        #[napi(ts_arg_type = "(errno: number) => void")] onwrite: Function<'_>,
        limits: Option<Limits>,
    ) -> Result<Self> {
        let (longest, most_queued) =
            limits.map_or((None, None), |limits| (limits.max_message_size, limits.max_queued_bytes));
        // SAFETY: JavaScript got the number from `fork`, or it was inherited for this, and gives it away.
        let socket = unsafe { own(fd)? };
        let core = Arc::new(Core::new(socket));
        let budget = Rc::new(Cell::new(Budget::SPENT));
        let (readable, written) = (callback(env, &onread), callback(env, &onwrite));
        let more = Rc::new(Cell::new(false));
        let (new_budget, may_more) = (Rc::clone(&budget), Rc::clone(&more));
        let readable = move || {
            new_budget.set(Budget::Reads(READS));
            // A call ends with JavaScript's ticks and promises: those of one run's listeners come before the next run.
            loop {
                may_more.set(false);
                readable.call(&[]);
                if !may_more.get() {
                    break;
                }
            }
        };
        let watch = Watch::new(env.raw(), Arc::clone(&core), readable, move |errno| written.call(&[errno]))?;
        let end = End {
            turn: Some(Turn::new(env, &core, &watch)?),
            core: Some(core),
            incoming: Incoming::new(longest.map_or(LIMIT, |longest| LIMIT.min(longest as usize + ENVELOPE))),
            watch: Some(watch),
            budget,
            more,
            ended: false,
            most_queued: most_queued.map_or(usize::MAX, |most| most as usize),
        };
        Ok(Channel { end: Rc::new(RefCell::new(end)) })
    }

    /// A function `(text)` that does what `sendJson(1, text, -1)` does. See `reader` for why.
    #[napi(ts_return_type = "(text: string) => number")]
    pub fn sender<'a>(&self, env: &'a Env) -> napi::Result<Function<'a, (), u32>> {
        let end = Rc::clone(&self.end);
        function(env, "send", move |env, text| end.borrow().send_json(env, Kind::Json, text, -1))
    }

    /// A function `(parts)` that queues a message: its JSON text, and the strings that were taken out of it; as
    /// `sendJson` else.
    #[napi(ts_return_type = "(parts: string[]) => number")]
    pub fn parts_sender<'a>(&self, env: &'a Env) -> napi::Result<Function<'a, (), u32>> {
        let end = Rc::clone(&self.end);
        function(env, "sendParts", move |env, parts| end.borrow().send_parts(env, parts))
    }

    /// A function `(scratch)` that takes out the next messages that have arrived: one alone, without a
    /// descriptor, as its JSON text, or as an array of its text and the strings that were taken out of it; else as
    /// `Messages`. A number says that there are none: 0 for now, -1: the end, -2: no descriptor is left, call
    /// `resume` later. `scratch`: a buffer for messages that V8 has written, or undefined.
    ///
    /// It throws when the other process does not speak our protocol: nothing more can be read then.
    ///
    /// A function of its own, and no method, because it is called for every message: a method's object is looked
    /// up, and its class checked, at each call, and that takes longer than all that is done for a small message.
    #[napi(ts_return_type = "(scratch?: Buffer) => string | string[] | Messages | number")]
    pub fn reader<'a>(&self, env: &'a Env) -> napi::Result<Function<'a, (), Found<'a>>> {
        let end = Rc::clone(&self.end);
        function(env, "read", move |env, scratch| end.borrow_mut().read(env, scratch))
    }

    /// Queues a message of JSON text and returns how many bytes wait. `fd`: a descriptor to go along (it is
    /// duplicated), or -1. `kind`: 1 a user's message, 3 the cluster's.
    ///
    /// Throws `EPIPE` or `ECONNRESET` when the other process is gone, `EMFILE`, and
    /// `ERR_RUST_CLUSTER_QUEUE_FULL` when more waits than the limit allows: the channel is to be ended.
    #[napi]
    pub fn send_json(&self, env: Env, kind: u32, message: JsString<'_>, fd: i32) -> Result<u32> {
        let kind = if kind == Kind::Control as u32 { Kind::Control } else { Kind::Json };
        self.end.borrow().send_json(env, kind, message, fd)
    }

    /// Queues a message that V8 has written; as `sendJson` else.
    #[napi]
    pub fn send_advanced(&self, message: BufferSlice<'_>, fd: i32) -> Result<u32> {
        self.end.borrow().push(Kind::Advanced, fd, |bytes| bytes.extend_from_slice(&message))
    }

    /// Writes what waits, and returns how many bytes still do: those that the kernel does not take now.
    #[napi]
    pub fn flush(&self) -> Result<u32> {
        let end = self.end.borrow();
        let Some(core) = &end.core else { return Ok(0) };
        let pushed = core.flush()?;
        end.update(core, pushed);
        Ok(count(pushed.queued))
    }

    /// Bytes that wait to be written.
    #[napi(getter)]
    pub fn queued(&self) -> u32 {
        self.end.borrow().core.as_ref().map_or(0, |core| count(core.queued()))
    }

    /// Bytes handed to the kernel since the beginning.
    #[napi(getter)]
    pub fn written(&self) -> f64 {
        self.end.borrow().core.as_ref().map_or(0.0, |core| core.written() as f64)
    }

    /// Where the stream ends once all that waits is written: `written` will be there.
    #[napi(getter)]
    pub fn end(&self) -> f64 {
        self.end.borrow().core.as_ref().map_or(0.0, |core| core.end() as f64)
    }

    /// Has `read` go on until nothing is there, although the loop does not say so.
    #[napi]
    pub fn drain(&self) {
        self.end.borrow().budget.set(Budget::UntilEmpty);
    }

    /// Reads no more: what is left to be written is all that the channel is still open for.
    #[napi]
    pub fn pause(&self) {
        self.end.borrow().with_watch(|watch| watch.read(false));
    }

    /// Reads again, after `read` found no descriptor left.
    #[napi]
    pub fn resume(&self) {
        self.end.borrow().with_watch(|watch| watch.read(true));
    }

    /// Keeps the loop alive while the channel is open.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        self.end.borrow().with_watch(|watch| watch.keep(true));
    }

    /// Does not keep the loop alive.
    #[napi]
    pub fn unref(&self) {
        self.end.borrow().with_watch(|watch| watch.keep(false));
    }

    /// Whether it keeps the loop alive.
    #[napi]
    pub fn has_ref(&self) -> bool {
        self.end.borrow().watch.as_ref().is_some_and(|watch| watch.keeps())
    }

    /// The number of the socket, -1 when the channel is closed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.end.borrow().core.as_ref().map_or(-1, |core| core.socket().as_raw_fd())
    }

    /// Ends the channel. What waits to be written and finds no room is lost: see to it before.
    #[napi]
    pub fn close(&self) {
        let mut end = self.end.borrow_mut();
        end.turn = None;
        end.watch = None;
        // The object is JavaScript's to collect, and V8 does not know how much hangs on it.
        end.incoming.clear();
        // The other end sees it at once, though the descriptor is closed when the loop is done with it.
        if let Some(core) = end.core.take() {
            let _ = nix::sys::socket::shutdown(core.socket().as_raw_fd(), nix::sys::socket::Shutdown::Both);
        }
    }
}

impl End {
    fn send_json(&self, env: Env, kind: Kind, message: JsString<'_>, fd: i32) -> Result<u32> {
        self.push(kind, fd, |bytes| append_utf8(env.raw(), message.raw(), bytes))
    }

    fn send_parts(&self, env: Env, parts: Vec<JsString<'_>>) -> Result<u32> {
        let Some((json, strings)) = parts.split_first() else { return Ok(0) };
        self.push(Kind::Parts, -1, |bytes| {
            let mut parts = parts::Writer::new(bytes, count(strings.len()));
            for string in strings {
                parts.string(|bytes| append_string(env.raw(), string.raw(), bytes));
            }
            parts.json(|bytes| append_utf8(env.raw(), json.raw(), bytes));
        })
    }

    fn push(&self, kind: Kind, fd: i32, write: impl FnOnce(&mut Vec<u8>)) -> Result<u32> {
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
        let mut pushed = core.push(kind, descriptor, control || first, write)?;
        if first {
            turn.prepare.arm();
        }
        // What one turn joins has not been offered to the kernel yet.
        if pushed.queued > self.most_queued {
            pushed = core.flush()?;
        }
        self.update(core, pushed);
        if pushed.queued > self.most_queued {
            return Err(Error::QueueFull { queued: pushed.queued, limit: self.most_queued }.into());
        }
        Ok(count(pushed.queued))
    }

    fn update(&self, core: &Arc<Core>, pushed: Pushed) {
        if pushed.untold {
            FLUSHER.schedule(core);
        }
        if let Some(block) = pushed.blocked {
            self.with_watch(|watch| watch.block(block));
        }
    }

    fn read(&mut self, env: Env, scratch: Unknown<'_>) -> Result<Found<'static>> {
        loop {
            if let Some(run) = self.incoming.next_run()? {
                let found = match (&run.payloads[..], run.kind, &run.descriptor) {
                    (&[text], Kind::Json, None) if !run.lost => Either4::A(string(env, text)?),
                    (&[payload], Kind::Parts, None) => Either4::B(read_parts(env, payload)?),
                    _ => Either4::C(messages(env, run, scratch)?),
                };
                self.more.set(self.incoming.has_run() || self.budget.get() != Budget::SPENT);
                return Ok(found);
            }
            let found = match &self.core {
                Some(core) if !self.ended && self.budget.get() != Budget::SPENT => {
                    let read = self.incoming.read(core.socket())?;
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

    fn with_watch(&self, act: impl FnOnce(&Watch)) {
        if let Some(watch) = &self.watch {
            act(watch);
        }
    }
}

/// What [`End::read`] found: one message, several, or why there is none.
type Found<'env> = Either4<Unknown<'env>, Vec<Unknown<'env>>, Messages<'env>, i32>;

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

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn messages<'env>(env: Env, run: Run<'_>, scratch: Unknown<'_>) -> Result<Messages<'env>> {
    let mut messages = Messages { kind: run.kind as i32, json: None, lengths: None, scratch: None, fd: -1 };
    match (run.kind, &run.payloads[..]) {
        (Kind::Advanced, payloads) => {
            messages.lengths = Some(payloads.iter().map(|payload| count(payload.len())).collect());
            messages.scratch = gather(payloads, scratch);
        }
        (_, payloads) => messages.json = Some(string(env, &array(payloads))?),
    }
    messages.fd = run.descriptor.map_or(if run.lost { LOST } else { -1 }, IntoRawFd::into_raw_fd);
    Ok(messages)
}

/// A message's text, and the strings that were taken out of it.
fn read_parts<'a>(env: Env, payload: &[u8]) -> Result<Vec<Unknown<'a>>> {
    let (strings, json) = parts::read(payload)?;
    let json = string(env, json);
    std::iter::once(json).chain(strings.into_iter().map(|string| whole(env, string))).collect()
}

/// The text of one JSON array of messages.
fn array(payloads: &[&[u8]]) -> Vec<u8> {
    let length = payloads.iter().map(|payload| payload.len() + 1).sum::<usize>() + 1;
    let mut json = Vec::with_capacity(length);
    for (index, payload) in payloads.iter().enumerate() {
        json.push(if index == 0 { b'[' } else { b',' });
        json.extend_from_slice(payload);
    }
    json.push(b']');
    json
}

/// Copies payloads into a buffer of JavaScript's, or into a new one if they do not fit.
fn gather(payloads: &[&[u8]], scratch: Unknown<'_>) -> Option<Buffer> {
    /// Bytes of a buffer at least.
    const LEAST: usize = 64 * 1024;
    let length: usize = payloads.iter().map(|payload| payload.len()).sum();
    let fill = |mut room: &mut [u8]| {
        for payload in payloads {
            let (here, rest) = room.split_at_mut(payload.len());
            here.copy_from_slice(payload);
            room = rest;
        }
    };
    // SAFETY: called by JavaScript with a value of its own; what is no buffer is an error.
    match unsafe { BufferSlice::from_napi_value(scratch.value().env, scratch.raw()) } {
        Ok(mut scratch) if scratch.len() >= length => {
            fill(&mut scratch);
            None
        }
        _ => {
            let mut made = vec![0; length.max(LEAST)];
            fill(&mut made);
            Some(made.into())
        }
    }
}
