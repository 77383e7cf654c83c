//! The processes of workers: [`fork`] starts one and sees its end.

pub mod fork;
