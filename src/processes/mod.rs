//! The processes of workers: [`fork`] starts one, [`child`] signals it and sees its end; [`processors`]
//! counts how many may run at once; [`usage`] says what one uses. [`board`] and [`sheet`] are what each keeps for the
//! primary to read. And those of others that are left to this one: [`orphans`].

pub mod board;
pub mod child;
pub mod fork;
pub mod orphans;
pub mod processors;
pub mod sheet;
pub mod usage;
