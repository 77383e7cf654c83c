//! The channel, driven on Node's loop.
//!
//! In: the loop says that the socket is readable, JavaScript is called once and takes out one run of messages
//! after the other with `read`. Out: `send` queues, and writes the first message of a turn at once; the rest
//! of the turn leaves at its end, in one write.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::rc::{Rc, Weak};
use std::sync::{Arc, LazyLock};

use napi::bindgen_prelude::*;
use napi::{sys, JsString, JsValue};
use napi_derive::napi;

use super::callback::Callback;
use super::uv::{Poll, Prepare, READABLE, WRITABLE};
use super::{own, Result};
use crate::channel::{Channel as Core, Incoming, Pushed, Read};
use crate::error::Error;
use crate::flusher::Flusher;
use crate::frame::{Kind, LIMIT};
use crate::socket;

/// One for the process: it has nothing to do as long as event loops turn. What is queued when the process
/// exits leaves then.
static FLUSHER: LazyLock<Flusher> = LazyLock::new(|| {
    // SAFETY: the function of the C library, with its type; the handler takes locks that no one holds for long.
    unsafe { atexit(flush_at_exit) };
    Flusher::start()
});

extern "C" {
    /// [atexit(3)](https://man7.org/linux/man-pages/man3/atexit.3.html)
    fn atexit(handler: extern "C" fn()) -> std::ffi::c_int;
}

extern "C" fn flush_at_exit() {
    FLUSHER.flush_all();
}

/// How many reads one readiness of the socket is good for, before others on the loop get their turn.
const READS: u32 = 16;

/// `read` found nothing more for now.
const NOTHING: i32 = 0;
/// `read` found the end of the stream.
const END: i32 = -1;
/// `read` found that the process has no descriptor left; `resume` asks again.
const STARVED: i32 = -2;

/// The message stream between the primary and a worker.
#[napi]
pub struct Channel {
    /// `None` once the channel is closed.
    core: Option<Arc<Core>>,
    incoming: RefCell<Incoming>,
    watch: Option<Rc<Watch>>,
    turn: Option<Turn>,
    reads: Rc<Cell<u32>>,
    ended: Cell<bool>,
}

/// The socket as the loop sees it.
struct Watch {
    poll: Poll,
    /// Whether JavaScript wants the channel to keep the loop alive.
    keep: Cell<bool>,
    /// Whether what arrives is to be read.
    reading: Cell<bool>,
    /// Whether the kernel takes no more for now.
    blocked: Cell<bool>,
}

impl Watch {
    fn new(poll: Poll) -> Self {
        let watch = Watch { poll, keep: Cell::new(true), reading: Cell::new(true), blocked: Cell::new(false) };
        watch.apply();
        watch
    }

    fn apply(&self) {
        let events = if self.reading.get() { READABLE } else { 0 } | if self.blocked.get() { WRITABLE } else { 0 };
        if events == 0 {
            self.poll.stop();
        } else {
            self.poll.start(events);
        }
        // While something is left to be written the loop stays alive, as it does for a write of libuv's.
        self.poll.set_reference(self.keep.get() || self.blocked.get());
    }

    fn set(&self, flag: &Cell<bool>, value: bool) {
        if flag.replace(value) != value {
            self.apply();
        }
    }
}

/// What is known of this turn of the loop.
struct Turn {
    prepare: Prepare,
    /// Whether a message was sent in this turn: then the next ones are joined.
    sent: Rc<Cell<bool>>,
}

/// What [`Channel::read`] took out.
#[napi(object)]
pub struct Messages {
    /// The kind of the messages (1 JSON, 2 advanced, 3 control), 0: nothing more for now, -1: the end,
    /// -2: no descriptor is left, call `resume` later.
    pub kind: i32,
    /// JSON and control: the messages as the text of one JSON array.
    pub json: Option<String>,
    /// Advanced: the messages, one after the other.
    pub buffers: Option<Vec<Buffer>>,
    /// The descriptor that came with the message, -1 if none did.
    pub fd: i32,
}

