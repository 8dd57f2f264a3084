//! What commands print. Whoever reads may stop reading, as in `account list | head -1`: that is no reason to fail, or to
//! do less than was asked for, so errors of writing are left alone here, and only here.

use std::{
    fmt::Display,
    io::{Write as _, stderr, stdout},
};

/// Prints a line on standard output: what was asked for.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints the beginning of a line on standard output, to be seen at once.
pub fn ask(question: impl Display) {
    let mut out = stdout();
    let _ = write!(out, "{question}").and_then(|()| out.flush());
}

/// Prints a line on standard error: what a person should know beside it.
pub fn remark(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
