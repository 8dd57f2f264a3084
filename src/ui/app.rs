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
    components::{FormToken, Icon, Notice, NoticeKind, ProblemView, Sprite, use_base},
    islands::{Live, PageTools},
    pages::{
        account::AccountPage, accounts::AccountsPage, application::ApplicationPage, applications::ApplicationsPage,
        audit::AuditPage, demo::DemoPage, discarded::DiscardedPage, failed_event::FailedEventPage,
        failed_events::FailedEventsPage, group::GroupPage, groups::GroupsPage, help::HelpPage, history::HistoryPage,
        life::LifePage, not_found::NotFoundPage, operation::OperationPage, operations::OperationsPage,
        overview::OverviewPage, second_factor::SecondFactorPage, second_step::SecondStepPage,
        service_tokens::ServiceTokensPage, sign_in::SignInPage,
    },
    visitor::{SignsIn, Visitor, use_visitor},
    words,
};
use crate::{
    error::Problem,
    model::{
        Person, Right,
        access::KnownBy,
        audit::AuditFilter,
        error_text::visible,
        filter::{PASTED, pairs},
        history::HistoryQuery,
    },
    paths::Base,
};

/// A problem that is to be shown in the place of the page; in the context of a request that ended in one.
#[derive(Clone, Debug)]
pub struct PageProblem(pub Problem);

/// A title as it is written into the document. leptos_meta 0.8 writes it there as it comes, and a title can hold what a
/// database holds.
fn document_title(title: String) -> String {
    format!("{} · Atomfeed Console", words::escaped(&title))
}

/// In the context of every page of the demo hospital.
#[derive(Clone, Copy, Debug)]
pub struct InDemoHospital {
    /// How many times faster than a real hospital; 0: nobody is at work.
    pub pace: u32,
}

/// In the context of every page of a console that writes to no application.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnlyConsole;

