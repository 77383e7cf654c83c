//! Memory that has a descriptor, or that goes back to the system at once.

use std::ffi::{c_void, CStr};
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, SealFlag};
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::sys::mman::{madvise, mmap, mmap_anonymous, munmap, MapFlags, MmapAdvise, ProtFlags};
use nix::sys::resource::{getrlimit, Resource};
use nix::sys::stat::fstat;

use crate::os::error::{Error, Result};

/// A close-on-exec descriptor of memory with these bytes, which nobody who gets it can change.
///
/// # Errors
/// [`Error::Os`] with `EMFILE`, `ENFILE` or `ENOMEM`; `ENOSYS` or `EPERM` where there is no such memory.
pub fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = create(name)?;
    file.write_all(bytes).map_err(|error| io("write", &error))?;
    seal(file, SealFlag::F_SEAL_WRITE)
}

/// A close-on-exec descriptor of memory of this size, all zeros. Who gets it can write in it, and cannot change its
/// size: to read what is mapped of it is safe, whatever the other does.
///
/// # Errors
/// As [`sealed`]; `EFBIG` where no file may be as long.
pub fn shared(name: &CStr, size: NonZeroUsize) -> Result<OwnedFd> {
    // The system does not refuse what is more: it ends the process.
    let (most, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(|errno| Error::os("getrlimit", errno))?;
    if size.get() as u64 > most {
        return Err(Error::os("ftruncate", Errno::EFBIG));
    }
    let file = create(name)?;
    file.set_len(size.get() as u64).map_err(|error| io("ftruncate", &error))?;
    seal(file, SealFlag::empty())
}

/// How many bytes such memory has.
///
/// # Errors
/// [`Error::Os`].
pub fn size(memory: impl AsFd) -> Result<usize> {
    let size = fstat(memory).map_err(|errno| Error::os("fstat", errno))?.st_size;
    usize::try_from(size).map_err(|_| Error::os("fstat", Errno::EOVERFLOW))
}

/// Whether the system promises more memory than it has (`vm.overcommit_memory`, asked once). Where it does not, who
/// touches a page that another process has given back gets `SIGBUS` if there is no memory for a new one; else the system
/// finds some, whatever it takes.
pub fn is_overcommitted() -> bool {
    static IS: LazyLock<bool> =
        LazyLock::new(|| std::fs::read("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| !mode.starts_with(b"2")));
    *IS
}

fn create(name: &CStr) -> Result<File> {
    let memory = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING);
    memory.map(File::from).map_err(|errno| Error::os("memfd_create", errno))
}

fn seal(file: File, besides: SealFlag) -> Result<OwnedFd> {
    let seals = besides | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| Error::os("fcntl", errno))?;
    Ok(file.into())
}

fn io(syscall: &'static str, error: &std::io::Error) -> Error {
    Error::os(syscall, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Memory of a descriptor of [`shared`], in this process. Others may write in it at any time.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    size: NonZeroUsize,
}

// SAFETY: it is memory, which no thread owns; what is in it is only ever reached through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `size` bytes.
    ///
    /// # Errors
    /// [`Error::Os`]: `EINVAL` if it is not sealed, or has not so many; `ENOMEM`.
    pub fn new(memory: impl AsFd, size: NonZeroUsize) -> Result<Mapping> {
        let seals = fcntl(&memory, FcntlArg::F_GET_SEALS).map_err(|errno| Error::os("fcntl", errno))?;
        let is_sealed = SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK);
        if !is_sealed || self::size(&memory)? < size.get() {
            return Err(Error::os("mmap", Errno::EINVAL));
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, where the kernel likes. It cannot become shorter than what is mapped.
        let start = unsafe { mmap(None, size, access, MapFlags::MAP_SHARED, &memory, 0) };
        start.map(|start| Mapping { start, size }).map_err(|errno| Error::os("mmap", errno))
    }

    /// Has memory for all pages of a part. Who writes where there is none, and cannot be any, gets `SIGBUS`.
    ///
    /// # Errors
    /// [`Error::Os`]: `EFAULT` or `ENOMEM` where there is no memory, `EINVAL` before Linux 5.14.
    pub fn populate(&self, part: Range<usize>) -> Result<()> {
        self.advise(part, MmapAdvise::MADV_POPULATE_WRITE)
    }

    /// Gives the memory of a part back, for all who have mapped it. It is all zeros then.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn release(&self, part: Range<usize>) -> Result<()> {
        self.advise(part, MmapAdvise::MADV_REMOVE)
    }

    fn advise(&self, Range { start, end }: Range<usize>, advice: MmapAdvise) -> Result<()> {
        assert!(start <= end && end <= self.size.get());
        // SAFETY: within the mapping, of which nobody has references to what is not atomic.
        let done = unsafe { madvise(self.start.byte_add(start), end - start, advice) };
        done.map_err(|errno| Error::os("madvise", errno))
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.size.get()
    }

    /// Where it is: at the start of a page.
    pub fn start(&self) -> NonNull<c_void> {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size, and nobody has what lies in it beyond our life.
        let _ = unsafe { munmap(self.start, self.size.get()) };
    }
}

/// Memory that goes back to the system when it is dropped, whatever else is allocated meanwhile.
#[derive(Debug)]
pub struct Pages(NonNull<c_void>);

