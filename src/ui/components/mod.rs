//! Parts that pages are made of, rendered by the server. They take model types, write no styles of their own (the look
//! is in `style/main.css`) and know no server.

mod applications_table;
mod badge;
mod chart;
mod concerns;
mod enrolment;
mod failed_since;
mod feed_links;
mod filters;
mod form_token;
mod icon;
mod life;
mod loaded;
mod map;
mod notice;
mod outcome;
mod pager;
mod payload;
mod plan_button;
mod problem;
mod row;
mod short_id;
mod time;
mod token_table;
mod trace;
mod values;

pub use applications_table::{ApplicationsTable, LookedAt, known};
pub use badge::{Badge, EventBadge, FeedBadge, ReachBadge};
pub use chart::{DayChart, OutcomeChart};
pub use concerns::Concerns;
pub use enrolment::{CodeField, EnrolmentShown};
pub use failed_since::{MOVES, Since, since_heading};
pub use feed_links::FeedLinks;
pub use filters::{Chips, FilterForm, TimeField};
pub use form_token::{FormToken, FormTold};
pub use icon::{Icon, Sprite};
pub use life::{Between, LifeBadge};
pub use loaded::loaded;
pub use map::SystemMap;
pub use notice::{Notice, NoticeKind};
pub use outcome::{Done, Outcome, SeenAtWork, outcome_kind};
pub use pager::Pager;
pub use payload::PayloadView;
pub use plan_button::{PlanButton, PlanOf, PlanSubmit, icon, word};
pub use problem::ProblemView;
pub use row::{EventRow, row_names};
pub use short_id::ShortId;
pub use time::{At, When, now};
pub use token_table::{TokenLine, TokenTable};
pub use trace::Trace;
pub use values::{NotHere, Number};

use leptos::prelude::use_context;

use crate::paths::Base;

/// The base path of this request. The shell provides it; while routes are only listed there is none.
pub fn use_base() -> Base {
    use_context::<Base>().unwrap_or_default()
}
