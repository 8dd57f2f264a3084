//! A user's preferences: time zone, time format, theme, and whether single letters are keyboard shortcuts.

use chrono::{DateTime, Utc};

use super::{
    query::{pairs, push},
    words::{Clock, Local, in_sentence},
};

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the device is set.
    #[default]
    Device,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Theme; 3] = [Theme::Device, Theme::Light, Theme::Dark];

    /// Returns the word that is stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Theme::Device => "device",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            Theme::Device => "As the device",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        }
    }
}

/// The choices of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// An IANA name; `None`: the browser's zone.
    pub zone: Option<String>,
    pub clock: Clock,
    pub theme: Theme,
    /// Whether single letters are keyboard shortcuts.
    pub letter_keys: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { zone: None, clock: Clock::default(), theme: Theme::default(), letter_keys: true }
    }
}

impl Preferences {
    /// The longest name of a time zone, in characters.
    pub const LONGEST_ZONE: usize = 64;

    /// Reads preferences from a form or from [`Preferences::text`]. Ignores what is invalid.
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

    /// Returns the text that is kept in the store or in a cookie.
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

/// A time zone. Only the server knows any but UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(#[cfg(feature = "server")] chrono_tz::Tz);

#[cfg(feature = "server")]
impl Zone {
    /// Returns the zone of an IANA name.
    pub fn named(name: &str) -> Option<Self> {
        if is_zone_name(name) { present_name(name).parse().ok().map(Self) } else { None }
    }

    pub fn of(zone: chrono_tz::Tz) -> Self {
        Self(zone)
    }

    /// Returns the names of all zones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Returns an instant in this zone, for calculations.
    pub fn at(&self, at: DateTime<Utc>) -> DateTime<chrono_tz::Tz> {
        at.with_timezone(&self.0)
    }

    /// Returns an instant as a clock in this zone shows it.
    pub fn local(&self, at: DateTime<Utc>) -> Local {
        let local = at.with_timezone(&self.0).naive_local();
        let offset = (local - at.naive_utc()).num_minutes();
        Local { at: local, offset: i32::try_from(offset).unwrap_or_default() }
    }
}

#[cfg(not(feature = "server"))]
impl Zone {
    /// Returns no names: only the server knows them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }

    pub fn name(&self) -> &'static str {
        "UTC"
    }

    /// Returns an instant as a clock in this zone shows it.
    pub fn local(&self, at: DateTime<Utc>) -> Local {
        Local { at: at.naive_utc(), offset: 0 }
    }
}

/// The reader of a page, as far as times and keys are concerned; in the context of every page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    pub preferences: Preferences,
    pub zone: Zone,
    /// Whether the zone is the reader's own: they chose it, or their browser reported it. Otherwise it is the
    /// configured one, and the browser rewrites the times.
    pub zone_known: bool,
}

impl Reader {
    /// Returns an instant for a sentence, by the reader's clock, to the minute: `29 Nov 2026, 02:56`. The zone is named
    /// if it is not known to be the reader's, because the browser does not rewrite times within sentences.
    pub fn instant(&self, at: DateTime<Utc>) -> String {
        in_sentence(self.zone.local(at), self.preferences.clock, !self.zone_known)
    }
}

/// Returns the present name of a zone: browsers still report some by earlier names.
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

/// Returns whether this can be the name of a time zone. Only the server knows whether the zone exists.
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
