//! What JavaScript sees of the core: the only module that knows Node-API and libuv.

#![cfg_attr(test, allow(dead_code, reason = "only JavaScript calls these functions"))]
#![allow(missing_debug_implementations, reason = "only JavaScript sees these types")]

mod acceptor;
mod board;
mod bus;
mod callback;
mod channel;
mod collect;
mod dispatch;
mod fork;
mod intake;
mod listen;
mod machine;
mod orphans;
mod requests;
mod start;
mod supervisor;
mod systemd;
mod telemetry;
mod text;
mod uv;
mod watch;

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use napi::bindgen_prelude::{FromNapiValue, Function, ToNapiValue};
use napi::{Env, JsError, Status};
use napi_derive::napi;

use crate::os::error::Error;

/// An error as JavaScript gets it: with our stable code.
type Thrown = napi::Error<String>;

/// A result whose error is thrown.
type Result<T> = std::result::Result<T, Thrown>;

impl From<Error> for Thrown {
    fn from(error: Error) -> Self {
        Thrown::new(error.code(), error.to_string())
    }
}

/// A JavaScript function of one argument. Unlike a class's method it costs no look-up of an object at each call.
fn function<'env, Argument: FromNapiValue, Value: ToNapiValue>(
    env: &'env Env,
    name: &str,
    act: impl Fn(Env, Argument) -> Result<Value> + 'static,
) -> napi::Result<Function<'env, (), Value>> {
    env.create_function_from_closure(name, move |call| {
        let env = *call.env;
        act(env, call.get(0)?).map_err(|error| {
            // SAFETY: called by JavaScript, which gets the error with our code.
            unsafe { JsError::from(error).throw_into(env.raw()) };
            napi::Error::from_status(Status::PendingException)
        })
    })
}

/// Takes over a descriptor that JavaScript names by its number.
///
/// # Safety
/// JavaScript gives the number away: nothing else closes it.
unsafe fn own(descriptor: RawFd) -> Result<OwnedFd> {
    if descriptor < 0 {
        return Err(Error::os("dup", nix::errno::Errno::EBADF).into());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes a descriptor that came with a message and that nobody adopted.
#[napi]
pub fn close(descriptor: i32) {
    // SAFETY: JavaScript got the number from `Channel.read` or from an intake, and gives it away here.
    drop(unsafe { own(descriptor) });
}

/// Whether something lies in a socket that nobody has read; of what is no socket of ours, no.
#[napi]
pub fn has_unread(descriptor: i32) -> bool {
    if descriptor < 0 {
        return false;
    }
    // SAFETY: not -1; of a closed one the kernel says EBADF.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    rustix::io::ioctl_fionread(borrowed).is_ok_and(|count| count > 0)
}

/// The version of this addon: it serves the package of that version alone.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of an error of the kernel's ("ETOOMANYREFS"); libuv does not know them all.
#[napi]
pub fn error_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}
