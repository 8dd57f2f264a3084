//! One test binary, so that the crate is linked once: the command line, the router in process, the protocol, the
//! running demo hospital, the examples of proxies, and one contract suite run on every database.

#[macro_use]
mod contract;

mod atomfeed;
mod command_line;
mod demo;
mod proxies;
mod router;
mod support;
