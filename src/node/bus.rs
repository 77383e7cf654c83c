//! The bus's hub, as JavaScript sees it.

use std::os::fd::IntoRawFd;

use napi_derive::napi;

use super::Result;
use crate::bus::hub::{Hub as Core, STORED};

/// The thread between the members of the bus. It ends with this object.
#[napi]
pub struct Hub(Core);

impl Hub {
    /// The core.
    pub(super) fn core(&self) -> &Core {
        &self.0
    }
}

#[napi]
impl Hub {
    /// Starts it. Its store keeps at most so many bytes.
    #[napi(constructor)]
    pub fn new(most_stored: Option<f64>) -> Result<Self> {
        Ok(Hub(Core::start(most_stored.map_or(STORED, |most| most as usize))?))
    }

    /// Lets in a member of this slot, or the primary (2^32 - 1). Returns the member's socket.
    #[napi]
    pub fn join(&self, place: u32) -> Result<i32> {
        Ok(self.0.join(place)?.into_raw_fd())
    }
}
