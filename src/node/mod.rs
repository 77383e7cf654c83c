//! What JavaScript sees of the core: the only module that knows Node-API and libuv.

#![cfg_attr(test, allow(dead_code, reason = "only JavaScript calls these functions"))]
#![allow(missing_debug_implementations, reason = "only JavaScript sees these types")]

mod acceptor;
mod board;
mod callback;
mod channel;
mod dispatch;
mod fork;
mod intake;
mod listen;
mod machine;
mod orphans;
mod supervisor;
mod systemd;
mod text;
mod uv;
mod watch;

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use napi::bindgen_prelude::{Buffer, FromNapiValue, Function, ToNapiValue};
use napi::{Env, JsError, Status};
use napi_derive::napi;

use crate::os::error::Error;
use crate::os::memory;

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

/// Makes an inherited descriptor close-on-exec, so that a grandchild does not get it.
#[napi]
pub fn close_on_exec(descriptor: i32) -> Result<()> {
    use nix::fcntl::{fcntl, FcntlArg, FdFlag};
    if descriptor < 0 {
        return Err(Error::os("fcntl", nix::errno::Errno::EBADF).into());
    }
    // SAFETY: not -1; of a closed one the kernel says EBADF.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| Error::os("fcntl", errno))?;
    Ok(())
}

/// The version of this addon: it serves the package of that version alone.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Puts bytes into memory that has a descriptor, and that nobody can change.
#[napi]
pub fn memory_file(name: String, bytes: Buffer) -> Result<i32> {
    let name = std::ffi::CString::new(name).map_err(|_| Error::os("memfd_create", nix::errno::Errno::EINVAL))?;
    Ok(memory::sealed(&name, &bytes)?.into_raw_fd())
}

/// The name of an error of the kernel's ("ETOOMANYREFS"); libuv does not know them all.
#[napi]
pub fn error_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}
