//! What the tests of this module share.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::messages::incoming::{Incoming, Read};

/// A descriptor that can be told from others: a pipe with its number in it.
pub fn marked(number: u8) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[number]).unwrap();
    reader.into()
}

/// Frames that arrived in one run, and the number in the descriptor that came along.
pub type Arrived = (Vec<String>, Option<u8>);

/// Reads until nothing is there, and takes all runs.
pub fn drain(incoming: &mut Incoming, socket: BorrowedFd<'_>) -> Vec<Arrived> {
    let mut runs = Vec::new();
    while matches!(incoming.read(socket).unwrap(), Read::Some | Read::Last) {
        while let Some(run) = incoming.next_run().unwrap() {
            let payloads = run.payloads.iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
            runs.push((payloads, run.descriptor.map(mark)));
        }
    }
    runs
}

fn mark(descriptor: OwnedFd) -> u8 {
    let mut byte = [0];
    File::from(descriptor).read_exact(&mut byte).unwrap();
    byte[0]
}
