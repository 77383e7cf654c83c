//! Handles on Node's own event loop: poll, prepare and timer.
//!
//! libuv's functions are looked up in the running process, once: Node exports them, `cargo test` does not
//! have them, and no second libuv may come in. A handle is opaque; its size is asked of libuv.
//!
//! A handle closes itself when its environment ends (a worker thread's, or the process's): each has an
//! asynchronous clean-up hook, for which Node turns the loop until the handle's memory can be freed. Nothing
//! else may depend on these hooks: `process.exit()` skips them.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::rc::Rc;
use std::sync::OnceLock;

use libloading::os::unix::Library;
use napi::sys;
use nix::errno::Errno;

use crate::os::error::{Error, Result};

/// `UV_READABLE`
pub const READABLE: c_int = 1;
/// `UV_WRITABLE`
pub const WRITABLE: c_int = 2;

/// `UV_POLL`, `UV_PREPARE` and `UV_TIMER` of `uv_handle_type`, the same since libuv 1.0.
const POLL: c_int = 8;
const PREPARE: c_int = 9;
const TIMER: c_int = 13;

type Raw = *mut c_void;
type PollCallback = unsafe extern "C" fn(Raw, c_int, c_int);
type HandleCallback = unsafe extern "C" fn(Raw);

struct Functions {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    set_data: unsafe extern "C" fn(Raw, Raw),
    get_data: unsafe extern "C" fn(Raw) -> Raw,
    close: unsafe extern "C" fn(Raw, HandleCallback),
    reference: unsafe extern "C" fn(Raw),
    unreference: unsafe extern "C" fn(Raw),
    has_reference: unsafe extern "C" fn(Raw) -> c_int,
    poll_init: unsafe extern "C" fn(Raw, Raw, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(Raw, c_int, PollCallback) -> c_int,
    poll_stop: unsafe extern "C" fn(Raw) -> c_int,
    prepare_init: unsafe extern "C" fn(Raw, Raw) -> c_int,
    prepare_start: unsafe extern "C" fn(Raw, HandleCallback) -> c_int,
    prepare_stop: unsafe extern "C" fn(Raw) -> c_int,
    timer_init: unsafe extern "C" fn(Raw, Raw) -> c_int,
    timer_start: unsafe extern "C" fn(Raw, HandleCallback, u64, u64) -> c_int,
    timer_stop: unsafe extern "C" fn(Raw) -> c_int,
    metrics_idle_time: unsafe extern "C" fn(Raw) -> u64,
}

impl Functions {
    /// libuv's functions, if this process is Node.
    fn get() -> Option<&'static Functions> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        FUNCTIONS.get_or_init(Functions::look_up).as_ref()
    }

    fn look_up() -> Option<Functions> {
        let process = Library::this();
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the types above are those of uv.h, which is stable within libuv 1. The process
                // itself is never unloaded, so the pointer stays valid.
                *unsafe { process.get(concat!($name, "\0").as_bytes()) }.ok()?
            };
        }
        Some(Functions {
            handle_size: function!("uv_handle_size"),
            set_data: function!("uv_handle_set_data"),
            get_data: function!("uv_handle_get_data"),
            close: function!("uv_close"),
            reference: function!("uv_ref"),
            unreference: function!("uv_unref"),
            has_reference: function!("uv_has_ref"),
            poll_init: function!("uv_poll_init"),
            poll_start: function!("uv_poll_start"),
            poll_stop: function!("uv_poll_stop"),
            prepare_init: function!("uv_prepare_init"),
            prepare_start: function!("uv_prepare_start"),
            prepare_stop: function!("uv_prepare_stop"),
            timer_init: function!("uv_timer_init"),
            timer_start: function!("uv_timer_start"),
            timer_stop: function!("uv_timer_stop"),
            metrics_idle_time: function!("uv_metrics_idle_time"),
        })
    }
}

/// Watches a descriptor on the loop of an environment.
#[derive(Debug)]
pub struct Poll(Handle);

