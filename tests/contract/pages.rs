//! What a page costs a database: every page that queries one leaves the connections as it found them.

use atomfeed_console::{
    model::{
        EventKey, RowId,
        filter::{Filter, ListQuery, Order, Place},
    },
    paths::Base,
};

use crate::{
    router::hospital::Hospital,
    support::{
        database::{Failed, MAX_RETRY, TestDatabase},
        proxy::Proxy,
    },
};

on!(mysql, Mysql, OpenMrs: a_page_gives_its_connection_back);
on!(postgres, Postgres, OpenElis: a_page_gives_its_connection_back);

/// A page that began to read and gave up would close its connection in the middle of a transaction: the server must
/// clean up, and the next page pays for a new connection.
async fn a_page_gives_its_connection_back(database: &mut TestDatabase) {
    let rows: Vec<_> = (1..=120).map(|id| Failed { retries: MAX_RETRY, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    let proxy = Proxy::to(database.app.database.port).await;
    let mut application = database.app.clone();
    application.database.port = proxy.port;
    // A connection whose encryption fails is opened once more, without.
    let each = if database.version.tls_is_too_old() { 2 } else { 1 };
    let most = (application.pool_size as usize + 1) * each;
    let app = application.info.key.clone();
    let hospital = Hospital::with(&[], &[], "", |config| config.applications = vec![application]).await;

    let base = Base::default();
    let by_id = Filter { apps: vec![app.clone()], order: Order::IdDown, ..Filter::default() };
    let list = |filter| ListQuery { filter, place: Place::default() };
    let pages = [
        base.failed_events(&ListQuery::default()),
        base.failed_events(&list(Filter { text: Some("nowhere".to_owned()), ..by_id.clone() })),
        base.failed_event(&EventKey { app: app.clone(), id: RowId(60) }, Some(&list(by_id.clone()))),
        base.failed_events(&list(by_id)),
        base.groups(false),
        base.operations(),
        base.discarded(None),
        base.application(&app),
    ];
    for page in pages.iter().cycle().take(10 * pages.len()) {
        assert_eq!(hospital.page(page).await.status, 200, "{page}");
    }
    // However many views: the connections of the pages, and one of a poll. Any further connection replaced a lost one.
    let made = proxy.connections();
    assert!(made <= most, "{made} connections were made for {} views", 10 * pages.len());
}
