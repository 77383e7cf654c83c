//! Listening on a descriptor that a worker names by its number.
//!
//! The number is the worker's word, and may name anything that this process has: another worker's channel, a
//! connection to a database, a server of the program's own. So nothing is done to it but to duplicate it; whose
//! socket it is, is asked of the duplicate, which alone is served and closed.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_link, read_to_string};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{getpeername, SockaddrStorage};
use nix::sys::stat::{fstat, SFlag};
use parking_lot::Mutex;
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::{kind_of, name_of, Kind};
use crate::os::error::{Error, Result};
use crate::os::socket;

/// The inodes of all sockets that are opened here.
static OPEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// That a socket is opened here, until this is dropped.
#[derive(Debug)]
pub(super) struct Entry(u64);

impl Entry {
    /// None if it is opened already.
    pub(super) fn new(socket: &OwnedFd) -> Result<Option<Entry>> {
        let inode = fstat(socket).map_err(|errno| Error::os("fstat", errno))?.st_ino;
        Ok(OPEN.lock().insert(inode).then(|| Entry(inode)))
    }
}

/// Whether a socket is opened here, by whatever number.
pub(super) fn is_open(socket: &OwnedFd) -> bool {
    fstat(socket).is_ok_and(|stat| OPEN.lock().contains(&stat.st_ino))
}

impl Drop for Entry {
    fn drop(&mut self) {
        OPEN.lock().remove(&self.0);
    }
}

/// Duplicates a bound socket that nobody uses.
///
/// # Errors
/// As Node's: `EINVAL` for what is closed, no such socket, or connected; `ENOTSOCK` for a pipe; `EEXIST` for a
/// socket that is in use.
pub(super) fn open(number: RawFd, datagrams: bool) -> Result<(OwnedFd, Kind, Entry)> {
    let refused = |errno| Error::os("listen", errno);
    if number < 0 {
        return Err(refused(Errno::EINVAL));
    }
    // SAFETY: not -1, and only duplicated: of a closed one the kernel says EBADF.
    let socket = match socket::duplicate(unsafe { BorrowedFd::borrow_raw(number) }) {
        Err(error) if error.uv_errno() == -(Errno::EBADF as i32) => return Err(refused(Errno::EINVAL)),
        result => result?,
    };
    let kind = kind_of(socket.as_fd())
        .ok_or_else(|| refused(if is_pipe(&socket) { Errno::ENOTSOCK } else { Errno::EINVAL }))?;
    if (kind == Kind::Udp) != datagrams {
        return Err(refused(Errno::EINVAL));
    }
    let entry = Entry::new(&socket)?.filter(|entry| !is_watched(entry.0)).ok_or_else(|| refused(Errno::EEXIST))?;
    if !is_bound(&socket) || (kind != Kind::Udp && was_connected(&socket)) {
        return Err(refused(Errno::EINVAL));
    }
    Ok((socket, kind, entry))
}

fn is_pipe(descriptor: &OwnedFd) -> bool {
    fstat(descriptor).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO)
}

/// What has no address yet is on its way to be a client.
fn is_bound(socket: &OwnedFd) -> bool {
    name_of(socket.as_fd()).is_none_or(|address| address.port() != 0)
}

/// Also when the connection has ended: a socket that has only been bound does not say that its peer has hung up.
fn was_connected(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    getpeername::<SockaddrStorage>(socket.as_raw_fd()).is_ok()
        || poll(&mut polled, Some(&Timespec::default())).is_err()
        || polled[0].revents().contains(PollFlags::RDHUP)
}

/// Whether an epoll instance of this process watches a socket: the acceptor's, or that of an event loop of Node's,
/// which are several: each worker thread has one, and the inspector. It knows of a socket from the end of the turn on
/// that began to watch it. Without /proc it is not known.
fn is_watched(inode: u64) -> bool {
    let Ok(descriptors) = read_dir("/proc/self/fd") else { return false };
    let epoll = Path::new("anon_inode:[eventpoll]");
    descriptors
        .flatten()
        .filter(|descriptor| read_link(descriptor.path()).is_ok_and(|name| name == epoll))
        .filter_map(|descriptor| read_to_string(Path::new("/proc/self/fdinfo").join(descriptor.file_name())).ok())
        .any(|watched| watched.split_whitespace().any(|word| inode_in(word) == Some(inode)))
}

