//! A service manager to be told things: binds a datagram socket at the path, or the abstract name (`@name`), that it is
//! given, says on its first line of output that it has, and then prints each datagram as a line, with `|` between its own.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

fn main() -> std::io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::bind_addr(&address)?;
    println!("bound");
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        println!("{}", String::from_utf8_lossy(&buffer[..length]).trim_end().replace('\n', "|"));
    }
}
