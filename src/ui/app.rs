//! The document, the layout around every page, and the routes.

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    hooks::{use_location, use_query_map, use_url},
    path,
};

use super::{
    components::{
        FormToken, Icon, Notice, NoticeKind, ProblemView, Sprite, field_id, here, moment, now, use_base, use_reader,
    },
    islands::{Live, PageTools},
    pages::{
        account::AccountPage, accounts::AccountsPage, application::ApplicationPage, applications::ApplicationsPage,
        audit::AuditPage, demo::DemoPage, discarded::DiscardedPage, failed_event::FailedEventPage,
        failed_events::FailedEventsPage, feed::FeedPageView, feeds::FeedsPage, group::GroupPage, groups::GroupsPage,
        help::HelpPage, history::HistoryPage, life::LifePage, not_found::NotFoundPage, operation::OperationPage,
        operations::OperationsPage, overview::OverviewPage, record::RecordPage, search::SearchPage,
        second_factor::SecondFactorPage, second_step::SecondStepPage, service_tokens::ServiceTokensPage,
        sign_in::SignInPage,
    },
    visitor::{FormProblem, SignsIn, Visitor, not_taken, use_visitor},
    words,
};
use crate::{
    error::Problem,
    model::{
        Person, Reader, Right, Theme,
        access::KnownBy,
        audit::AuditFilter,
        error_text::visible,
        filter::{PASTED, pairs},
        history::HistoryQuery,
    },
    paths::Base,
};

/// A problem to show in place of the page; in the context of a request that failed.
#[derive(Clone, Debug)]
pub struct PageProblem(pub Problem);

/// Escapes a title for the document. leptos_meta 0.8 does not escape it, and a title can contain text from a database.
fn document_title(title: String) -> String {
    format!("{} · Atomfeed Console", words::escaped(&title))
}

/// In the context of every page of the demo hospital.
#[derive(Clone, Copy, Debug)]
pub struct InDemoHospital {
    /// How many times faster than a real hospital; 0 if no consumer is running.
    pub pace: u32,
}

/// The hospital's name, in the context of every page if it is configured.
#[derive(Clone, Debug)]
pub struct HospitalName(pub String);

/// Returns the hospital's name as a part of a line, before a dot.
fn hospital() -> Option<String> {
    use_context::<HospitalName>().map(|HospitalName(name)| format!("{} · ", visible(&name)))
}

/// In the context of every page of a console that writes to no application.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnlyConsole;

