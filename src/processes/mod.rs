//! The processes of workers: [`fork`] starts one, [`child`] signals it and sees its end; [`processors`]
//! counts how many may run at once.

pub mod board;
pub mod child;
pub mod fork;
pub mod processors;
