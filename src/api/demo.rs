//! The demo hospital: what is wrong in it, and the buttons that break and mend. Only where the console runs on it.

use leptos::{prelude::*, server_fn::codec::GetUrl};

use crate::{error::Problem, model::demo::DemoHospital};

/// What the demo hospital's page shows.
#[server(prefix = "/api", input = GetUrl, endpoint = "demo_hospital")]
pub async fn view_demo_hospital() -> Result<DemoHospital, Problem> {
    super::hospital()?.view().await
}

/// Ends a trouble of the demo hospital.
#[server(prefix = "/api", endpoint = "demo_mend")]
pub async fn mend(trouble: i64) -> Result<(), Problem> {
    super::hospital()?.mend(trouble).await?;
    super::go_to(&super::console()?.parts.config.base.demo());
    Ok(())
}

/// Begins a trouble of the demo hospital, by its word.
#[server(prefix = "/api", endpoint = "demo_break")]
pub async fn break_something(what: String) -> Result<(), Problem> {
    super::hospital()?.break_something(&what).await?;
    super::go_to(&super::console()?.parts.config.base.demo());
    Ok(())
}