/// The document. Style sheet and module come from the options' package folder, below the base path.
pub fn shell(options: LeptosOptions, base: Base) -> impl IntoView {
    let root = base.as_str().to_owned();
    let icon = base.asset("favicon.svg");
    let style = base.asset(&format!("{}/{}.css", options.site_pkg_dir, options.output_name));
    let path = base.as_str().to_owned();
    provide_context(base);
    let Reader { preferences, zone, zone_known } = use_reader();
    let schemes = match preferences.theme {
        Theme::Device => "light dark",
        theme => theme.word(),
    };
    let theme = (preferences.theme != Theme::Device).then(|| preferences.theme.word());
    let keys = (!preferences.letter_keys).then_some("off");
    let zone = zone_known.then(|| zone.name());
    let scripts = view! { <HydrationScripts options islands=true root /> };
    view! {
        <!DOCTYPE html>
        <html
            lang="en"
            data-base=path
            data-reader-zone=zone
            data-clock=preferences.clock.word()
            data-theme=theme
            data-keys=keys
        >
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content=schemes />
                <meta name="robots" content="noindex" />
                <link rel="icon" type="image/svg+xml" href=icon />
                <link rel="stylesheet" href=style />
                {scripts}
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// Layout and routes. Every page waits for its data, so that it is complete without JavaScript and has the correct
/// status.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=document_title text="Atomfeed Console" />
        <Sprite />
        <Router>
            <Header />
            <OpenBanner />
            <DemoBanner />
            <ReadOnlyBanner />
            <OnPaper />
            <main id="main" tabindex="-1">
                <NotDone />
                <NotTaken />
                <Routes fallback=PageOfProblem>
                    <Route path=path!("") view=OverviewPage ssr=SsrMode::Async />
                    <Route path=path!("applications") view=ApplicationsPage ssr=SsrMode::Async />
                    <Route path=path!("applications/:app") view=ApplicationPage ssr=SsrMode::Async />
                    <Route path=path!("applications/:app/feeds") view=FeedsPage ssr=SsrMode::Async />
                    <Route path=path!("applications/:app/feed") view=FeedPageView ssr=SsrMode::Async />
                    <Route path=path!("failed-events") view=FailedEventsPage ssr=SsrMode::Async />
                    <Route path=path!("failed-events/:app/:id") view=FailedEventPage ssr=SsrMode::Async />
                    <Route path=path!("audit") view=AuditPage ssr=SsrMode::Async />
                    <Route path=path!("groups") view=GroupsPage ssr=SsrMode::Async />
                    <Route path=path!("groups/:fault") view=GroupPage ssr=SsrMode::Async />
                    <Route path=path!("operations") view=OperationsPage ssr=SsrMode::Async />
                    <Route path=path!("operations/:id") view=OperationPage ssr=SsrMode::Async />
                    <Route path=path!("discarded") view=DiscardedPage ssr=SsrMode::Async />
                    <Route path=path!("history") view=HistoryPage ssr=SsrMode::Async />
                    <Route path=path!("history/:id") view=LifePage ssr=SsrMode::Async />
                    <Route path=path!("records/:app/:kind/:uuid") view=RecordPage ssr=SsrMode::Async />
                    <Route path=path!("search") view=SearchPage ssr=SsrMode::Async />
                    <Route path=path!("demo") view=DemoPage ssr=SsrMode::Async />
                    <Route path=path!("help") view=HelpPage ssr=SsrMode::Async />
                    <Route path=path!("sign-in") view=SignInPage ssr=SsrMode::Async />
                    <Route path=path!("sign-in/code") view=SecondStepPage ssr=SsrMode::Async />
                    <Route path=path!("account") view=AccountPage ssr=SsrMode::Async />
                    <Route path=path!("account/second-factor") view=SecondFactorPage ssr=SsrMode::Async />
                    <Route path=path!("accounts") view=AccountsPage ssr=SsrMode::Async />
                    <Route path=path!("service-tokens") view=ServiceTokensPage ssr=SsrMode::Async />
                </Routes>
            </main>
        </Router>
        <Footer />
        <PageTools />
        <Live address=use_base().events() />
    }
}

/// Printed only: which page this is, when it was printed, and by whom.
#[component]
fn OnPaper() -> impl IntoView {
    let visitor = use_visitor();
    let address = visible(&format!("{}{}{}", visitor.origin, use_base().as_str(), here()));
    let who = visitor.person.map(|person| format!(" · {}", visible(&person.name)));
    view! {
        <p class="on-paper">{hospital()} "Atomfeed Console · " {moment(now())} " " {use_reader().zone.name()} {who} " · " {address}</p>
    }
}

/// After signing in again: what the form was for that arrived after the end of the session, and that it was not
/// executed.
#[component]
fn NotDone() -> impl IntoView {
    let query = use_url().read_untracked().search().to_owned();
    let told = |wanted: &str| pairs(&query).any(|(key, _)| key == wanted);
    let what = pairs(&query).find(|(key, _)| key == "undone").map(|(_, what)| what);
    let signed_in = use_visitor().person.is_some();
    what.filter(|_| signed_in).map(|what| {
        let sentence = match what.as_str() {
            "retry" => "Your session had ended. The retry was not done, and nothing was changed.",
            "plan" => "Your session had ended. The plan was not created, and nothing was changed.",
            "start" => "Your session had ended. The operation was not started, and nothing was changed.",
            _ => "Your session had ended. What you sent was not saved, and nothing was changed.",
        };
        let ticked = told("chosen").then_some(" Your selection is restored where a retry is still possible.");
        let entered = matches!(what.as_str(), "form" | "start") && use_context::<FormProblem>().is_some();
        let entered = entered.then_some(" What you entered is restored: check it, then send it again.");
        view! {
            <Notice kind=NoticeKind::Warning>
                <p tabindex="-1" autofocus=true>
                    <strong>{sentence}</strong>
                    {ticked}
                    {entered}
                </p>
            </Notice>
        }
    })
}

