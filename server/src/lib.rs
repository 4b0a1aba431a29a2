//! THE BINARY: `minutebook`, its command line, its HTTP door, and how the parts are put together.

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
