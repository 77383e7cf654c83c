//! The channel, driven on Node's loop.
//!
//! In: the loop says that the socket is readable, JavaScript is called once and takes out one run of messages
//! after the other with `read`. Out: `send` queues, and writes the first message of a turn at once, and each of the
//! cluster's own; the rest of the turn leaves at its end, in one write.

mod end;
mod found;

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi::{JsString, JsValue};
use napi_derive::napi;

use self::end::{Budget, End, Turn};
use self::found::{count, Found};
use super::callback::Callback;
use super::watch::Watch;
use super::{function, own, Result};
use crate::messages::channel::Channel as Core;
use crate::messages::frame::{Kind, LIMIT};
use crate::messages::incoming::Incoming;
use crate::messages::ring;
use crate::messages::traffic::Traffic;
use crate::processes::board::Space;

/// Bytes that a message may be longer because of a handle that comes along, and longer than any of the cluster's own.
const ENVELOPE: usize = 64 * 1024;

/// How many reads one readiness of the socket is good for, before others on the loop get their turn.
const READS: u32 = 16;

/// The message stream between the primary and a worker.
#[napi]
pub struct Channel {
    end: Rc<RefCell<End>>,
}

/// What the other process may cost us.
#[napi(object)]
pub struct Limits {
    /// Bytes of the longest message it may send, without the envelope of a handle.
    pub max_message_size: Option<u32>,
    /// Bytes that may wait for it; without a number, as many as memory has room for.
    pub max_queued_bytes: Option<f64>,
    /// Whether it may send descriptors, as it may unless this says no.
    pub descriptors: Option<bool>,
}

fn callback(env: Env, function: &Function<'_>) -> Callback {
    // SAFETY: we are called by JavaScript, with a function.
    unsafe { Callback::new(env.raw(), "RUSTCLUSTERCHANNEL", function.raw()) }
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
        let (longest, most_queued, descriptors) = limits.map_or((None, None, None), |limits| {
            (limits.max_message_size, limits.max_queued_bytes, limits.descriptors)
        });
        let limit = longest.map_or(LIMIT, |longest| LIMIT.min(longest as usize + ENVELOPE));
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
            incoming: if descriptors == Some(false) { Incoming::of_bytes(limit) } else { Incoming::new(limit) },
            limit,
            watch: Some(watch),
            budget,
            more,
            ended: false,
            most_queued: most_queued.map_or(usize::MAX, |most| most as usize),
            ring: None,
            rest: OnceCell::new(),
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
    /// descriptor, as its JSON text; those with long strings as an array, of the text of one JSON array of them and the
    /// strings that were taken out of them, in a row; else as `Messages`. A number says that there are none: 0 for now, -1: the end, -2: no descriptor is left, call
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
        end.rest.take();
        end.ring = None;
        // The object is JavaScript's to collect, and V8 does not know how much hangs on it.
        end.incoming.clear();
        // The other end sees it at once, though the descriptor is closed when the loop is done with it.
        if let Some(core) = end.core.take() {
            let _ = nix::sys::socket::shutdown(core.socket().as_raw_fd(), nix::sys::socket::Shutdown::Both);
        }
    }
}

impl Channel {
    /// What has gone over it.
    pub(super) fn traffic(&self) -> Option<Arc<Traffic>> {
        self.end.borrow().core.as_ref().map(|core| Arc::clone(core.traffic()))
    }

    /// Has long strings take memory that both processes have, where there is any: out, and in.
    pub(super) fn share(&self, out: Space, into: Space) {
        let mut end = self.end.borrow_mut();
        if let Some(core) = &end.core {
            core.share(ring::Writer::new(out));
            end.ring = Some(ring::Reader::new(into, end.limit));
        }
    }
}
