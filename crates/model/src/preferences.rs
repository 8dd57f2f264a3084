//! How one person wants the pages: their time zone, how times are written, the theme, and whether letters are keys.

use chrono::{DateTime, Utc};

use super::{
    filter::{pairs, push},
    words::{Local, in_full},
};

/// Whether hours go to 24 or twice to 12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    #[default]
    H24,
    H12,
}

impl Clock {
    pub const ALL: [Clock; 2] = [Clock::H24, Clock::H12];

    /// As it is kept and sent.
    pub fn word(self) -> &'static str {
        match self {
            Clock::H24 => "24",
            Clock::H12 => "12",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Clock::H24 => "24 hours (17:06)",
            Clock::H12 => "12 hours (5:06 pm)",
        }
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the device has it.
    #[default]
    Device,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Theme; 3] = [Theme::Device, Theme::Light, Theme::Dark];

    /// As it is kept and sent.
    pub fn word(self) -> &'static str {
        match self {
            Theme::Device => "device",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Theme::Device => "As the device",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        }
    }
}

/// What a person chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// An IANA name; `None`: the browser's own.
    pub zone: Option<String>,
    pub clock: Clock,
    pub theme: Theme,
    /// Single letters are keys.
    pub letter_keys: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { zone: None, clock: Clock::default(), theme: Theme::default(), letter_keys: true }
    }
}

impl Preferences {
    /// Characters of the longest name of a time zone.
    pub const LONGEST_ZONE: usize = 64;

    /// What was chosen, in the words of a form or of [`Preferences::text`]. What means nothing is as if it were not there.
    pub fn read(text: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in pairs(text) {
            match key.as_str() {
                "zone" if is_zone_name(&value) => read.zone = Some(value),
                "clock" => read.clock = Clock::ALL.into_iter().find(|one| one.word() == value).unwrap_or_default(),
                "theme" => read.theme = Theme::ALL.into_iter().find(|one| one.word() == value).unwrap_or_default(),
                "keys" => read.letter_keys = value != "off",
                _ => {}
            }
        }
        read
    }

    /// As it is kept: in the store, or in a cookie.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(zone) = &self.zone {
            push(&mut text, "zone", zone);
        }
        push(&mut text, "clock", self.clock.word());
        push(&mut text, "theme", self.theme.word());
        push(&mut text, "keys", if self.letter_keys { "on" } else { "off" });
        text
    }
}

/// A time zone. Only the server knows more than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(#[cfg(feature = "server")] chrono_tz::Tz);

#[cfg(feature = "server")]
impl Zone {
    /// The zone of an IANA name.
    pub fn named(name: &str) -> Option<Self> {
        if is_zone_name(name) { present_name(name).parse().ok().map(Self) } else { None }
    }

    pub fn of(zone: chrono_tz::Tz) -> Self {
        Self(zone)
    }

    /// Every name there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// An instant in this zone, to count with.
    pub fn at(&self, at: DateTime<Utc>) -> DateTime<chrono_tz::Tz> {
        at.with_timezone(&self.0)
    }

    /// An instant as a clock in this zone shows it.
    pub fn local(&self, at: DateTime<Utc>) -> Local {
        let local = at.with_timezone(&self.0).naive_local();
        let offset = (local - at.naive_utc()).num_minutes();
        Local { at: local, offset: i32::try_from(offset).unwrap_or_default() }
    }
}

#[cfg(not(feature = "server"))]
impl Zone {
    /// Every name there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }

    pub fn name(&self) -> &'static str {
        "UTC"
    }

    /// An instant as a clock in this zone shows it.
    pub fn local(&self, at: DateTime<Utc>) -> Local {
        Local { at: at.naive_utc(), offset: 0 }
    }
}

/// Who reads a page, as far as its times and keys are concerned; in the context of every page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    pub preferences: Preferences,
    pub zone: Zone,
    /// The zone is the reader's own: they chose it, or their browser told it. Otherwise it is what the configuration says,
    /// and the browser writes the times anew.
    pub zone_known: bool,
}

impl Reader {
    /// An instant for a sentence, in the reader's zone, which it names, and by their clock:
    /// `Sun 29 Nov 2026, 02:56:25 UTC+5:30`. So it is right also where the zone is not known to be theirs.
    pub fn instant(&self, at: DateTime<Utc>) -> String {
        in_full(self.zone.local(at), self.preferences.clock)
    }
}

/// The name of today of a zone: browsers keep telling some by the names of earlier times.
pub fn present_name(zone: &str) -> &str {
    match zone {
        "Asia/Calcutta" => "Asia/Kolkata",
        "Asia/Katmandu" => "Asia/Kathmandu",
        "Asia/Rangoon" => "Asia/Yangon",
        "Asia/Saigon" => "Asia/Ho_Chi_Minh",
        "Asia/Dacca" => "Asia/Dhaka",
        "Africa/Asmera" => "Africa/Asmara",
        "America/Buenos_Aires" => "America/Argentina/Buenos_Aires",
        "Pacific/Truk" => "Pacific/Chuuk",
        "Pacific/Ponape" => "Pacific/Pohnpei",
        "Atlantic/Faeroe" => "Atlantic/Faroe",
        "Europe/Kiev" => "Europe/Kyiv",
        other => other,
    }
}

/// Whether this can be the name of a time zone. Whether there is one, only the server knows.
pub fn is_zone_name(text: &str) -> bool {
    (1..=Preferences::LONGEST_ZONE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_read_as_it_was_written() {
        for chosen in [
            Preferences::default(),
            Preferences {
                zone: Some("Asia/Kolkata".into()),
                clock: Clock::H12,
                theme: Theme::Dark,
                letter_keys: false,
            },
        ] {
            assert_eq!(Preferences::read(&chosen.text()), chosen);
        }
        #[cfg(feature = "server")]
        assert_eq!(Zone::named("Asia/Calcutta").unwrap().name(), "Asia/Kolkata", "as Chromium calls it");
        assert_eq!(Preferences::read("zone=%3Cb%3E&clock=25&theme=pink&keys=&odd=1"), Preferences::default());
    }
}
