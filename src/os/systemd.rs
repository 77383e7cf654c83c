//! What this process tells the service manager that has started it: sd_notify(3).
//!
//! The environment variables are read by the crate `sd-notify`, and the words are its own; it does not know abstract
//! names, under which some container managers listen.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::errno::Errno;
use sd_notify::NotifyState;

use crate::os::error::{Error, Result};

/// What has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The service serves: after its start, and after a reload.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The service ends.
    Stopping,
    /// The service is alive.
    Watchdog,
    /// Nothing but the status.
    Unchanged,
}

/// How long a manager that does not read may keep us.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the manager at `socket`, as `NOTIFY_SOCKET` names it, in one datagram.
///
/// # Errors
/// [`Error::Os`]: nobody listens there, or nobody reads; `EAFNOSUPPORT` for what is neither a path nor an abstract
/// name.
pub fn notify(socket: &str, state: State, status: Option<&str>) -> Result<()> {
    let status = status.map(|text| text.replace(['\n', '\r'], " "));
    let mut words = Vec::new();
    match state {
        State::Ready => words.extend([NotifyState::Ready, NotifyState::MainPid(std::process::id())]),
        State::Reloading => {
            // In one datagram: without the time Type=notify-reload waits for another.
            let now = NotifyState::monotonic_usec_now().map_err(|error| failed("clock_gettime", &error))?;
            words.extend([NotifyState::Reloading, now]);
        }
        State::Stopping => words.push(NotifyState::Stopping),
        State::Watchdog => words.push(NotifyState::Watchdog),
        State::Unchanged => {}
    }
    words.extend(status.as_deref().map(NotifyState::Status));
    let text: String = words.iter().map(|word| format!("{word}\n")).collect();
    let sender = UnixDatagram::unbound().map_err(|error| failed("socket", &error))?;
    sender.set_write_timeout(Some(PATIENCE)).map_err(|error| failed("setsockopt", &error))?;
    sender.connect_addr(&address_of(socket)?).map_err(|error| failed("connect", &error))?;
    send(&sender, text.as_bytes()).map_err(|error| failed("send", &error))
}

/// A wait with a limit is ended by every signal that this thread handles.
fn send(sender: &UnixDatagram, bytes: &[u8]) -> io::Result<()> {
    loop {
        match sender.send(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// How often the manager wants to hear that the service is alive, in microseconds; `None` if it does not, or another
/// process is meant.
pub fn watchdog() -> Option<u64> {
    sd_notify::watchdog_enabled().map(|period| u64::try_from(period.as_micros()).unwrap_or(u64::MAX))
}

fn address_of(socket: &str) -> Result<SocketAddr> {
    let address = match socket.as_bytes().first() {
        Some(b'/') => SocketAddr::from_pathname(socket),
        Some(b'@') => SocketAddr::from_abstract_name(&socket[1..]),
        _ => return Err(Error::os("connect", Errno::EAFNOSUPPORT)),
    };
    address.map_err(|error| failed("connect", &error))
}

fn failed(syscall: &'static str, error: &io::Error) -> Error {
    Error::os(syscall, error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn name(what: &str) -> String {
        format!("rust-cluster-{}-{what}", std::process::id())
    }

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn what_belongs_together_is_one_datagram_to_a_path_and_to_an_abstract_name() {
        let path = std::env::temp_dir().join(name("notify"));
        let _ = std::fs::remove_file(&path);
        let abstract_name = name("notify");
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let managers = [
            (path.to_str().unwrap().to_owned(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{abstract_name}"), UnixDatagram::bind_addr(&address).unwrap()),
        ];
        for (socket, manager) in managers {
            notify(&socket, State::Ready, Some("2 workers\nSTOPPING=1")).unwrap();
            let pid = std::process::id();
            assert_eq!(received(&manager), format!("READY=1\nMAINPID={pid}\nSTATUS=2 workers STOPPING=1\n"));
            notify(&socket, State::Reloading, None).unwrap();
            let text = received(&manager);
            let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim();
            assert!(time.parse::<u64>().unwrap() > 0, "{text}");
            for (state, words) in [(State::Stopping, "STOPPING=1\n"), (State::Watchdog, "WATCHDOG=1\n")] {
                notify(&socket, state, None).unwrap();
                assert_eq!(received(&manager), words);
            }
            notify(&socket, State::Unchanged, Some("reloading")).unwrap();
            assert_eq!(received(&manager), "STATUS=reloading\n");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_manager_that_is_not_there_or_does_not_read_is_an_error() {
        let code = |socket: &str| notify(socket, State::Ready, None).unwrap_err().code();
        assert_eq!(code("/nonexistent/notify"), "ENOENT");
        assert_eq!(code(&format!("@{}", name("nobody"))), "ECONNREFUSED");
        for socket in ["", "relative", "vsock:2:1234", "é"] {
            assert_eq!(code(socket), "EAFNOSUPPORT", "{socket}");
        }
        let long = format!("@{}", "x".repeat(200));
        assert_eq!(code(&long), "EINVAL");
        let silent = name("silent");
        let _manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&silent).unwrap()).unwrap();
        let socket = format!("@{silent}");
        let start = Instant::now();
        let error = std::iter::repeat_with(|| notify(&socket, State::Watchdog, None)).find_map(Result::err).unwrap();
        assert_eq!(error.code(), "EAGAIN");
        assert!(start.elapsed() >= PATIENCE);
    }
}
