//! Splits the error texts that consumers write into parts for display.
//!
//! ICT4H/atomfeed stores `Failed processing event in feed [<page>] \n`, the exception's message and the printed stack
//! trace, with nothing between message and trace, cut at 4000 characters; `failed_event_retry_log` holds the same
//! without the first line. A text may end anywhere, and need not be from Java. Everything here is linear in the text's
//! length, never fails, and never drops what it does not understand.

use super::uuid;

/// How the library begins the text in `failed_events`.
const OPENING: &str = "Failed processing event in feed [";
/// The width of `error_message` in most schemas, and where the library cuts a text.
const COLUMN_CHARS: usize = 4000;
/// The most that MySQL keeps of a text in a column of the type TEXT, in bytes.
const TEXT_BYTES: usize = 65_535;
/// The most that a headline reads of a text, in bytes.
const HEADLINE_BYTES: usize = 64 * 1024;
/// The longest headline, in characters.
const HEADLINE_CHARS: usize = 160;
/// The longest class name, in bytes.
const CLASS_BYTES: usize = 200;

/// Packages that support staff cannot change, with the names people know. Frames of any other package count as the
/// application's own.
const LIBRARIES: &[(&str, &str)] = &[
    ("java.", "Java"),
    ("javax.", "Java"),
    ("jakarta.", "Java"),
    ("jdk.", "Java"),
    ("sun.", "Java"),
    ("com.sun.", "Java"),
    ("org.springframework.", "Spring"),
    ("org.quartz.", "Quartz"),
    ("org.hibernate.", "Hibernate"),
    ("org.apache.", "Apache libraries"),
    ("org.codehaus.jackson.", "Jackson"),
    ("com.fasterxml.jackson.", "Jackson"),
    ("org.postgresql.", "the PostgreSQL driver"),
    ("com.mysql.", "the MySQL driver"),
    ("org.mariadb.", "the MariaDB driver"),
    ("ca.uhn.hl7v2.", "HAPI HL7"),
    ("com.rometools.", "Rome"),
    ("com.sun.syndication.", "Rome"),
    ("reactor.", "Reactor"),
    ("io.netty.", "Netty"),
    ("com.zaxxer.hikari.", "HikariCP"),
    ("com.mchange.", "c3p0"),
    ("org.jdom", "JDOM"),
    ("liquibase.", "Liquibase"),
];

/// How a class name may begin that was printed directly behind a message.
const ROOTS: &[&str] =
    &["java.", "javax.", "jakarta.", "org.", "com.", "us.mn.", "net.", "io.", "reactor.", "ca.uhn.", "sun."];

/// A parsed error text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// The numbered page that held the event. The retry log does not have it.
    pub via: Option<String>,
    /// What the exception said, once. The whole text if it is not a Java trace.
    pub message: String,
    /// The exceptions, outermost first; the last is the root cause, as far as the text holds it. Empty for an empty
    /// text.
    pub causes: Vec<Cause>,
    /// Whether the end is missing: the consumer cut the text, or the list read only its beginning.
    pub cut: bool,
}

/// One exception of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The full class name (`java.lang.RuntimeException`), if the text has one.
    pub class: Option<String>,
    pub message: String,
    pub frames: Vec<Frame>,
    /// `... 8 more`: frames that Java left out, because they are in the enclosing exception.
    pub more: Option<u32>,
}

/// One line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Without `at`: `org.quartz.core.JobRunShell.run(JobRunShell.java:202)`.
    pub text: String,
    /// Whether the code is not the application's own: Java, Spring, Quartz …
    pub library: bool,
}

/// Consecutive frames of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    Application(&'a [Frame]),
    /// A page folds these into the summary: "6 frames of Quartz and Java".
    Library {
        frames: &'a [Frame],
        summary: String,
    },
}

impl Cause {
    /// Returns the stack in runs of application and library frames.
    pub fn runs(&self) -> Vec<Run<'_>> {
        self.frames
            .chunk_by(|one, next| one.library == next.library)
            .map(|frames| match frames.first() {
                Some(frame) if frame.library => Run::Library { frames, summary: summary(frames) },
                _ => Run::Application(frames),
            })
            .collect()
    }
}

