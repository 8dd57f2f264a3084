//! The second factor: setting it up, signing in with it, signing in without the phone, and what it prevents. Codes are
//! calculated here from the secret that the page shows, by another library than the console's.

use atomfeed_console::{
    clock,
    model::{Role, audit::AuditFilter},
    server::store::NewSession,
};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use chrono::TimeDelta;
use ring::hmac;

use super::{
    access::{BASE, Browser, PASSWORD, basic, make_token, script, with, with_accounts},
    credentials::{on_record, store_of},
    hospital::{Answer, Hospital},
};

const CODE: &str = "/atomfeed-console/sign-in/code";

/// Returns the code of a secret as an app shows it now: RFC 4226 and 6238.
fn code_of(secret: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut key) = (0_u32, 0_u32, Vec::new());
    for char in secret.bytes().filter(|char| *char != b' ') {
        let value = ALPHABET.iter().position(|letter| *letter == char).expect("base 32");
        bits = bits << 5 | u32::try_from(value).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            key.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    assert_eq!(key.len(), 20, "160 bits");
    let step = u64::try_from(clock::now().timestamp()).unwrap() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let digest = hmac::sign(&key, &step.to_be_bytes());
    let digest = digest.as_ref();
    let at = usize::from(digest[19] & 0xf);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Returns a code that is wrong at every time near this one.
fn wrong_code(secret: &str) -> String {
    let right: u32 = code_of(secret).parse().unwrap();
    format!("{:06}", (right + 500_000) % 1_000_000)
}

fn between(text: &str, mark: &str) -> Vec<String> {
    let parts = text.split(mark).skip(1);
    parts.map(|rest| rest.split_once('>').unwrap().1.split('<').next().unwrap().trim().to_owned()).collect()
}

fn secret_on(page: &Answer) -> String {
    between(&page.body, "data-secret").into_iter().next().unwrap_or_else(|| panic!("no secret: {}", page.body))
}

/// A screen reader reads the problem with the code at the field of the code, once.
fn assert_told_at_the_field(page: &Answer) {
    let field = page.body.split("<input").find(|field| field.contains("name=\"code\"")).expect("the field");
    let field = field.split('>').next().unwrap_or_default();
    assert!(field.contains("aria-invalid=\"true\"") && field.contains("-code-problem\""), "{field}");
    let told = page.body.split("-code-problem\">").nth(1).expect("what is wrong").split("</p>").next();
    assert!(told.is_some_and(|told| told.contains("Wrong code.")), "{}", page.body);
    assert_eq!(page.body.matches("Wrong code.").count(), 1, "{}", page.body);
}

/// Makes enough time pass that the next code is another one.
async fn next_step(hospital: &Hospital) {
    sqlx::query("UPDATE second_factors SET last_step = 0").execute(&mut store_of(hospital).await).await.unwrap();
}

/// Sets up a second factor on the account page; returns the secret and the recovery codes.
async fn set_up(browser: &mut Browser<'_>) -> (String, Vec<String>) {
    browser.get("/account").await;
    let begun = browser.form("/api/begin_second_factor", &[("password", PASSWORD)]).await;
    assert_eq!(begun.header("location"), "/atomfeed-console/account/second-factor", "{}", begun.body);
    let secret = secret_on(&browser.get("/account/second-factor").await);
    let confirmed = browser.form("/api/confirm_second_factor", &[("code", &code_of(&secret))]).await;
    assert_eq!(confirmed.status, StatusCode::SEE_OTHER, "{}", confirmed.body);
    let codes = between(&browser.get("/account/second-factor").await.body, "data-recovery-code");
    (secret, codes)
}

/// Sends the second step with this code.
async fn second_step(browser: &mut Browser<'_>, code: &str) -> Answer {
    browser.get("/sign-in/code").await;
    browser.form("/api/sign_in_code", &[("code", code)]).await
}

async fn with_demand(roles: &[Role]) -> Hospital {
    with(|config| config.access.second_factor = roles.to_vec()).await
}

#[tokio::test]
async fn somebody_sets_up_an_app_and_signs_in_with_its_codes() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "operator").await;
    let mut elsewhere = Browser::signed_in(&hospital, "operator").await;
    assert!(browser.get("/account").await.body.contains("Set up a second factor"));
    let refused = browser.form("/api/begin_second_factor", &[("password", "not mine at all")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("The password is wrong") && refused.body.contains("Set up a second factor"));

    browser.form("/api/begin_second_factor", &[("password", PASSWORD)]).await;
    let page = browser.get("/account/second-factor").await;
    assert_eq!(page.status, StatusCode::OK);
    let secret = secret_on(&page);
    assert!(page.body.contains("class=\"qr\"") && page.body.contains("otpauth://totp/Atomfeed%20Console:operator"));
    assert!(!page.body.contains("<img") && !page.body.contains("data:image"), "nothing that the policy forbids");
    let wrong = browser.form("/api/confirm_second_factor", &[("code", &wrong_code(&secret))]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("Wrong code.") && wrong.body.contains(&secret), "the same secret stays");
    assert_told_at_the_field(&wrong);
    assert!(elsewhere.get("/operations").await.status.is_success(), "nothing has changed yet");

    let confirmed = browser.form("/api/confirm_second_factor", &[("code", &code_of(&secret))]).await;
    assert_eq!(confirmed.header("location"), "/atomfeed-console/account/second-factor", "{}", confirmed.body);
    let page = browser.get("/account/second-factor").await;
    let codes = between(&page.body, "data-recovery-code");
    assert_eq!(codes.len(), 10);
    assert!(!page.body.contains(&secret), "the secret is shown until it is proved");
    let again = browser.get("/account/second-factor").await;
    assert!(!again.body.contains(&codes[0]), "the codes are shown once");
    assert!(browser.get("/account").await.body.contains("10 recovery codes"));
    let out = elsewhere.get("/operations").await;
    assert!(out.header("location").starts_with("/atomfeed-console/sign-in"), "sessions without it end");

    next_step(&hospital).await;
    let mut other = Browser::new(&hospital);
    let first = other.sign_in("operator", PASSWORD, "/groups?all=1").await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, CODE));
    assert_eq!(other.session(), None, "no session before the code");
    for path in ["/operations", "/account", "/apps"] {
        let answer = other.get(path).await;
        assert!(answer.header("location").starts_with("/atomfeed-console/sign-in"), "{path}: {}", answer.status);
    }
    let page = other.get("/sign-in/code").await;
    assert!(page.status.is_success() && page.body.contains("operator") && page.body.contains("one-time-code"));
    assert!(!page.body.contains(&secret), "{}", page.body);
    let wrong = second_step(&mut other, &wrong_code(&secret)).await;
    assert_eq!((wrong.status, other.session()), (StatusCode::UNAUTHORIZED, None));
    assert!(wrong.body.contains("Wrong code.") && wrong.body.contains("name=\"code\""), "{}", wrong.body);
    assert_told_at_the_field(&wrong);
    let code = code_of(&secret);
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let right = second_step(&mut other, &spaced).await;
    assert_eq!(right.header("location"), "/atomfeed-console/groups?all=1", "{}", right.body);
    assert!(other.session().is_some() && other.get("/operations").await.status.is_success());
    assert!(!other.cookies.iter().any(|(name, _)| name == "atomfeed_signing_in"), "its cookie is gone");

    let mut third = Browser::new(&hospital);
    third.sign_in("operator", PASSWORD, "").await;
    let twice = second_step(&mut third, &code).await;
    assert_eq!((twice.status, third.session()), (StatusCode::UNAUTHORIZED, None));
    assert!(twice.body.contains("This code was already used"), "{}", twice.body);

    let entries = on_record(&hospital, 1_000).await;
    let of = |kind: &str, what: &str, outcome: &str| {
        entries.contains(&(kind.to_owned(), what.to_owned(), outcome.to_owned()))
    };
    assert!(of("account_changed", "second factor of operator set up", "done"), "{entries:?}");
    assert!(of("sign_in", "with a code", "done"), "{entries:?}");
    assert!(of("sign_in_failed", "the code of the second factor was not right", "refused"), "{entries:?}");
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("SELECT secret FROM second_factors")
        .fetch_all(&mut store_of(&hospital).await)
        .await
        .unwrap();
    let bare = secret.replace(' ', "");
    assert_eq!(kept[0].len(), 12 + 20 + 16, "nonce, ciphertext, tag");
    assert!(!String::from_utf8_lossy(&kept[0]).contains(&bare));
    let told = format!("{:?}", hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 1_000).await);
    assert!(!told.contains(&bare) && !told.contains(&code) && !told.contains(&codes[0]), "{told}");
}

