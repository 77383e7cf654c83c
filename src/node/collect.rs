//! A worker's own metrics, on their way to the primary.

use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::callback::Callback;
use super::uv::{Poll, READABLE};
use super::{own, Result};
use crate::processes::sheet::{Bell, Heard, Sheet as Core};

/// Where a worker publishes what it counts.
#[napi]
pub struct Sheet {
    // Closed before the descriptor that it watches.
    _poll: Rc<Poll>,
    sheet: Core,
    bell: Rc<Bell>,
}

#[napi]
impl Sheet {
    /// Takes over the memory, and the end of the bell; `onring` is called when somebody wants to know.
    #[napi(constructor)]
    pub fn new(env: Env, memory: i32, bell: i32, onring: Function<'_>) -> Result<Self> {
        // SAFETY: the descriptors came with messages of the primary's, and JavaScript gives them away.
        let (memory, bell) = unsafe { (own(memory)?, own(bell)?) };
        let (sheet, bell) = (Core::open(&memory)?, Rc::new(Bell::open(bell)));
        // SAFETY: we are called by JavaScript, with a function.
        let onring = unsafe { Callback::new(env.raw(), "RUSTCLUSTERMETRICS", onring.raw()) };
        let (heard, watched) = (Rc::clone(&bell), Rc::<OnceCell<Weak<Poll>>>::default());
        let poll = {
            let watched = Rc::clone(&watched);
            Poll::new(env.raw(), bell.as_fd(), move |_| match heard.hear() {
                Heard::Nothing => {}
                Heard::Ring => onring.call(&[]),
                Heard::End => drop(watched.get().and_then(Weak::upgrade).inspect(|poll| poll.stop())),
            })?
        };
        let poll = Rc::new(poll);
        // It is empty.
        let _ = watched.set(Rc::downgrade(&poll));
        poll.set_reference(false);
        poll.start(READABLE);
        Ok(Sheet { _poll: poll, sheet, bell })
    }

    /// Publishes a text; `false`: it is too long.
    #[napi]
    pub fn publish(&self, text: String) -> bool {
        self.sheet.publish(text.as_bytes())
    }

    /// Answers who has asked.
    #[napi]
    pub fn answer(&self) {
        self.bell.ring();
    }
}