/// Why the form of this page was refused: first on the page, with a link to the field concerned. If its session had
/// ended, [`NotDone`] says so.
#[component]
fn NotTaken() -> impl IntoView {
    let query = use_url().read_untracked().search().to_owned();
    let said = pairs(&query).any(|(key, _)| key == "undone");
    not_taken().filter(|_| !said).map(|(problem, _)| {
        let field = problem.field.clone().map(|field| {
            view! {
                " "
                <a href=format!("#{}", field_id(&field))>"Go to the field"</a>
            }
        });
        view! {
            <Notice kind=NoticeKind::Problem>
                <p tabindex="-1" autofocus=true data-outcome="">
                    <strong>{problem.what}</strong>
                    " "
                    {problem.todo}
                    {field}
                </p>
            </Notice>
        }
    })
}

/// Warns that the demo hospital is not a real one, and that its schedules are not real ones.
#[component]
fn DemoBanner() -> impl IntoView {
    let base = use_base();
    use_context::<InDemoHospital>().map(|InDemoHospital { pace }| {
        let told = match pace {
            0 => " Everything here is invented. No consumer is running: retries are requested but not processed. "
                .to_owned(),
            1 => " Everything here is invented. Its consumers are running. ".to_owned(),
            _ => {
                format!(" Everything here is invented. Its consumers are running, {pace} times as fast as real ones. ")
            }
        };
        view! {
            <aside class="demo" aria-label="Demo hospital">
                <strong>"Demo hospital."</strong>
                {told}
                <a href=base.demo()>"Simulate problems"</a>
            </aside>
        }
    })
}

/// Says once why all buttons that change something are disabled.
#[component]
fn ReadOnlyBanner() -> impl IntoView {
    use_context::<ReadOnlyConsole>().map(|ReadOnlyConsole| {
        view! {
            <aside class="demo" aria-label="Read-only console">
                <strong>"This console is read-only."</strong>
                " You can view everything and change nothing."
            </aside>
        }
    })
}

/// Warns on every page if there is no sign-in.
#[component]
fn OpenBanner() -> impl IntoView {
    let open = use_visitor().person.is_some_and(|person| person.known_by == KnownBy::Open);
    open.then(|| {
        view! {
            <aside class="demo open" aria-label="Open console">
                <strong>"Open to everyone."</strong>
                " There is no sign-in: anyone who can reach this address can see and do everything."
            </aside>
        }
    })
}

