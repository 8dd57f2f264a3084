//! Figures that more than one part measures, and how they are written.

use std::time::Duration;

/// One screen: times of the page, and of its bare statements if it has any.
#[derive(Debug)]
pub struct ScreenReport {
    pub name: &'static str,
    pub count: usize,
    pub p50: Duration,
    pub p99: Duration,
    /// Median of the bare statements.
    pub bare: Option<Duration>,
    /// Bytes over the wire, with gzip.
    pub size: usize,
}

/// Requests per second at 16 connections.
#[derive(Debug)]
pub struct Busy {
    pub overview: f64,
    pub list: f64,
}

/// The median.
pub fn median(times: &mut [Duration]) -> Duration {
    percentile(times, 50)
}

/// Returns the smallest time that `of_hundred` percent do not exceed; zero if there are no times.
pub fn percentile(times: &mut [Duration], of_hundred: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * of_hundred).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Formats a time in milliseconds.
pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Formats a number with commas: 1,000,000
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
