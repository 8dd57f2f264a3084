//! Error texts as the consumers write them, taken apart for people.
//!
//! ICT4H/atomfeed stores `Failed processing event in feed [<page>] \n`, the exception's message and the printed stack
//! trace, with nothing between message and trace, cut at 4000 characters; `failed_event_retry_log` holds the same
//! without the first line. A text may end anywhere, and may be no Java at all. Whatever it is, everything here is
//! linear in its length, never fails, and never drops what it does not understand.

use super::uuid;

/// How the library opens the text in `failed_events`.
const OPENING: &str = "Failed processing event in feed [";
/// The width of `error_message` in most schemas, and where the library cuts a text.
const COLUMN_CHARS: usize = 4000;
/// What MySQL keeps of a text at the most in a column of the type TEXT, in bytes.
const TEXT_BYTES: usize = 65_535;
/// What a headline reads of a text, in bytes.
const HEADLINE_BYTES: usize = 64 * 1024;
/// What a headline may be long, in characters.
const HEADLINE_CHARS: usize = 160;
/// No class name is longer, in bytes.
const CLASS_BYTES: usize = 200;

/// Packages that support staff cannot change, with the name people know them by. Frames of any other package count as
/// the application's own.
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

/// Where a class name may begin that was printed directly behind a message.
const ROOTS: &[&str] =
    &["java.", "javax.", "jakarta.", "org.", "com.", "us.mn.", "net.", "io.", "reactor.", "ca.uhn.", "sun."];

/// An error text, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// The numbered page that the event stood on. The retry log does not have it.
    pub via: Option<String>,
    /// What the exception said, once. The whole text where it is no Java trace.
    pub message: String,
    /// The exceptions, outermost first: the last is the root cause, as far as the text holds it. Empty for an empty text.
    pub causes: Vec<Cause>,
    /// The text was cut by the consumer, or by the list that read only its beginning: there was more.
    pub cut: bool,
}

/// One exception of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The full class name (`java.lang.RuntimeException`), where the text has one.
    pub class: Option<String>,
    pub message: String,
    pub frames: Vec<Frame>,
    /// `... 8 more`: frames that Java left out, because they stand in the exception around this one.
    pub more: Option<u32>,
}

/// One line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Without `at`: `org.quartz.core.JobRunShell.run(JobRunShell.java:202)`.
    pub text: String,
    /// Code that is not the application's own: Java, Spring, Quartz …
    pub library: bool,
}

/// Frames that stand together in a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    Application(&'a [Frame]),
    /// A page folds these to the summary: "6 frames of Quartz and Java".
    Library {
        frames: &'a [Frame],
        summary: String,
    },
}

impl Cause {
    /// The stack in runs of application and library frames.
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

/// "6 frames of Quartz and Java", the names in the order of the stack.
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

/// The library that a frame belongs to. Java 9 and newer put a module in front: `java.base/java.lang.Thread.run(…)`.
fn library(frame: &str) -> Option<&'static str> {
    let call = frame.split('(').next().unwrap_or(frame);
    let call = call.rsplit('/').next().unwrap_or(call);
    // The longest prefix wins: com.sun.syndication is Rome, com.sun is Java.
    LIBRARIES.iter().filter(|(prefix, _)| call.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len()).map(|l| l.1)
}

/// Takes the beginning of an error text apart, `bytes` of it at the most.
pub fn parse_beginning(text: &str, bytes: usize) -> ErrorText {
    let read = beginning(text, bytes);
    let error = parse(read);
    ErrorText { cut: error.cut || read.len() < text.len(), ..error }
}

/// Takes an error text apart.
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

/// The page's address, the text behind the first line, and whether the text ended before the address did.
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

/// Message and first exception on one side, the lines of the trace on the other.
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

/// `\tat package.Class.method(File.java:1)` or `\t... 8 more`.
fn is_frame(line: &str) -> bool {
    let bare = line.trim_start_matches([' ', '\t']);
    bare.len() < line.len() && (bare.starts_with("at ") || more(bare).is_some())
}

fn more(line: &str) -> Option<u32> {
    line.trim().strip_prefix("... ")?.strip_suffix(" more")?.parse().ok()
}

/// The first exception: what it said before the trace, and what the trace's first line says.
#[derive(Default)]
struct First {
    message: String,
    class: Option<String>,
    said: String,
    cut: bool,
}

