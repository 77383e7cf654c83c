//! The one error type of the core.

use nix::errno::Errno;

/// What can go wrong. Every variant has a stable [`code`](Error::code), which is what JavaScript sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a system call.
    #[error("{syscall}: {errno}")]
    Os {
        /// The system call, or the library function, that failed.
        syscall: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The peer announced a frame that is larger than the limit.
    #[error(
        "a frame of {length} bytes was announced, the limit is {limit}: the other process does not speak this protocol"
    )]
    FrameTooLarge {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A message is larger than any peer takes.
    #[error("a message of {length} bytes was to be sent, the limit is {limit}: send it in pieces, or as a file")]
    MessageTooLarge {
        /// Its bytes.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More waits for the peer than it may.
    #[error("{queued} bytes wait for a process that does not read them, the limit is {limit}")]
    QueueFull {
        /// Bytes that wait.
        queued: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The peer sent a frame of a kind that does not exist.
    #[error("a frame of unknown kind {kind} arrived: the other process does not speak this protocol")]
    UnknownFrame {
        /// The kind byte.
        kind: u8,
    },
    /// The peer sent a message in parts that do not add up.
    #[error(
        "a message of {length} bytes arrived whose parts do not add up: the other process does not speak this protocol"
    )]
    BadParts {
        /// Its bytes.
        length: usize,
    },
    /// A descriptor arrived that no frame announced, or more than were sent.
    #[error("{received} descriptors arrived where {announced} were announced")]
    StrayDescriptor {
        /// Descriptors that the kernel delivered.
        received: usize,
        /// Descriptors that the frames announced.
        announced: usize,
    },
    /// A handoff packet that no worker of ours writes.
    #[error("a handoff packet of {length} bytes with {descriptors} descriptors for listener {listener} arrived from worker {worker}")]
    BadHandoff {
        /// The worker that sent it.
        worker: u32,
        /// The length of its payload in bytes.
        length: usize,
        /// How many descriptors came along.
        descriptors: usize,
        /// The listener it names (0 if it names none).
        listener: u32,
    },
    /// A worker gave back what it was not handed.
    #[error("worker {worker} gave back a socket that is no connection of listener {listener} that it was handed")]
    NotHanded {
        /// The worker.
        worker: u32,
        /// The listener that it names.
        listener: u32,
    },
    /// A worker that lives has shut its end of the handoff down.
    #[error("worker {worker} has shut down the socket on which connections are handed to it")]
    HandoffShut {
        /// The worker.
        worker: u32,
    },
}

impl Error {
    /// An [`Error::Os`] from an `errno`.
    pub fn os(syscall: &'static str, errno: impl Into<Errno>) -> Self {
        Error::Os { syscall, errno: errno.into() }
    }

    /// The stable name of the error: the kernel's (`EADDRINUSE`) or ours (`ERR_RUST_CLUSTER_…`).
    pub fn code(&self) -> String {
        match self {
            Error::Os { errno, .. } => format!("{errno:?}"),
            Error::FrameTooLarge { .. } => "ERR_RUST_CLUSTER_FRAME_TOO_LARGE".into(),
            Error::MessageTooLarge { .. } => "ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE".into(),
            Error::QueueFull { .. } => "ERR_RUST_CLUSTER_QUEUE_FULL".into(),
            Error::UnknownFrame { .. } => "ERR_RUST_CLUSTER_BAD_FRAME".into(),
            Error::BadParts { .. } => "ERR_RUST_CLUSTER_BAD_FRAME".into(),
            Error::StrayDescriptor { .. } => "ERR_RUST_CLUSTER_STRAY_DESCRIPTOR".into(),
            Error::BadHandoff { .. } => "ERR_RUST_CLUSTER_BAD_HANDOFF".into(),
            Error::NotHanded { .. } => "ERR_RUST_CLUSTER_BAD_HANDOFF".into(),
            Error::HandoffShut { .. } => "ERR_RUST_CLUSTER_BAD_HANDOFF".into(),
        }
    }

    /// The negative number that libuv and Node use for the error, 0 if the kernel was not involved.
    pub fn uv_errno(&self) -> i32 {
        match self {
            Error::Os { errno, .. } => -(*errno as i32),
            _ => 0,
        }
    }
}

/// A result of the core.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_error_keeps_its_name_and_number() {
        let error = Error::os("bind", Errno::EADDRINUSE);
        assert_eq!(error.code(), "EADDRINUSE");
        assert_eq!(error.uv_errno(), -98);
        assert!(error.to_string().starts_with("bind: EADDRINUSE"));
    }
}