#[napi]
impl Channel {
    /// Takes over a socket. `onread` is called when `read` has something, `onwrite` when the kernel took more
    /// of what waited.
    #[napi(constructor)]
    pub fn new(env: Env, fd: i32, onread: Function<'_>, onwrite: Function<'_>) -> Result<Self> {
        // SAFETY: JavaScript got the number from `fork`, or it was inherited for this, and gives it away.
        let socket = unsafe { own(fd)? };
        let core = Arc::new(Core::new(socket));
        let reads = Rc::new(Cell::new(0));
        let env = env.raw();
        // SAFETY: we are called by JavaScript, with functions.
        let (onread, onwrite) = unsafe {
            (
                Callback::new(env, "RUSTCLUSTERCHANNEL", onread.raw()),
                Callback::new(env, "RUSTCLUSTERCHANNEL", onwrite.raw()),
            )
        };
        let (budget, writer) = (Rc::clone(&reads), Arc::clone(&core));
        let watch = Rc::new_cyclic(|watch: &Weak<Watch>| {
            let watch = watch.clone();
            let ready = move |events| {
                if events & WRITABLE != 0 {
                    // A gone peer is told by the read that finds the end.
                    let pushed = writer.flush().unwrap_or_default();
                    watch.upgrade().inspect(|watch| watch.set(&watch.blocked, pushed.blocked));
                    onwrite.call(&[]);
                }
                if events & READABLE != 0 {
                    budget.set(READS);
                    onread.call(&[]);
                }
            };
            let poll = Poll::new(env, core.socket(), ready).expect("the descriptor is a socket that nobody watches");
            Watch::new(poll)
        });
        let sent = Rc::new(Cell::new(false));
        let turn_sent = Rc::clone(&sent);
        let (writer, turn_watch) = (Arc::clone(&core), Rc::downgrade(&watch));
        let prepare = Prepare::new(env, move || {
            turn_sent.set(false);
            if let (Ok(Pushed { blocked: true, .. }), Some(watch)) = (writer.flush(), turn_watch.upgrade()) {
                watch.set(&watch.blocked, true);
            }
        })?;
        Ok(Channel {
            core: Some(core),
            incoming: RefCell::new(Incoming::new(LIMIT)),
            watch: Some(watch),
            turn: Some(Turn { prepare, sent }),
            reads,
            ended: Cell::new(false),
        })
    }

    /// Queues a message of JSON text and returns how many bytes wait. `fd`: a descriptor to go along (it is
    /// duplicated), or -1. `kind`: 1 a user's message, 3 the cluster's.
    ///
    /// Throws `EPIPE` or `ECONNRESET` when the other process is gone, and `EMFILE`.
    #[napi]
    pub fn send_json(&self, env: Env, kind: u32, message: JsString<'_>, fd: i32) -> Result<u32> {
        let kind = if kind == Kind::Control as u32 { Kind::Control } else { Kind::Json };
        self.push(kind, fd, |bytes| append_utf8(env.raw(), message.raw(), bytes))
    }

    /// Queues a message that V8 has written; as `sendJson` else.
    #[napi]
    pub fn send_advanced(&self, message: BufferSlice<'_>, fd: i32) -> Result<u32> {
        self.push(Kind::Advanced, fd, |bytes| bytes.extend_from_slice(&message))
    }

    /// Writes what waits, and returns how many bytes still do: those that the kernel does not take now.
    #[napi]
    pub fn flush(&self) -> Result<u32> {
        let Some(core) = &self.core else { return Ok(0) };
        let pushed = core.flush()?;
        self.update(core, pushed);
        Ok(count(pushed.queued))
    }

    /// Bytes that wait to be written.
    #[napi(getter)]
    pub fn queued(&self) -> u32 {
        self.core.as_ref().map_or(0, |core| count(core.queued()))
    }

    /// Bytes handed to the kernel since the beginning.
    #[napi(getter)]
    pub fn written(&self) -> f64 {
        self.core.as_ref().map_or(0.0, |core| core.written() as f64)
    }

    /// Where the stream ends once all that waits is written: `written` will be there.
    #[napi(getter)]
    pub fn end(&self) -> f64 {
        self.core.as_ref().map_or(0.0, |core| core.end() as f64)
    }