/// Splits `<message><class>: <message>`, as the library writes it, into its parts. `open` says that no trace follows,
/// so that the text may have been cut somewhere in here.
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

/// Message and class of a whole `<message><class>: <message>`.
fn whole_double(head: &str) -> Option<(&str, &str)> {
    let length = head.len();
    // The colon at `i` leaves a message of `length - i - 2` bytes and a class of `2i + 2 - length`: only a few dozen
    // places near the middle can be it, however long the text is.
    let from = (length.saturating_sub(2)) / 2;
    let to = ((length + CLASS_BYTES) / 2).min(length);
    (from..to).find_map(|colon| {
        let said = head.get(colon..)?.strip_prefix(": ")?;
        let class = head.get(said.len()..colon)?;
        let message = head.get(..said.len())?;
        (is_class(class) && message == said).then_some((message, class))
    })
}

/// Message and class of a `<message><class>: <mess` that was cut in the second message or in the class.
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

/// Where the word that ends at `end` begins: a word of the letters that class names have.
fn word_start(text: &str, end: usize) -> usize {
    let bytes = text.as_bytes();
    let mut start = end;
    while start > 0 && end - start < CLASS_BYTES && bytes.get(start - 1).is_some_and(|byte| in_class(*byte)) {
        start -= 1;
    }
    start
}

/// Places between `start` and `end` where a well-known package begins.
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