/// The document. Style sheet and module come from the options' package folder, below the base path.
pub fn shell(options: LeptosOptions, base: Base) -> impl IntoView {
    let root = base.as_str().to_owned();
    let icon = base.asset("favicon.svg");
    let style = base.asset(&format!("{}/{}.css", options.site_pkg_dir, options.output_name));
    provide_context(base);
    let scripts = view! { <HydrationScripts options islands=true root /> };
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
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

/// Layout and routes. Every page waits for its data, so that it is whole without JavaScript and has a true status.
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
            <main id="main" tabindex="-1">
                <NotDone />
                <Routes fallback=PageOfProblem>
                    <Route path=path!("") view=OverviewPage ssr=SsrMode::Async />
                    <Route path=path!("applications") view=ApplicationsPage ssr=SsrMode::Async />
                    <Route path=path!("applications/:app") view=ApplicationPage ssr=SsrMode::Async />
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

/// After signing in again: what a form that met the end of a session was for, and that it was not done.
#[component]
fn NotDone() -> impl IntoView {
    let query = use_url().read_untracked().search().to_owned();
    let told = |wanted: &str| pairs(&query).any(|(key, _)| key == wanted);
    let what = pairs(&query).find(|(key, _)| key == "undone").map(|(_, what)| what);
    let signed_in = use_visitor().person.is_some();
    what.filter(|_| signed_in).map(|what| {
        let sentence = match what.as_str() {
            "retry" => "Your session had ended, and the retry was not done. Nothing was changed.",
            "plan" => "Your session had ended, and the plan was not made. Nothing was changed.",
            "start" => "Your session had ended, and the operation was not started. Nothing was changed.",
            _ => "Your session had ended, and what you sent was not taken. Nothing was changed.",
        };
        let ticked = told("chosen").then_some(" What you had ticked is ticked again, if it can still be retried.");
        view! {
            <Notice kind=NoticeKind::Warning>
                <p tabindex="-1" autofocus=true>
                    <strong>{sentence}</strong>
                    {ticked}
                </p>
            </Notice>
        }
    })
}

/// Nobody must take the demo hospital for a real one, or its schedules for those of one.
#[component]
fn DemoBanner() -> impl IntoView {
    let base = use_base();
    use_context::<InDemoHospital>().map(|InDemoHospital { pace }| {
        let told = match pace {
            0 => " Everything here is invented. Nobody is at work in it: what you retry is reset, and then waits. "
                .to_owned(),
            1 => " Everything here is invented. Its consumers are at work. ".to_owned(),
            _ => {
                format!(" Everything here is invented. Its consumers are at work, {pace} times as fast as real ones. ")
            }
        };
        view! {
            <aside class="demo" aria-label="Demo hospital">
                <strong>"Demo hospital."</strong>
                {told}
                <a href=base.demo()>"Break and mend things in it"</a>
            </aside>
        }
    })
}

/// Why every button that would change something is off, said once.
#[component]
fn ReadOnlyBanner() -> impl IntoView {
    use_context::<ReadOnlyConsole>().map(|ReadOnlyConsole| {
        view! {
            <aside class="demo" aria-label="Read-only console">
                <strong>"This console is read-only."</strong>
                " Its configuration allows no action on any application: you can look at everything and change nothing."
            </aside>
        }
    })
}

/// Where nobody signs in, everybody is told so, on every page.
#[component]
fn OpenBanner() -> impl IntoView {
    let open = use_visitor().person.is_some_and(|person| person.known_by == KnownBy::Open);
    open.then(|| {
        view! {
            <aside class="demo open" aria-label="Open console">
                <strong>"Open to everybody."</strong>
                " Nobody signs in here: whoever reaches this address sees everything and can do everything."
            </aside>
        }
    })
}

/// Where no page is: the problem that the request ended in, or that there is nothing here.
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
    let list = base.failed_events(&Default::default());
    let here = use_location().pathname.get_untracked();
    let searched = use_query_map().read_untracked().get("q").unwrap_or_default();
    let visitor = use_visitor();
    let mut tabs = vec![
        ("Overview", base.overview(), "/"),
        ("Failed events", list.clone(), "/failed-events"),
        ("Groups", base.groups(false), "/groups"),
        ("Applications", base.applications(), "/applications"),
        ("History", base.history(&HistoryQuery::default()), "/history"),
        ("Operations", base.operations(), "/operations"),
        ("Help", base.help(), "/help"),
    ];
    let accounts = |person: &Person| person.known_by == KnownBy::Account && person.may(Right::Accounts);
    // Where there are accounts, their page leads to it.
    let service_tokens = |person: &Person| {
        person.known_by != KnownBy::Account && person.may(Right::Accounts) && person.applications.is_none()
    };
    if visitor.person.as_ref().is_some_and(|person| person.may(Right::Audit)) {
        tabs.insert(4, ("Audit", base.audit(&AuditFilter::default(), None), "/audit"));
    }
    if visitor.person.as_ref().is_some_and(accounts) {
        tabs.insert(4, ("Accounts", base.accounts(), "/accounts"));
    }
    if visitor.person.as_ref().is_some_and(service_tokens) {
        tabs.insert(4, ("Service tokens", base.service_tokens(), "/service-tokens"));
    }
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="top">
            <a class="brand" href=base.overview()>
                <Icon name="feed" />
                "Atomfeed Console"
            </a>
            <nav class="tabs" aria-label="Main">
                {tabs
                    .into_iter()
                    .map(|(text, href, path)| {
                        view! {
                            <a href=href aria-current=current(&here, path)>
                                {text}
                            </a>
                        }
                    })
                    .collect_view()}
            </nav>
            <form class="search" role="search" method="get" action=list>
                <label class="unseen" for="search">"Search failed events"</label>
                <input
                    id="search"
                    type="search"
                    name="q"
                    maxlength=PASTED.to_string()
                    value=searched
                    placeholder="Event id, title, payload or error"
                    aria-keyshortcuts="/"
                />
                <button type="submit" aria-label="Search">
                    <Icon name="search" />
                </button>
            </form>
            <Who visitor />
        </header>
    }
}

/// Who is signed in, and the way out.
#[component]
fn Who(visitor: Visitor) -> impl IntoView {
    let base = use_base();
    let signs_out = visitor.signs_in != SignsIn::Nowhere;
    match visitor.person {
        Some(person) if person.known_by == KnownBy::Open => ().into_any(),
        Some(person) => view! {
            <div class="who">
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

/// How a tab stands to the page shown: `page` for its own, `true` for one below it.
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
            <p>"Atomfeed Console " {env!("CARGO_PKG_VERSION")}</p>
            <p id="zone-note">"Times are in UTC."</p>
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
