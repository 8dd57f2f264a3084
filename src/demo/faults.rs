//! The faults of the demo hospital: where each occurs, what it is called, and how it is fixed.

use super::{System, history::Category};

/// A fault. Each is known from Bahmni's consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    PatientNotInElis,
    TestNotSetUp,
    PanelMissing,
    NoIdentifier,
    Gone,
    Forbidden,
    PublisherTimeout,
    PublisherDown,
    NotPublished,
    PatientNotInOdoo,
    OdooTimeout,
    OdooDown,
    OdooServerError,
    PreviousOrder,
    NoShop,
    OdooLogin,
    MissingConceptSource,
    NothingToCancel,
    ModalityRejects,
    ModalityDown,
    NoLocation,
    ConceptMissing,
    AccessionUnreadable,
    LoginPage,
}

/// Where a fault occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the publisher's response, to any consumer.
    Answer(System),
    /// In the consumer, when it processes an event of one of these categories; if empty, of any.
    Work(System, &'static [Category]),
    /// In the publisher's job that moves events from the queue to the feeds.
    Queue(System),
}

/// What users see of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    pub fault: Fault,
    /// The word in the demo's own database and in forms.
    pub word: &'static str,
    pub place: Place,
    /// The problem: a sentence.
    pub title: &'static str,
    /// Its effect: a sentence.
    pub effect: &'static str,
    /// The label of the button that ends it; `None`: it ends by itself, or never.
    pub fix: Option<&'static str>,
    /// The label of the button that starts it.
    pub begin: Option<&'static str>,
    /// If it concerns single records: how many of the next ones a new trouble catches. 0: it concerns everything.
    pub catches: i64,
}

const ENCOUNTERS: &[Category] = &[Category::Encounter];
const PATIENTS: &[Category] = &[Category::Patient];
const ACCESSIONS: &[Category] = &[Category::Accession];
const PRICED: &[Category] = &[Category::Lab, Category::Accession];