impl Poll {
    /// A poll that watches nothing yet. `ready` is called with the events (or with both, on an error: then
    /// reading tells what it is).
    ///
    /// The descriptor becomes non-blocking, and so does every duplicate of it; it must stay open until the
    /// poll is closed.
    ///
    /// # Errors
    /// [`Error::Os`]: `EEXIST` when the loop watches the descriptor already, `ENOSYS` outside of Node.
    pub fn new(env: sys::napi_env, descriptor: BorrowedFd<'_>, ready: impl FnMut(c_int) + 'static) -> Result<Poll> {
        let initialize = |uv: &Functions, event_loop, raw| {
            // SAFETY: `raw` has the size libuv asked for, and the loop is the environment's.
            unsafe { (uv.poll_init)(event_loop, raw, descriptor.as_raw_fd()) }
        };
        Handle::new(env, POLL, initialize, Box::new(ready)).map(Poll)
    }

    /// Watches for `events`, and for no others.
    pub fn start(&self, events: c_int) {
        if let Some(raw) = self.0.open() {
            // SAFETY: the handle is initialised and not closing. It cannot fail then.
            unsafe { (self.0.uv.poll_start)(raw, events, on_poll) };
        }
    }

    /// Watches for nothing.
    pub fn stop(&self) {
        if let Some(raw) = self.0.open() {
            // SAFETY: as in `start`.
            unsafe { (self.0.uv.poll_stop)(raw) };
        }
    }

    /// Whether the poll, while it watches, keeps the loop alive.
    pub fn set_reference(&self, keep: bool) {
        self.0.set_reference(keep);
    }

    /// See [`set_reference`](Self::set_reference).
    pub fn has_reference(&self) -> bool {
        // SAFETY: as in `start`.
        self.0.open().is_some_and(|raw| unsafe { (self.0.uv.has_reference)(raw) } != 0)
    }
}

/// Is called once, before the loop next waits for events: at the end of this turn. Does not keep the loop alive.
#[derive(Debug)]
pub struct Prepare(Handle);

impl Prepare {
    /// One that calls `turn_ends`.
    ///
    /// # Errors
    /// [`Error::Os`]: `ENOSYS` outside of Node.
    pub fn new(env: sys::napi_env, mut turn_ends: impl FnMut() + 'static) -> Result<Prepare> {
        // SAFETY: `raw` has the size libuv asked for, and the loop is the environment's.
        let initialize = |uv: &Functions, event_loop, raw| unsafe { (uv.prepare_init)(event_loop, raw) };
        let handle = Handle::new(env, PREPARE, initialize, Box::new(move |_| turn_ends()))?;
        handle.set_reference(false);
        Ok(Prepare(handle))
    }

    /// Asks for the call.
    pub fn arm(&self) {
        if let Some(raw) = self.0.open() {
            // SAFETY: the handle is initialised and not closing. It cannot fail then.
            unsafe { (self.0.uv.prepare_start)(raw, on_prepare) };
        }
    }
}

/// Is called at each turn, before the loop waits for events. Does not keep the loop alive.
#[derive(Debug)]
pub struct Turns {
    /// Closed with it.
    _handle: Handle,
}

impl Turns {
    /// One that calls `turn_ends`, with the nanoseconds that the loop has waited for events so far, all in all. It is
    /// called without a handle scope: at each turn that would cost more than all else.
    ///
    /// # Errors
    /// [`Error::Os`]: `ENOSYS` outside of Node.
    pub fn new(env: sys::napi_env, mut turn_ends: impl FnMut(u64) + 'static) -> Result<Turns> {
        let known = Rc::new(Cell::new(ptr::null_mut()));
        let at = Rc::clone(&known);
        let initialize = |uv: &Functions, event_loop, raw| {
            known.set(event_loop);
            // SAFETY: `raw` has the size libuv asked for, and the loop is the environment's.
            unsafe { (uv.prepare_init)(event_loop, raw) }
        };
        let callback = move |_| {
            let Some(uv) = Functions::get() else { return };
            // SAFETY: the loop that calls this is alive.
            turn_ends(unsafe { (uv.metrics_idle_time)(at.get()) });
        };
        let handle = Handle::new(env, PREPARE, initialize, Box::new(callback))?;
        handle.set_reference(false);
        if let Some(raw) = handle.open() {
            // SAFETY: the handle is initialised and not closing. It cannot fail then.
            unsafe { (handle.uv.prepare_start)(raw, on_turn) };
        }
        Ok(Turns { _handle: handle })
    }
}

