//! Key management services as their API references describe them: strict in what they take, and able to fail on request.
//! A test tool: it is no part of the gateway.
//!
//! Each service is a [`Service`] and is served by a [`MockVault`], which counts calls and plays outages.
#![forbid(unsafe_code)]

pub mod azure;
pub mod gcp;
pub mod hashicorp;
mod moto;
mod server;

pub use moto::Moto;
pub use server::{Answer, Ask, Fault, MockVault, Service};