/// Every fault once.
pub(super) const STORIES: &[Story] = &[
    Story {
        fault: Fault::OdooDown,
        word: "odoo-down",
        place: Place::Work(System::Odoo, &[]),
        title: "Odoo is down.",
        effect: "All events that Odoo's consumer reads fail, and all retries fail, until Odoo is started.",
        fix: Some("Start Odoo"),
        begin: Some("Stop Odoo"),
        catches: 0,
    },
    Story {
        fault: Fault::OdooTimeout,
        word: "odoo-slow",
        place: Place::Work(System::Odoo, &[]),
        title: "Odoo is too slow.",
        effect: "Odoo's consumer stops waiting, and the events fail one after the other.",
        fix: Some("Make Odoo quick again"),
        begin: Some("Make Odoo slow"),
        catches: 0,
    },
    Story {
        fault: Fault::OdooLogin,
        word: "odoo-login",
        place: Place::Work(System::Odoo, &[]),
        title: "Odoo refuses the consumer's password.",
        effect: "All events that Odoo's consumer reads fail at the login.",
        fix: Some("Give the consumer the right password"),
        begin: Some("Change the consumer's password in Odoo"),
        catches: 0,
    },
    Story {
        fault: Fault::OdooServerError,
        word: "odoo-error",
        place: Place::Work(System::Odoo, &[]),
        title: "An addon of Odoo is broken.",
        effect: "Odoo answers every call with a server error.",
        fix: Some("Fix the addon"),
        begin: Some("Break an addon of Odoo"),
        catches: 0,
    },
    Story {
        fault: Fault::PatientNotInOdoo,
        word: "patient-not-in-odoo",
        place: Place::Work(System::Odoo, ENCOUNTERS),
        title: "Odoo does not know some patients.",
        effect: "Encounters of these patients fail in Odoo at every retry, until the patients' own events are retried and succeed, or the patients are added.",
        fix: Some("Add the patients to Odoo"),
        begin: None,
        catches: 3,
    },
    Story {
        fault: Fault::PreviousOrder,
        word: "previous-order",
        place: Place::Work(System::Odoo, ACCESSIONS),
        title: "Some orders revise one that has not arrived.",
        effect: "These events fail until the older event of the same record is retried and succeeds. There is nothing to fix: the order matters.",
        fix: None,
        begin: None,
        catches: 0,
    },
    Story {
        fault: Fault::NoShop,
        word: "no-shop",
        place: Place::Work(System::Odoo, PRICED),
        title: "An order type has no shop in Odoo.",
        effect: "Events of this type fail in Odoo until the type is matched to a shop.",
        fix: Some("Match the order type to a shop"),
        begin: Some("Forget to match the next order types"),
        catches: 4,
    },
    Story {
        fault: Fault::PublisherDown,
        word: "openmrs-down",
        place: Place::Answer(System::Openmrs),
        title: "OpenMRS is down.",
        effect: "No feed of OpenMRS can be read: nothing new fails, but nothing new arrives, and every retry fails.",
        fix: Some("Start OpenMRS"),
        begin: Some("Stop OpenMRS"),
        catches: 0,
    },
    Story {
        fault: Fault::NotPublished,
        word: "not-published",
        place: Place::Queue(System::Openmrs),
        title: "OpenMRS's publisher task is stopped.",
        effect: "New events stay in the queue of OpenMRS: they are on no feed, and no consumer reads them.",
        fix: Some("Start the publisher task"),
        begin: Some("Stop the publisher task of OpenMRS"),
        catches: 0,
    },
    Story {
        fault: Fault::PublisherTimeout,
        word: "openmrs-slow",
        place: Place::Answer(System::Openmrs),
        title: "OpenMRS is too slow.",
        effect: "The feeds can be read, but not the records: the events fail one after the other.",
        fix: Some("Make OpenMRS quick again"),
        begin: Some("Make OpenMRS slow"),
        catches: 0,
    },
    Story {
        fault: Fault::Gone,
        word: "gone",
        place: Place::Answer(System::Openmrs),
        title: "Some records were deleted in OpenMRS.",
        effect: "Any consumer that reads these records gets the answer 404. A retry succeeds after the records are restored.",
        fix: Some("Restore the records"),
        begin: Some("Delete the next record that is read"),
        catches: 1,
    },
    Story {
        fault: Fault::Forbidden,
        word: "forbidden",
        place: Place::Answer(System::Openmrs),
        title: "The consumers' account may not read some records of OpenMRS.",
        effect: "Any consumer that reads these records gets the answer 403.",
        fix: Some("Give the account the privilege"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::PatientNotInElis,
        word: "patient-not-in-openelis",
        place: Place::Work(System::Openelis, ENCOUNTERS),
        title: "OpenELIS does not know some patients.",
        effect: "Encounters of these patients fail in OpenELIS until the patients' own events are retried and succeed, or the patients are added.",
        fix: Some("Add the patients to OpenELIS"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::TestNotSetUp,
        word: "test-not-set-up",
        place: Place::Work(System::Openelis, ENCOUNTERS),
        title: "Some laboratory tests are not set up in OpenELIS.",
        effect: "Orders of these tests fail until the tests are set up.",
        fix: Some("Set up the tests"),
        begin: Some("Order tests that are not set up"),
        catches: 5,
    },
    Story {
        fault: Fault::PanelMissing,
        word: "panel-missing",
        place: Place::Work(System::Openelis, ENCOUNTERS),
        title: "Some panels do not exist in OpenELIS.",
        effect: "Orders of these panels fail until the panels are added.",
        fix: Some("Add the panels"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::NoIdentifier,
        word: "no-identifier",
        place: Place::Work(System::Openelis, PATIENTS),
        title: "Some patients have no primary identifier.",
        effect: "OpenELIS refuses these patients until they get an identifier.",
        fix: Some("Give the patients an identifier"),
        begin: Some("Register patients without an identifier"),
        catches: 2,
    },
    Story {
        fault: Fault::ModalityDown,
        word: "modality-down",
        place: Place::Work(System::Pacs, ENCOUNTERS),
        title: "The X-ray machine is off.",
        effect: "Orders cannot be sent to the machine until it is switched on.",
        fix: Some("Switch the machine on"),
        begin: Some("Switch the X-ray machine off"),
        catches: 0,
    },
    Story {
        fault: Fault::ModalityRejects,
        word: "modality-rejects",
        place: Place::Work(System::Pacs, ENCOUNTERS),
        title: "The X-ray machine rejects some procedures.",
        effect: "The machine does not know the codes: these orders fail until the codes are added.",
        fix: Some("Add the codes to the machine"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::MissingConceptSource,
        word: "no-concept-source",
        place: Place::Work(System::Pacs, ENCOUNTERS),
        title: "Some radiology orders have no concept source.",
        effect: "No message can be created for these orders until the concept dictionary is completed.",
        fix: Some("Complete the concept dictionary"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::NothingToCancel,
        word: "nothing-to-cancel",
        place: Place::Work(System::Pacs, ENCOUNTERS),
        title: "Some cancelled orders never reached the PACS.",
        effect: "There is nothing to cancel, so these events never succeed. There is no fix.",
        fix: None,
        begin: None,
        catches: 0,
    },
    Story {
        fault: Fault::NoLocation,
        word: "no-location",
        place: Place::Work(System::Pacs, ENCOUNTERS),
        title: "Some encounters have no location.",
        effect: "The PACS does not know the machine for these orders.",
        fix: Some("Enter the locations"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::ConceptMissing,
        word: "concept-missing",
        place: Place::Work(System::Openmrs, ACCESSIONS),
        title: "OpenMRS lacks the concepts of some laboratory tests.",
        effect: "Results of these tests fail in OpenMRS until the concepts are added.",
        fix: Some("Add the concepts"),
        begin: Some("Report results that OpenMRS has no concept for"),
        catches: 3,
    },
    Story {
        fault: Fault::AccessionUnreadable,
        word: "accession-unreadable",
        place: Place::Work(System::Openmrs, ACCESSIONS),
        title: "OpenELIS sends some results in a form that OpenMRS cannot read.",
        effect: "These results fail until OpenELIS sends complete texts.",
        fix: Some("Make OpenELIS send complete texts"),
        begin: None,
        catches: 2,
    },
    Story {
        fault: Fault::LoginPage,
        word: "login-page",
        place: Place::Answer(System::Openelis),
        title: "OpenELIS answers with its login page.",
        effect: "OpenMRS gets a page instead of results: the session of its account has ended.",
        fix: Some("Sign the account in again"),
        begin: Some("Sign OpenMRS's account out of OpenELIS"),
        catches: 0,
    },
];

impl Fault {
    pub fn story(self) -> &'static Story {
        // Every fault has one; a test checks it.
        STORIES.iter().find(|story| story.fault == self).unwrap_or(&STORIES[0])
    }

    /// Returns the fault of a word from the database or a form.
    pub fn of_word(word: &str) -> Option<Self> {
        STORIES.iter().find(|story| story.word == word).map(|story| story.fault)
    }

    /// Returns whether it can occur when this consumer processes an event of this category.
    pub fn shows_at_work(self, system: System, category: Category) -> bool {
        match self.story().place {
            Place::Work(of, categories) => of == system && (categories.is_empty() || categories.contains(&category)),
            Place::Answer(_) | Place::Queue(_) => false,
        }
    }

    /// Returns whether it can occur in a response of this publisher.
    pub fn shows_in_answers(self, system: System) -> bool {
        self.story().place == Place::Answer(system)
    }

    /// Returns whether it was an incident that is over, if it occurs in the demo's two weeks of history: its events
    /// succeed when retried.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Fault::OdooDown
                | Fault::OdooTimeout
                | Fault::OdooLogin
                | Fault::OdooServerError
                | Fault::PublisherDown
                | Fault::PublisherTimeout
                | Fault::ModalityDown
                | Fault::LoginPage
        )
    }
}

#[cfg(test)]
pub(super) const ALL: [Fault; 24] = [
    Fault::PatientNotInElis,
    Fault::TestNotSetUp,
    Fault::PanelMissing,
    Fault::NoIdentifier,
    Fault::Gone,
    Fault::Forbidden,
    Fault::PublisherTimeout,
    Fault::PublisherDown,
    Fault::NotPublished,
    Fault::PatientNotInOdoo,
    Fault::OdooTimeout,
    Fault::OdooDown,
    Fault::OdooServerError,
    Fault::PreviousOrder,
    Fault::NoShop,
    Fault::OdooLogin,
    Fault::MissingConceptSource,
    Fault::NothingToCancel,
    Fault::ModalityRejects,
    Fault::ModalityDown,
    Fault::NoLocation,
    Fault::ConceptMissing,
    Fault::AccessionUnreadable,
    Fault::LoginPage,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_one_story_and_a_word_of_its_own() {
        assert_eq!(STORIES.len(), ALL.len());
        for fault in ALL {
            assert_eq!(fault.story().fault, fault);
            assert_eq!(Fault::of_word(fault.story().word), Some(fault));
        }
        assert_eq!(Fault::of_word("nothing"), None);
    }

    #[test]
    fn what_a_person_can_begin_a_person_can_end() {
        for story in STORIES.iter().filter(|story| story.begin.is_some()) {
            assert!(story.fix.is_some(), "{}", story.word);
        }
    }

    #[test]
    fn a_fault_shows_where_it_belongs_and_nowhere_else() {
        assert!(Fault::OdooDown.shows_at_work(System::Odoo, Category::Drug));
        assert!(!Fault::OdooDown.shows_at_work(System::Pacs, Category::Encounter));
        assert!(!Fault::TestNotSetUp.shows_at_work(System::Openelis, Category::Patient));
        assert!(Fault::Gone.shows_in_answers(System::Openmrs) && !Fault::Gone.shows_in_answers(System::Openelis));
        assert!(!Fault::Gone.shows_at_work(System::Openelis, Category::Encounter));
    }
}