/// Returns "6 frames of Quartz and Java", with the names in the order of the stack.
fn summary(frames: &[Frame]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for frame in frames {
        if let Some(name) = library(&frame.text).filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    let count = if frames.len() == 1 { "1 frame".to_owned() } else { format!("{} frames", frames.len()) };
    match names.as_slice() {
        [] => count,
        [one] => format!("{count} of {one}"),
        [several @ .., last] => format!("{count} of {} and {last}", several.join(", ")),
    }
}

/// Returns the library that a frame belongs to. Java 9 and newer print a module first:
/// `java.base/java.lang.Thread.run(…)`.
fn library(frame: &str) -> Option<&'static str> {
    let call = frame.split('(').next().unwrap_or(frame);
    let call = call.rsplit('/').next().unwrap_or(call);
    // The longest prefix wins: com.sun.syndication is Rome, com.sun is Java.
    LIBRARIES.iter().filter(|(prefix, _)| call.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len()).map(|l| l.1)
}

/// Parses the beginning of an error text, at most `bytes` of it.
pub fn parse_beginning(text: &str, bytes: usize) -> ErrorText {
    let read = beginning(text, bytes);
    let error = parse(read);
    ErrorText { cut: error.cut || read.len() < text.len(), ..error }
}

/// Parses an error text.
pub fn parse(text: &str) -> ErrorText {
    let (via, rest, ends_in_via) = split_via(text);
    let (head, trace) = split_head(rest);
    let first = split_doubled(head, trace.is_empty());
    let mut causes = Vec::new();
    if !head.is_empty() || !trace.is_empty() {
        causes.push(Cause { class: first.class, message: first.said, ..Cause::default() });
    }
    read_trace(trace, &mut causes);
    let cut = ends_in_via || first.cut || ends_in_trace(rest, !trace.is_empty()) || has_a_cut_length(text);
    ErrorText { via, message: first.message, causes, cut }
}

/// Returns the page's address, the text behind the first line, and whether the text ended within the address.
fn split_via(text: &str) -> (Option<String>, &str, bool) {
    let Some(rest) = text.strip_prefix(OPENING) else {
        return (None, text, false);
    };
    let line = rest.split('\n').next().unwrap_or(rest);
    // Not at the first bracket: the address may name an IPv6 host.
    let end = line.find("] ").or_else(|| line.trim_end().ends_with(']').then(|| line.trim_end().len() - 1));
    match end {
        Some(end) => {
            let (via, behind) = rest.split_at(end);
            let behind = behind.strip_prefix(']').unwrap_or(behind);
            let behind = behind.trim_start_matches([' ', '\r']);
            (Some(via.to_owned()), behind.strip_prefix('\n').unwrap_or(behind), false)
        }
        None => (Some(line.trim_end().to_owned()), rest.get(line.len() + 1..).unwrap_or(""), line.len() == rest.len()),
    }
}

/// Returns the message with the first exception, and the lines of the trace.
fn split_head(text: &str) -> (&str, &str) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if is_frame(line) || line.starts_with("Caused by: ") {
            let (head, trace) = text.split_at(start);
            return (without_line_end(head), trace);
        }
        start += line.len();
    }
    // Cut in the first characters of the trace.
    let head = text.rsplit_once('\n').filter(|(_, last)| "\tat ".starts_with(last)).map_or(text, |(head, _)| head);
    (without_line_end(head), "")
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Returns whether a line is `\tat package.Class.method(File.java:1)` or `\t... 8 more`.
fn is_frame(line: &str) -> bool {
    let bare = line.trim_start_matches([' ', '\t']);
    bare.len() < line.len() && (bare.starts_with("at ") || more(bare).is_some())
}

fn more(line: &str) -> Option<u32> {
    line.trim().strip_prefix("... ")?.strip_suffix(" more")?.parse().ok()
}

/// The first exception: its message before the trace, and the class and message in the trace's first line.
#[derive(Default)]
struct First {
    message: String,
    class: Option<String>,
    said: String,
    cut: bool,
}

