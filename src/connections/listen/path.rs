//! Unix paths: bound, taken over where a process that was killed has left one behind, and unlinked at the end.
//!
//! bind(2) makes the path, and fails where it is: of two that bind a free one, one wins. An abandoned path must be
//! removed first, and who removes what somebody has just bound robs him. So it is removed
//! - by one process at a time: the abandoned inode's number, as an abstract name, is its lock, which the kernel
//!   lets go of however its holder ends;
//! - if no socket in [`SOCKETS`] is bound under its name that does not listen yet: connect(2) cannot tell it from
//!   one that is gone;
//! - if it is still the same then.
//!
//! Abstract names and that list belong to a network namespace. Of a server in another one that has bound a path of
//! a folder that both see, nothing is known until it listens.

use std::fs::{read, remove_file, symlink_metadata};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{bind, connect, listen, socket, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};

use crate::os::error::{Error, Result};

/// The kernel's list of Unix sockets.
const SOCKETS: &str = "/proc/net/unix";

/// A path that was bound, unlinked when dropped: unless by then it is another server's. To be dropped before its
/// socket, so that nobody can be given the number of its inode in between.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            // Nobody is left to tell if it cannot be done.
            let _ = remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Binds a path, or an abstract name (its first byte is 0), and listens.
pub(super) fn open(path: &Path) -> Result<(OwnedFd, Option<BoundPath>)> {
    let abstract_name = path.as_os_str().as_bytes().strip_prefix(b"\0");
    // Too long for the kernel, or a NUL within: libuv says EINVAL. An empty one would have the kernel choose a name.
    let address = match abstract_name {
        Some(name) => UnixAddr::new_abstract(name),
        None if path.as_os_str().is_empty() => Err(Errno::EINVAL),
        None => UnixAddr::new(path),
    }
    .map_err(|_| Error::os("bind", Errno::EINVAL))?;
    let socket = stream().map_err(|errno| Error::os("socket", errno))?;
    let bind = || bind(socket.as_raw_fd(), &address);
    let mut bound = bind();
    // Held until this function returns: who waits for it finds a path on which somebody listens.
    let mut _lock = None;
    if bound == Err(Errno::EADDRINUSE) && abstract_name.is_none() {
        _lock = remove_abandoned(path, &address);
        if _lock.is_some() {
            bound = bind();
        }
    }
    bound.map_err(|errno| {
        // libuv says EACCES where the folder does not exist, as Windows would.
        Error::os("bind", if errno == Errno::ENOENT { Errno::EACCES } else { errno })
    })?;
    let bound = abstract_name.is_none().then(|| BoundPath { path: path.to_owned(), inode: inode(path) });
    // At once, so that nobody takes it for abandoned before its owner listens; that sets the real backlog.
    listen(&socket, Backlog::MAXCONN).map_err(|errno| Error::os("listen", errno))?;
    Ok((socket, bound))
}

fn stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// Removes the path of a socket that is gone: a primary that was killed has left it behind, nobody listens there,
/// and nobody will. Returns the right to bind it.
///
/// A socket is bound, then listens, then is gone: so one that is not bound without listening, and is asked after that
/// and refuses, is gone.
fn remove_abandoned(path: &Path, address: &UnixAddr) -> Option<OwnedFd> {
    // The number of an inode is given to others; not so with its time.
    let found = || {
        let metadata = symlink_metadata(path).ok().filter(|metadata| metadata.file_type().is_socket())?;
        Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
    };
    let socket @ (device, inode, ..) = found()?;
    let lock = lock(device, inode).ok()?;
    let gone = !is_bound(path) && is_refused(address) && found() == Some(socket) && remove_file(path).is_ok();
    gone.then_some(lock)
}

/// How long the lock is waited for: it is held for microseconds, unless its holder is stopped.
const PATIENCE: Duration = Duration::from_millis(100);

/// The right to remove an abandoned path, while this is open.
fn lock(device: u64, inode: u64) -> nix::Result<OwnedFd> {
    let lock = stream()?;
    let address = UnixAddr::new_abstract(format!("rust-cluster:{device}:{inode}").as_bytes())?;
    let begin = Instant::now();
    loop {
        match bind(lock.as_raw_fd(), &address) {
            Err(Errno::EADDRINUSE) if begin.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(1)),
            result => return result.map(|()| lock),
        }
    }
}

/// Whether nobody listens at an address. It must not block: a server whose backlog is full would keep a blocking
/// connect waiting.
fn is_refused(address: &UnixAddr) -> bool {
    stream().is_ok_and(|client| connect(client.as_raw_fd(), address) == Err(Errno::ECONNREFUSED))
}

