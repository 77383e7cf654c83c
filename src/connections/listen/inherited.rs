//! Sockets that the service manager has opened for this process: sd_listen_fds(3).
//!
//! Whoever listens on the address of one gets a duplicate of it in the place of a new socket. The socket itself is
//! never closed: what clients connect while nobody listens waits in it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{getsockname, getsockopt, sockopt, SockaddrStorage};
use nix::sys::stat::stat;
use parking_lot::Mutex;

use super::descriptor::is_open;
use super::{host_of, kind_of, name_of, parse, without_filling, Kind, Request};
use crate::os::error::{Error, Result};

/// All of them, in their order; none before [`inherit`].
static SOCKETS: Mutex<Option<Vec<Inherited>>> = Mutex::new(None);

/// How a path begins that is the name of a socket: `FileDescriptorName=web` is listened on as `systemd:web`.
const BY_NAME: &str = "systemd:";

/// A socket that this process was given.
#[derive(Debug)]
struct Inherited {
    socket: OwnedFd,
    name: String,
    kind: Kind,
    place: Place,
}

/// Where a socket is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Internet(SocketAddr),
    /// A path, or an abstract name, which begins with a zero.
    Unix(Vec<u8>),
}

/// What is told of a socket that this process was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its number.
    pub descriptor: RawFd,
    /// What the manager calls it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is bound, for people.
    pub address: String,
    /// Whether somebody listens on it.
    pub used: bool,
}

/// Takes over what `LISTEN_FDS` names, if `LISTEN_PID` is this process. Connections (`Accept=yes`) and what is no socket
/// are left alone.
///
/// # Errors
/// [`Error::Os`] with `EINVAL` for variables that say nothing sensible, `EBADF` for descriptors that are not there.
pub fn inherit() -> Result<()> {
    let mut sockets = SOCKETS.lock();
    if sockets.is_some() {
        return Ok(());
    }
    let given = sd_notify::listen_fds_with_names()
        .map_err(|error| Error::os("LISTEN_FDS", error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)))?;
    // SAFETY: open, as each has just been made close-on-exec; the manager gave them to this process, and nothing else
    // in it closes them.
    let owned = given.map(|(number, name)| (unsafe { OwnedFd::from_raw_fd(number) }, name));
    *sockets = Some(owned.filter_map(|(socket, name)| Inherited::new(socket, name)).collect());
    Ok(())
}

/// What was taken over, in its order.
pub fn descriptions() -> Vec<Description> {
    let sockets = SOCKETS.lock();
    sockets.iter().flatten().map(Inherited::describe).collect()
}

/// The descriptor to listen on in the place of what is asked for; `None` if there is none.
///
/// # Errors
/// [`Error::Os`]: `EADDRINUSE` if somebody listens on it already, `ENOENT` for a name that no socket has.
pub(super) fn find(request: &Request) -> Result<Option<RawFd>> {
    SOCKETS.lock().as_deref().map_or(Ok(None), |sockets| find_in(sockets, request))
}

fn find_in(sockets: &[Inherited], request: &Request) -> Result<Option<RawFd>> {
    let by_name = name_in(request);
    let matching: Vec<&Inherited> = match by_name {
        Some(name) => sockets.iter().filter(|socket| socket.name == name && socket.kind != Kind::Udp).collect(),
        None => by_address(sockets, request),
    };
    match matching.iter().find(|socket| !is_open(&socket.socket)) {
        Some(socket) => Ok(Some(socket.socket.as_raw_fd())),
        None if !matching.is_empty() => Err(Error::os("bind", Errno::EADDRINUSE)),
        None if by_name.is_some() => Err(Error::os("bind", Errno::ENOENT)),
        None => Ok(None),
    }
}

/// The name in `systemd:web`. Workers make the path absolute.
fn name_in(request: &Request) -> Option<&str> {
    let Request::Unix { path } = request else { return None };
    path.file_name()?.to_str()?.strip_prefix(BY_NAME)
}

/// Those with that very address first, then those for whom the port is open on all addresses, if that is asked for:
/// which of the two families "all" is bound to is the manager's business.
fn by_address<'a>(sockets: &'a [Inherited], request: &Request) -> Vec<&'a Inherited> {
    let (kind, place) = match request {
        Request::Tcp { host, port, .. } => (Kind::Tcp, internet(host.as_deref().unwrap_or("::"), *port)),
        Request::Udp { host, port, .. } => (Kind::Udp, internet(host, *port)),
        Request::Unix { path } => (Kind::Pipe, Some(Place::Unix(name_of_path(path)))),
        Request::Descriptor { .. } => return Vec::new(),
    };
    let Some(place) = place else { return Vec::new() };
    let of_kind = || sockets.iter().filter(move |socket| socket.kind == kind);
    let exact = of_kind().filter(|socket| socket.place == place);
    let alike = of_kind().filter(|socket| socket.place != place && are_alike(&socket.place, &place));
    exact.chain(alike).collect()
}