    /// Takes out the next messages that have arrived. Throws when the other process does not speak our
    /// protocol: nothing more can be read then.
    #[napi]
    pub fn read(&self) -> Result<Messages> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            if let Some(run) = incoming.next_run()? {
                return Ok(messages(run));
            }
            let found = match (&self.core, self.reads.get()) {
                _ if self.ended.get() => END,
                (None, _) => END,
                (_, 0) => NOTHING,
                (Some(core), left) => {
                    self.reads.set(left - 1);
                    match incoming.read(core.socket())? {
                        Read::Some => continue,
                        Read::Nothing => NOTHING,
                        Read::End => {
                            self.ended.set(true);
                            END
                        }
                        Read::Starved => {
                            // Not to be told again and again that something is there.
                            self.with_watch(|watch| watch.set(&watch.reading, false));
                            STARVED
                        }
                    }
                }
            };
            return Ok(Messages { kind: found, json: None, buffers: None, fd: -1 });
        }
    }

    /// Has `read` go on until nothing is there, although the loop does not say so.
    #[napi]
    pub fn drain(&self) {
        self.reads.set(u32::MAX);
    }

    /// Reads no more: what is left to be written is all that the channel is still open for.
    #[napi]
    pub fn pause(&self) {
        self.with_watch(|watch| watch.set(&watch.reading, false));
    }

    /// Reads again, after `read` found no descriptor left.
    #[napi]
    pub fn resume(&self) {
        self.with_watch(|watch| watch.set(&watch.reading, true));
    }

    /// Keeps the loop alive while the channel is open.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        self.with_watch(|watch| watch.set(&watch.keep, true));
    }

    /// Does not keep the loop alive.
    #[napi]
    pub fn unref(&self) {
        self.with_watch(|watch| watch.set(&watch.keep, false));
    }

    /// Whether it keeps the loop alive.
    #[napi]
    pub fn has_ref(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.keep.get())
    }

    /// The number of the socket, -1 when the channel is closed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.core.as_ref().map_or(-1, |core| core.socket().as_raw_fd())
    }

    /// Ends the channel. What waits to be written and finds no room is lost: see to it before.
    #[napi]
    pub fn close(&mut self) {
        self.turn = None;
        self.watch = None;
        // The other end sees it at once, though the descriptor is closed when the loop is done with it.
        if let Some(core) = self.core.take() {
            let _ = nix::sys::socket::shutdown(core.socket().as_raw_fd(), nix::sys::socket::Shutdown::Both);
        }
    }
}

impl Channel {
    fn push(&self, kind: Kind, fd: i32, write: impl FnOnce(&mut Vec<u8>)) -> Result<u32> {
        let (Some(core), Some(turn)) = (&self.core, &self.turn) else {
            return Err(Error::os("sendmsg", nix::errno::Errno::EPIPE).into());
        };
        let descriptor = match fd {
            ..0 => None,
            // SAFETY: not negative, and only duplicated: of a closed one the kernel says EBADF.
            fd => Some(socket::duplicate(unsafe { BorrowedFd::borrow_raw(fd) })?),
        };
        let first = !turn.sent.replace(true);
        let pushed = core.push(kind, descriptor, first, write)?;
        if first {
            turn.prepare.arm();
        }
        self.update(core, pushed);
        Ok(count(pushed.queued))
    }

    fn update(&self, core: &Arc<Core>, pushed: Pushed) {
        if pushed.untold {
            FLUSHER.schedule(core);
        }
        // That it goes on is told by the loop alone: callbacks wait for it to say so.
        if pushed.blocked {
            self.with_watch(|watch| watch.set(&watch.blocked, true));
        }
    }

    fn with_watch(&self, act: impl FnOnce(&Watch)) {
        if let Some(watch) = &self.watch {
            act(watch);
        }
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn messages(run: crate::channel::Run<'_>) -> Messages {
    let fd = run.descriptor.map_or(-1, IntoRawFd::into_raw_fd);
    let kind = run.kind as i32;
    if run.kind == Kind::Advanced {
        let buffers = run.payloads.iter().map(|payload| Buffer::from(payload.to_vec())).collect();
        return Messages { kind, json: None, buffers: Some(buffers), fd };
    }
    let length = run.payloads.iter().map(|payload| payload.len() + 1).sum::<usize>() + 1;
    let mut json = Vec::with_capacity(length);
    for (index, payload) in run.payloads.iter().enumerate() {
        json.push(if index == 0 { b'[' } else { b',' });
        json.extend_from_slice(payload);
    }
    json.push(b']');
    // A peer may send any bytes; what is no UTF-8 will be no JSON either, or a wrong letter in a string.
    let json = String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Messages { kind, json: Some(json), buffers: None, fd }
}

/// Appends a JavaScript string as UTF-8, without a copy in between.
fn append_utf8(env: sys::napi_env, value: sys::napi_value, bytes: &mut Vec<u8>) {
    /// What is tried before the length is asked for, which costs a walk over the string.
    const SHORT: usize = 1024;
    let start = bytes.len();
    let mut room = SHORT;
    loop {
        bytes.resize(start + room, 0);
        let mut written = 0;
        // SAFETY: a string, and `room` bytes of ours to write it to (the last is a NUL).
        unsafe {
            let target = bytes.as_mut_ptr().add(start).cast();
            sys::napi_get_value_string_utf8(env, value, target, room, &mut written);
        }
        // A character has four bytes at most: with so much room left, nothing was cut.
        if written + 4 < room {
            bytes.truncate(start + written);
            return;
        }
        let mut length = 0;
        // SAFETY: asks for the length only.
        unsafe { sys::napi_get_value_string_utf8(env, value, std::ptr::null_mut(), 0, &mut length) };
        room = length + 5;
    }
}
