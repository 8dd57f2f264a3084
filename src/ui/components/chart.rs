//! Small charts, drawn by the server.

use leptos::prelude::*;

use crate::{
    model::{DayCount, history::HistoryDay},
    ui::words,
};

/// Width of a bar with its gap, width of a bar, and height of the tallest bar, in the units of the drawing.
const STEP: u64 = 10;
const BAR: u64 = 8;
const HEIGHT: u64 = 30;

/// Failures per day, today last, as bars, each with its number on hover. The same in words for screen readers.
#[component]
pub fn DayChart(
    days: Vec<DayCount>,
    /// Wide, labelled with the first and last day and the highest number.
    #[prop(optional)]
    wide: bool,
    /// The number of the tallest bar if several charts share a scale; otherwise the highest day sets it.
    #[prop(optional)]
    scale: Option<u64>,
) -> impl IntoView {
    let words = in_words(&days);
    let highest = days.iter().max_by_key(|day| day.failures);
    let most = scale.unwrap_or_default().max(highest.map_or(0, |day| day.failures));
    let top = highest
        .filter(|day| day.failures > 0)
        .map(|day| format!("highest: {} on {}", words::number(day.failures), day.day.format("%-d %b")));
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
                    <title>{bar_words(day, index == last)}</title>
                </rect>
            }
        })
        .collect_view();
    let width = (days.len() as u64 * STEP).saturating_sub(STEP - BAR);
    let ends = wide.then(|| {
        view! {
            <figcaption>
                <span>{days.first().map(|day| day.day.format("%-d %b").to_string())}</span>
                <span>{top}</span>
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

/// Failures upwards, and events that left the table downwards: resolved and the others, with one scale for both and the
/// number of the highest day. The same as a table below.
#[component]
pub fn OutcomeChart(days: Vec<HistoryDay>) -> impl IntoView {
    let words = outcome_words(&days);
    let most = days.iter().flat_map(|day| [day.failed, left(day)]).max().unwrap_or(0);
    // Without events there is no scale.
    let scale = (most > 0).then(|| {
        let most = words::number(most);
        view! {
            <ul class="plain scale" aria-hidden="true">
                <li>{most.clone()}</li>
                <li>"0"</li>
                <li>{most}</li>
            </ul>
        }
    });
    let bars = days
        .iter()
        .enumerate()
        .map(|(index, day)| {
            let x = index as u64 * STEP;
            let bar = |class: &'static str, y: u64, height: u64| {
                (height > 0).then(|| view! { <rect class=class x=x y=y width=BAR height=height></rect> })
            };
            let up = if day.failed > 0 { bar_height(day.failed, most) } else { 0 };
            let resolved = if day.resolved > 0 { bar_height(day.resolved, most) } else { 0 };
            let rest = left(day) - day.resolved;
            let rest = if rest > 0 { bar_height(rest, most) } else { 0 };
            view! {
                <g>
                    <title>{day_words(day)}</title>
                    {bar("failed", HEIGHT - up, up)}
                    {bar("resolved", HEIGHT + 1, resolved)}
                    {bar("left", HEIGHT + 1 + resolved, rest)}
                </g>
            }
        })
        .collect_view();
    let width = (days.len() as u64 * STEP).saturating_sub(STEP - BAR);
    let rows = days
        .iter()
        .rev()
        .filter(|day| day.failed + day.attempts + left(day) > 0)
        .map(|day| {
            view! {
                <tr>
                    <th scope="row">{day.day.format("%-d %b %Y").to_string()}</th>
                    <td class="num" data-label="Failed">{words::number(day.failed)}</td>
                    <td class="num" data-label="Failed retries">{words::number(day.attempts)}</td>
                    <td class="num" data-label="Resolved">{words::number(day.resolved)}</td>
                    <td class="num" data-label="Removed, reason unknown">{words::number(day.gone)}</td>
                    <td class="num" data-label="Discarded">{words::number(day.discarded)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <figure class="chart wide outcomes">
            <div class="plot">
                {scale}
                <svg viewBox=format!("0 0 {width} {}", 2 * HEIGHT + 2) role="img" aria-label=words preserveAspectRatio="none">
                    <line x1="0" x2=width y1=HEIGHT y2=HEIGHT></line>
                    {bars}
                </svg>
            </div>
            <figcaption>
                <span>{days.first().map(|day| day.day.format("%-d %b").to_string())}</span>
                <span>{highest(&days)}</span>
                <span>"today, so far"</span>
            </figcaption>
            <ul class="plain small legend">
                <li class="failed">"Failed"</li>
                <li class="resolved">"Resolved"</li>
                <li class="left">"Removed or discarded"</li>
            </ul>
        </figure>
        <details>
            <summary>"As a table"</summary>
            <table class="cards">
                <caption class="unseen">"Failed and ended events by day"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Day"</th>
                        <th scope="col" class="num">"Failed"</th>
                        <th scope="col" class="num">"Failed retries"</th>
                        <th scope="col" class="num">"Resolved"</th>
                        <th scope="col" class="num">"Removed, reason unknown"</th>
                        <th scope="col" class="num">"Discarded"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </details>
    }
}

/// Returns the number of events that left the table on a day.
fn left(day: &HistoryDay) -> u64 {
    day.resolved.saturating_add(day.gone).saturating_add(day.discarded)
}

/// The day of the tallest bar with its number: `highest: 1,200 failed on 2 Nov`.
fn highest(days: &[HistoryDay]) -> Option<String> {
    let of = |what, count: fn(&HistoryDay) -> u64| {
        let day = days.iter().max_by_key(|day| count(day))?;
        (count(day) > 0).then_some((count(day), what, day.day))
    };
    let found = [of("ended", left), of("failed", |day| day.failed)];
    let (count, what, day) = found.into_iter().flatten().max_by_key(|(count, ..)| *count)?;
    Some(format!("highest: {} {what} on {}", words::number(count), day.format("%-d %b")))
}

fn day_words(day: &HistoryDay) -> String {
    format!(
        "{}: {} failed, {} resolved, {} removed for an unknown reason, {} discarded",
        day.day.format("%-d %b"),
        words::number(day.failed),
        words::number(day.resolved),
        words::number(day.gone),
        words::number(day.discarded)
    )
}

fn outcome_words(days: &[HistoryDay]) -> String {
    let sum = |of: fn(&HistoryDay) -> u64| days.iter().map(of).sum::<u64>();
    format!(
        "{} in {}, {} resolved, {} removed or discarded",
        words::count(sum(|day| day.failed), "failure"),
        words::count(days.len() as u64, "day"),
        words::number(sum(|day| day.resolved)),
        words::number(sum(|day| day.gone + day.discarded))
    )
}

/// The description of a bar; the last one has another colour, because its day is not over.
fn bar_words(day: &DayCount, last: bool) -> String {
    let today = if last { ", today so far" } else { "" };
    format!("{}{today}: {}", day.day.format("%-d %b"), words::number(day.failures))
}

/// A day with a failure is always visible: at least a fifteenth of the height.
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
    fn the_chart_of_outcomes_says_in_words_what_it_draws() {
        let day = |day, failed, resolved, gone| HistoryDay {
            day: NaiveDate::from_ymd_opt(2026, 11, day).unwrap(),
            failed,
            attempts: 0,
            resolved,
            gone,
            discarded: 1,
        };
        let days = [day(1, 3, 2, 0), day(2, 1200, 0, 5)];
        assert_eq!(outcome_words(&days), "1,203 failures in 2 days, 2 resolved, 7 removed or discarded");
        assert_eq!(
            day_words(&days[1]),
            "2 Nov: 1,200 failed, 0 resolved, 5 removed for an unknown reason, 1 discarded"
        );
        assert_eq!(highest(&days).as_deref(), Some("highest: 1,200 failed on 2 Nov"));
        assert_eq!(highest(&[day(3, 2, 4, 0)]).as_deref(), Some("highest: 5 ended on 3 Nov"));
        assert_eq!(highest(&[HistoryDay { discarded: 0, ..day(4, 0, 0, 0) }]), None);
    }

    #[test]
    fn the_bar_of_today_says_why_it_has_another_colour() {
        let day = DayCount { day: NaiveDate::from_ymd_opt(2026, 11, 2).unwrap(), failures: 1200 };
        assert_eq!(bar_words(&day, false), "2 Nov: 1,200");
        assert_eq!(bar_words(&day, true), "2 Nov, today so far: 1,200");
    }

    #[test]
    fn one_failure_is_seen_beside_a_million() {
        assert_eq!(bar_height(1, 1_000_000), 2);
        assert_eq!(bar_height(u64::MAX, u64::MAX), HEIGHT);
        assert_eq!(bar_height(5, 10), HEIGHT / 2);
    }
}
