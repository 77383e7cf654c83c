//! Starting a worker: its process, its channel and its handoff queue.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::SockType;
use nix::sys::stat::fstat;

use super::acceptor::Acceptor;
use super::board::BoardReading;
use super::callback::Callback;
use super::channel::Channel;
use super::uv::{Poll, READABLE};
use crate::connections::handoff::Queue;
use crate::os::error::Error;
use crate::os::socket;
use crate::processes::board::{self, Board};
use crate::processes::child::{Child, Exit};
use crate::processes::fork::{Program, Stdio};

/// What to start, in the words of `child_process.spawn`.
#[napi(object)]
pub struct ForkOptions {
    /// The file to execute.
    pub file: String,
    /// `argv`, the program's name first.
    pub args: Vec<String>,
    /// `KEY=value` each.
    pub env_pairs: Vec<String>,
    /// One more of them, to which the numbers and inodes of the child's channel, handoff queue and board
    /// are added.
    pub word: String,
    /// The working directory.
    pub cwd: Option<String>,
    /// The user to become.
    pub uid: Option<u32>,
    /// The group to become.
    pub gid: Option<u32>,
    /// The signal that the kernel sends it when our thread ends.
    pub parent_death_signal: Option<i32>,
    /// The slot that it fills.
    pub slot: u32,
    /// What the child has under each number: "ignore", "pipe", "channel", "handoff", "board", or a descriptor of
    /// ours.
    pub stdio: Vec<Either<i32, String>>,
}

/// What [`fork`] made.
#[napi(object)]
pub struct Forked {
    /// 0, or why the process could not be started, as libuv numbers it.
    pub error: i32,
    /// The process id, 0 if there is none.
    pub pid: i32,
    /// Our end of the channel, to be given to `new Channel`. Without a process it is at its end, or -1 where Node
    /// does not go on.
    pub channel: i32,
    /// Our ends of the pipes, -1 where there is none.
    pub pipes: Vec<i32>,
}

/// A worker's process, to be told of its end. The place of Node's own process handle.
#[napi]
pub struct WorkerProcess {
    child: Option<Rc<Child>>,
    poll: Option<Rc<Poll>>,
    board: Option<Arc<Board>>,
}

/// Starts a worker. `process` is told of its end with `onexit(code, signal)`, `signal` being a number; with
/// an `acceptor`, the worker can be handed connections under the number `worker`.
#[napi]
pub fn fork(
    env: Env,
    process: &mut WorkerProcess,
    options: ForkOptions,
    acceptor: Option<&Acceptor>,
    worker: u32,
    onexit: Function<'_>,
) -> Forked {
    // What the kernel refuses is no exception but an 'error' event, to come.
    start(&env, process, options, acceptor, worker, &onexit).unwrap_or_else(|error| Forked {
        error: error.uv_errno(),
        pid: 0,
        channel: -1,
        pipes: Vec::new(),
    })
}

fn start(
    env: &Env,
    process: &mut WorkerProcess,
    options: ForkOptions,
    acceptor: Option<&Acceptor>,
    worker: u32,
    onexit: &Function<'_>,
) -> crate::os::error::Result<Forked> {
    let (channel, their_channel) = socket::pair(SockType::Stream)?;
    let (near, far) = socket::pair(SockType::SeqPacket)?;
    let queue = Queue::new(worker, near, socket::duplicate(&far)?);
    // Where there is no such memory the worker does without.
    let (board, mut their_board) = Board::new().map(|(board, theirs)| (Arc::new(board), theirs)).ok().unzip();
    let mut pipes = Vec::with_capacity(options.stdio.len());
    let mut stdio = Vec::with_capacity(options.stdio.len());
    let (mut their_channel, mut far) = (Some(their_channel), Some(far));
    let [mut channel_word, mut handoff_word, mut board_word] = [" -"; 3].map(String::from);
    for (place, wanted) in options.stdio.iter().enumerate() {
        let (ours, theirs) = match wanted {
            Either::A(descriptor) => (None, Stdio::Inherit(*descriptor)),
            Either::B(word) => match word.as_str() {
                "pipe" => {
                    let (ours, theirs) = socket::pair(SockType::Stream)?;
                    (Some(ours), Stdio::Give(theirs))
                }
                "channel" => (None, give(their_channel.take(), place, &mut channel_word)?),
                "handoff" => (None, give(far.take(), place, &mut handoff_word)?),
                "board" => (None, give(their_board.take(), place, &mut board_word)?),
                _ => (None, Stdio::Ignore),
            },
        };
        pipes.push(ours);
        stdio.push(theirs);
    }
    drop((their_channel, far, their_board));
    let mut env_pairs = options.env_pairs;
    env_pairs.push(options.word + &channel_word + &handoff_word + &board_word);
    let words = |words: Vec<String>| words.into_iter().map(OsString::from).collect();
    let program = Program {
        file: options.file.into(),
        args: words(options.args),
        env: words(env_pairs),
        cwd: options.cwd.map(OsString::from),
        uid: options.uid,
        gid: options.gid,
        parent_death_signal: options.parent_death_signal,
        stdio,
    };
    let started = acceptor
        // The worker's first connection may come before this returns.
        .map_or(Ok(()), |acceptor| acceptor.start(env)?.add_worker(worker, options.slot, queue, board.clone()))
        .and_then(|()| Child::start(program))
        .and_then(|child| process.watch(env, child, onexit));
    let (error, pid) = match started {
        Ok(pid) => {
            process.board = board;
            (0, pid)
        }
        Err(error) => {
            acceptor.and_then(Acceptor::core).inspect(|core| core.remove_worker(worker));
            // After another error Node throws, or leaves the streams alone: nobody would close them.
            if !matches!(error, Error::Os { errno: Errno::EACCES | Errno::EAGAIN | Errno::ENOENT, .. }) {
                return Err(error);
            }
            (error.uv_errno(), 0)
        }
    };
    let raw = |descriptor: Option<OwnedFd>| descriptor.map_or(-1, IntoRawFd::into_raw_fd);
    Ok(Forked { error, pid, channel: channel.into_raw_fd(), pipes: pipes.into_iter().map(raw).collect() })
}