/// Port 0 asks for a new one.
fn internet(host: &str, port: u16) -> Option<Place> {
    parse(host, port).ok().filter(|address| address.port() != 0).map(Place::Internet)
}

/// The bytes of a path, or of an abstract name.
fn name_of_path(path: &Path) -> Vec<u8> {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => [&[0], without_filling(name)].concat(),
        path => path.to_vec(),
    }
}

/// All addresses of one port, or two ways to one file.
fn are_alike(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Internet(one), Place::Internet(other)) => {
            one.port() == other.port() && one.ip().is_unspecified() && other.ip().is_unspecified()
        }
        (Place::Unix(one), Place::Unix(other)) => {
            let file = |path: &[u8]| stat(OsStr::from_bytes(path)).map(|stat| (stat.st_dev, stat.st_ino));
            file(one).is_ok_and(|one| file(other) == Ok(one))
        }
        _ => false,
    }
}

impl Inherited {
    /// None for what is given but cannot be listened on: it is let go, and stays open.
    fn new(socket: OwnedFd, name: String) -> Option<Inherited> {
        let found = kind_of(socket.as_fd())
            .filter(|kind| *kind == Kind::Udp || getsockopt(&socket, sockopt::AcceptConn) == Ok(true))
            .and_then(|kind| Some((kind, place_of(socket.as_fd())?)));
        match found {
            Some((kind, place)) => Some(Inherited { socket, name, kind, place }),
            None => {
                let _ = socket.into_raw_fd();
                None
            }
        }
    }

    fn describe(&self) -> Description {
        let address = match &self.place {
            Place::Internet(address) if address.is_ipv6() => format!("[{}]:{}", host_of(address), address.port()),
            Place::Internet(address) => format!("{}:{}", host_of(address), address.port()),
            Place::Unix(path) => String::from_utf8_lossy(path).replace('\0', "@"),
        };
        let Inherited { name, kind, .. } = self;
        let descriptor = self.socket.as_raw_fd();
        Description { descriptor, name: name.clone(), kind: *kind, address, used: is_open(&self.socket) }
    }
}

