//! Opening the sockets that workers share, as libuv would: same options, same errors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    bind, connect, getsockname, getsockopt, listen, setsockopt, socket, sockopt, AddressFamily, Backlog, SockFlag,
    SockType, SockaddrLike, SockaddrStorage, UnixAddr,
};

use crate::os::error::{Error, Result};

/// What a worker asks to listen on, or to receive datagrams on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A TCP address. Without a host: all of IPv6 and IPv4, or of IPv4 where there is no IPv6.
    Tcp {
        /// An IP address, with a zone if need be (`fe80::1%eth0`).
        host: Option<String>,
        /// 0: any free one.
        port: u16,
        /// Leave IPv4 alone.
        ipv6_only: bool,
    },
    /// A path of the file system.
    Unix {
        /// The path, at most 107 bytes.
        path: PathBuf,
    },
    /// A UDP address.
    Udp {
        /// An IP address.
        host: String,
        /// 0: any free one.
        port: u16,
        /// Leave IPv4 alone.
        ipv6_only: bool,
        /// Allow others to bind the address too.
        reuse_address: bool,
    },
    /// A descriptor that this process has.
    Descriptor(RawFd),
}

/// What a socket is to libuv: which of its handles can adopt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `uv_tcp_t`
    Tcp,
    /// `uv_pipe_t`
    Pipe,
    /// `uv_udp_t`
    Udp,
}

/// An open socket. A Unix path that was bound is unlinked with it.
#[derive(Debug)]
pub struct Opened {
    socket: OwnedFd,
    kind: Kind,
    /// Whether it came as a descriptor.
    adopted: bool,
    /// Held for its end.
    _path: Option<BoundPath>,
}

impl Opened {
    /// Opens and binds what is asked for.
    ///
    /// # Errors
    /// [`Error::Os`] with the number that Node would report: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`;
    /// `EINVAL` for an address that is none and a descriptor that cannot be listened on.
    pub fn bind(request: &Request) -> Result<Opened> {
        match request {
            Request::Tcp { host: None, port, ipv6_only } => {
                match bind_internet(SockType::Stream, (Ipv6Addr::UNSPECIFIED, *port).into(), *ipv6_only, true) {
                    Err(error) if error.uv_errno() != -(Errno::EADDRINUSE as i32) => {
                        bind_internet(SockType::Stream, (Ipv4Addr::UNSPECIFIED, *port).into(), false, true)
                    }
                    result => result,
                }
            }
            Request::Tcp { host: Some(host), port, ipv6_only } => {
                bind_internet(SockType::Stream, parse(host, *port)?, *ipv6_only, true)
            }
            Request::Udp { host, port, ipv6_only, reuse_address } => {
                bind_internet(SockType::Datagram, parse(host, *port)?, *ipv6_only, *reuse_address)
            }
            Request::Unix { path } => bind_path(path),
            Request::Descriptor(descriptor) => adopt(*descriptor),
        }
    }

    /// Starts listening.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn listen(&self, backlog: i32) -> Result<()> {
        // As listen(2) has it: what is out of range is the system's limit.
        let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
        listen(&self.socket, backlog).map_err(|errno| Error::os("listen", errno))?;
        // The acceptor asks until nothing is left; an inherited descriptor may be blocking.
        nonblocking(&self.socket)
    }

    /// Takes no more clients; those that have connected can still be accepted. They would be lost, if they came
    /// between the last accept and the end of the socket.
    ///
    /// One that was adopted stays as it is: it may be another process's too, and serve on there.
    pub fn refuse(&self) {
        match self.kind {
            _ if self.adopted => {}
            Kind::Tcp => ignore_new_clients(self.socket()),
            // accept(2) looks at those that wait first.
            Kind::Pipe => drop(rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read)),
            Kind::Udp => {}
        }
    }

    /// The socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Which handle can adopt it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address it is bound to; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        let address: SockaddrStorage = getsockname(self.socket.as_raw_fd()).ok()?;
        match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => Some(SocketAddr::from((v4.ip(), v4.port()))),
            (_, Some(v6)) => Some(SocketAddr::V6((*v6).into())),
            _ => None,
        }
    }
}

fn bind_internet(kind: SockType, address: SocketAddr, ipv6_only: bool, reuse_address: bool) -> Result<Opened> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, kind, flags, None).map_err(|errno| Error::os("socket", errno))?;
    if reuse_address {
        setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(|errno| Error::os("setsockopt", errno))?;
    }
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &ipv6_only).map_err(|errno| Error::os("setsockopt", errno))?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(|errno| Error::os("bind", errno))?;
    let kind = if kind == SockType::Stream { Kind::Tcp } else { Kind::Udp };
    Ok(Opened { socket, kind, adopted: false, _path: None })
}

