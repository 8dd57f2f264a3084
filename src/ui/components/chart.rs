//! Small charts, drawn by the server.

use leptos::prelude::*;

use crate::{model::DayCount, ui::words};

/// A bar and the gap after it, and the height of the tallest bar, in the units of the drawing.
const STEP: u64 = 10;
const BAR: u64 = 8;
const HEIGHT: u64 = 30;

/// Failures per day, today last, as bars; the highest day gives the scale. The same in words for those who do not see it.
#[component]
pub fn DayChart(
    days: Vec<DayCount>,
    /// Wide, with its first and last day named.
    #[prop(optional)]
    wide: bool,
) -> impl IntoView {
    let words = in_words(&days);
    let most = days.iter().map(|day| day.failures).max().unwrap_or(0);
    let last = days.len().saturating_sub(1);
    let bars = days
        .iter()
        .enumerate()
        .filter(|(_, day)| day.failures > 0)
        .map(|(index, day)| {
            let height = bar_height(day.failures, most);
            view! {
                <rect
                    class=(index == last).then_some("today")
                    x=index as u64 * STEP
                    y=HEIGHT - height
                    width=BAR
                    height=height
                >
                    <title>{format!("{}: {}", day.day.format("%-d %b"), words::number(day.failures))}</title>
                </rect>
            }
        })
        .collect_view();
    let width = (days.len() as u64 * STEP).saturating_sub(STEP - BAR);
    let ends = wide.then(|| {
        view! {
            <figcaption>
                <span>{days.first().map(|day| day.day.format("%-d %b").to_string())}</span>
                <span>"today, so far"</span>
            </figcaption>
        }
    });
    view! {
        <figure class=if wide { "chart wide" } else { "chart" }>
            <svg viewBox=format!("0 0 {width} {}", HEIGHT + 1) role="img" aria-label=words preserveAspectRatio="none">
                <line x1="0" x2=width y1=HEIGHT y2=HEIGHT></line>
                {bars}
            </svg>
            {ends}
        </figure>
    }
}

/// A day with a failure is always seen: at least a twentieth of the height.
fn bar_height(failures: u64, most: u64) -> u64 {
    let scaled = u128::from(failures) * u128::from(HEIGHT) / u128::from(most.max(1));
    u64::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

fn in_words(days: &[DayCount]) -> String {
    let total: u64 = days.iter().map(|day| day.failures).sum();
    let span = words::count(days.len() as u64, "day");
    match days.iter().max_by_key(|day| day.failures) {
        Some(worst) if total > 0 => format!(
            "{} in {span}, most on {}: {}",
            words::count(total, "failure"),
            worst.day.format("%-d %b"),
            words::number(worst.failures)
        ),
        _ => format!("No failures in {span}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn the_chart_says_in_words_what_it_draws() {
        let day = |day, failures| DayCount { day: NaiveDate::from_ymd_opt(2026, 11, day).unwrap(), failures };
        assert_eq!(in_words(&[day(1, 3), day(2, 1200), day(3, 0)]), "1,203 failures in 3 days, most on 2 Nov: 1,200");
        assert_eq!(in_words(&[day(1, 0), day(2, 0)]), "No failures in 2 days");
    }

    #[test]
    fn one_failure_is_seen_beside_a_million() {
        assert_eq!(bar_height(1, 1_000_000), 2);
        assert_eq!(bar_height(u64::MAX, u64::MAX), HEIGHT);
        assert_eq!(bar_height(5, 10), HEIGHT / 2);
    }
}
