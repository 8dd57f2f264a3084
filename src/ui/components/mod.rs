//! Parts of pages, rendered by the server. They accept model types, contain no styles (the appearance is in
//! `style/main.css`) and do not access the server.

mod application_choice;
mod applications_table;
mod badge;
mod called;
mod causes;
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
mod marked;
mod neighbours;
mod notice;
mod outcome;
mod pager;
mod payload;
mod plan_button;
mod problem;
mod row;
mod short_id;
mod ticket;
mod time;
mod token_table;
mod trace;
mod values;

pub use crate::clock::now;
pub use application_choice::ApplicationChoice;
pub use applications_table::{ApplicationStrip, ApplicationsTable, LookedAt, feed_states, known};
pub use badge::{Badge, EventBadge, FeedBadge, ReachBadge};
pub use called::Called;
pub use causes::TopCauses;
pub use chart::{DayChart, OutcomeChart};
pub use concerns::{Alerts, FeedLines, is_well, quiet_feeds};
pub use enrolment::{CodeField, EnrolmentShown};
pub use failed_since::{MOVES, Since, since_heading};
pub use feed_links::{FeedAction, FeedLinks, RetriesInProgress};
pub use filters::{Chips, FilterForm, TimeField};
pub use form_token::{
    Back, Field, FieldProblem, FieldTold, FormToken, FormTold, Told, field_id, field_told, here, title_of, typed_into,
};
pub use icon::{Icon, Sprite};
pub use life::{Between, LifeBadge};
pub use loaded::loaded;
pub use map::SystemMap;
pub use marked::{Marked, marked_name};
pub use neighbours::Neighbours;
pub use notice::{MissingParts, Notice, NoticeKind};
pub use outcome::{Done, Outcome, SeenAtWork, outcome_kind};
pub use pager::{Pager, Steps, search_further};
pub use payload::PayloadView;
pub use plan_button::{PlanButton, PlanOf, PlanSubmit, icon};
pub use problem::ProblemView;
pub use row::{EventRow, Marking, list_at, row_names};
pub use short_id::ShortId;
pub use ticket::{TicketText, ticket_of_event, ticket_time};
pub use time::{At, When, moment, use_reader};
pub use token_table::{TokenLine, TokenTable};
pub use trace::Trace;
pub use values::{NotHere, Number};

use leptos::prelude::use_context;

use crate::paths::Base;

/// Returns the base path of this request. The shell provides it; it is missing while routes are only listed.
pub fn use_base() -> Base {
    use_context::<Base>().unwrap_or_default()
}