/// At an unknown address: the problem of the request, or that there is nothing here.
#[component]
fn PageOfProblem() -> impl IntoView {
    match use_context::<PageProblem>() {
        Some(PageProblem(problem)) => view! { <ProblemView problem=problem /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

/// Brand, main navigation and search.
#[component]
fn Header() -> impl IntoView {
    let base = use_base();
    let here = use_location().pathname.get_untracked();
    let visitor = use_visitor();
    // Users who are not signed in can open none of the other pages.
    let signed_in = visitor.person.is_some();
    let mut tabs = if signed_in {
        vec![
            ("Overview", base.overview(), "/"),
            ("Failed events", base.failed_events(&Default::default()), "/failed-events"),
            ("Groups", base.groups(false), "/groups"),
            ("Operations", base.operations(), "/operations"),
            ("History", base.history(&HistoryQuery::default()), "/history"),
            ("Applications", base.applications(), "/applications"),
        ]
    } else {
        Vec::new()
    };
    tabs.push(("Help", base.help(), "/help"));
    // Administrator pages come after the pages of daily work.
    let daily = tabs.len();
    let accounts = |person: &Person| person.known_by == KnownBy::Account && person.may(Right::Accounts);
    // With accounts, their page links to the service tokens.
    let service_tokens = |person: &Person| {
        person.known_by != KnownBy::Account && person.may(Right::Accounts) && person.applications.is_none()
    };
    if visitor.person.as_ref().is_some_and(|person| person.may(Right::Audit)) {
        tabs.push(("Audit", base.audit(&AuditFilter::default(), None), "/audit"));
    }
    if visitor.person.as_ref().is_some_and(accounts) {
        tabs.insert(daily, ("Accounts", base.accounts(), "/accounts"));
    }
    if visitor.person.as_ref().is_some_and(service_tokens) {
        tabs.insert(daily, ("Service tokens", base.service_tokens(), "/service-tokens"));
    }
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="top">
            <a class="brand" href=base.overview()>
                <Icon name="feed" />
                <span>"Atomfeed Console"</span>
            </a>
            <nav class="tabs" aria-label="Main">
                {tabs
                    .into_iter()
                    .enumerate()
                    .map(|(place, (text, href, path))| {
                        view! {
                            <a href=href class=(place == daily).then_some("apart") aria-current=current(&here, path)>
                                {text}
                            </a>
                        }
                    })
                    .collect_view()}
            </nav>
            {signed_in.then(|| view! { <SearchBox /> })} <Who visitor />
        </header>
    }
}

/// The search field for everything.
#[component]
fn SearchBox() -> impl IntoView {
    let base = use_base();
    let searched = use_query_map().read_untracked().get("q").unwrap_or_default();
    view! {
        // Posted: an identifier or a name must not be in an address.
        <form class="search" role="search" method="post" action=base.function("start_search")>
            <FormToken />
            <label class="unseen" for="search">"Search"</label>
            <input
                id="search"
                type="search"
                name="q"
                maxlength=PASTED.to_string()
                value=searched
                placeholder="Order, id, error"
                title="An identifier of a patient, an order number, an id, a row such as Odoo 1125, or text of an error"
                aria-keyshortcuts="/"
            />
            <button type="submit" aria-label="Search">
                <Icon name="search" />
            </button>
        </form>
    }
    .into_any()
}

/// The signed-in user, and the sign-out button.
#[component]
fn Who(visitor: Visitor) -> impl IntoView {
    let base = use_base();
    let signs_out = visitor.signs_in != SignsIn::Nowhere;
    match visitor.person {
        Some(person) if person.known_by == KnownBy::Open => view! {
            <div class="who">
                <a href=base.account()>"Preferences"</a>
            </div>
        }
        .into_any(),
        Some(person) => view! {
            <div class="who" data-who=visible(&person.name)>
                <a href=base.account() title="Your account">
                    {visible(&person.name)} " " <span class="role">{person.role.word()}</span>
                </a>
                {signs_out
                    .then(|| {
                        view! {
                            <form method="post" action=base.function("sign_out")>
                                <FormToken />
                                <button type="submit">"Sign out"</button>
                            </form>
                        }
                    })}
            </div>
        }
        .into_any(),
        None if signs_out => view! {
            <div class="who">
                <a href=base.sign_in(None)>"Sign in"</a>
            </div>
        }
        .into_any(),
        None => ().into_any(),
    }
}

/// The `aria-current` value of a tab: `page` for its own page, `true` for a page below it.
fn current(here: &str, tab: &str) -> Option<&'static str> {
    let here = here.trim_end_matches('/');
    let tab = tab.trim_end_matches('/');
    if here == tab {
        Some("page")
    } else if !tab.is_empty() && here.strip_prefix(tab).is_some_and(|rest| rest.starts_with('/')) {
        Some("true")
    } else {
        None
    }
}

#[component]
fn Footer() -> impl IntoView {
    view! {
        <footer class="foot">
            <p>{hospital()} "Atomfeed Console " {env!("CARGO_PKG_VERSION")}</p>
            <p id="zone-note">{format!("Times are in {}.", use_reader().zone.name())}</p>
        </footer>
    }
}

#[cfg(test)]
mod tests {
    use super::current;

    #[test]
    fn one_tab_at_a_time_is_current() {
        for (here, tab, mark) in [
            ("/", "/", Some("page")),
            ("", "/", Some("page")),
            ("/applications", "/", None),
            ("/applications", "/applications", Some("page")),
            ("/applications/", "/applications", Some("page")),
            ("/applications/odoo", "/applications", Some("true")),
            ("/failed-events/odoo/7", "/failed-events", Some("true")),
            ("/failed-events-of-old", "/failed-events", None),
        ] {
            assert_eq!(current(here, tab), mark, "{here} under {tab}");
        }
    }
}
