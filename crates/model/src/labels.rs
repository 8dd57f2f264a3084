//! The labels that pages use for the states of failed events, in one place. In addresses, APIs and documents the states
//! keep their names (`word`). For feeds, see [`super::ShownState`].

use super::{
    EventState,
    ledger::{Asked, LifeState},
};

impl EventState {
    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        LifeState::from(self).label()
    }
}

impl LifeState {
    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            LifeState::Waiting => "Waiting for retry",
            LifeState::Exhausted => "Retries used up",
            LifeState::Unknown => "Unknown",
            LifeState::Resolved => "Resolved",
            LifeState::Gone => "Removed, reason unknown",
            LifeState::Discarded => "Discarded",
        }
    }
}

impl Asked {
    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            Asked::Requested => "Retry requested",
            Asked::FailedAgain => "Failed again",
            Asked::Overwritten => "Retry lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_read_the_labels_and_addresses_keep_the_names() {
        let named: Vec<_> = LifeState::ALL.map(|state| (state.word(), state.label())).into();
        assert_eq!(
            named,
            [
                ("waiting", "Waiting for retry"),
                ("exhausted", "Retries used up"),
                ("unknown", "Unknown"),
                ("resolved", "Resolved"),
                ("gone", "Removed, reason unknown"),
                ("discarded", "Discarded"),
            ]
        );
        assert_eq!(EventState::Exhausted.label(), LifeState::Exhausted.label());
    }
}
