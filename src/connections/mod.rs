//! The way of a connection: [`listen`] opens the sockets; in the primary [`acceptor`] takes what clients connect,
//! asks [`policy`] whose turn it is and puts it into that worker's queue, which is [`handoff`]; the worker takes it out.

pub mod acceptor;
pub mod handoff;
pub mod limit;
pub mod listen;
pub mod peek;
pub mod policy;
pub mod proxy_protocol;
pub mod requests;
pub mod sticky;
