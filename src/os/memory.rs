//! Memory that has a descriptor.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, SealFlag};
use nix::sys::memfd::{memfd_create, MFdFlags};

use crate::os::error::{Error, Result};

/// A close-on-exec descriptor of memory with these bytes, which nobody who gets it can change.
///
/// # Errors
/// [`Error::Os`] with `EMFILE`, `ENFILE` or `ENOMEM`; `ENOSYS` or `EPERM` where there is no such memory.
pub fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let memory = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
        .map_err(|errno| Error::os("memfd_create", errno))?;
    let mut file = File::from(memory);
    file.write_all(bytes)
        .map_err(|error| Error::os("write", error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| Error::os("fcntl", errno))?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_sealed_can_be_read_and_not_changed() {
        let file = File::from(sealed(c"test", b"some bytes").unwrap());
        let mut bytes = [0; 10];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"some bytes");
        assert_eq!(file.metadata().unwrap().len(), 10);
        assert!(file.write_all_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
    }
}