/// Is called some time after it was started: once, or again and again. While that is to come it keeps the loop alive.
#[derive(Debug)]
pub struct Timer(Handle);

impl Timer {
    /// One that calls `due`.
    ///
    /// # Errors
    /// [`Error::Os`]: `ENOSYS` outside of Node.
    pub fn new(env: sys::napi_env, mut due: impl FnMut() + 'static) -> Result<Timer> {
        // SAFETY: `raw` has the size libuv asked for, and the loop is the environment's.
        let initialize = |uv: &Functions, event_loop, raw| unsafe { (uv.timer_init)(event_loop, raw) };
        Handle::new(env, TIMER, initialize, Box::new(move |_| due())).map(Timer)
    }

    /// Asks for the call, in so many milliseconds from now.
    pub fn start(&self, pause: u64) {
        self.start_with(pause, 0);
    }

    /// Asks for a call each so many milliseconds.
    pub fn repeat(&self, period: u64) {
        self.start_with(period, period);
    }

    fn start_with(&self, pause: u64, period: u64) {
        if let Some(raw) = self.0.open() {
            // SAFETY: the handle is initialised and not closing. It cannot fail then.
            unsafe { (self.0.uv.timer_start)(raw, on_timer, pause, period) };
        }
    }

    /// Whether it keeps the loop alive while it is to come.
    pub fn set_reference(&self, keep: bool) {
        self.0.set_reference(keep);
    }

    /// Asks for it no longer.
    pub fn stop(&self) {
        if let Some(raw) = self.0.open() {
            // SAFETY: as in `start`.
            unsafe { (self.0.uv.timer_stop)(raw) };
        }
    }
}

type Callback = Box<dyn FnMut(c_int)>;

/// What both kinds of handle share: memory, life, and the way back from libuv.
struct Handle {
    uv: &'static Functions,
    shared: Rc<Shared>,
}

/// Owned by the [`Handle`] and, until it is closed, by libuv.
struct Shared {
    uv: &'static Functions,
    env: sys::napi_env,
    raw: Raw,
    layout: Layout,
    /// Taken out while it runs, and for good when the handle closes.
    callback: Cell<Option<Callback>>,
    closing: Cell<bool>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("closing", &self.shared.closing).finish_non_exhaustive()
    }
}

impl Handle {
    fn new(
        env: sys::napi_env,
        kind: c_int,
        initialize: impl FnOnce(&Functions, Raw, Raw) -> c_int,
        callback: Callback,
    ) -> Result<Handle> {
        let uv = Functions::get().ok_or(Error::os("uv_handle_size", Errno::ENOSYS))?;
        let mut event_loop = ptr::null_mut();
        // SAFETY: called on the environment's thread, as every entry from JavaScript is.
        if unsafe { sys::napi_get_uv_event_loop(env, &mut event_loop) } != sys::Status::napi_ok {
            return Err(Error::os("napi_get_uv_event_loop", Errno::ENOSYS));
        }
        // SAFETY: asks for a number.
        let size = unsafe { (uv.handle_size)(kind) };
        let layout = Layout::from_size_align(size.max(1), align_of::<u128>()).expect("a handle is small");
        // SAFETY: the size is not 0.
        let raw: Raw = unsafe { alloc_zeroed(layout) }.cast();
        assert!(!raw.is_null(), "out of memory");
        let failed = initialize(uv, event_loop.cast(), raw);
        if failed != 0 {
            // SAFETY: allocated above, and libuv has not taken it.
            unsafe { dealloc(raw.cast(), layout) };
            return Err(Error::os("uv_poll_init", Errno::from_raw(-failed)));
        }
        let shared = Rc::new(Shared {
            uv,
            env,
            raw,
            layout,
            callback: Cell::new(Some(callback)),
            closing: Cell::new(false),
            hook: Cell::new(ptr::null_mut()),
        });
        let data = Rc::into_raw(Rc::clone(&shared)).cast_mut().cast();
        let mut hook = ptr::null_mut();
        // SAFETY: `data` is a counted reference that `on_close` gives back; the hook is removed there too.
        unsafe {
            (uv.set_data)(raw, data);
            sys::napi_add_async_cleanup_hook(env, Some(on_environment_end), data, &mut hook);
        }
        shared.hook.set(hook);
        Ok(Handle { uv, shared })
    }

