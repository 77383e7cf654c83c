//! What a worker asks to listen on, as JavaScript says it.

use std::os::fd::BorrowedFd;

use napi::Env;
use napi_derive::napi;
use nix::errno::Errno;

use super::uv::Poll;
use super::Result;
use crate::connections::listen::{host_of, kind_of, Kind, Opened, Request};
use crate::os::error::Error;
use crate::os::socket;

/// `UV_TCP_IPV6ONLY`, `UV_UDP_IPV6ONLY`
const IPV6_ONLY: u32 = 1;
/// `UV_UDP_REUSEADDR`
const REUSE_ADDRESS: u32 = 4;

/// The fields of a worker's 'queryServer' message that say what to open.
#[napi(object)]
pub struct Query {
    /// An IP address or a path; none: every address.
    pub address: Option<String>,
    /// The port; -1 for a path.
    pub port: Option<i32>,
    /// "4", "6", "-1" (a path), "udp4", "udp6".
    pub address_type: Option<String>,
    /// A descriptor of the primary, or none.
    pub fd: Option<i32>,
    /// libuv's flags.
    pub flags: Option<u32>,
}

impl Query {
    /// Opens and binds what is asked for.
    pub(super) fn open(&self, env: Env) -> crate::os::error::Result<Opened> {
        let request = self.request()?;
        let opened = Opened::bind(&request)?;
        if let Request::Descriptor { number, .. } = request {
            // A server that the program has made in this turn: epoll does not know it yet, but libuv does.
            // SAFETY: not -1, and open: it has just been duplicated.
            Poll::new(env.raw(), unsafe { BorrowedFd::borrow_raw(number) }, |_| {})?;
        }
        Ok(opened)
    }

    fn request(&self) -> crate::os::error::Result<Request> {
        let udp = self.address_type.as_deref().is_some_and(|kind| kind.starts_with("udp"));
        if let Some(number @ 0..) = self.fd {
            return Ok(Request::Descriptor { number, datagrams: udp });
        }
        let flags = self.flags.unwrap_or_default();
        let ipv6_only = flags & IPV6_ONLY != 0;
        match (self.port.unwrap_or_default(), &self.address) {
            (..0, Some(path)) => Ok(Request::Unix { path: path.into() }),
            (..0, None) => Err(Error::os("bind", Errno::EINVAL)),
            (port, host) => {
                let port = u16::try_from(port).map_err(|_| Error::os("bind", Errno::EINVAL))?;
                let host = host.clone().filter(|host| !host.is_empty());
                match host {
                    // A zone is IPv6's, and so is a colon. libuv reads the one kind or the other.
                    Some(host) if udp && host.contains(':') != (self.address_type.as_deref() == Some("udp6")) => {
                        Err(Error::os("bind", Errno::EINVAL))
                    }
                    Some(host) if udp => {
                        let reuse_address = flags & REUSE_ADDRESS != 0;
                        Ok(Request::Udp { host, port, ipv6_only, reuse_address })
                    }
                    None if udp => Err(Error::os("bind", Errno::EINVAL)),
                    host => Ok(Request::Tcp { host, port, ipv6_only }),
                }
            }
        }
    }
}

/// The address of a socket, as `handle.getsockname()` fills it in.
#[napi(object)]
pub struct SocketName {
    /// The IP address.
    pub address: String,
    /// "IPv4" or "IPv6".
    pub family: String,
    /// The port.
    pub port: u32,
}

pub(super) fn name(opened: &Opened) -> Option<SocketName> {
    opened.address().map(|address| SocketName {
        address: host_of(&address),
        family: if address.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
        port: address.port().into(),
    })
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp",
        Kind::Pipe => "pipe",
        Kind::Udp => "udp",
    }
}

/// A bound socket that workers share: each gets a descriptor of it, and accepts or receives for itself.
#[napi]
pub struct SharedHandle {
    opened: Option<Opened>,
    errno: i32,
}

#[napi]
impl SharedHandle {
    /// Opens what is asked for; `errno` says whether that went well.
    #[napi(constructor)]
    pub fn new(env: Env, query: Query) -> Self {
        match query.open(env) {
            Ok(opened) => SharedHandle { opened: Some(opened), errno: 0 },
            Err(error) => SharedHandle { opened: None, errno: error.uv_errno() },
        }
    }

    /// 0, or the error as libuv numbers it.
    #[napi(getter)]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// "tcp", "pipe" or "udp": which handle adopts the descriptor.
    #[napi(getter)]
    pub fn kind(&self) -> Option<&'static str> {
        self.opened.as_ref().map(|opened| kind_name(opened.kind()))
    }

    /// The descriptor, to be sent to a worker; -1 when closed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        use std::os::fd::AsRawFd;
        self.opened.as_ref().map_or(-1, |opened| opened.socket().as_raw_fd())
    }

    /// Closes the primary's descriptor, and unlinks a path.
    #[napi]
    pub fn close(&mut self) {
        self.opened = None;
    }
}

/// What a received descriptor is: "tcp", "pipe", "udp", or nothing that a handle can adopt. libuv aborts on
/// descriptors that epoll cannot watch, so no other may reach it.
#[napi]
pub fn descriptor_kind(descriptor: i32) -> Option<&'static str> {
    if descriptor < 0 {
        return None;
    }
    // SAFETY: not -1, and only asked for its properties: of a closed one the kernel says EBADF.
    kind_of(unsafe { BorrowedFd::borrow_raw(descriptor) }).map(kind_name)
}

/// A close-on-exec duplicate of a descriptor.
#[napi]
pub fn duplicate(descriptor: i32) -> Result<i32> {
    use std::os::fd::IntoRawFd;
    if descriptor < 0 {
        return Err(Error::os("dup", Errno::EBADF).into());
    }
    // SAFETY: not -1, and only duplicated: of a closed one the kernel says EBADF.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(socket::duplicate(descriptor)?.into_raw_fd())
}

/// A fresh socket, "tcp" or "pipe", for the shim to find a handle's class with.
#[napi]
pub fn open_socket(kind: String) -> Result<i32> {
    use nix::sys::socket::{socket, AddressFamily, SockFlag, SockType};
    use std::os::fd::IntoRawFd;
    let family = if kind == "pipe" { AddressFamily::Unix } else { AddressFamily::Inet };
    let descriptor =
        socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(|errno| Error::os("socket", errno))?;
    Ok(descriptor.into_raw_fd())
}
