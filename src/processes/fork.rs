//! Starting a worker process.
//!
//! Nearly every worker is made by posix_spawn(3): its child borrows our memory until it executes the program. A
//! fork copies our page tables, and then every page that we or the child touch: some 2 ms a worker, half of them
//! while the primary waits.
//!
//! posix_spawn has no words for another cwd, user or death signal. Such a worker is made by the standard
//! library's `Command` (fork, exec, and the child's error back through a pipe); `command-fds` moves the
//! descriptors to their numbers without treading on one another. What libuv does besides, in its order, happens
//! between fork and exec: cwd, groups, gid, uid, and signals at their default. What Node has no option for comes
//! last: the signal at the parent's death, which a change of the user would clear.
//!
//! Both ways start the child with all signals blocked, until none of ours is handled in it: a handler of this
//! process would run in the child, and libuv's would write into a pipe that is shared with us.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use nix::errno::Errno;
use nix::libc;
use nix::spawn::{posix_spawn, PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{raise, SigSet, SigmaskHow, Signal};
use nix::unistd::{chdir, getppid, setgid, setgroups, setuid, Gid, Pid, Uid};

use crate::os::error::{Error, Result};
use crate::os::socket;
use crate::processes::child::Child;

/// A worker to start. The words are those of `child_process.spawn`.
#[derive(Debug)]
pub struct Program {
    /// The file to execute.
    pub file: OsString,
    /// `argv`, the name of the program first.
    pub args: Vec<OsString>,
    /// The environment, `KEY=value` each.
    pub env: Vec<OsString>,
    /// The working directory, if not ours.
    pub cwd: Option<OsString>,
    /// The user to become.
    pub uid: Option<u32>,
    /// The group to become.
    pub gid: Option<u32>,
    /// The signal that the kernel sends it when the thread that called [`Child::start`] ends.
    pub parent_death_signal: Option<i32>,
    /// What the child has under each descriptor number, starting with 0.
    pub stdio: Vec<Stdio>,
}

/// One descriptor of a child.
#[derive(Debug)]
pub enum Stdio {
    /// `/dev/null` for 0, 1 and 2, nothing for others.
    Ignore,
    /// A descriptor of this process, which keeps it.
    Inherit(RawFd),
    /// One that the child alone shall have.
    Give(OwnedFd),
}

impl Program {
    /// Whether posix_spawn can start it. It looks for a bare name in our PATH, not in the child's.
    fn is_plain(&self) -> bool {
        self.file.as_bytes().contains(&b'/')
            && self.cwd.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.parent_death_signal.is_none()
    }
}

impl Child {
    /// Starts a process. When this returns, its program runs.
    ///
    /// # Errors
    /// [`Error::Os`] with the errno of what failed in the child: `ENOENT` (no such file, no such cwd),
    /// `EACCES`, `EPERM` (uid and gid), `E2BIG`, or `EAGAIN`, `EMFILE`, `ENOMEM` in this process.
    pub fn start(program: Program) -> Result<Child> {
        Child::watch(if program.is_plain() { spawn(program)? } else { fork(program)? })
    }
}

const SHELL: &CStr = c"/bin/sh";

/// By posix_spawn(3).
fn spawn(program: Program) -> Result<Pid> {
    let failed = |errno| Error::os("spawn", errno);
    let mut actions = PosixSpawnFileActions::init().map_err(failed)?;
    let mappings = mappings(program.stdio)?;
    // Each number is free until its turn: none is the source of a later one.
    let above = mappings.iter().map(|mapping| mapping.child_fd + 1).max().unwrap_or_default();
    let mut sources = Vec::with_capacity(mappings.len());
    for FdMapping { parent_fd, child_fd } in mappings {
        let source = if parent_fd.as_raw_fd() < above { duplicate_above(&parent_fd, above)? } else { parent_fd };
        actions.add_dup2(source.as_raw_fd(), child_fd).map_err(failed)?;
        sources.push(source);
    }
    let mut attributes = PosixSpawnAttr::init().map_err(failed)?;
    attributes
        .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)
        .and_then(|()| attributes.set_sigdefault(&SigSet::all()))
        .and_then(|()| attributes.set_sigmask(&SigSet::empty()))
        .map_err(failed)?;
    let file = c_string(program.file)?;
    let args = program.args.into_iter().map(c_string).collect::<Result<Vec<_>>>()?;
    let env = program.env.into_iter().map(c_string).collect::<Result<Vec<_>>>()?;
    match posix_spawn(file.as_c_str(), &actions, &attributes, &args, &env) {
        // A script that does not name its shell is one of sh, as execvp(3) has it.
        Err(Errno::ENOEXEC) => {
            let args: Vec<_> = [SHELL.into(), file].into_iter().chain(args.into_iter().skip(1)).collect();
            posix_spawn(SHELL, &actions, &attributes, &args, &env).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

fn duplicate_above(descriptor: &OwnedFd, least: RawFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, least)
        .map_err(|errno| Error::os("dup", Errno::from_raw(errno.raw_os_error())))
}

fn c_string(text: OsString) -> Result<CString> {
    CString::new(text.into_vec()).map_err(|_| Error::os("spawn", Errno::EINVAL))
}

/// By fork and exec.
fn fork(program: Program) -> Result<Pid> {
    let mut command = Command::new(&program.file);
    if let Some((name, args)) = program.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(program.env.into_iter().filter_map(key_and_value));
    command.fd_mappings(mappings(program.stdio)?).expect("each number is mapped once");
    let cwd = program.cwd.map(c_string).transpose()?;
    let (uid, gid) = (program.uid.map(Uid::from_raw), program.gid.map(Gid::from_raw));
    let death = match program.parent_death_signal {
        Some(number) => Some(Signal::try_from(number).map_err(|errno| Error::os("spawn", errno))?),
        None => None,
    };
    let parent = Pid::this();
    // SAFETY: the closure runs in the forked child, where only async-signal-safe calls are allowed: it
    // makes system calls, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            prepare(cwd.as_ref(), uid, gid)?;
            Ok(death.map_or(Ok(()), |signal| die_with(parent, signal))?)
        });
    }
    let child = with_signals_blocked(|| command.spawn())
        .map_err(|error| Error::os("spawn", error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Holds back the signals of this thread, and of a child that it forks, which [`prepare`] lets through.
fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let result = work();
    // Neither can fail: the first argument is one of the three, the sets are ours.
    let _ = before.and_then(|before| before.thread_set_mask());
    result
}

fn key_and_value(pair: OsString) -> Option<(OsString, OsString)> {
    let mut key = pair.into_vec();
    let value = key.split_off(key.iter().position(|byte| *byte == b'=')?);
    Some((OsString::from_vec(key), OsString::from_vec(value[1..].to_vec())))
}

fn mappings(stdio: Vec<Stdio>) -> Result<Vec<FdMapping>> {
    let mut mappings = Vec::with_capacity(stdio.len());
    for (child_fd, stdio) in (0..).zip(stdio) {
        let parent_fd = match stdio {
            Stdio::Give(descriptor) => descriptor,
            Stdio::Inherit(descriptor) => inherit(descriptor, child_fd)?,
            Stdio::Ignore if child_fd <= 2 => null(child_fd)?,
            Stdio::Ignore => continue,
        };
        mappings.push(FdMapping { parent_fd, child_fd });
    }
    Ok(mappings)
}

fn inherit(descriptor: RawFd, child_fd: RawFd) -> Result<OwnedFd> {
    if descriptor < 0 {
        return Err(Error::os("dup", Errno::EBADF));
    }
    // SAFETY: not -1, and only duplicated: of a closed one the kernel says EBADF.
    let duplicate = socket::duplicate(unsafe { BorrowedFd::borrow_raw(descriptor) })?;
    if child_fd <= 2 {
        // As libuv has it: no program expects its standard streams not to block.
        rustix::io::ioctl_fionbio(&duplicate, false)
            .map_err(|errno| Error::os("ioctl", Errno::from_raw(errno.raw_os_error())))?;
    }
    Ok(duplicate)
}

fn null(child_fd: RawFd) -> Result<OwnedFd> {
    let null = File::options().read(true).write(child_fd > 0).open("/dev/null");
    let open = |error: std::io::Error| Error::os("open", Errno::from_raw(error.raw_os_error().unwrap_or_default()));
    null.map(OwnedFd::from).map_err(open)
}

/// What happens in the child before its program starts.
fn prepare(cwd: Option<&CString>, uid: Option<Uid>, gid: Option<Gid>) -> nix::Result<()> {
    if let Some(cwd) = cwd {
        chdir(cwd.as_c_str())?;
    }
    if uid.is_some() || gid.is_some() {
        // Only root has groups to give up; others are refused by what follows.
        let _ = setgroups(&[]);
    }
    if let Some(gid) = gid {
        setgid(gid)?;
    }
    if let Some(uid) = uid {
        setuid(uid)?;
    }
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of ours. Refused are SIGKILL, SIGSTOP and those of the C library.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    SigSet::empty().thread_set_mask()
}

/// Has the kernel send this process a signal when its parent dies.
fn die_with(parent: Pid, signal: Signal) -> nix::Result<()> {
    set_pdeathsig(signal)?;
    // A parent that died before that sends none.
    if getppid() != parent {
        raise(signal)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::child::Exit;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::io::{Read, Write};

    fn shell(script: &str) -> Program {
        Program {
            file: "/bin/sh".into(),
            args: ["sh", "-c", script].map(OsString::from).into(),
            env: vec!["PATH=/usr/bin:/bin".into(), "WORD=a=b".into()],
            cwd: None,
            uid: None,
            gid: None,
            parent_death_signal: None,
            stdio: vec![Stdio::Ignore, Stdio::Ignore, Stdio::Ignore],
        }
    }

    fn wait(child: &Child) -> Exit {
        poll(&mut [PollFd::new(child.end(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        child.exited().unwrap().unwrap()
    }

    fn output(mut program: Program) -> String {
        let (mut reader, writer) = std::io::pipe().unwrap();
        program.stdio[1] = Stdio::Give(writer.into());
        let child = Child::start(program).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(wait(&child), Exit { code: 0, signal: 0 });
        text
    }

    #[test]
    fn code_and_signal_of_the_end_are_told_once() {
        let child = Child::start(shell("exit 7")).unwrap();
        assert_eq!(wait(&child), Exit { code: 7, signal: 0 });
        assert_eq!(child.exited().unwrap_err().code(), "ECHILD");
        let child = Child::start(shell("sleep 60")).unwrap();
        assert_eq!(child.exited().unwrap(), None);
        child.kill(0).unwrap();
        child.kill(15).unwrap();
        assert_eq!(wait(&child), Exit { code: 0, signal: 15 });
    }

    #[test]
    fn environment_and_cwd_are_as_asked() {
        let program = Program { cwd: Some("/".into()), ..shell("echo $WORD; pwd") };
        assert_eq!(output(program), "a=b\n/\n");
    }

    #[test]
    fn the_child_has_the_descriptor_it_was_given_and_not_ours() {
        let (near, far) = socket::pair(nix::sys::socket::SockType::Stream).unwrap();
        let has = |number: RawFd| format!("[ -e /proc/$$/fd/{number} ] && echo yes || echo no; ");
        // Far above what the child could be given by chance.
        let given = 40;
        let mut program = shell(&(has(given) + &has(near.as_raw_fd()) + &has(far.as_raw_fd())));
        program.stdio.resize_with(given as usize, || Stdio::Ignore);
        program.stdio.push(Stdio::Give(far));
        assert_eq!(output(program), "yes\nno\nno\n");
    }

    /// Both ways of starting: the cwd is one of the words that posix_spawn does not have.
    fn both_ways(program: impl Fn() -> Program) -> [Program; 2] {
        [program(), Program { cwd: Some("/".into()), ..program() }]
    }

    #[test]
    fn a_bare_name_is_looked_for_in_the_path_of_the_child() {
        let directory = std::env::temp_dir().join(format!("path-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink("/bin/echo", directory.join("only-there")).unwrap();
        let path = format!("PATH={}", directory.display());
        let args = ["echo", "found"].map(OsString::from).into();
        let program = Program { file: "only-there".into(), args, env: vec![path.into()], ..shell("") };
        assert_eq!(output(program), "found\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn two_descriptors_may_change_places() {
        for mut program in both_ways(|| shell("")) {
            let pipe = |text: &str| {
                let (reader, mut writer) = std::io::pipe().unwrap();
                writer.write_all(text.as_bytes()).unwrap();
                OwnedFd::from(reader)
            };
            let (one, other) = (pipe("one "), pipe("other"));
            let (place, other_place) = (other.as_raw_fd(), one.as_raw_fd());
            program.args[2] = format!("cat /dev/fd/{place}; cat /dev/fd/{other_place}").into();
            program.stdio.resize_with(place.max(other_place) as usize + 1, || Stdio::Ignore);
            program.stdio[place as usize] = Stdio::Give(one);
            program.stdio[other_place as usize] = Stdio::Give(other);
            assert_eq!(output(program), "one other");
        }
    }

    #[test]
    fn a_script_that_names_no_shell_is_run_by_sh() {
        let path = std::env::temp_dir().join(format!("script-{}", std::process::id()));
        // Written by another process: a fork elsewhere in this one would keep it open for writing, ETXTBSY.
        let write = format!("echo 'echo $0 $1' > {0} && chmod 700 {0}", path.display());
        assert!(Command::new("sh").args(["-c", &write]).status().unwrap().success());
        let file = path.clone().into_os_string();
        for program in
            both_ways(|| Program { file: file.clone(), args: vec!["name".into(), "word".into()], ..shell("") })
        {
            assert_eq!(output(program), format!("{} word\n", path.display()));
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        for file in ["/nonexistent", "nonexistent"] {
            let program = Program { file: file.into(), ..shell("") };
            assert_eq!(Child::start(program).unwrap_err().code(), "ENOENT");
        }
        let program = Program { cwd: Some("/nonexistent".into()), ..shell("") };
        assert_eq!(Child::start(program).unwrap_err().code(), "ENOENT");
        for program in both_ways(|| Program { file: "/".into(), ..shell("") }) {
            assert_eq!(Child::start(program).unwrap_err().code(), "EACCES");
        }
        for mut program in both_ways(|| shell("")) {
            program.stdio[0] = Stdio::Inherit(1_000_000);
            assert_eq!(Child::start(program).unwrap_err().code(), "EBADF");
        }
    }

    #[test]
    fn ignored_signals_are_back_at_their_default() {
        // The test harness, like Node, ignores SIGPIPE. Signals from 32 on are the C library's.
        for program in both_ways(|| shell("grep SigIgn /proc/self/status")) {
            let ignored = output(program);
            let mask = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
            assert_eq!(mask & 0x7fff_ffff, 0);
        }
    }

    #[test]
    fn blocked_signals_are_let_through() {
        let outside = SigSet::thread_get_mask().unwrap();
        SigSet::from(Signal::SIGUSR1).thread_block().unwrap();
        // Not by way of a shell, which lets them through itself.
        let args = || ["grep", "SigBlk", "/proc/self/status"].map(OsString::from).into();
        let blocked = both_ways(|| Program { file: "/bin/grep".into(), args: args(), ..shell("") }).map(output);
        outside.thread_set_mask().unwrap();
        assert_eq!(blocked, ["SigBlk:\t0000000000000000\n"; 2]);
    }

    #[test]
    fn a_child_gets_its_signal_when_the_thread_that_started_it_ends() {
        // Its user is set too, where that is allowed: the signal outlasts it.
        let uid = Some(Uid::current().as_raw());
        let program = Program { uid, parent_death_signal: Some(Signal::SIGKILL as i32), ..shell("sleep 60") };
        let child = std::thread::spawn(|| Child::start(program).unwrap()).join().unwrap();
        assert_eq!(wait(&child), Exit { code: 0, signal: Signal::SIGKILL as i32 });
    }

    #[test]
    fn a_child_whose_parent_has_died_already_gets_its_signal() {
        // Another process than its parent, so that this one seems to have died.
        let other = getppid();
        let mut command = Command::new("/bin/sleep");
        // SAFETY: only system calls, as in `start`.
        unsafe { command.arg("60").pre_exec(move || Ok(die_with(other, Signal::SIGKILL)?)) };
        let status = command.status().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGKILL as i32));
    }

    #[test]
    fn a_number_that_is_no_signal_is_refused() {
        let program = Program { parent_death_signal: Some(1000), ..shell("exit 0") };
        assert_eq!(Child::start(program).unwrap_err().code(), "EINVAL");
        let child = Child::start(shell("exit 0")).unwrap();
        assert_eq!(child.kill(1000).unwrap_err().code(), "EINVAL");
        wait(&child);
    }
}
