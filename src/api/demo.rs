//! The demo hospital: its present troubles, and the buttons that start and fix them. Available only if the console runs
//! on the demo.

use leptos::{prelude::*, server_fn::codec::GetUrl};

#[cfg(feature = "ssr")]
use crate::model::{Right, audit::AuditKind};
use crate::{error::Problem, model::demo::DemoHospital};

/// Returns what the demo hospital's page shows.
#[server(prefix = "/api", input = GetUrl, endpoint = "demo_hospital")]
pub async fn view_demo_hospital() -> Result<DemoHospital, Problem> {
    super::hospital(Right::See)?.view().await
}

/// Ends a trouble of the demo hospital.
#[server(prefix = "/api", endpoint = "demo_mend")]
pub async fn fix(trouble: i64) -> Result<(), Problem> {
    let hospital = super::hospital(Right::Retry)?;
    let known = hospital.view().await?.troubles.into_iter().find(|known| known.id == trouble);
    record(AuditKind::DemoFixed, known.map_or_else(|| format!("trouble {trouble}"), |known| known.title)).await?;
    hospital.fix(trouble).await?;
    super::go_to(&super::console()?.parts.config.base.demo());
    Ok(())
}

/// Starts a trouble of the demo hospital, named by its word.
#[server(prefix = "/api", endpoint = "demo_break")]
pub async fn break_something(what: String) -> Result<(), Problem> {
    let hospital = super::hospital(Right::Retry)?;
    let known = hospital.view().await?.breakages.into_iter().find(|known| known.word == what);
    record(AuditKind::DemoBroken, known.map_or_else(|| what.clone(), |known| known.label)).await?;
    hospital.break_something(&what).await?;
    super::go_to(&super::console()?.parts.config.base.demo());
    Ok(())
}

/// Records who starts or fixes which trouble, before it is done.
#[cfg(feature = "ssr")]
async fn record(kind: AuditKind, what: String) -> Result<(), Problem> {
    super::console()?.parts.audit.record(super::actor()?.entry(kind).what(what)).await.map(drop)
}
