//! The processes of workers: [`fork`] starts one, [`child`] signals it and sees its end.

pub mod child;
pub mod fork;