/// The inode of `ino:7aca7e` ([proc_pid_fdinfo(5)](https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html)).
fn inode_in(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("ino:")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::listen::{Opened, Request};
    use nix::fcntl::{fcntl, FcntlArg};
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
    use nix::sys::socket::{bind, setsockopt, sockopt, AddressFamily, SockFlag, SockType};
    use nix::sys::socket::{SockaddrIn, UnixAddr};
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    fn request(descriptor: &impl AsRawFd) -> Request {
        Request::Descriptor { number: descriptor.as_raw_fd(), datagrams: false }
    }

    fn code(request: &Request) -> String {
        Opened::bind(request).unwrap_err().code()
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn connection() -> (TcpStream, TcpStream) {
        let (listener, address) = listener();
        (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn a_socket_that_listens_is_shared_and_stays_open() {
        let (listener, address) = listener();
        let opened = Opened::bind(&request(&listener)).unwrap();
        opened.listen(511).unwrap();
        assert_eq!((opened.kind(), opened.address()), (Kind::Tcp, Some(address)));
        // For whom it is opened already it is in use, as for libuv.
        assert_eq!(code(&request(&listener)), "EEXIST");
        assert_eq!(code(&request(&opened.socket())), "EEXIST");
        drop(opened);
        drop(Opened::bind(&request(&listener)).unwrap());
        let _client = TcpStream::connect(address).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn a_socket_that_is_bound_is_listened_on() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let tcp = nix::sys::socket::socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        assert_eq!(code(&request(&tcp)), "EINVAL", "a client to be");
        bind(tcp.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let unix = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        assert_eq!(Opened::bind(&request(&unix)).unwrap().listen(511).unwrap_err().code(), "EINVAL");
        let name = format!("rust-cluster-{}-bound", std::process::id());
        bind(unix.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes()).unwrap()).unwrap();
        for socket in [tcp, unix] {
            Opened::bind(&request(&socket)).unwrap().listen(511).unwrap();
        }
    }

    #[test]
    fn datagrams_are_for_those_who_want_them() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(code(&request(&udp)), "EINVAL");
        let datagrams = |number| Request::Descriptor { number, datagrams: true };
        assert_eq!(Opened::bind(&datagrams(udp.as_raw_fd())).unwrap().kind(), Kind::Udp);
        assert_eq!(code(&datagrams(listener().0.as_raw_fd())), "EINVAL");
    }

    #[test]
    fn what_a_process_has_besides_is_refused_and_stays_as_it_is() {
        let (client, server) = connection();
        let (reset, peer) = connection();
        setsockopt(&peer, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        drop(peer);
        let mut polled = [PollFd::new(&reset, PollFlags::RDHUP)];
        poll(&mut polled, None).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let (alone, gone) = UnixStream::pair().unwrap();
        drop(gone);
        let (packets, _other) = socket::pair(SockType::SeqPacket).unwrap();
        let datagrams = UnixDatagram::unbound().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let cases: [(&dyn AsRawFd, &str); 12] = [
            (&client, "EINVAL"),
            (&server, "EINVAL"),
            (&reset, "EINVAL"),
            (&near, "EINVAL"),
            (&far, "EINVAL"),
            (&alone, "EINVAL"),
            (&packets, "EINVAL"),
            (&datagrams, "EINVAL"),
            (&file, "EINVAL"),
            (&reader, "ENOTSOCK"),
            (&writer, "ENOTSOCK"),
            (&epoll.0, "EINVAL"),
        ];
        for (place, (descriptor, expected)) in cases.into_iter().enumerate() {
            let number = descriptor.as_raw_fd();
            // SAFETY: its owner is alive.
            let flags = || fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFL).unwrap();
            let before = flags();
            assert_eq!(code(&Request::Descriptor { number, datagrams: false }), expected, "case {place}");
            assert_eq!(flags(), before, "case {place}: one that blocks still does");
        }
        for number in [-1, RawFd::MIN, 1_000_000, RawFd::MAX] {
            assert_eq!(code(&Request::Descriptor { number, datagrams: false }), "EINVAL");
        }
    }

    #[test]
    fn a_socket_that_an_event_loop_watches_is_in_use() {
        let (listener, _address) = listener();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
        assert_eq!(code(&request(&listener)), "EEXIST");
        let duplicate = listener.try_clone().unwrap();
        assert_eq!(code(&request(&duplicate)), "EEXIST", "by whatever number");
        epoll.delete(&listener).unwrap();
        Opened::bind(&request(&listener)).unwrap();
    }
}