#[tokio::test]
async fn a_recovery_code_lets_in_once_and_new_ones_take_the_place_of_the_old() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "viewer").await;
    let (secret, codes) = set_up(&mut browser).await;
    let mut other = Browser::new(&hospital);
    other.sign_in("viewer", PASSWORD, "").await;
    let let_in = second_step(&mut other, &codes[3].to_uppercase().replace('-', " ")).await;
    assert_eq!(let_in.status, StatusCode::SEE_OTHER, "{}", let_in.body);
    assert_eq!(
        on_record(&hospital, 1).await,
        [("sign_in".into(), "with a recovery code; 9 left".into(), "done".into())]
    );
    other.sign_in("viewer", PASSWORD, "").await;
    assert_eq!(second_step(&mut other, &codes[3]).await.status, StatusCode::UNAUTHORIZED, "once");
    assert!(browser.get("/account").await.body.contains("9 recovery codes"));

    next_step(&hospital).await;
    let without = browser.form("/api/new_recovery_codes", &[("password", PASSWORD)]).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST, "a code is needed, too");
    let made = browser.form("/api/new_recovery_codes", &[("password", PASSWORD), ("code", &code_of(&secret))]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let new = between(&browser.get("/account/second-factor").await.body, "data-recovery-code");
    assert!(new.len() == 10 && !new.contains(&codes[0]));
    other.sign_in("viewer", PASSWORD, "").await;
    assert_eq!(second_step(&mut other, &codes[0]).await.status, StatusCode::UNAUTHORIZED, "an old one");
    assert_eq!(second_step(&mut other, &new[0]).await.status, StatusCode::SEE_OTHER);
    // Another user's codes are not valid here.
    let mut theirs = Browser::signed_in(&hospital, "operator").await;
    let (_, others) = set_up(&mut theirs).await;
    other.sign_in("viewer", PASSWORD, "").await;
    assert_eq!(second_step(&mut other, &others[0]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_pending_is_of_one_browser_and_one_password_and_a_few_codes() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "operator").await;
    let (secret, _) = set_up(&mut browser).await;
    next_step(&hospital).await;

    // The cookie of a pending sign-in, moved to another browser.
    let mut owner = Browser::new(&hospital);
    owner.sign_in("operator", PASSWORD, "").await;
    let pending = owner.cookies.iter().find(|(name, _)| name == "atomfeed_signing_in").unwrap().clone();
    assert_eq!(pending.1.len(), 64);
    let mut thief = Browser::new(&hospital);
    thief.get("/sign-in").await;
    thief.cookies.push(pending);
    assert_eq!(thief.get("/sign-in/code").await.status, StatusCode::BAD_REQUEST);
    let stolen = thief.form("/api/sign_in_code", &[("code", &code_of(&secret))]).await;
    assert_eq!((stolen.status, thief.session()), (StatusCode::UNAUTHORIZED, None));
    assert!(stolen.body.contains("Start again"), "{}", stolen.body);
    let mut nobody = Browser::new(&hospital);
    nobody.get("/sign-in").await;
    let none = nobody.form("/api/sign_in_code", &[("code", &code_of(&secret))]).await;
    assert_eq!((none.status, nobody.session()), (StatusCode::UNAUTHORIZED, None));

    // A new password is set in between.
    let store = &hospital.console.parts.store;
    let hash = store.account("viewer").await.unwrap().unwrap().password;
    let password = atomfeed_console::server::store::NewPassword { hash, must_change: false, until: None };
    store.set_password("operator", &password, None).await.unwrap().unwrap();
    let late = second_step(&mut owner, &code_of(&secret)).await;
    assert_eq!((late.status, owner.session()), (StatusCode::UNAUTHORIZED, None), "{}", late.body);

    // Another browser tries some codes and must wait; a known one has ten, and must then send the password again.
    let mut guesser = Browser::new(&hospital);
    guesser.sign_in("operator", PASSWORD, "").await;
    let mut answers = Vec::new();
    while answers.last() != Some(&StatusCode::TOO_MANY_REQUESTS) && answers.len() < 10 {
        let answer = second_step(&mut guesser, &wrong_code(&secret)).await;
        assert_eq!(answer.header("retry-after").is_empty(), answer.status != StatusCode::TOO_MANY_REQUESTS);
        answers.push(answer.status);
    }
    assert_eq!(answers[..5], [StatusCode::UNAUTHORIZED; 5]);
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{answers:?}");
    guesser.sign_in("operator", PASSWORD, "").await;
    let mut closed = false;
    for _ in 0..4 {
        let answer = second_step(&mut guesser, &wrong_code(&secret)).await;
        closed |= answer.status == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(closed, "the right password forgets no wrong code");

    let mut known = Browser::new(&hospital);
    known.sign_in("operator", PASSWORD, "").await;
    let mark = atomfeed_console::server::security::secrets::hash(
        &known.cookies.iter().find(|(name, _)| name == "atomfeed_browser").unwrap().1,
    );
    store.know_browser(&mark, "operator").await.unwrap();
    for _ in 0..10 {
        assert_eq!(second_step(&mut known, &wrong_code(&secret)).await.status, StatusCode::UNAUTHORIZED);
    }
    let over = second_step(&mut known, &code_of(&secret)).await;
    assert_eq!((over.status, known.session()), (StatusCode::UNAUTHORIZED, None));
    assert!(over.body.contains("too many codes were tried") && over.body.contains("/sign-in\""), "{}", over.body);
}

#[tokio::test]
async fn a_role_that_must_have_one_sets_it_up_at_sign_in() {
    let hospital = with_demand(&[Role::Administrator, Role::Operator]).await;
    let mut browser = Browser::new(&hospital);
    assert_eq!(browser.sign_in("viewer", PASSWORD, "").await.header("location"), "/atomfeed-console", "another role");
    let first = browser.sign_in("administrator", PASSWORD, "/audit").await;
    assert_eq!(first.header("location"), CODE);
    let page = browser.get("/sign-in/code").await;
    let secret = secret_on(&page);
    assert!(page.body.contains("must have a second factor") && page.body.contains("class=\"qr\""));
    assert_eq!(secret_on(&browser.get("/sign-in/code").await), secret, "the same when the page is loaded again");
    let wrong = second_step(&mut browser, &wrong_code(&secret)).await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.body.contains(&secret), "{}", wrong.body);
    let set = second_step(&mut browser, &code_of(&secret)).await;
    assert_eq!(set.header("location"), "/atomfeed-console/account/second-factor", "{}", set.body);
    let codes = browser.get("/account/second-factor").await;
    assert_eq!(between(&codes.body, "data-recovery-code").len(), 10);
    assert!(
        codes.body.contains("href=\"/atomfeed-console/audit\" class=\"button primary\""),
        "and on to where they wanted to go"
    );
    assert!(browser.get("/audit").await.status.is_success());
    let page = browser.get("/account").await;
    assert!(page.body.contains("it cannot be turned off") && !page.body.contains("end_second_factor"));
    next_step(&hospital).await;
    let off = browser.form("/api/end_second_factor", &[("password", PASSWORD), ("code", &code_of(&secret))]).await;
    assert_eq!(off.status, StatusCode::FORBIDDEN, "{}", off.body);

    // A user cannot set up an app on an account whose owner has done so meanwhile.
    let mut late = Browser::new(&hospital);
    late.sign_in("operator", PASSWORD, "").await;
    let own = secret_on(&late.get("/sign-in/code").await);
    let mut early = Browser::new(&hospital);
    early.sign_in("operator", PASSWORD, "").await;
    let secret = secret_on(&early.get("/sign-in/code").await);
    assert_ne!(own, secret);
    assert_eq!(second_step(&mut early, &code_of(&secret)).await.status, StatusCode::SEE_OTHER);
    let second = second_step(&mut late, &code_of(&own)).await;
    assert_eq!((second.status, late.session()), (StatusCode::UNAUTHORIZED, None), "{}", second.body);

    // A session that began before the role required a second factor does not continue.
    let store = &hospital.console.parts.store;
    let account = store.account("odoo-only").await.unwrap().unwrap();
    let secret = "0a".repeat(32);
    let hash = atomfeed_console::server::security::secrets::hash(&secret);
    let session = NewSession {
        hash: &hash,
        account: Some(account.id),
        name: "odoo-only",
        role: Role::Operator,
        address: "",
        browser: "",
        one_time: false,
    };
    assert!(store.begin_session(&session, None, TimeDelta::hours(1)).await.unwrap());
    let request = Request::get(format!("{BASE}/apps")).header(header::COOKIE, format!("atomfeed_session={secret}"));
    assert_eq!(hospital.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn of_two_set_ups_at_one_time_the_first_stays() {
    let hospital = with_accounts().await;
    let store = &hospital.console.parts.store;
    let account = store.account("operator").await.unwrap().unwrap().id;
    let secret = async || store.second_factor(account).await.unwrap().map(|factor| factor.secret);
    assert!(store.set_second_factor(account, b"first", 1, &[[1; 32]], &[], false).await.unwrap());
    assert!(!store.set_second_factor(account, b"second", 2, &[[2; 32]], &[], false).await.unwrap());
    assert_eq!(secret().await.as_deref(), Some(&b"first"[..]));
    assert!(store.take_recovery_code(account, &[1; 32]).await.unwrap(), "its recovery codes stay, too");
    // Another phone is set up by a user who has verified the first one.
    assert!(store.set_second_factor(account, b"third", 3, &[], &[], true).await.unwrap());
    assert_eq!(secret().await.as_deref(), Some(&b"third"[..]));
}

#[tokio::test]
async fn a_one_time_password_leads_through_the_second_factor_to_a_password_of_ones_own() {
    let hospital = with_demand(&[Role::Operator]).await;
    let (password, kept) =
        atomfeed_console::server::security::passwords::PasswordChecker::new().one_time().await.expect("a password");
    hospital.console.parts.store.set_password("operator", &kept, None).await.unwrap().unwrap();
    let mut browser = Browser::new(&hospital);
    let first = browser.sign_in("operator", &password, "/groups").await;
    assert_eq!(first.header("location"), CODE);
    let secret = secret_on(&browser.get("/sign-in/code").await);
    assert_eq!(second_step(&mut browser, &code_of(&secret)).await.status, StatusCode::SEE_OTHER);
    let codes = browser.get("/account/second-factor").await;
    assert_eq!(between(&codes.body, "data-recovery-code").len(), 10);
    assert_eq!(browser.get("/groups").await.header("location"), "/atomfeed-console/account", "the password first");
    let again = Browser::new(&hospital).sign_in("operator", &password, "").await;
    assert!(again.body.contains("This one-time password was already used"), "{}", again.body);
}

#[tokio::test]
async fn basic_is_refused_and_tokens_stay() {
    for demanded in [false, true] {
        let hospital = with_demand(if demanded { &[Role::Viewer] } else { &[] }).await;
        let mut browser = Browser::signed_in(&hospital, "operator").await;
        let token = make_token(&mut browser, &[("label", "x"), ("role", "viewer")]).await;
        let name = if demanded { "viewer" } else { "operator" };
        if !demanded {
            assert_eq!(
                script(&hospital, Method::GET, "/apps", Some(&basic(name, PASSWORD))).await.status,
                StatusCode::OK
            );
            set_up(&mut browser).await;
        }
        let refused = script(&hospital, Method::GET, "/apps", Some(&basic(name, PASSWORD))).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
        assert!(
            refused.body.contains("Basic cannot be used for") && refused.body.contains("Create a token"),
            "{}",
            refused.body
        );
        let wrong = script(&hospital, Method::GET, "/apps", Some(&basic(name, "not the password"))).await;
        assert!(!wrong.body.contains("second factor"), "who knows no password learns nothing: {}", wrong.body);
        let by_token = script(&hospital, Method::GET, "/apps", Some(&token)).await;
        assert_eq!(by_token.status, StatusCode::OK, "{}", by_token.body);
    }
}

#[tokio::test]
async fn an_administrator_resets_the_second_factor_of_somebody_else() {
    let hospital = with_accounts().await;
    let mut theirs = Browser::signed_in(&hospital, "operator").await;
    set_up(&mut theirs).await;
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let page = browser.get("/accounts").await;
    assert_eq!(page.body.matches("/api/reset_second_factor\"").count(), 1, "where there is one");
    let own = browser.form("/api/reset_second_factor", &[("name", "administrator")]).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "{}", own.body);
    let none = browser.form("/api/reset_second_factor", &[("name", "viewer")]).await;
    assert!(none.status == StatusCode::BAD_REQUEST && none.body.contains("has no second factor"), "{}", none.body);
    let nobody = browser.form("/api/reset_second_factor", &[("name", "nobody")]).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let reset = browser.form("/api/reset_second_factor", &[("name", "operator")]).await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER, "{}", reset.body);
    assert_eq!(
        on_record(&hospital, 1).await,
        [("account_changed".into(), "second factor of operator reset".into(), "done".into())]
    );
    assert!(theirs.get("/operations").await.header("location").starts_with("/atomfeed-console/sign-in"));
    assert_eq!(theirs.sign_in("operator", PASSWORD, "").await.header("location"), "/atomfeed-console");
}

#[tokio::test]
async fn one_turns_it_off_or_takes_another_phone_with_password_and_code() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "viewer").await;
    let (secret, codes) = set_up(&mut browser).await;
    for (path, code) in [("begin", ""), ("begin", wrong_code(&secret).as_str()), ("end", "")] {
        let refused =
            browser.form(&format!("/api/{path}_second_factor"), &[("password", PASSWORD), ("code", code)]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {code}");
        assert!(refused.body.contains("Nothing was changed"), "{}", refused.body);
    }
    let another = browser.form("/api/begin_second_factor", &[("password", PASSWORD), ("code", &codes[0])]).await;
    assert_eq!(another.status, StatusCode::SEE_OTHER, "{}", another.body);
    let new = secret_on(&browser.get("/account/second-factor").await);
    assert_ne!(new, secret);
    next_step(&hospital).await;
    let mut other = Browser::new(&hospital);
    other.sign_in("viewer", PASSWORD, "").await;
    assert_eq!(second_step(&mut other, &code_of(&secret)).await.status, StatusCode::SEE_OTHER, "until it is proved");
    assert_eq!(
        browser.form("/api/confirm_second_factor", &[("code", &code_of(&new))]).await.status,
        StatusCode::SEE_OTHER
    );
    next_step(&hospital).await;
    other.sign_in("viewer", PASSWORD, "").await;
    assert_eq!(second_step(&mut other, &code_of(&secret)).await.status, StatusCode::UNAUTHORIZED, "the old phone");
    assert_eq!(second_step(&mut other, &code_of(&new)).await.status, StatusCode::SEE_OTHER);
    next_step(&hospital).await;
    let off = browser.form("/api/end_second_factor", &[("password", PASSWORD), ("code", &code_of(&new))]).await;
    assert_eq!(off.header("location"), "/atomfeed-console/account", "{}", off.body);
    assert!(browser.get("/account").await.body.contains("Set up a second factor"), "the session goes on");
    // A page from before still has the forms.
    let turned_off = async || {
        let all = on_record(&hospital, 1_000).await;
        all.into_iter().filter(|(_, what, _)| what.contains("turned off") || what.contains("recovery codes")).count()
    };
    let before = turned_off().await;
    for late in ["end_second_factor", "new_recovery_codes"] {
        let told = browser.form(&format!("/api/{late}"), &[("password", PASSWORD), ("code", &code_of(&new))]).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{late}");
        assert!(told.body.contains("There is no second factor. Nothing was changed."), "{late}: {}", told.body);
    }
    assert_eq!(turned_off().await, before, "nothing was done, and nothing is on record as done");
    assert_eq!(other.sign_in("viewer", PASSWORD, "").await.header("location"), "/atomfeed-console");
}

