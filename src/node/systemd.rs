//! The service manager, as JavaScript sees it.

use napi_derive::napi;
use nix::errno::Errno;

use super::listen::kind_name;
use super::Result;
use crate::connections::listen::inherited;
use crate::os::error::Error;
use crate::os::systemd::{self, State};

/// A socket that this process was given.
#[napi(object)]
pub struct InheritedSocket {
    /// Its number.
    pub fd: i32,
    /// What the service manager calls it.
    pub name: String,
    /// "tcp", "pipe" or "udp".
    pub kind: String,
    /// Where it is bound.
    pub address: String,
    /// Whether somebody listens on it.
    pub used: bool,
}

/// Has workers that listen on the address, or by the name, of a socket that this process was given get that one.
#[napi]
pub fn inherit_sockets() -> Result<()> {
    Ok(inherited::inherit()?)
}

/// The sockets that this process was given.
#[napi]
pub fn inherited_sockets() -> Vec<InheritedSocket> {
    let descriptions = inherited::descriptions();
    descriptions
        .into_iter()
        .map(|socket| InheritedSocket {
            fd: socket.descriptor,
            name: socket.name,
            kind: kind_name(socket.kind).into(),
            address: socket.address,
            used: socket.used,
        })
        .collect()
}

/// Tells the service manager at `socket` what has come about: "ready", "reloading", "stopping", "watchdog", "unchanged".
#[napi]
pub fn notify_service_manager(socket: String, state: String, status: Option<String>) -> Result<()> {
    let state = match state.as_str() {
        "ready" => State::Ready,
        "reloading" => State::Reloading,
        "stopping" => State::Stopping,
        "watchdog" => State::Watchdog,
        "unchanged" => State::Unchanged,
        _ => return Err(Error::os("notify", Errno::EINVAL).into()),
    };
    Ok(systemd::notify(&socket, state, status.as_deref())?)
}

/// How often the service manager wants to hear that this process is alive, in milliseconds.
#[napi]
pub fn watchdog_period() -> Option<f64> {
    systemd::watchdog().map(|microseconds| microseconds as f64 / 1000.0)
}
