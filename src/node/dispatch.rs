//! Whom connections go to, as JavaScript says it.

use std::time::Duration;

use napi_derive::napi;

use crate::connections::limit::{Limit, Refusal};
use crate::connections::peek::Place;
use crate::connections::policy::{self, Policy};
use crate::connections::proxy_protocol::Network;
use crate::connections::sticky::{self, By};
use crate::os::error::{Error, Result};
use crate::processes::board::gauge;

/// What `lib/cluster/dispatch.js` makes of a port's settings.
#[napi(object, object_to_js = false)]
pub struct Dispatch {
    /// "least-busy", "round-robin" or "sticky".
    pub policy: Option<String>,
    /// What "sticky" goes by.
    pub sticky: Option<Sticky>,
    /// The networks whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Option<Vec<String>>,
    /// How many connections a worker may have.
    pub limit: Option<Connections>,
}

/// A limit of connections. Times are in milliseconds.
#[napi(object, object_to_js = false)]
pub struct Connections {
    /// What counts them: the number of a gauge.
    pub gauge: u32,
    /// How many a worker may have.
    pub most: f64,
    /// How long others wait.
    pub wait: Option<f64>,
    /// Whether those that have waited for so long are answered in HTTP.
    pub answers: bool,
    /// For how long a new worker may have less.
    pub slow_start: Option<f64>,
}

/// A sticky policy.
#[napi(object, object_to_js = false)]
pub struct Sticky {
    /// "address", "cookie", "header", "query", or "slot": a parameter of the query that carries a slot.
    pub by: String,
    /// The name of the cookie, field or parameter.
    pub name: Option<String>,
    /// Whether clients wait for a worker that takes nothing.
    pub strict: bool,
}

impl TryFrom<Dispatch> for policy::Dispatch {
    type Error = Error;

    fn try_from(dispatch: Dispatch) -> Result<Self> {
        let policy = match (dispatch.policy.as_deref(), dispatch.sticky) {
            (None | Some("least-busy"), _) => Policy::LeastBusy,
            (Some("round-robin"), _) => Policy::RoundRobin,
            (Some("sticky"), Some(sticky)) => Policy::Sticky(sticky.try_into()?),
            _ => return Err(invalid()),
        };
        let networks = dispatch.proxy_protocol.unwrap_or_default();
        let proxies: std::result::Result<Vec<Network>, ()> = networks.iter().map(|network| network.parse()).collect();
        let limit = dispatch.limit.map(Limit::try_from).transpose()?;
        Ok(policy::Dispatch { policy, proxies: proxies.map_err(|()| invalid())?, limit })
    }
}

impl TryFrom<Connections> for Limit {
    type Error = Error;

    fn try_from(Connections { gauge: number, most, wait, answers, slow_start }: Connections) -> Result<Self> {
        // What is too large or no number for an integer is bounded by the language.
        let time = |milliseconds: f64| Duration::from_millis(milliseconds as u64);
        Ok(Limit {
            gauge: gauge(number).ok_or_else(invalid)?,
            most: most as u64,
            wait: wait.map(time),
            refusal: if answers { Refusal::Unavailable } else { Refusal::Reset },
            slow_start: slow_start.map_or(Duration::ZERO, time),
        })
    }
}

impl TryFrom<Sticky> for sticky::Sticky {
    type Error = Error;

    fn try_from(Sticky { by, name, strict }: Sticky) -> Result<Self> {
        let by = match (&*by, name) {
            ("address", _) => By::Address,
            ("cookie", Some(name)) => By::Id(Place::Cookie(name)),
            ("header", Some(name)) => By::Id(Place::Header(name)),
            ("query", Some(name)) => By::Id(Place::Query(name)),
            ("slot", Some(name)) => By::Slot(Place::Query(name)),
            _ => return Err(invalid()),
        };
        Ok(sticky::Sticky { by, is_strict: strict })
    }
}

/// What JavaScript has let pass, and should not have.
fn invalid() -> Error {
    Error::os("listen", nix::errno::Errno::EINVAL)
}

/// Whether a text is a network, or an address.
#[napi]
pub fn is_network(text: String) -> bool {
    text.parse::<Network>().is_ok()
}
