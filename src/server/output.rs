//! The output of commands. Its reader may stop reading, as in `account list | head -1`; the command must then neither
//! fail nor do less than requested. So write errors are ignored here, and only here. Secrets are the exception: they are
//! shown only once, so the command must know if they were not.

use std::{
    fmt::Display,
    io::{self, Write as _, stderr, stdout},
    path::Path,
};

/// Prints a line of the result on standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints a line with a secret that is shown only once.
///
/// # Errors
/// Fails if it could not be written. Also fails if standard output is `/dev/null`: Rust's runtime opens that in place of
/// a closed one, and writing to it succeeds.
pub fn secret(line: impl Display) -> io::Result<()> {
    if std::fs::read_link("/proc/self/fd/1").is_ok_and(|file| file == Path::new("/dev/null")) {
        return Err(io::Error::other("standard output is closed or /dev/null"));
    }
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
