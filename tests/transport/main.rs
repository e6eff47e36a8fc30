//! How the built-in clients behave towards servers that are kind, old, slow, broken or hostile.
#![cfg(feature = "http")]

#[cfg(feature = "coap")]
mod coap;
#[cfg(feature = "coap")]
mod coap_others;
mod fetching;
mod files;
mod http;
#[cfg(feature = "tls")]
mod known_servers;
#[cfg(feature = "tls")]
mod mutual;
mod server;
#[cfg(feature = "tls")]
mod shown;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_others;
mod tunnel;
mod without_io;
#[cfg(feature = "tls")]
mod wrong_clock;

use devid_test_support::left_out;
