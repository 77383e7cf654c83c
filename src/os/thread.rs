//! Threads of our own, beside those of Node.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::os::error::{Error, Result};
use crate::os::sync::thread::{Builder, JoinHandle};

/// Starts a thread. It takes no signals: the kernel may give one that is sent to the process to any thread that does
/// not block it, and a program's handlers expect to run where the program does.
///
/// # Errors
/// [`Error::Os`], `EAGAIN` at the limit of processes (`RLIMIT_NPROC`, the pids of a container).
pub fn start<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    // A thread begins with the mask of the one that starts it: to block them there would be too late.
    let before =
        SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(|errno| Error::os("pthread_sigmask", errno))?;
    let started = Builder::new().name(name.into()).spawn(run);
    before.thread_set_mask().map_err(|errno| Error::os("pthread_sigmask", errno))?;
    started.map_err(|error| Error::os("pthread_create", error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw)))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    fn mask() -> SigSet {
        SigSet::thread_get_mask().unwrap()
    }

    #[test]
    fn a_thread_takes_no_signals_and_its_starter_takes_them_as_before() {
        let before = mask();
        let (name, blocked) =
            start("named", || (std::thread::current().name().map(String::from), mask())).unwrap().join().unwrap();
        assert_eq!(name.as_deref(), Some("named"));
        // Nobody blocks these two, and the C library keeps two for itself.
        let all = Signal::iterator().filter(|signal| ![Signal::SIGKILL, Signal::SIGSTOP].contains(signal));
        assert!(all.into_iter().all(|signal| blocked.contains(signal)), "{blocked:?}");
        assert_eq!(mask(), before);
    }
}
