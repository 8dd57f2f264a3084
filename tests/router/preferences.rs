//! Users' preferences for pages: chosen on the account page, kept by sign-in mode and name, applied by the server.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use atomfeed_console::clock;

use super::{
    access::{BASE, Browser, with_accounts},
    hospital::{Hospital, row},
};

#[tokio::test]
async fn what_a_person_chose_holds_in_every_browser_and_for_nobody_else() {
    let hospital = with_accounts().await;
    let mut asha = Browser::signed_in(&hospital, "operator").await;
    let page = asha.get("/account").await.body;
    assert!(page.contains("<html lang=\"en\"") && !page.contains("data-reader-zone"), "{page}");
    let chosen = [("zone", "Asia/Kolkata"), ("clock", "12"), ("theme", "dark")];
    let answer = asha.form("/api/save_preferences", &chosen).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/account", "{}", answer.body);
    assert!(asha.get("/account").await.body.contains("Your preferences are saved."));

    let mut elsewhere = Browser::signed_in(&hospital, "operator").await;
    let page = elsewhere.get("/failed-events").await.body;
    for part in [
        "data-reader-zone=\"Asia/Kolkata\"",
        "data-clock=\"12\"",
        "data-theme=\"dark\"",
        "data-keys=\"off\"",
        "Times are in Asia/Kolkata.",
        // 2026-11-20 08:00 in UTC.
        "title=\"Fri 20 Nov 2026, 1:30:00 pm UTC+5:30\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(elsewhere.get("/history").await.body.contains("days in Asia/Kolkata"));
    // Also on a page that reports what is wrong with a form.
    let refused = elsewhere.form("/api/save_preferences", &[("zone", "Mars/Olympus"), ("keys", "on")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for part in ["There is no such time zone.", "value=\"Mars/Olympus\"", "data-theme=\"dark\""] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    let mut other = Browser::signed_in(&hospital, "viewer").await;
    let page = other.get("/failed-events").await.body;
    assert!(!page.contains("data-theme") && !page.contains("data-keys"), "{page}");
}

#[tokio::test]
async fn an_open_console_keeps_them_in_the_browser() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let fields = [("zone", "Africa/Nairobi"), ("clock", "24"), ("theme", "device"), ("keys", "on")];
    let answer = hospital.form(&format!("{BASE}/api/save_preferences"), &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let cookies: Vec<_> = answer.headers.get_all(header::SET_COOKIE).iter().map(|it| it.to_str().unwrap()).collect();
    let kept = cookies.iter().find(|cookie| cookie.starts_with("atomfeed_preferences=")).expect("a cookie");
    let page = async |cookie: &str| hospital.page_with(cookie, &format!("{BASE}/failed-events")).await.body;
    assert!(page(kept.split(';').next().unwrap()).await.contains("11:00:00 UTC+3"));
    // What the browser reports of its own clock, and what no clock can be.
    assert!(page("atomfeed_zone=Asia/Kolkata").await.contains("data-reader-zone=\"Asia/Kolkata\""));
    let odd = page("atomfeed_zone=<b>; atomfeed_preferences=zone=%3Cb%3E").await;
    assert!(!odd.contains("data-reader-zone") && odd.contains("Times are in UTC."));
}

/// If the browser has not reported its zone yet, days and times use the zone of the hospital's settings.
#[tokio::test]
async fn the_zone_of_the_settings_stands_in_for_the_readers() {
    let hospital = Hospital::with(&[row(1, "2026-11-20 08:00:00")], &[], BASE, |config| {
        config.applications[0].time_zone = "Asia/Kolkata".parse().unwrap();
    })
    .await;
    let page = hospital.page(&format!("{BASE}/failed-events")).await.body;
    assert!(page.contains("Times are in Asia/Kolkata.") && !page.contains("data-reader-zone"), "{page}");
}

/// Returns a zone in which it is this hour now; the signs in the names of these are reversed.
fn zone_at(hour: i32, now: DateTime<Utc>) -> String {
    match (hour - i32::try_from(now.hour()).expect("an hour") + 11).rem_euclid(24) - 11 {
        ahead @ 1.. => format!("Etc/GMT-{ahead}"),
        ahead => format!("Etc/GMT+{}", -ahead),
    }
}

/// Times within sentences are written for the reader, as separate times are.
#[tokio::test]
async fn times_within_sentences_are_in_the_readers_zone_and_clock() {
    let mut waits = row(1, "2026-11-20 08:00:00");
    waits.retries = 2;
    let hospital = Hospital::with(&[waits], &[], BASE, |config| {
        config.applications[0].info.concerns.retry_overdue_secs = Some(300);
    })
    .await;
    hospital.look("odoo").await;
    let page = async |path: &str, preferences: &str| {
        hospital.page_with(&format!("atomfeed_preferences={preferences}"), &format!("{BASE}{path}")).await.body
    };
    for path in ["", "/applications/odoo"] {
        let body = page(path, "zone=Asia/Kathmandu&clock=12").await;
        assert!(body.contains("No retry since 20 Nov 2026, 1:45 pm,"), "{path}: {body}");
        let body = page(path, "zone=UTC&clock=24").await;
        assert!(body.contains("No retry since 20 Nov 2026, 08:00,"), "{path}: {body}");
    }
    let list = page("/failed-events?since=yesterday-18:00", "clock=12").await;
    assert!(list.contains("Since yesterday 6:00 pm") && !list.contains("Since yesterday 18:00"), "{list}");
}

/// "Today" begins where the reader's day begins: for a page, for its automatic requests, and for a download.
#[tokio::test]
async fn a_range_up_to_now_is_one_wherever_it_is_asked_for() {
    let now = clock::now();
    let failed = (now - TimeDelta::hours(5)).format("%Y-%m-%d %H:%M:%S").to_string();
    let hospital = Hospital::new(&[row(1, failed.leak())], &[]).await;
    let (night, noon) = (zone_at(2, now), zone_at(12, now));
    for (chosen, of_browser, found) in [(&night, &noon, false), (&noon, &night, true)] {
        let cookies = format!("atomfeed_preferences=zone={}; atomfeed_zone={of_browser}", chosen.replace('+', "%2B"));
        for path in
            ["/failed-events?since=today", "/api/failed_events?query=since%3Dtoday", "/failed-events.csv?since=today"]
        {
            let request = Request::get(format!("{BASE}{path}"));
            let request = request.header(header::HOST, "console.test").header(header::COOKIE, &cookies);
            let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            assert_eq!(answer.body.contains("No. 1 did not work"), found, "{path} in {chosen}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_was_counted_of_one_readers_day_is_not_told_of_anothers() {
    let now = clock::now();
    let at = |hours: i64| (now - TimeDelta::hours(hours)).format("%Y-%m-%d %H:%M:%S").to_string();
    // More than a page of each: how many match is only known when they are counted.
    let (early, late): (&'static str, &'static str) = (at(5).leak(), at(1).leak());
    let rows: Vec<_> = (1..=140).map(|id| row(id, if id <= 60 { early } else { late })).collect();
    let hospital = Hospital::new(&rows, &[]).await;
    for (zone, total) in [(zone_at(2, now), 80), (zone_at(12, now), 140)] {
        let request = Request::get(format!("{BASE}/api/failed_events?query=since%3Dtoday%26count%3Dall"));
        let request = request.header(header::COOKIE, format!("atomfeed_zone={zone}"));
        let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.json()["counted"]["total"], total, "in {zone}: {}", answer.body);
    }
}
