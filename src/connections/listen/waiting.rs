//! Who waits to be accepted. To ask costs a fifth of an `accept4` that finds nobody: that makes a socket all the same.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

/// How many clients wait at a socket that listens, as far as the kernel says: at least one, at a Unix socket.
pub fn clients(listener: BorrowedFd<'_>) -> usize {
    // SAFETY: plain numbers, which may be 0.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes as many bytes there as `length` says, at most.
    let failed = unsafe {
        let value = (&raw mut info).cast();
        libc::getsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    match failed {
        // Of one that listens, the number of segments is that of clients.
        0 => info.tcpi_unacked as usize,
        _ => usize::from(poll(&mut [PollFd::new(listener, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    #[test]
    fn of_tcp_the_number_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut waiting = Vec::new();
        for number in 0..4 {
            assert_eq!(clients(listener.as_fd()), number);
            waiting.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        }
        // One that has gone is accepted as well.
        waiting.clear();
        for number in (1..=4).rev() {
            assert_eq!(clients(listener.as_fd()), number);
            listener.accept().unwrap();
        }
        assert_eq!(clients(listener.as_fd()), 0);
    }

    #[test]
    fn of_others_it_is_known_whether_there_is_one() {
        let name = format!("rust-cluster-waiting-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(clients(listener.as_fd()), 0);
        let _waiting = [(); 2].map(|()| UnixStream::connect_addr(&address).unwrap());
        assert_eq!(clients(listener.as_fd()), 1);
    }
}