/// Whether a text is a whole class name with its package: `java.lang.RuntimeException`.
pub(super) fn is_class(text: &str) -> bool {
    let Some((package, class)) = text.rsplit_once('.') else {
        return false;
    };
    text.len() <= CLASS_BYTES
        && text.bytes().all(in_class)
        && class.starts_with(|first: char| first.is_ascii_uppercase())
        && package.split('.').all(|part| part.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Splits `<class>: <message>`; without a class in front, everything is message.
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
            // Cut within the class name: no message, but not a message either.
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
            // Behind a stack may stand lines of other forms (`Suppressed: …`, a frame cut after its tab): kept as they are.
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

/// Whether a text ends in the middle of a line that Java prints whole: a frame, `... 8 more`, or the class behind
/// `Caused by: `. A text without a line's end behind its last line was not cut for that: other consumers, and tools that
/// copy rows, leave it out. `traced`: there is a trace in the text.
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

/// Whether a text is as long as one that was cut. Java counts a character beyond the first 65,536 as two, and such
/// characters are halved, left out or replaced by `?` on the way into an older database.
fn has_a_cut_length(text: &str) -> bool {
    // Counting the characters of megabytes only to learn that there are too many is not worth it.
    if text.len() > 4 * COLUMN_CHARS {
        return text.len() == TEXT_BYTES;
    }
    let java: usize = text.chars().map(char::len_utf16).sum();
    let replaced = text.bytes().filter(|byte| *byte == b'?').count();
    text.chars().count() == COLUMN_CHARS || (java <= COLUMN_CHARS && java + 1 + replaced >= COLUMN_CHARS)
}

/// The one sentence that a list shows: what the root cause said, as far as the text holds it, on one line, without
/// class names, at most about 160 characters. Never empty for a text that is not.
///
/// Works on a text that was cut, too.
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

/// The root's sentence, or the same said more fully around it. `open`: the last one may be incomplete.
fn root_sentence(said: &[String], open: bool) -> Option<String> {
    let mut told: Vec<&str> = said.iter().map(String::as_str).filter(|sentence| !sentence.is_empty()).collect();
    let mut chosen = (*told.last()?).to_owned();
    if open && said.last().is_some_and(|last| *last == chosen) {
        told.pop();
        match told.iter().rev().find(|whole| whole.starts_with(&chosen)) {
            Some(whole) => chosen = (*whole).to_owned(),
            // Too little, or only what Odoo connect writes in front of Odoo's own words.
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

/// Where nobody said anything: "NullPointerException in EncounterFeedProcessor.getPatient".
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

/// What a message says, on one line, without the names of classes and the phrases of HTTP around it.
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

/// The last line of a Python trace that is not indented: its exception. Where the text ends before that, the last place
/// in the code that it names.
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

/// Without the class names in front: `java.lang.RuntimeException: <class>: Read timed out` says "Read timed out".
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

/// The first line, or all of them as one where the first says too little.
pub fn one_line(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let words = if first.chars().count() < 20 { text } else { first };
    // More than this never reaches the page.
    let words = beginning(words, 16 * HEADLINE_CHARS);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cut at a word's end, with an ellipsis.
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

/// At most `bytes` bytes of a text, not ending within a character.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// A text without what changes from one occurrence of a fault to the next: uuids, numbers, quoted values, and the
/// patient's name. Two texts of one shape tell of one fault. HTTP status codes stay: 404 and 500 are two faults.
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

/// The length of the quoted value that a text begins with, quotes included, if it is a short one on one line.
fn quoted_length(text: &str) -> Option<usize> {
    let inner = beginning(text.strip_prefix('\'')?, 100);
    inner.find(['\'', '\n']).filter(|end| inner.as_bytes().get(*end) == Some(&b'\'')).map(|end| end + 2)
}

/// A text with everything made visible that could deceive a reader: control characters, and the invisible characters
/// that change the order or the division of what stands around them. Line ends and tabs stay; `\r\n` becomes `\n`.
///
/// Every text from a database goes through here before it is shown.
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

/// [`visible`] on one line: for log lines, terminals and names, where a line end would begin something new.
pub fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "␊").replace('\t', "␉")
}

/// Characters that are known of what names something or is one line: feed addresses, event ids, titles, tags, categories.
/// The known schemas give them 255; where a table sets no bound, so much of each is what the console knows it by.
pub const KEY_CHARS: u32 = 1_000;

/// A text of at most so many characters: where it was longer, the last of them is an ellipsis.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.chars().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The name of a character that must not act on a page. Joiners and the plain direction marks stay: Indic scripts,
/// Arabic and emoji need them, and they move nothing but themselves.
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
mod tests {
    use super::*;

    const PATIENT: &str = "Patient with uuid '4417ab02-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS";
    const LIMS: &str = "us.mn.state.health.lims.common.exception.LIMSRuntimeException";
    const PAGE: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/2143";

    /// As the library writes it: the page, then message and trace with nothing between them.
    fn openelis() -> String {
        format!(
            "Failed processing event in feed [{PAGE}] \n\
             {LIMS}: {PATIENT}java.lang.RuntimeException: {LIMS}: {PATIENT}\n\
             \tat org.ict4h.atomfeed.client.service.AtomFeedClient.processEvents(AtomFeedClient.java:69)\n\
             \tat org.quartz.core.JobRunShell.run(JobRunShell.java:202)\n\
             \tat org.quartz.simpl.SimpleThreadPool$WorkerThread.run(SimpleThreadPool.java:573)\n\
             \tat java.lang.Thread.run(Thread.java:748)\n\
             Caused by: {LIMS}: {PATIENT}\n\
             \tat org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)\n\
             \t... 5 more\n\
             Caused by: java.lang.RuntimeException: {PATIENT}\n\
             \tat org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.getPatient(EncounterFeedProcessor.java:298)\n\
             \t... 8 more\n"
        )
    }

    fn odoo() -> String {
        "Post call to /api/bahmni-saleorder failedjava.lang.RuntimeException: Post call to /api/bahmni-saleorder failed\n\
         \tat org.bahmni.openerp.web.client.strategy.implementation.OdooRESTClient.post(OdooRESTClient.java:98)\n\
         Caused by: org.bahmni.openerp.web.OdooRestException: Error found in result. Response status: 417. \
         Error message: Expectation Failed: Patient Id not found in Odoo\n\
         \tat org.bahmni.openerp.web.http.client.RestClient.post(RestClient.java:71)\n\
         \t... 12 more\n"
            .to_owned()
    }

    #[test]
    fn takes_a_whole_text_apart() {
        let error = parse(&openelis());
        assert_eq!(error.via.as_deref(), Some(PAGE));
        assert_eq!(error.message, format!("{LIMS}: {PATIENT}"), "said once, not twice");
        assert!(!error.cut);
        let classes: Vec<_> = error.causes.iter().map(|cause| cause.class.as_deref()).collect();
        assert_eq!(classes, [Some("java.lang.RuntimeException"), Some(LIMS), Some("java.lang.RuntimeException")]);
        assert_eq!(error.causes[2].message, PATIENT);
        let stacks: Vec<_> = error.causes.iter().map(|cause| (cause.frames.len(), cause.more)).collect();
        assert_eq!(stacks, [(4, None), (1, Some(5)), (1, Some(8))]);
        let last = &error.causes[2].frames[0].text;
        assert_eq!(
            last,
            "org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.getPatient(EncounterFeedProcessor.java:298)"
        );
    }

    #[test]
    fn the_retry_log_is_the_same_without_the_first_line() {
        let text = openelis();
        let logged = text.split_once('\n').map(|(_, rest)| rest).unwrap_or_default();
        assert_eq!(parse(logged), ErrorText { via: None, ..parse(&text) });
    }

    #[test]
    fn library_frames_fold_into_a_named_run() {
        let error = parse(&openelis());
        let runs = error.causes[0].runs();
        assert_eq!(runs.len(), 2);
        assert!(matches!(runs[0], Run::Application(frames) if frames.len() == 1));
        let Run::Library { frames, summary } = &runs[1] else { panic!("{runs:?}") };
        assert_eq!((frames.len(), summary.as_str()), (3, "3 frames of Quartz and Java"));
    }

    #[test]
    fn tells_library_code_from_the_applications_own() {
        for text in ["java.base/java.lang.Thread.run(Thread.java:834)", "com.sun.proxy.$Proxy1.x(Unknown Source)"] {
            assert_eq!(library(text), Some("Java"), "{text}");
        }
        assert_eq!(library("app//org.springframework.A.a(A.java:1)"), Some("Spring"));
        for text in
            ["org.bahmni.A.a(A.java:1)", "org.openmrs.A.a(java.net:1)", "us.mn.state.A.a(A.java:1)", "javaland.A.a()"]
        {
            assert_eq!(library(text), None, "{text}");
        }
    }

    #[test]
    fn the_headline_is_what_the_root_cause_said() {
        assert_eq!(headline(&openelis()), PATIENT);
        assert_eq!(headline(&odoo()), "Patient Id not found in Odoo");
    }

    /// The first `end` bytes of a trace as a column of 4000 characters holds them: more frames in the first stack make the
    /// text that long. `None`: the first stack does not begin before that.
    fn cut_by_the_column(text: &str, end: usize) -> Option<String> {
        let stack = text.find("\n\tat ").map(|at| at + 1).filter(|at| *at <= end)?;
        let (head, rest) = text[..end].split_at(stack);
        let frame = |name: &str| format!("\tat org.example.A.{name}(A.java:1)\n");
        let missing = COLUMN_CHARS.checked_sub(text[..end].chars().count() + frame("").len())?;
        Some(format!("{head}{}{rest}", frame(&"x".repeat(missing))))
    }

    #[test]
    fn the_headline_of_a_text_that_was_cut_is_nearly_as_good() {
        let cut = |text: &str, end: usize| cut_by_the_column(text, end).expect("long enough");
        let (elis, odoo) = (openelis(), odoo());
        assert_eq!(headline(&cut(&elis, elis.len() - 120)), PATIENT);
        let words = odoo.find("Patient Id").expect("its words");
        assert_eq!(headline(&cut(&odoo, words + "Patient Id not found".len())), "Patient Id not found…");
        assert_eq!(
            headline(&cut(&odoo, odoo.find("Response status").expect("its words"))),
            "Post call to /api/bahmni-saleorder failed",
            "the cause is cut before its own words"
        );
    }

    #[test]
    fn wherever_a_text_ends_the_headline_says_something_and_never_a_class() {
        let text = openelis();
        for end in 0..=text.len() {
            let cut = &text[..end];
            let line = headline(cut);
            assert_eq!(line.is_empty(), cut.is_empty(), "{cut:?}");
            assert!(!line.contains("java.lang") && !line.contains('\n'), "{cut:?} → {line}");
            if let Some(cut) = cut_by_the_column(&text, end) {
                assert!(parse(&cut).cut, "{cut:?}");
                assert_eq!(headline(&cut).trim_end_matches('…'), PATIENT, "{cut:?}");
            }
        }
    }

    #[test]
    fn the_fuller_sentence_around_the_root_is_preferred() {
        let text = "org.apache.http.conn.HttpHostConnectException: Connect to openmrs:8080 [openmrs/10.0.0.7] failed: Connection refused\n\
                    \tat org.bahmni.webclients.HttpClient.get(HttpClient.java:64)\n\
                    Caused by: java.net.ConnectException: Connection refused (Connection refused)\n\t... 9 more\n";
        assert_eq!(headline(text), "Connect to openmrs:8080 [openmrs/10.0.0.7] failed: Connection refused");
    }

    #[test]
    fn class_names_within_a_message_are_taken_off() {
        let message = "org.bahmni.webclients.WebClientsException: java.net.SocketTimeoutException: Read timed out";
        assert_eq!(headline(&format!("{message}\n\tat org.bahmni.A.a(A.java:1)\n")), "Read timed out");
    }

    #[test]
    fn an_exception_without_a_message_is_named_with_its_place() {
        let text = "nulljava.lang.NullPointerException\n\tat java.util.Objects.x(Objects.java:1)\n\
                    \tat org.bahmni.feed.openelis.Mapper.map(Mapper.java:12)\n";
        let error = parse(text);
        assert_eq!(
            (error.message.as_str(), error.causes[0].class.as_deref()),
            ("", Some("java.lang.NullPointerException"))
        );
        assert_eq!(headline(text), "NullPointerException in Mapper.map");
    }

    #[test]
    fn a_python_trace_tells_with_its_last_line() {
        let python = "Traceback (most recent call last):\n  File \"/opt/odoo/http.py\", line 638, in _handle\n    \
                      return self.dispatch()\nWarning: Previous order id does not exist in DB. This can be because of previous failed events";
        let said = "Previous order id does not exist in DB. This can be because of previous failed events";
        assert_eq!(headline(python), said);
        let before_its_end = python.find("    return").map(|end| &python[..end]);
        assert_eq!(before_its_end.map(headline).as_deref(), Some("A Python error in http.py"));
        let class = "org.apache.xmlrpc.XmlRpcException";
        let in_java = format!("{python}{class}: {python}\n\tat org.apache.xmlrpc.A.a(A.java:1)\n");
        assert_eq!(headline(&in_java), said);
        assert_eq!(parse(&in_java).message, python);
    }

    #[test]
    fn a_text_that_was_cut_is_known_as_such() {
        let whole = openelis();
        assert!(parse(&whole[..whole.len() - 30]).cut);
        assert!(parse(&whole[..60]).cut, "within the page's address");
        assert!(parse("Read timed outjava.net.SocketTimeoutException: Read ti").cut);
        assert!(!parse("Response is null").cut);
        assert!(!parse(whole.trim_end()).cut, "the last line is whole");
        let trace = "oddjava.lang.A: odd\n\tat a.b.C.d(C.java:2)\n";
        for end in [
            "\t",
            "\ta",
            "\tat a.b.C.d(C.ja",
            "\tat a.b.C",
            "\t...",
            "\t... 12 mo",
            "Cau",
            "Caused by: ",
            "Caused by: org.example",
            "Caused by: org.example.Odd:",
        ] {
            assert!(parse(&format!("{trace}{end}")).cut, "{end:?}");
        }
        assert!(parse("odd\n\ta").cut);
    }

    #[test]
    fn a_text_is_not_called_cut_for_want_of_a_last_line_end() {
        let trace = "oddjava.lang.A: odd\n\tat a.b.C.d(C.java:2)\n";
        for end in [
            "",
            "Caused by: java.net.SocketTimeoutException: Timeout waiting for response",
            "Caused by: java.lang.NullPointerException",
            "Caused by: no class at all",
            "Caused by: java.lang.A: one\ntwo",
            "\tat a.b.C.e(Native Method)",
            "\tat a.b.C.e(C.java:9) ~[app.jar:1.0]",
            "\t... 12 more",
            "\tSuppressed: java.lang.B: two",
        ] {
            assert!(!parse(&format!("{trace}{end}")).cut, "{end:?}");
        }
        assert_eq!(
            headline(&format!("{trace}Caused by: java.net.SocketTimeoutException: Timeout waiting for response")),
            "Timeout waiting for response"
        );
    }

    #[test]
    fn a_text_has_a_cut_length_as_java_or_as_the_database_counts() {
        let cut = |text: String| parse(&text).cut;
        assert!(cut("x".repeat(4000)), "the width of the column");
        assert!(cut("क".repeat(4000)));
        assert!(cut("x".repeat(3999)), "a character of two would have been halved");
        assert!(!cut("x".repeat(3998)) && !cut("x".repeat(4001)));
        assert!(cut("🩺".repeat(2000)), "4000 as Java counts");
        assert!(cut(format!("{}{}", "?".repeat(20), "x".repeat(3960))), "20 of two characters were replaced");
        assert!(cut("x".repeat(65_535)), "what a TEXT of MySQL holds");
        assert!(!cut("x".repeat(10_000)));
        let long = "x".repeat(100);
        assert!(parse_beginning(&long, 50).cut && !parse_beginning(&long, 100).cut);
    }

    #[test]
    fn lines_of_unknown_form_are_kept() {
        let text = "java.lang.A: x\n\tat org.bahmni.A.a(A.java:1)\n\tSuppressed: java.lang.Exception: #block terminated\n\
                    \t\tat reactor.core.publisher.Mono.block(Mono.java:1)\nCaused by: java.lang.B: one\ntwo\n\tat a.b.C.d(C.java:2)\n";
        let error = parse(text);
        let frames: Vec<_> = error.causes[0].frames.iter().map(|frame| frame.text.as_str()).collect();
        assert_eq!(frames[1], "Suppressed: java.lang.Exception: #block terminated");
        assert_eq!(frames.len(), 3);
        assert_eq!(error.causes[1].message, "one\ntwo");
    }

    #[test]
    fn an_ipv6_page_and_a_flattened_text_keep_page_and_message_apart() {
        let error = parse("Failed processing event in feed [http://[::1]:8080/feed/3] \nRead timed out");
        assert_eq!(error.via.as_deref(), Some("http://[::1]:8080/feed/3"));
        assert_eq!(error.message, "Read timed out");
        let error = parse("Failed processing event in feed [http://h/3] Connect to h:80 [h/10.0.0.1] failed");
        assert_eq!(
            (error.via.as_deref(), error.message.as_str()),
            (Some("http://h/3"), "Connect to h:80 [h/10.0.0.1] failed")
        );
    }

    #[test]
    fn odd_texts_neither_fail_nor_take_long() {
        let megabytes = "a: ".repeat(1_500_000);
        for text in [
            "",
            "\n",
            " ",
            "\0",
            "Failed processing event in feed [",
            "Failed processing event in feed [x] \n",
            "Caused by: ",
            "\tat ",
            "\t... 99999999999999 more",
            ": ",
            ": : : ",
            "é: é",
            "\u{202e}",
            "Caused by: a.b",
            &megabytes,
        ] {
            let _ = parse(text);
            let line = headline(text);
            assert_eq!(line.is_empty(), text.is_empty(), "{:?}", beginning(text, 40));
            assert!(line.chars().count() <= HEADLINE_CHARS + 10);
        }
    }

    #[test]
    fn a_long_headline_is_cut_between_words() {
        let line = headline(&"many words ".repeat(40));
        assert!(line.ends_with("words…") || line.ends_with("many…"), "{line}");
        assert!(line.chars().count() <= HEADLINE_CHARS + 1);
        assert_eq!(headline(&"x".repeat(500)).chars().count(), HEADLINE_CHARS + 1);
    }

    #[test]
    fn a_shape_sees_through_what_changes_but_not_through_the_status() {
        assert_eq!(shape(PATIENT), shape("Patient with uuid '00000000-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS"));
        assert_eq!(shape("not foundORD-19"), shape("not foundORD-2077"));
        assert_ne!(shape("Bad response code of 404"), shape("Bad response code of 500"));
        assert_ne!(shape("Response is null"), shape("Response is empty"));
    }

    #[test]
    fn what_could_deceive_is_made_visible() {
        assert_eq!(visible("a\0b\x1b[31m\x7f"), "a␀b␛[31m␡");
        assert_eq!(visible("user\u{202e}txt.exe\u{202c}\u{2066}"), "user⟦RLO⟧txt.exe⟦PDF⟧⟦LRI⟧");
        assert_eq!(visible("a\u{200b}b\u{feff}\u{85}"), "a⟦U+200B⟧b⟦U+FEFF⟧⟦U+0085⟧");
        assert_eq!(visible("MSH|a\rPID|b\r\nend\n\t."), "MSH|a␍PID|b\nend\n\t.");
        assert_eq!(visible_line("a\r\nSet-Cookie:\tb\n\x1b]0;"), "a␊Set-Cookie:␉b␊␛]0;");
        let ordinary = "مريض क्‍ष 👩‍⚕️ é <b>";
        assert_eq!(visible(ordinary), ordinary);
    }
}
