//! The output of commands. Its reader may stop reading, as in `account list | head -1`; the command must then neither
//! fail nor do less than requested. So write errors are ignored here, and only here; except for secrets, which are shown
//! once.

use std::{
    fmt::Display,
    io::{self, Write as _, stderr, stdout},
};

/// Prints a line of the result on standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints a line with a secret that is shown only once.
///
/// # Errors
/// Fails if it could not be written, so that nobody has the secret.
pub fn secret(line: impl Display) -> io::Result<()> {
    let mut out = stdout();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Prints the beginning of a line on standard output at once, as a prompt.
pub fn ask(question: impl Display) {
    let mut out = stdout();
    let _ = write!(out, "{question}").and_then(|()| out.flush());
}

/// Prints a line on standard error: a note for the user beside the result.
pub fn remark(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