fn place_of(socket: BorrowedFd<'_>) -> Option<Place> {
    if let Some(address) = name_of(socket) {
        return Some(Place::Internet(address));
    }
    let address: SockaddrStorage = getsockname(socket.as_raw_fd()).ok()?;
    let address = address.as_unix_addr()?;
    let path = address.path().map(|path| path.as_os_str().as_bytes().to_vec());
    path.or_else(|| address.as_abstract().map(|name| [&[0], without_filling(name)].concat())).map(Place::Unix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::listen::Opened;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn given(socket: impl Into<OwnedFd>, name: &str) -> Inherited {
        Inherited::new(socket.into(), name.into()).unwrap()
    }

    fn tcp(host: Option<&str>, port: u16) -> Request {
        Request::Tcp { host: host.map(Into::into), port, ipv6_only: false }
    }

    fn unix(path: impl Into<std::path::PathBuf>) -> Request {
        Request::Unix { path: path.into() }
    }

    fn listener(host: &str) -> (TcpListener, u16) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn a_socket_is_found_by_its_address_alone() {
        let (listener, port) = listener("127.0.0.1");
        let sockets = [given(listener, "web")];
        let number = sockets[0].socket.as_raw_fd();
        assert_eq!(find_in(&sockets, &tcp(Some("127.0.0.1"), port)).unwrap(), Some(number));
        let udp = Request::Udp { host: "127.0.0.1".into(), port, ipv6_only: false, reuse_address: false };
        let others = [
            tcp(None, port),
            tcp(Some("0.0.0.0"), port),
            tcp(Some("127.0.0.2"), port),
            tcp(Some("127.0.0.1"), 0),
            tcp(Some("nonsense"), port),
            udp,
            unix("/nonexistent"),
            Request::Descriptor { number, datagrams: false },
        ];
        for request in others {
            assert_eq!(find_in(&sockets, &request).unwrap(), None, "{request:?}");
        }
        assert_eq!(find_in(&[], &tcp(Some("127.0.0.1"), port)).unwrap(), None);
    }

    #[test]
    fn all_addresses_of_a_port_are_one_whatever_their_family() {
        let (listener, port) = listener("0.0.0.0");
        let sockets = [given(listener, "web")];
        for request in [tcp(None, port), tcp(Some("0.0.0.0"), port), tcp(Some("::"), port)] {
            assert!(find_in(&sockets, &request).unwrap().is_some(), "{request:?}");
        }
        for request in [tcp(None, port.wrapping_add(1)), tcp(Some("127.0.0.1"), port)] {
            assert_eq!(find_in(&sockets, &request).unwrap(), None, "{request:?}");
        }
    }

    #[test]
    fn udp_is_for_those_who_ask_for_it() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let sockets = [given(socket, "udp")];
        let udp = Request::Udp { host: "127.0.0.1".into(), port, ipv6_only: false, reuse_address: false };
        assert!(find_in(&sockets, &udp).unwrap().is_some());
        assert_eq!(find_in(&sockets, &tcp(Some("127.0.0.1"), port)).unwrap(), None);
        assert_eq!(find_in(&sockets, &unix("/srv/systemd:udp")).unwrap_err().code(), "ENOENT");
    }

    #[test]
    fn paths_are_one_if_they_lead_to_one_file_and_abstract_names_are_what_they_are() {
        let name = format!("rust-cluster-{}-inherited", std::process::id());
        let (path, link) = (std::env::temp_dir().join(&name), std::env::temp_dir().join(format!("{name}-link")));
        for path in [&path, &link] {
            let _ = std::fs::remove_file(path);
        }
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = [
            given(UnixListener::bind(&path).unwrap(), "path"),
            given(UnixListener::bind_addr(&address).unwrap(), "abstract"),
        ];
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let number = |place: usize| Some(sockets[place].socket.as_raw_fd());
        for path in [&path, &link] {
            assert_eq!(find_in(&sockets, &unix(path)).unwrap(), number(0));
        }
        for name in [format!("\0{name}"), format!("\0{name}\0\0")] {
            assert_eq!(find_in(&sockets, &unix(name)).unwrap(), number(1));
        }
        assert_eq!(find_in(&sockets, &unix("/nonexistent")).unwrap(), None);
        let described: Vec<_> = sockets.iter().map(|socket| socket.describe().address).collect();
        assert_eq!(described, [path.to_str().unwrap(), &format!("@{name}")]);
        for path in [path, link] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_name_stands_for_the_first_of_its_sockets_that_nobody_uses() {
        let ((one, _), (other, _)) = (listener("127.0.0.1"), listener("127.0.0.1"));
        let sockets = [given(one, "web"), given(other, "web")];
        let request = unix("/any/folder/systemd:web");
        let opened: Vec<Opened> = sockets
            .iter()
            .map(|socket| {
                let number = find_in(&sockets, &request).unwrap().unwrap();
                assert_eq!(number, socket.socket.as_raw_fd());
                Opened::bind(&Request::Descriptor { number, datagrams: false }).unwrap()
            })
            .collect();
        assert_eq!(find_in(&sockets, &request).unwrap_err().code(), "EADDRINUSE");
        assert!(sockets.iter().all(|socket| socket.describe().used));
        drop(opened);
        assert!(find_in(&sockets, &request).unwrap().is_some());
        assert_eq!(find_in(&sockets, &unix("systemd:other")).unwrap_err().code(), "ENOENT");
    }

    #[test]
    fn what_clients_connect_while_nobody_listens_waits() {
        let (listener, port) = listener("127.0.0.1");
        let sockets = [given(listener, "web")];
        let listen = || {
            let number = find_in(&sockets, &tcp(Some("127.0.0.1"), port)).unwrap().unwrap();
            let opened = Opened::bind(&Request::Descriptor { number, datagrams: false }).unwrap();
            opened.listen(511).unwrap();
            opened
        };
        let opened = listen();
        opened.refuse();
        drop(opened);
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let listener = TcpListener::from(listen().socket().try_clone_to_owned().unwrap());
        listener.accept().unwrap();
    }

    #[test]
    fn what_cannot_be_listened_on_is_left_alone() {
        let (near, _far) = UnixStream::pair().unwrap();
        let unbound = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        for descriptor in [near.into(), unbound, file] {
            let number: RawFd = descriptor.as_raw_fd();
            assert!(Inherited::new(descriptor, "other".into()).is_none());
            // SAFETY: it has stayed open, and nothing else owns it any more.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}
