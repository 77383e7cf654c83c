//! A worker's start: the descriptors that the primary has given it, and its code, which lies in one of them.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::OnceLock;

use napi::bindgen_prelude::{Buffer, BufferSlice, Unknown};
use napi::Env;
use napi_derive::napi;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::stat::fstat;

use super::{own, text, Result};
use crate::os::error::Error;
use crate::os::memory;

/// Puts bytes into memory that has a descriptor, and that nobody can change.
#[napi]
pub fn memory_file(name: String, bytes: Buffer) -> Result<i32> {
    let name = CString::new(name).map_err(|_| Error::os("memfd_create", Errno::EINVAL))?;
    Ok(memory::sealed(&name, &bytes)?.into_raw_fd())
}

/// Whether an inherited descriptor is what the primary has given, and not another that has its number by chance. If so,
/// no grandchild gets it.
#[napi]
pub fn adopt(descriptor: i32, inode: String) -> bool {
    if descriptor < 0 {
        return false;
    }
    // SAFETY: not -1; of a closed one the kernel says EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    fstat(borrowed).is_ok_and(|stat| inode.parse() == Ok(stat.st_ino))
        && fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_ok()
}

/// The code of this process, if it is a worker. It is not copied: all workers share the memory that it lies in.
static CODE: OnceLock<&'static [u8]> = OnceLock::new();

/// Opens the code that lies in the memory of a descriptor, and closes that; returns the line that says what there is.
#[napi]
pub fn open_code(env: Env, descriptor: i32) -> Result<Unknown<'static>> {
    // SAFETY: JavaScript has adopted it, and gives it away here.
    let memory = memory::map(unsafe { own(descriptor) }?)?;
    let end = memory.iter().position(|&byte| byte == b'\n').ok_or_else(no_such_code)?;
    let (head, code) = memory.split_at(end);
    let _ = CODE.set(&code[1..]);
    text::string(env, head)
}

/// A text within the code.
#[napi]
pub fn code_text(env: Env, start: u32, length: u32) -> Result<Unknown<'static>> {
    text::lasting(env, code(start, length)?)
}

/// What V8 has made of a text within the code.
#[napi]
pub fn code_cache(env: Env, start: u32, length: u32) -> Result<BufferSlice<'static>> {
    let bytes = code(start, length)?;
    // SAFETY: the memory is never unmapped. It cannot be written to; V8 and vm.Script, which get it, only read.
    let buffer = unsafe { BufferSlice::from_external(&env, bytes.as_ptr().cast_mut(), bytes.len(), (), |_, ()| ()) };
    Ok(buffer.map_err(|_| no_such_code())?)
}

fn code(start: u32, length: u32) -> Result<&'static [u8]> {
    let (start, length) = (start as usize, length as usize);
    let code = CODE.get().ok_or_else(no_such_code)?;
    Ok(code.get(start..).and_then(|rest| rest.get(..length)).ok_or_else(no_such_code)?)
}

fn no_such_code() -> Error {
    Error::os("mmap", Errno::EINVAL)
}
