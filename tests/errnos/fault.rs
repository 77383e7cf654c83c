//! One system call that fails: the n-th of its kind that a thread, or one that it starts, makes.
//!
//! The kernel asks about each such call (seccomp_unotify(2)), and a thread that is not under the filter answers. That
//! thread allocates nothing: the one that waits for its answer may hold the locks of the heap, as fork(3) does.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc;

/// What fails, and how.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The number of the system call.
    pub call: libc::c_long,
    /// How many go well before: 0 is the first.
    pub after: usize,
    /// What it says.
    pub errno: Errno,
    /// Whether a child makes it, before it executes its program.
    pub in_child: bool,
}

/// Counts the calls.
#[derive(Debug)]
pub struct Watch {
    fault: Fault,
    calls: AtomicUsize,
    /// Where the kernel asks; -1 until it does.
    listener: AtomicI32,
    ready: Barrier,
}

impl Watch {
    /// Starts the thread that will answer, until nobody is under the filter any more. It must be started by one that is
    /// not.
    pub fn new(fault: Fault) -> (Arc<Watch>, JoinHandle<()>) {
        let (calls, listener, ready) = (AtomicUsize::new(0), AtomicI32::new(-1), Barrier::new(2));
        let watch = Arc::new(Watch { fault, calls, listener, ready });
        let answering = Arc::clone(&watch);
        (watch, std::thread::spawn(move || answering.answer()))
    }

    /// Puts this thread, and those that it starts from now on, under the filter.
    pub fn install(&self) {
        self.ready.wait();
        let statement = |code, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let equal = libc::BPF_JMP | libc::BPF_JEQ;
        let mut statements = [
            // The number is the first field of what a filter looks at.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            statement(equal, 0, 1, self.fault.call as u32),
            statement(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
            statement(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: statements.len() as u16, filter: statements.as_mut_ptr() };
        nix::sys::prctl::set_no_new_privs().unwrap();
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: the program and what it points to outlive the call.
        let listener = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program) };
        self.listener.store(Errno::result(listener).unwrap() as i32, Ordering::Release);
    }

    /// Whether the call was made that was to fail.
    pub fn failed(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > self.fault.after
    }

    fn answer(&self) {
        // This thread's part of the heap is made now.
        drop(std::hint::black_box(Box::new(0)));
        self.ready.wait();
        let listener = loop {
            match self.listener.load(Ordering::Acquire) {
                -1 => std::thread::yield_now(),
                // SAFETY: the descriptor is ours alone.
                raw => break unsafe { OwnedFd::from_raw_fd(raw) },
            }
        };
        loop {
            let mut polled = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: plain memory, which lives as long as the call.
            unsafe { libc::poll(&mut polled, 1, -1) };
            if polled.revents & libc::POLLIN == 0 {
                // Nobody is under the filter any more.
                return;
            }
            // SAFETY: as above; all zero is a value of it, and what the kernel asks for.
            let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut asked) } < 0 {
                // Whoever made the call has been interrupted, and makes it again.
                continue;
            }
            let mut answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error: 0, flags: 0 };
            if self.fails(asked.pid) {
                answer.error = -(self.fault.errno as i32);
            } else {
                answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
            }
            // SAFETY: as above. It fails for one that has been interrupted.
            unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut answer) };
        }
    }

    /// Whether this call is the one. Programs that were started are under the filter as well, and not meant.
    fn fails(&self, thread: u32) -> bool {
        // SAFETY: no signal is sent, it is only asked whether the thread is one of this process.
        let ours = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) } == 0;
        (ours || self.fault.in_child) && self.calls.fetch_add(1, Ordering::Relaxed) == self.fault.after
    }
}