    /// The handle for libuv's functions, unless it is closing.
    fn open(&self) -> Option<Raw> {
        (!self.shared.closing.get()).then_some(self.shared.raw)
    }

    fn set_reference(&self, keep: bool) {
        if let Some(raw) = self.open() {
            // SAFETY: the handle is initialised and not closing.
            unsafe {
                if keep {
                    (self.uv.reference)(raw)
                } else {
                    (self.uv.unreference)(raw)
                }
            };
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        if !self.closing.replace(true) {
            // SAFETY: initialised, and closed once. libuv calls back when it is done with the memory.
            unsafe { (self.uv.close)(self.raw, on_close) };
            // With it go the descriptors that it holds, unless it is the callback that runs right now.
            drop(self.callback.take());
        }
    }

    /// Runs the callback; it may close the handle it belongs to.
    fn call(&self, events: c_int) {
        let mut scope = ptr::null_mut();
        // SAFETY: on the environment's thread; every scope that was opened is closed.
        let opened = unsafe { sys::napi_open_handle_scope(self.env, &mut scope) } == sys::Status::napi_ok;
        self.call_alone(events);
        if opened {
            // SAFETY: as above.
            unsafe { sys::napi_close_handle_scope(self.env, scope) };
        }
    }

    /// As `call`, of one that makes no values of JavaScript's.
    fn call_alone(&self, events: c_int) {
        let Some(mut callback) = self.callback.take() else { return };
        callback(events);
        if !self.closing.get() {
            self.callback.set(Some(callback));
        }
    }
}

/// The shared part of a handle that libuv names.
///
/// # Safety
/// `raw` is a handle made by [`Handle::new`] and not yet given to [`on_close`].
unsafe fn shared(raw: Raw) -> Rc<Shared> {
    let uv = Functions::get().expect("a handle was made with them");
    // SAFETY: the data of such a handle is a counted reference; one more is counted for the caller.
    unsafe {
        let data: *const Shared = (uv.get_data)(raw).cast();
        Rc::increment_strong_count(data);
        Rc::from_raw(data)
    }
}

unsafe extern "C" fn on_poll(raw: Raw, status: c_int, events: c_int) {
    // SAFETY: libuv calls back for open handles only.
    let shared = unsafe { shared(raw) };
    shared.call(if status < 0 { READABLE | WRITABLE } else { events });
}

unsafe extern "C" fn on_prepare(raw: Raw) {
    // SAFETY: libuv calls back for open handles only.
    let shared = unsafe { shared(raw) };
    // SAFETY: as above.
    unsafe { (shared.uv.prepare_stop)(raw) };
    shared.call(0);
}

unsafe extern "C" fn on_turn(raw: Raw) {
    // SAFETY: libuv calls back for open handles only.
    unsafe { shared(raw) }.call_alone(0);
}

unsafe extern "C" fn on_timer(raw: Raw) {
    // SAFETY: libuv calls back for open handles only.
    unsafe { shared(raw) }.call(0);
}

/// libuv is done with the handle: its memory is freed and Node need wait for it no longer.
unsafe extern "C" fn on_close(raw: Raw) {
    // SAFETY: called once for a handle; this gives back the reference that libuv held.
    let shared = unsafe {
        let shared = shared(raw);
        Rc::decrement_strong_count(Rc::as_ptr(&shared));
        shared
    };
    drop(shared.callback.take());
    // SAFETY: allocated with this layout, and nobody uses it after its close; the hook was added once.
    unsafe {
        dealloc(raw.cast(), shared.layout);
        sys::napi_remove_async_cleanup_hook(shared.hook.get());
    }
}

/// The environment ends: no JavaScript may be called any more.
unsafe extern "C" fn on_environment_end(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook is removed when the reference is given back, so the data is alive.
    let shared = unsafe { &*data.cast_const().cast::<Shared>() };
    // What the callback holds of JavaScript is let go while the environment still stands.
    drop(shared.callback.take());
    shared.close();
}