#[tokio::test]
async fn without_the_key_codes_are_not_checked_and_nobody_is_locked_out_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("kept.db"), folder.path().join("kept.db.key"));
    let start = async || with(|config| config.store = file.clone()).await;
    let hospital = start().await;
    let (secret, codes) = set_up(&mut Browser::signed_in(&hospital, "operator").await).await;
    next_step(&hospital).await;
    hospital.console.parts.store.close().await;
    drop(hospital);
    let kept = std::fs::read(&key).unwrap();
    for (case, content) in [("missing", None), ("another", Some("0a".repeat(32))), ("broken", Some("x".to_owned()))] {
        std::fs::remove_file(&key).unwrap();
        if let Some(content) = &content {
            std::fs::write(&key, content).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let hospital = start().await;
        let mut browser = Browser::new(&hospital);
        assert_eq!(browser.sign_in("viewer", PASSWORD, "").await.header("location"), "/atomfeed-console", "{case}");
        browser.sign_in("operator", PASSWORD, "").await;
        let told = second_step(&mut browser, &code_of(&secret)).await;
        assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE, "{case}: {}", told.body);
        assert!(told.body.contains("the key of the second factors is missing"), "{case}: {}", told.body);
        assert!(!told.body.contains("kept.db"), "{case}: no path for strangers");
        let used = match case {
            "missing" => &codes[0],
            "another" => &codes[1],
            _ => &codes[2],
        };
        assert_eq!(second_step(&mut browser, used).await.status, StatusCode::SEE_OTHER, "{case}");
        if content.is_none() {
            assert!(!key.exists(), "a new key would hide that the old one is lost");
            std::fs::write(&key, "").unwrap();
        }
        // The key is restored while the console runs.
        std::fs::write(&key, &kept).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        next_step(&hospital).await;
        browser.sign_in("operator", PASSWORD, "").await;
        assert_eq!(second_step(&mut browser, &code_of(&secret)).await.status, StatusCode::SEE_OTHER, "{case}");
        next_step(&hospital).await;
        hospital.console.parts.store.close().await;
    }
}