/// Whether a socket that does not listen is bound under the name of a path, in whatever folder; also if that cannot
/// be told.
fn is_bound(path: &Path) -> bool {
    let (Some(name), Ok(sockets)) = (path.file_name(), read(SOCKETS)) else { return true };
    let name = name.as_bytes();
    let is_it = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).skip(3);
        // Neither listening, nor a connection, which bears the name of the listener that it came through.
        let unused = [&b"00000000"[..], b"0001", b"01"].into_iter().all(|word| words.next() == Some(word));
        unused && line.strip_suffix(name).is_some_and(|before| before.ends_with(b"/") || before.ends_with(b" "))
    };
    // A name of several lines is not found.
    name.contains(&b'\n') || sockets.split(|byte| *byte == b'\n').any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::listen::{Kind, Opened, Request};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;

    fn listen_on(path: &Path) -> Result<Opened> {
        let opened = Opened::bind(&Request::Unix { path: path.to_owned() })?;
        opened.listen(511)?;
        Ok(opened)
    }

    fn code(path: &Path) -> String {
        Opened::bind(&Request::Unix { path: path.to_owned() }).unwrap_err().code()
    }

    fn temporary_path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("rust-cluster-{}-{name}", std::process::id()))
    }

    /// The standard library leaves the path when its listener is gone, as a killed process does.
    fn abandon(path: &Path) {
        drop(UnixListener::bind(path).unwrap());
    }

    /// A socket of another server, which has bound its path and does not listen yet.
    fn bound(path: &Path) -> OwnedFd {
        let socket = stream().unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        socket
    }

    #[test]
    fn a_path_is_bound_and_unlinked_at_the_end() {
        let path = temporary_path("bound.sock");
        let opened = listen_on(&path).unwrap();
        assert_eq!((opened.kind(), opened.address()), (Kind::Pipe, None));
        UnixStream::connect(&path).unwrap();
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_none_is_einval_as_in_libuv() {
        for path in
            ["/tmp/".to_owned() + &"x".repeat(200), "/tmp/a\0b".into(), "".into(), "\0".to_owned() + &"x".repeat(108)]
        {
            assert_eq!(code(Path::new(&path)), "EINVAL", "{path:?}");
        }
    }

    #[test]
    fn a_path_in_no_folder_is_eacces_as_in_libuv() {
        assert_eq!(code(Path::new("/nonexistent/rust-cluster.sock")), "EACCES");
    }

    #[test]
    fn an_abstract_name_is_bound_as_it_is() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("rust-cluster-{}/../\0.", std::process::id());
        let path = PathBuf::from(format!("\0{name}"));
        let opened = listen_on(&path).unwrap();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        UnixStream::connect_addr(&address).unwrap();
        assert_eq!(code(&path), "EADDRINUSE");
        drop(opened);
        drop(listen_on(&path).unwrap());
    }

    #[test]
    fn an_abandoned_path_is_bound_again_and_one_in_use_is_not() {
        let path = temporary_path("abandoned.sock");
        abandon(&path);
        let first = listen_on(&path).unwrap();
        assert_eq!(code(&path), "EADDRINUSE");
        drop(first);
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(code(&path), "EADDRINUSE");
        remove_file(&path).unwrap();
    }

    #[test]
    fn of_several_that_take_over_a_path_at_once_one_listens() {
        const TAKERS: usize = 3;
        let path = temporary_path("at-once.sock");
        for round in 0..300 {
            abandon(&path);
            let barrier = Barrier::new(TAKERS);
            let take = || {
                barrier.wait();
                listen_on(&path)
            };
            let results: Vec<_> = thread::scope(|scope| {
                let takers: Vec<_> = (0..TAKERS).map(|_| scope.spawn(take)).collect();
                takers.into_iter().map(|taker| taker.join().unwrap()).collect()
            });
            let (listening, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert!(refused.iter().all(|refused| refused.as_ref().unwrap_err().code() == "EADDRINUSE"));
            assert_eq!(listening.len(), 1, "round {round}");
            UnixStream::connect(&path).unwrap();
            drop(listening);
            assert!(!path.exists());
        }
    }

    #[test]
    fn an_abandoned_path_is_left_to_the_one_that_is_taking_it_over() {
        let path = temporary_path("locked.sock");
        abandon(&path);
        let (device, inode) = inode(&path).unwrap();
        let other = lock(device, inode).unwrap();
        assert_eq!(code(&path), "EADDRINUSE");
        drop(other);
        drop(listen_on(&path).unwrap());
    }

    #[test]
    fn a_server_between_bind_and_listen_keeps_its_path() {
        let path = temporary_path("between.sock");
        let server = bound(&path);
        assert_eq!(code(&path), "EADDRINUSE");
        listen(&server, Backlog::MAXCONN).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(server);
        // The program itself has gone by now.
        drop(listen_on(&path).unwrap());
    }

    #[test]
    fn servers_of_the_same_name_elsewhere_do_not_keep_an_abandoned_path() {
        let path = temporary_path("same-name.sock");
        let elsewhere = temporary_path("elsewhere").join(path.file_name().unwrap());
        std::fs::create_dir(elsewhere.parent().unwrap()).unwrap();
        let server = UnixListener::bind(&elsewhere).unwrap();
        let _client = UnixStream::connect(&elsewhere).unwrap();
        let _connection = server.accept().unwrap();
        let _waiting = UnixStream::connect(&elsewhere).unwrap();
        abandon(&path);
        drop(listen_on(&path).unwrap());
        std::fs::remove_dir_all(elsewhere.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_path_that_became_another_servers_is_left_alone() {
        let path = temporary_path("other.sock");
        let opened = listen_on(&path).unwrap();
        remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(opened);
        UnixStream::connect(&path).unwrap();
        remove_file(&path).unwrap();
    }
}