/// The socket address of a host, which may have a zone, and a port.
pub(crate) fn parse(host: &str, port: u16) -> Result<SocketAddr> {
    let not_an_address = || Error::os("bind", Errno::EINVAL);
    if let Some((host, zone)) = host.split_once('%') {
        let host: Ipv6Addr = host.parse().map_err(|_| not_an_address())?;
        let zone = match zone.parse() {
            Ok(index) => index,
            Err(_) => nix::net::if_::if_nametoindex(zone).map_err(|errno| Error::os("bind", errno))?,
        };
        return Ok(SocketAddrV6::new(host, port, 0, zone).into());
    }
    let host: IpAddr = host.parse().map_err(|_| not_an_address())?;
    Ok((host, port).into())
}

fn bind_path(path: &Path) -> Result<Opened> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket =
        socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(|errno| Error::os("socket", errno))?;
    // Too long for the kernel: libuv says EINVAL.
    let address = UnixAddr::new(path).map_err(|_| Error::os("bind", Errno::EINVAL))?;
    let bind = || bind(socket.as_raw_fd(), &address);
    match bind() {
        Err(Errno::EADDRINUSE) if is_abandoned(path, &address) => {
            // What a primary that was killed has left behind: nobody listens there, and nobody will.
            std::fs::remove_file(path).map_err(|_| Error::os("bind", Errno::EADDRINUSE))?;
            bind()
        }
        result => result,
    }
    .map_err(|errno| {
        // libuv says EACCES where the folder does not exist, as Windows would.
        Error::os("bind", if errno == Errno::ENOENT { Errno::EACCES } else { errno })
    })?;
    // At once, so that nobody takes it for abandoned before its owner listens; that sets the real backlog.
    listen(&socket, Backlog::MAXCONN).map_err(|errno| Error::os("listen", errno))?;
    Ok(Opened { socket, kind: Kind::Pipe, adopted: false, _path: Some(BoundPath::new(path)) })
}

/// Whether a path is a socket on which nobody listens.
fn is_abandoned(path: &Path, address: &UnixAddr) -> bool {
    // It must not block: a server whose backlog is full would keep a blocking connect waiting.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let refused = || {
        let client = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
        connect(client.as_raw_fd(), address).err()
    };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket && refused() == Some(Errno::ECONNREFUSED)
}

/// Takes over a descriptor that the program opened: `server.listen({ fd })` closes it with the server, in
/// Node too.
fn adopt(descriptor: RawFd) -> Result<Opened> {
    let kind = kind_of(descriptor).ok_or(Error::os("listen", Errno::EINVAL))?;
    // SAFETY: the descriptor is open, and the program gave it away with `listen({ fd })`.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Opened { socket, kind, adopted: true, _path: None })
}

/// Has a TCP socket drop each SYN. A client sends it again a second later, and finds the port closed, or opened
/// anew. Where the kernel does not do so, those that come too late are reset.
fn ignore_new_clients(socket: BorrowedFd<'_>) {
    use nix::libc;
    /// Where a TCP header has its flags, and two of them.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let length = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the option takes a `sock_fprog` of that length, and the kernel copies the steps.
    let _ = unsafe {
        let program = (&raw const program).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program, length)
    };
}

/// What an open descriptor is; `None` if it is closed, or no socket that libuv can adopt.
pub fn kind_of(descriptor: RawFd) -> Option<Kind> {
    if descriptor < 0 {
        return None;
    }
    let address: SockaddrStorage = getsockname(descriptor).ok()?;
    let socket_type = getsockopt(&borrow(descriptor), sockopt::SockType).ok()?;
    match (address.family()?, socket_type) {
        (AddressFamily::Inet | AddressFamily::Inet6, SockType::Stream) => Some(Kind::Tcp),
        (AddressFamily::Inet | AddressFamily::Inet6, SockType::Datagram) => Some(Kind::Udp),
        (AddressFamily::Unix, SockType::Stream) => Some(Kind::Pipe),
        _ => None,
    }
}

