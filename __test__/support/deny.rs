//! Runs a program under a kernel that refuses system calls, as old ones and sandboxes do: `deny FILTER program
//! [argument ...]`. The filter is JSON in the words of seccompiler; it holds for all that the program starts.

use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(filter), Some(program)) = (words.next(), words.next()) else { panic!("deny FILTER program") };
    let architecture = std::env::consts::ARCH.try_into().expect("a processor that seccompiler knows");
    let filters = seccompiler::compile_from_json(filter.as_bytes(), architecture).expect("a filter of seccompiler's");
    for filter in filters.values() {
        seccompiler::apply_filter(filter).expect("a kernel with seccomp");
    }
    let error = Command::new(&program).args(words).exec();
    panic!("{program}: {error}");
}