/// Splits `<message><class>: <message>`, as the library writes it, into its parts. `open`: no trace follows, so the
/// text may have been cut within this part.
fn split_doubled(head: &str, open: bool) -> First {
    let doubled = |class: &str, message: &str, cut| First {
        message: message.to_owned(),
        class: Some(class.to_owned()),
        said: message.to_owned(),
        cut,
    };
    if let Some((message, class)) = whole_double(head) {
        return doubled(class, message, false);
    }
    if let Some(class) = head.strip_prefix("null").filter(|rest| is_class(rest)) {
        return doubled(class, "", false);
    }
    if open && let Some((message, class)) = cut_double(head) {
        return doubled(class, message, true);
    }
    let (class, said) = split_class(head);
    First { message: head.to_owned(), class: class.map(str::to_owned), said: said.to_owned(), cut: false }
}

/// Returns message and class of a complete `<message><class>: <message>`.
fn whole_double(head: &str) -> Option<(&str, &str)> {
    let length = head.len();
    // A colon at `i` leaves a message of `length - i - 2` bytes and a class of `2i + 2 - length`: only about 100 places
    // near the middle are possible, however long the text is.
    let from = (length.saturating_sub(2)) / 2;
    let to = ((length + CLASS_BYTES) / 2).min(length);
    (from..to).find_map(|colon| {
        let said = head.get(colon..)?.strip_prefix(": ")?;
        let class = head.get(said.len()..colon)?;
        let message = head.get(..said.len())?;
        (is_class(class) && message == said).then_some((message, class))
    })
}

/// Returns message and class of a `<message><class>: <mess` that was cut in the second message or in the class.
fn cut_double(head: &str) -> Option<(&str, &str)> {
    let second = head.match_indices(": ").take(200).find_map(|(colon, _)| {
        let start = word_start(head, colon);
        let said = head.get(colon + 2..)?;
        root_starts(head, start, colon).chain([start]).find_map(|begin| {
            let (message, class) = (head.get(..begin)?, head.get(begin..colon)?);
            (!message.is_empty() && is_class(class) && message.starts_with(said)).then_some((message, class))
        })
    });
    second.or_else(|| {
        let end = head.trim_end_matches(':').len();
        root_starts(head, word_start(head, end), end)
            .find(|begin| {
                let before = head.get(..*begin).and_then(|message| message.chars().next_back());
                before.is_some_and(|before| !before.is_whitespace() && !".:/@(".contains(before))
            })
            .and_then(|begin| Some((head.get(..begin)?, head.get(begin..end)?)))
    })
}

/// Returns where the word that ends at `end` begins. A word consists of the characters of class names.
fn word_start(text: &str, end: usize) -> usize {
    let bytes = text.as_bytes();
    let mut start = end;
    while start > 0 && end - start < CLASS_BYTES && bytes.get(start - 1).is_some_and(|byte| in_class(*byte)) {
        start -= 1;
    }
    start
}

/// Returns the places between `start` and `end` where a well-known package begins.
fn root_starts(text: &str, start: usize, end: usize) -> impl Iterator<Item = usize> {
    (start..end).filter(move |at| {
        let here = text.get(*at..end).unwrap_or("");
        let after_dot = *at > 0 && text.as_bytes().get(*at - 1) == Some(&b'.');
        !after_dot && ROOTS.iter().any(|root| here.starts_with(root))
    })
}

fn in_class(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')
}