// SAFETY: it is memory, which no thread owns; who writes has it alone.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Its bytes.
    pub const SIZE: NonZeroUsize = NonZeroUsize::new(256 * 1024).unwrap();

    /// Memory that is all zeros. Its pages are there at once: one fault each, as they are written, would cost more than
    /// the copying.
    ///
    /// # Errors
    /// [`Error::Os`] with `ENOMEM`.
    pub fn new() -> Result<Pages> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE;
        // SAFETY: a new mapping, where the kernel likes.
        let start = unsafe { mmap_anonymous(None, Self::SIZE, access, flags) };
        start.map(Pages).map_err(|errno| Error::os("mmap", errno))
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped as long as `self` is, zeros at first, and shared only to be read.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), Self::SIZE.get()) }
    }

    /// The same, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed by this one alone.
        unsafe { slice::from_raw_parts_mut(self.0.as_ptr().cast(), Self::SIZE.get()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nobody has what lies in it beyond our life.
        let _ = unsafe { munmap(self.0, Self::SIZE.get()) };
    }
}

/// The bytes of memory that nobody can change, which is not copied; they stay as long as this process.
///
/// # Errors
/// [`Error::Os`] with `EPERM` where somebody can change them, `EINVAL` where there are none or it is no such memory,
/// `ENOMEM`.
pub fn map(memory: OwnedFd) -> Result<&'static [u8]> {
    let seals = fcntl(&memory, FcntlArg::F_GET_SEALS).map_err(|errno| Error::os("fcntl", errno))?;
    let wanted = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK;
    if !SealFlag::from_bits_retain(seals).contains(wanted) {
        return Err(Error::os("mmap", Errno::EPERM));
    }
    let size = fstat(&memory).map_err(|errno| Error::os("fstat", errno))?.st_size;
    let length = usize::try_from(size).ok().and_then(NonZeroUsize::new).ok_or(Error::os("mmap", Errno::EINVAL))?;
    // Private: until Linux 6.6 what is sealed cannot be mapped in another way. Pages are copied only if written to.
    // SAFETY: a new mapping, of `length` bytes, which nobody can write to, cut off or unmap.
    unsafe {
        let start = mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, &memory, 0)
            .map_err(|errno| Error::os("mmap", errno))?;
        Ok(slice::from_raw_parts(start.as_ptr().cast(), length.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::alone::alone;
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
    #[test]
    fn what_is_shared_is_one_memory_that_nobody_can_shrink() {
        let size = NonZeroUsize::new(4096).unwrap();
        let memory = shared(c"test", size).unwrap();
        let (ours, theirs) = (Mapping::new(&memory, size).unwrap(), Mapping::new(&memory, size).unwrap());
        // SAFETY: both are of 4096 bytes, and this thread alone uses them.
        unsafe {
            ours.start().cast::<u8>().add(4095).write_volatile(7);
            assert_eq!(theirs.start().cast::<u8>().add(4095).read_volatile(), 7);
        }
        let file = File::from(memory);
        file.write_all_at(b"x", 0).unwrap();
        for size in [0, 4095, 4097] {
            assert!(file.set_len(size).is_err(), "{size}");
        }
        assert_eq!(
            Mapping::new(&file, NonZeroUsize::new(4097).unwrap()).unwrap_err(),
            Error::os("mmap", Errno::EINVAL)
        );
    }

    #[test]
    fn pages_are_apart_and_go_back_to_the_system() {
        alone(|| {
            let mut all: Vec<_> = (0..3).map(|_| Pages::new().unwrap()).collect();
            for (number, pages) in all.iter_mut().enumerate() {
                assert!(pages.bytes().iter().all(|byte| *byte == 0));
                pages.bytes_mut().fill(number as u8 + 1);
            }
            assert!((1..).zip(&all).all(|(number, pages)| pages.bytes().iter().all(|byte| *byte == number)));
            let last = all.pop().unwrap().0.as_ptr() as usize;
            assert!(is_mapped(all[0].0.as_ptr() as usize) && !is_mapped(last));
        });
    }

    fn is_mapped(address: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let number = |hex| usize::from_str_radix(hex, 16).unwrap();
            (number(start)..number(end)).contains(&address)
        })
    }

    #[test]
    fn what_could_be_shrunk_is_not_mapped() {
        let file = create(c"test").unwrap();
        file.set_len(4096).unwrap();
        let size = NonZeroUsize::new(4096).unwrap();
        assert_eq!(Mapping::new(&file, size).unwrap_err(), Error::os("mmap", Errno::EINVAL));
    }

    #[test]
    fn what_is_sealed_is_mapped_and_nothing_else() {
        assert_eq!(map(sealed(c"test", b"some bytes").unwrap()).unwrap(), b"some bytes");
        let refused = |memory: OwnedFd, expected| {
            let error = map(memory).unwrap_err();
            assert!(matches!(error, Error::Os { errno, .. } if errno == expected), "{error}");
        };
        refused(sealed(c"test", b"").unwrap(), Errno::EINVAL);
        let open = memfd_create(c"test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        File::from(open.try_clone().unwrap()).write_all(b"some bytes").unwrap();
        refused(open, Errno::EPERM);
        refused(File::open("/dev/null").unwrap().into(), Errno::EINVAL);
    }
}
