//! Opening the sockets that workers share, as libuv would: same options, same errors; or taking what the service
//! manager has opened.

mod descriptor;
pub mod inherited;
mod path;
pub mod waiting;

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sys::socket::{
    bind, getsockname, getsockopt, listen, setsockopt, socket, sockopt, AddressFamily, Backlog, SockFlag, SockType,
    SockaddrLike, SockaddrStorage,
};

use crate::os::error::{Error, Result};
use descriptor::Entry;
use path::BoundPath;

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
    /// A path of the file system, or an abstract name, whose first byte is 0.
    Unix {
        /// At most 107 bytes after that.
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
    /// A descriptor that this process has. It stays as it is.
    Descriptor {
        /// Which one, as the worker says.
        number: RawFd,
        /// For datagrams, not for connections.
        datagrams: bool,
    },
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
    /// Held for its end, which comes before the socket's.
    _path: Option<BoundPath>,
    _entry: Option<Entry>,
    socket: OwnedFd,
    kind: Kind,
    /// Whether it came as a descriptor.
    adopted: bool,
}

impl Opened {
    /// Opens and binds what is asked for.
    ///
    /// # Errors
    /// [`Error::Os`] with the number that Node would report: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`;
    /// `EINVAL` for an address that is none; for a descriptor see [`descriptor::open`]; for a socket that the service
    /// manager has opened see [`inherited::find`].
    pub fn bind(request: &Request) -> Result<Opened> {
        if let Some(number) = inherited::find(request)? {
            let datagrams = matches!(request, Request::Udp { .. });
            return Opened::bind(&Request::Descriptor { number, datagrams });
        }
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
            Request::Unix { path } => {
                let (socket, path) = path::open(path)?;
                Opened::new(socket, Kind::Pipe, path)
            }
            Request::Descriptor { number, datagrams } => {
                let (socket, kind, entry) = descriptor::open(*number, *datagrams)?;
                Ok(Opened { _path: None, _entry: Some(entry), socket, kind, adopted: true })
            }
        }
    }

    fn new(socket: OwnedFd, kind: Kind, path: Option<BoundPath>) -> Result<Opened> {
        Ok(Opened { _path: path, _entry: Entry::new(&socket)?, socket, kind, adopted: false })
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
        name_of(self.socket())
    }
}

/// The address of an Internet socket.
fn name_of(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let address: SockaddrStorage = getsockname(socket.as_raw_fd()).ok()?;
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::from((v4.ip(), v4.port()))),
        (_, Some(v6)) => Some(SocketAddr::V6((*v6).into())),
        _ => None,
    }
}

/// An abstract name without the zeros with which some versions of libuv fill it up.
pub fn without_filling(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &name[..end]
}

/// The host of an address as Node writes it: one that is valid on one link only, with the name of its interface.
pub fn host_of(address: &SocketAddr) -> String {
    let interface = match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() != 0 => {
            if_indextoname(v6.scope_id()).ok()
        }
        _ => None,
    };
    match interface.as_deref().map(CStr::to_string_lossy) {
        // nix has an empty name for an interface that is none.
        Some(name) if !name.is_empty() => format!("{}%{name}", address.ip()),
        _ => address.ip().to_string(),
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
    Opened::new(socket, kind, None)
}

/// The socket address of a host, which may have a zone, and a port. A zone is the name of an interface; another
/// one counts for nothing, as with libuv: the kernel says whether the address needs one.
pub(crate) fn parse(host: &str, port: u16) -> Result<SocketAddr> {
    let not_an_address = || Error::os("bind", Errno::EINVAL);
    if let Some((host, zone)) = host.split_once('%') {
        let host: Ipv6Addr = host.parse().map_err(|_| not_an_address())?;
        return Ok(SocketAddrV6::new(host, port, 0, if_nametoindex(zone).unwrap_or_default()).into());
    }
    let host: IpAddr = host.parse().map_err(|_| not_an_address())?;
    Ok((host, port).into())
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

/// What a socket is; `None` if it is none that libuv can adopt.
pub fn kind_of(descriptor: BorrowedFd<'_>) -> Option<Kind> {
    let address: SockaddrStorage = getsockname(descriptor.as_raw_fd()).ok()?;
    let socket_type = getsockopt(&descriptor, sockopt::SockType).ok()?;
    match (address.family()?, socket_type) {
        (AddressFamily::Inet | AddressFamily::Inet6, SockType::Stream) => Some(Kind::Tcp),
        (AddressFamily::Inet | AddressFamily::Inet6, SockType::Datagram) => Some(Kind::Udp),
        (AddressFamily::Unix, SockType::Stream) => Some(Kind::Pipe),
        _ => None,
    }
}

fn nonblocking(socket: &OwnedFd) -> Result<()> {
    rustix::io::ioctl_fionbio(socket, true).map_err(|errno| Error::os("ioctl", Errno::from_raw(errno.raw_os_error())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::connect;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    fn tcp(host: Option<&str>, port: u16) -> Request {
        Request::Tcp { host: host.map(Into::into), port, ipv6_only: false }
    }

    fn open(request: &Request) -> Opened {
        let opened = Opened::bind(request).unwrap();
        opened.listen(511).unwrap();
        opened
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
    }

    #[test]
    fn a_zone_is_an_interface_or_nothing_as_in_libuv() {
        for (host, code) in [("fe80::1%nowhere", "EINVAL"), ("fe80::1%1", "EINVAL"), ("fe80::1%lo", "EADDRNOTAVAIL")] {
            assert_eq!(Opened::bind(&tcp(Some(host), 0)).unwrap_err().code(), code, "{host}");
        }
        for host in ["::1%nowhere", "::1%lo"] {
            assert_eq!(open(&tcp(Some(host), 0)).address().unwrap().ip(), Ipv6Addr::LOCALHOST);
        }
    }

    #[test]
    fn the_host_of_a_link_local_address_has_its_interface() {
        let host = |address: &str, scope| host_of(&SocketAddrV6::new(address.parse().unwrap(), 80, 0, scope).into());
        assert_eq!(host("fe80::1", if_nametoindex("lo").unwrap()), "fe80::1%lo");
        assert_eq!((host("fe80::1", 0), host("fe80::1", u32::MAX)), ("fe80::1".into(), "fe80::1".into()));
        assert_eq!(host("::1", 1), "::1");
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
}
