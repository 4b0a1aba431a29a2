//! The program `minutebook`: its command line, its HTTP listener, and how the parts fit together.

pub mod app;
pub mod cli;
mod client;
pub mod config;
pub mod contracts;
pub mod copy;
mod documents;
pub mod export;
mod forgettings;
mod forgotten_list;
mod health;
pub mod http;
#[cfg(feature = "kurrentdb")]
pub mod kurrentdb;
mod logging;
mod open_leases;
mod output;
pub mod presence;
pub mod secret;
mod signing;
mod stores;
pub mod verify;
