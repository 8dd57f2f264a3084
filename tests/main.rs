//! One test binary, so that the crate is linked once: the command line, the router in process, and one contract suite
//! run on every database.

mod command_line;
mod contract;
mod demo;
mod router;
mod support;