/// Returns whether a text is a whole class name with its package: `java.lang.RuntimeException`.
pub(super) fn is_class(text: &str) -> bool {
    let Some((package, class)) = text.rsplit_once('.') else {
        return false;
    };
    text.len() <= CLASS_BYTES
        && text.bytes().all(in_class)
        && class.starts_with(|first: char| first.is_ascii_uppercase())
        && package.split('.').all(|part| part.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Splits `<class>: <message>`. Without a leading class, everything is the message.
fn split_class(text: &str) -> (Option<&str>, &str) {
    let bare = text.trim_end().trim_end_matches(':');
    if is_class(bare) {
        return (Some(bare), "");
    }
    match text.split_once(": ") {
        Some((class, message)) if is_class(class) => (Some(class), message),
        _ => (None, text),
    }
}

/// Reads the lines behind the first exception into `causes`.
fn read_trace(trace: &str, causes: &mut Vec<Cause>) {
    for line in trace.lines() {
        if let Some(rest) = line.strip_prefix("Caused by: ") {
            let (class, message) = split_class(rest);
            // Cut within the class name: what remains is not a message.
            let partial = class.is_none() && rest.bytes().all(in_class) && rest.contains('.');
            let (class, message) = if partial { (Some(rest), "") } else { (class, message) };
            causes.push(Cause { class: class.map(str::to_owned), message: message.to_owned(), ..Cause::default() });
            continue;
        }
        let Some(cause) = causes.last_mut() else { continue };
        let bare = line.trim();
        if let Some(count) = more(bare) {
            cause.more = Some(count);
        } else if is_frame(line) || !cause.frames.is_empty() {
            // Lines of other forms may follow a stack (`Suppressed: …`, a frame cut after its tab): kept unchanged.
            let text = bare.strip_prefix("at ").unwrap_or(bare);
            if !text.is_empty() {
                cause.frames.push(Frame { text: text.to_owned(), library: library(text).is_some() });
            }
        } else {
            cause.message.push('\n');
            cause.message.push_str(line);
        }
    }
}

/// Returns whether a text ends in the middle of a line that Java prints whole: a frame, `... 8 more`, or the class
/// behind `Caused by: `. A missing line end behind the last line does not mean a cut: other consumers, and tools that
/// copy rows, omit it. `traced`: the text contains a trace.
fn ends_in_trace(text: &str, traced: bool) -> bool {
    let last = text.rsplit('\n').next().unwrap_or("");
    if last.is_empty() {
        return false;
    }
    if !traced {
        return "\tat ".starts_with(last);
    }
    if let Some(thrown) = last.strip_prefix("Caused by: ") {
        let class = !thrown.contains(' ') && thrown.bytes().all(|byte| in_class(byte) || byte == b':');
        return thrown.is_empty() || (class && thrown.contains('.') && !is_class(thrown));
    }
    let bare = last.trim_start_matches([' ', '\t']);
    let indented = bare.len() < last.len();
    let in_frame = match bare.strip_prefix("at ") {
        // Loggers add the archive: `at a.b.C.d(C.java:2) [app.jar:1.0]`.
        Some(_) => !bare.trim_end().ends_with([')', ']']),
        None => "at ".starts_with(bare),
    };
    let in_more = (bare.starts_with("... ") || "... ".starts_with(bare)) && more(bare).is_none();
    "Caused by: ".starts_with(last) || (indented && (in_frame || in_more))
}

/// Returns whether a text is as long as one that was cut. Java counts a character above U+FFFF as two, and such
/// characters are halved, omitted or replaced by `?` on the way into an older database.
fn has_a_cut_length(text: &str) -> bool {
    // Do not count the characters of megabytes only to learn that there are too many.
    if text.len() > 4 * COLUMN_CHARS {
        return text.len() == TEXT_BYTES;
    }
    let java: usize = text.chars().map(char::len_utf16).sum();
    let replaced = text.bytes().filter(|byte| *byte == b'?').count();
    text.chars().count() == COLUMN_CHARS || (java <= COLUMN_CHARS && java + 1 + replaced >= COLUMN_CHARS)
}

/// Returns the sentence that a list shows: what the root cause said, as far as the text holds it, on one line, without
/// class names, at most about 160 characters. Never empty for a text that is not empty.
///
/// Also works on a text that was cut.
pub fn headline(text: &str) -> String {
    let error = parse_beginning(text, HEADLINE_BYTES);
    let said: Vec<String> = error.causes.iter().map(|cause| sentence(&cause.message)).collect();
    let open = error.cut && error.causes.last().is_some_and(|cause| cause.frames.is_empty() && error.causes.len() > 1);
    let chosen = root_sentence(&said, open).or_else(|| named_class(&error.causes));
    match chosen {
        Some(chosen) => shorten(&visible(&chosen), HEADLINE_CHARS),
        None if text.is_empty() => String::new(),
        None if error.via.is_some() => "The text says nothing but the feed’s address.".to_owned(),
        None => "The text holds nothing that can be read.".to_owned(),
    }
}

/// Returns the root's sentence, or the fullest outer one that ends with it. `open`: the last one may be incomplete.
fn root_sentence(said: &[String], open: bool) -> Option<String> {
    let mut told: Vec<&str> = said.iter().map(String::as_str).filter(|sentence| !sentence.is_empty()).collect();
    let mut chosen = (*told.last()?).to_owned();
    if open && said.last().is_some_and(|last| *last == chosen) {
        told.pop();
        match told.iter().rev().find(|whole| whole.starts_with(&chosen)) {
            Some(whole) => chosen = (*whole).to_owned(),
            // Too short, or only Odoo connect's words before Odoo's own.
            None if chosen.chars().count() < 12 || chosen.starts_with("Error found in re") => {
                chosen = (*told.last().unwrap_or(&"")).to_owned()
            }
            None => chosen.push('…'),
        }
    }
    for outer in told.iter().rev() {
        if outer.ends_with(&chosen) && outer.chars().count() <= HEADLINE_CHARS {
            chosen = (*outer).to_owned();
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// Describes exceptions without a message: "NullPointerException in EncounterFeedProcessor.getPatient".
pub(super) fn named_class(causes: &[Cause]) -> Option<String> {
    let cause = causes.iter().rev().find(|cause| cause.class.is_some())?;
    let class = cause.class.as_deref()?.rsplit('.').next()?;
    let place = cause.frames.iter().find(|frame| !frame.library).and_then(|frame| {
        let call = frame.text.split('(').next()?;
        let mut parts = call.rsplit('.');
        let method = parts.next()?;
        Some(format!("{}.{method}", parts.next()?))
    });
    Some(match place {
        Some(place) => format!("{class} in {place}"),
        None => class.to_owned(),
    })
}

/// Returns what a message says, on one line, without the class names and HTTP phrases around it.
fn sentence(message: &str) -> String {
    let message = message.trim();
    if message == "null" {
        return String::new();
    }
    let python;
    let message = if message.contains("Traceback (most recent call last)") {
        python = last_of_python(message);
        &python
    } else {
        message
    };
    let mut said = without_classes(message);
    // Odoo 16: `Error found in result. Response status: 417. Error message: Expectation Failed: <what Odoo said>`.
    if let Some((_, inner)) = said.rsplit_once("Error message: ")
        && !inner.trim().is_empty()
    {
        said = inner;
    }
    // Java 8 says `Connection refused (Connection refused)`.
    if let Some((once, again)) = said.split_once(" (")
        && again.strip_suffix(')') == Some(once)
    {
        said = once;
    }
    for phrase in ["Expectation Failed: ", "Bad Request: ", "Internal Server Error: ", "Not Found: ", "Warning: "] {
        said = said.strip_prefix(phrase).filter(|rest| !rest.trim().is_empty()).unwrap_or(said);
    }
    let said = if said.trim().is_empty() { message } else { said };
    one_line(said)
}

/// Returns the exception of a Python trace: its last line that is not indented. If the text ends before that, names the
/// last file in it.
pub(super) fn last_of_python(message: &str) -> String {
    let plain = |line: &&str| !line.trim().is_empty() && !line.starts_with([' ', '\t']);
    match message.lines().rev().find(plain) {
        Some(line) if !line.contains("Traceback (most recent call last)") => line.to_owned(),
        _ => {
            let mut places = message.rsplit("File \"").filter_map(|rest| rest.split_once("\", line "));
            let file = places.next().and_then(|(path, _)| path.rsplit('/').next());
            file.map_or_else(|| "A Python error".to_owned(), |file| format!("A Python error in {file}"))
        }
    }
}

/// Removes leading class names: `java.lang.RuntimeException: <class>: Read timed out` becomes "Read timed out".
pub(super) fn without_classes(mut text: &str) -> &str {
    while let Some((class, rest)) = text.split_once(": ") {
        let short = ["Exception", "Error", "Fault"].iter().any(|end| class.len() > end.len() && class.ends_with(end))
            && class.bytes().all(in_class)
            // `KeyError: 'uuid'` would say too little without its class.
            && rest.trim().contains(' ');
        if rest.trim().is_empty() || !(is_class(class) || short) {
            break;
        }
        text = rest.trim_start();
    }
    text
}

/// Returns the first line, or all lines as one if the first says too little.
pub fn one_line(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let words = if first.chars().count() < 20 { text } else { first };
    // More than this is never shown.
    let words = beginning(words, 16 * HEADLINE_CHARS);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a text, at a word's end if possible, and appends an ellipsis.
fn shorten(text: &str, chars: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars) else {
        return text.to_owned();
    };
    let kept = text.get(..end).unwrap_or(text);
    let kept = match kept.rsplit_once(' ') {
        Some((words, last)) if last.chars().count() < 40 => words,
        _ => kept,
    };
    format!("{}…", kept.trim_end_matches('…').trim_end())
}

/// Returns at most `bytes` bytes of a text, without splitting a character.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// Returns a text without what changes from one occurrence of a fault to the next: uuids, numbers, quoted values, and
/// the patient's name. Texts of the same shape have the same fault. HTTP status codes remain: 404 and 500 are two
/// faults.
pub fn shape(text: &str) -> String {
    let text = beginning(text, HEADLINE_BYTES);
    let text = match text.split_once("not available for the patient: ") {
        Some((before, _)) => before,
        None => text,
    };
    let bytes = text.as_bytes();
    let mut shape = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if uuid::stands_at(bytes, at) {
            shape.push_str("<uuid>");
            at += uuid::LENGTH;
        } else if digits > 0 {
            let status = digits == 3 && ["code of ", "code ", "status: "].iter().any(|said| shape.ends_with(said));
            shape.push_str(if status { rest.get(..digits).unwrap_or("") } else { "#" });
            at += digits;
        } else if let Some(quoted) = quoted_length(rest) {
            shape.push_str("'…'");
            at += quoted;
        } else {
            let next = rest.chars().next().unwrap_or(' ');
            shape.push(next);
            at += next.len_utf8();
        }
    }
    shape
}

/// Returns the length of the quoted value at the beginning of a text, quotes included, if it is short and on one line.
fn quoted_length(text: &str) -> Option<usize> {
    let inner = beginning(text.strip_prefix('\'')?, 100);
    inner.find(['\'', '\n']).filter(|end| inner.as_bytes().get(*end) == Some(&b'\'')).map(|end| end + 2)
}

/// Makes everything in a text visible that could deceive a reader: control characters, and invisible characters that
/// change the order or the division of the text around them. Line ends and tabs remain; `\r\n` becomes `\n`.
///
/// Every text from a database passes through this function before it is shown.
pub fn visible(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\0'..='\x1f' => shown.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('␦')),
            '\x7f' => shown.push('␡'),
            hidden => match token(hidden) {
                Some(name) => {
                    shown.push('⟦');
                    shown.push_str(&name);
                    shown.push('⟧');
                }
                None => shown.push(hidden),
            },
        }
    }
    shown
}

/// [`visible`] on one line: for log lines, terminals and names, where a line end would begin a new entry.
pub fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "␊").replace('\t', "␉")
}

/// Characters kept of names and one-line texts: feed addresses, event ids, titles, tags, categories. The known schemas
/// allow 255; where a table sets no bound, the console identifies each by this many.
pub const KEY_CHARS: u32 = 1_000;

/// Returns a text of at most `chars` characters; if it was longer, the last of them is an ellipsis.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.chars().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Returns the name of a character that must not take effect on a page. Joiners and the plain direction marks remain:
/// Indic scripts, Arabic and emoji need them, and they move nothing but themselves.
fn token(character: char) -> Option<String> {
    let name = match character {
        '\u{202a}' => "LRE",
        '\u{202b}' => "RLE",
        '\u{202c}' => "PDF",
        '\u{202d}' => "LRO",
        '\u{202e}' => "RLO",
        '\u{2066}' => "LRI",
        '\u{2067}' => "RLI",
        '\u{2068}' => "FSI",
        '\u{2069}' => "PDI",
        '\u{80}'..='\u{9f}'
        | '\u{200b}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => {
            return Some(format!("U+{:04X}", u32::from(character)));
        }
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