/// A descriptor of ours for the child, and how it finds it: by its number there, and by its inode, which no other
/// descriptor has that comes to that number.
fn give(descriptor: Option<OwnedFd>, place: usize, word: &mut String) -> crate::os::error::Result<Stdio> {
    let Some(descriptor) = descriptor else { return Ok(Stdio::Ignore) };
    let inode = fstat(&descriptor).map_err(|errno| Error::os("fstat", errno))?.st_ino;
    *word = format!(" {place}:{inode}");
    Ok(Stdio::Give(descriptor))
}

#[napi]
impl WorkerProcess {
    /// One without a process yet.
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Self {
        WorkerProcess { child: None, poll: None, board: None }
    }

    /// Sends a signal; 0, or the error as libuv numbers it.
    #[napi]
    pub fn kill(&self, signal: i32) -> i32 {
        let gone = Error::os("kill", Errno::ESRCH);
        match self.child.as_ref().map_or(Err(gone), |child| child.kill(signal)) {
            Ok(()) => 0,
            Err(error) => error.uv_errno(),
        }
    }

    /// Keeps the loop alive while the process lives.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        if let Some(poll) = &self.poll {
            poll.set_reference(true);
        }
    }

    /// Does not keep the loop alive.
    #[napi]
    pub fn unref(&self) {
        if let Some(poll) = &self.poll {
            poll.set_reference(false);
        }
    }

    /// Whether it keeps the loop alive.
    #[napi]
    pub fn has_ref(&self) -> bool {
        self.poll.as_ref().is_some_and(|poll| poll.has_reference())
    }

    /// What the worker's board says now; nothing where it has none.
    #[napi]
    pub fn read_board(&self) -> Option<BoardReading> {
        self.board.as_ref().map(|board| board.read(board::now()).into())
    }

    /// Has the worker note what takes longer to learn, once in so many milliseconds at most.
    #[napi]
    pub fn sample_board(&self, every: u32) {
        self.board.as_ref().inspect(|board| board.sample(Duration::from_millis(every.into())));
    }

    /// Has long strings of the channel's messages take the space behind the board.
    #[napi]
    pub fn share(&self, channel: &Channel) {
        if let Some((to_primary, to_worker)) = self.board.as_ref().and_then(|board| board.spaces()) {
            channel.share(to_worker, to_primary);
        }
    }

    /// Lets go of a process that has ended.
    #[napi]
    pub fn close(&mut self) {
        self.poll = None;
        self.child = None;
        self.board = None;
    }
}

impl WorkerProcess {
    /// Its number, while there is one.
    pub(super) fn pid(&self) -> Option<i32> {
        self.child.as_ref().map(|child| child.pid())
    }

    /// What the worker notes of itself, where it does.
    pub(super) fn board(&self) -> Option<&Arc<Board>> {
        self.board.as_ref()
    }

    /// Has the child's end told; its process id. A child whose end cannot be seen is ended at once.
    fn watch(&mut self, env: &Env, child: Child, onexit: &Function<'_>) -> crate::os::error::Result<i32> {
        let (pid, child) = (child.pid(), Rc::new(child));
        // SAFETY: we are called by JavaScript, with a function.
        let onexit = unsafe { Callback::new(env.raw(), "PROCESSWRAP", onexit.raw()) };
        let (watched, own_poll) = (Rc::clone(&child), Rc::new(OnceCell::<Weak<Poll>>::new()));
        let stopped = Rc::clone(&own_poll);
        let ready = move |_| {
            let exit = match watched.exited() {
                Ok(None) => return,
                Ok(Some(exit)) => exit,
                // Somebody else reaped it: that it has ended is all that can be known.
                Err(_) => Exit { code: 0, signal: 0 },
            };
            stopped.get().and_then(Weak::upgrade).inspect(|poll| poll.stop());
            onexit.call(&[exit.code, exit.signal]);
        };
        let poll = Rc::new(Poll::new(env.raw(), child.end(), ready).inspect_err(|_| child.abandon())?);
        let _ = own_poll.set(Rc::downgrade(&poll));
        poll.start(READABLE);
        self.child = Some(child);
        self.poll = Some(poll);
        Ok(pid)
    }
}

/// The name of a signal ("SIGTERM"), as Node has it.
#[napi]
pub fn signal_name(number: i32) -> Option<&'static str> {
    Signal::try_from(number).ok().map(Signal::as_str)
}