fn borrow<'a>(descriptor: RawFd) -> BorrowedFd<'a> {
    // SAFETY: not -1, and only asked for its properties: of a closed one the kernel says EBADF.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

fn nonblocking(socket: &OwnedFd) -> Result<()> {
    rustix::io::ioctl_fionbio(socket, true).map_err(|errno| Error::os("ioctl", Errno::from_raw(errno.raw_os_error())))
}

/// A path that was bound, unlinked when dropped: unless by then it is another server's.
#[derive(Debug)]
struct BoundPath {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl BoundPath {
    fn new(path: &Path) -> Self {
        BoundPath { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Nobody is left to tell if it cannot be done.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn tcp(host: Option<&str>, port: u16) -> Request {
        Request::Tcp { host: host.map(Into::into), port, ipv6_only: false }
    }

    fn open(request: &Request) -> Opened {
        let opened = Opened::bind(request).unwrap();
        opened.listen(511).unwrap();
        opened
    }

    fn temporary_path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("rust-cluster-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_client_that_has_connected_is_accepted_after_others_were_refused() {
        let opened = Opened::bind(&tcp(Some("127.0.0.1"), 0)).unwrap();
        opened.listen(511).unwrap();
        let address = SockaddrStorage::from(opened.address().unwrap());
        let client = || {
            let client = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
            assert_eq!(connect(client.as_raw_fd(), &address), Err(Errno::EINPROGRESS));
            client
        };
        let is_connected = |client: &OwnedFd| nix::sys::socket::getpeername::<SockaddrStorage>(client.as_raw_fd());
        let early = client();
        assert!(is_connected(&early).is_ok());
        opened.refuse();
        let late = client();
        assert_eq!(is_connected(&late).unwrap_err(), Errno::ENOTCONN);
        let listener = TcpListener::from(opened.socket().try_clone_to_owned().unwrap());
        assert!(listener.accept().is_ok());
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_client_of_a_path_that_has_connected_is_accepted_after_others_were_refused() {
        let path = std::env::temp_dir().join(format!("rust-cluster-{}-refuse", std::process::id()));
        let opened = Opened::bind(&Request::Unix { path: path.clone() }).unwrap();
        opened.listen(511).unwrap();
        let _early = UnixStream::connect(&path).unwrap();
        opened.refuse();
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        let listener = UnixListener::from(opened.socket().try_clone_to_owned().unwrap());
        assert!(listener.accept().is_ok());
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn without_a_host_both_families_are_served() {
        let opened = open(&tcp(None, 0));
        let port = opened.address().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if opened.address().unwrap().is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_port_in_use_is_eaddrinuse_with_and_without_a_host() {
        let first = open(&tcp(None, 0));
        let taken = first.address().unwrap().port();
        for host in [None, Some("0.0.0.0"), Some("127.0.0.1")] {
            let error = Opened::bind(&tcp(host, taken)).and_then(|opened| opened.listen(511)).unwrap_err();
            assert_eq!(error.code(), "EADDRINUSE", "{host:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_einval_and_one_that_is_not_ours_is_refused() {
        assert_eq!(Opened::bind(&tcp(Some("nonsense"), 0)).unwrap_err().code(), "EINVAL");
        assert_eq!(Opened::bind(&tcp(Some("192.0.2.1"), 0)).unwrap_err().code(), "EADDRNOTAVAIL");
        assert_eq!(Opened::bind(&tcp(Some("fe80::1%nowhere"), 0)).unwrap_err().code(), "ENODEV");
    }

    #[test]
    fn a_path_is_bound_and_unlinked_at_the_end() {
        let path = temporary_path("bound.sock");
        let opened = open(&Request::Unix { path: path.clone() });
        assert_eq!((opened.kind(), opened.address()), (Kind::Pipe, None));
        UnixStream::connect(&path).unwrap();
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_is_einval_as_in_libuv() {
        let path = PathBuf::from("/tmp/".to_owned() + &"x".repeat(200));
        assert_eq!(Opened::bind(&Request::Unix { path }).unwrap_err().code(), "EINVAL");
    }

    #[test]
    fn an_abandoned_path_is_bound_again_and_one_in_use_is_not() {
        let path = temporary_path("abandoned.sock");
        // The standard library leaves the path when its listener is gone, as a killed process does.
        drop(UnixListener::bind(&path).unwrap());
        let first = open(&Request::Unix { path: path.clone() });
        assert_eq!(Opened::bind(&Request::Unix { path: path.clone() }).unwrap_err().code(), "EADDRINUSE");
        drop(first);
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Opened::bind(&Request::Unix { path: path.clone() }).unwrap_err().code(), "EADDRINUSE");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_that_became_another_servers_is_left_alone() {
        let path = temporary_path("other.sock");
        let opened = open(&Request::Unix { path: path.clone() });
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(opened);
        UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_in_no_folder_is_eacces_as_in_libuv() {
        let path = PathBuf::from("/nonexistent/rust-cluster.sock");
        let error = Opened::bind(&Request::Unix { path }).unwrap_err();
        assert_eq!(error.code(), "EACCES");
    }

    #[test]
    fn udp_is_bound_and_shared_only_on_request() {
        let udp =
            |port, reuse_address| Request::Udp { host: "127.0.0.1".into(), port, ipv6_only: false, reuse_address };
        let first = Opened::bind(&udp(0, false)).unwrap();
        assert_eq!(first.kind(), Kind::Udp);
        let port = first.address().unwrap().port();
        assert_eq!(Opened::bind(&udp(port, false)).unwrap_err().code(), "EADDRINUSE");
    }

    #[test]
    fn a_descriptor_is_taken_over_and_what_cannot_listen_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let opened = open(&Request::Descriptor(listener.into_raw_fd()));
        assert_eq!((opened.kind(), opened.address()), (Kind::Tcp, Some(address)));
        TcpStream::connect(address).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for descriptor in [-1, 1_000_000, file.as_raw_fd()] {
            assert_eq!(Opened::bind(&Request::Descriptor(descriptor)).unwrap_err().code(), "EINVAL");
        }
    }
}
