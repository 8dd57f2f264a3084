//! Error texts of the demo hospital: the known faults of Bahmni's consumers, with the length and shape of real ones.

use std::fmt::Write;

use super::{System, faults::Fault};

/// The width of `error_message`.
const COLUMN_CHARS: usize = 4000;

/// What an error text is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The uuid of the record.
    pub record: String,
    /// A number to distinguish orders.
    pub number: u32,
    /// The name of the patient, or of the panel.
    pub name: Option<String>,
    /// The system that could not process it.
    pub reader: System,
}

/// One exception: class, message, frames.
struct Level {
    class: &'static str,
    message: String,
    frames: Vec<&'static str>,
}

const RUNTIME: &str = "java.lang.RuntimeException";
const WEB_CLIENTS: &str = "org.bahmni.webclients.WebClientsException";
const LIMS: &str = "us.mn.state.health.lims.common.exception.LIMSRuntimeException";

const THREAD_POOL: &[&str] = &[
    "java.util.concurrent.Executors$RunnableAdapter.call(Executors.java:511)",
    "java.util.concurrent.FutureTask.runAndReset(FutureTask.java:308)",
    "java.util.concurrent.ScheduledThreadPoolExecutor$ScheduledFutureTask.access$301(ScheduledThreadPoolExecutor.java:180)",
    "java.util.concurrent.ScheduledThreadPoolExecutor$ScheduledFutureTask.run(ScheduledThreadPoolExecutor.java:294)",
    "java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1149)",
    "java.util.concurrent.ThreadPoolExecutor$Worker.run(ThreadPoolExecutor.java:624)",
    "java.lang.Thread.run(Thread.java:748)",
];
const REFLECTION: &[&str] = &[
    "sun.reflect.GeneratedMethodAccessor112.invoke(Unknown Source)",
    "sun.reflect.DelegatingMethodAccessorImpl.invoke(DelegatingMethodAccessorImpl.java:43)",
    "java.lang.reflect.Method.invoke(Method.java:498)",
];
const SPRING: &[&str] = &[
    "org.springframework.aop.support.AopUtils.invokeJoinpointUsingReflection(AopUtils.java:302)",
    "org.springframework.aop.framework.ReflectiveMethodInvocation.proceed(ReflectiveMethodInvocation.java:157)",
    "org.springframework.transaction.interceptor.TransactionInterceptor.invoke(TransactionInterceptor.java:96)",
    "org.springframework.aop.framework.JdkDynamicAopProxy.invoke(JdkDynamicAopProxy.java:207)",
];
const SCHEDULED: &[&str] = &[
    "org.springframework.scheduling.support.ScheduledMethodRunnable.run(ScheduledMethodRunnable.java:84)",
    "org.springframework.scheduling.support.DelegatingErrorHandlingRunnable.run(DelegatingErrorHandlingRunnable.java:54)",
    "org.springframework.scheduling.concurrent.ReschedulingRunnable.run(ReschedulingRunnable.java:93)",
];
const QUARTZ: &[&str] = &[
    "org.quartz.core.JobRunShell.run(JobRunShell.java:202)",
    "org.quartz.simpl.SimpleThreadPool$WorkerThread.run(SimpleThreadPool.java:573)",
];
const CLIENT: &[&str] = &[
    "org.ict4h.atomfeed.client.service.AtomFeedClient$1.execute(AtomFeedClient.java:84)",
    "org.ict4h.atomfeed.client.service.AtomFeedClient.processEvents(AtomFeedClient.java:69)",
];
const HTTP: &[&str] = &[
    "org.bahmni.webclients.HttpClient.get(HttpClient.java:64)",
    "org.bahmni.webclients.HttpClient.get(HttpClient.java:110)",
];
const HTTP_LIBRARY: &[&str] = &[
    "org.apache.http.impl.execchain.MainClientExec.establishRoute(MainClientExec.java:380)",
    "org.apache.http.impl.execchain.MainClientExec.execute(MainClientExec.java:236)",
    "org.apache.http.impl.execchain.ProtocolExec.execute(ProtocolExec.java:184)",
    "org.apache.http.impl.execchain.RetryExec.execute(RetryExec.java:88)",
    "org.apache.http.impl.execchain.RedirectExec.execute(RedirectExec.java:110)",
    "org.apache.http.impl.client.InternalHttpClient.doExecute(InternalHttpClient.java:184)",
    "org.apache.http.impl.client.CloseableHttpClient.execute(CloseableHttpClient.java:82)",
];
const HIBERNATE: &[&str] = &[
    "org.hibernate.loader.Loader.doQueryAndInitializeNonLazyCollections(Loader.java:259)",
    "org.hibernate.loader.Loader.doList(Loader.java:2228)",
    "org.hibernate.loader.Loader.listIgnoreQueryCache(Loader.java:2125)",
    "org.hibernate.loader.hql.QueryLoader.list(QueryLoader.java:401)",
    "org.hibernate.hql.ast.QueryTranslatorImpl.list(QueryTranslatorImpl.java:363)",
    "org.hibernate.impl.SessionImpl.list(SessionImpl.java:1149)",
    "org.hibernate.impl.QueryImpl.list(QueryImpl.java:102)",
    "us.mn.state.health.lims.patient.daoimpl.PatientDAOImpl.getPatientByUUID(PatientDAOImpl.java:412)",
];
const SOCKET: &[&str] = &[
    "java.net.SocketInputStream.socketRead0(Native Method)",
    "java.net.SocketInputStream.read(SocketInputStream.java:171)",
    "org.apache.http.impl.io.SessionInputBufferImpl.streamRead(SessionInputBufferImpl.java:139)",
];
const CONNECT: &[&str] = &[
    "java.net.PlainSocketImpl.socketConnect(Native Method)",
    "java.net.AbstractPlainSocketImpl.doConnect(AbstractPlainSocketImpl.java:350)",
    "java.net.SocksSocketImpl.connect(SocksSocketImpl.java:392)",
    "java.net.Socket.connect(Socket.java:607)",
];

/// Returns the outer frames of the application that fails: each runs its jobs differently.
fn outer(work: &[&'static str], reader: System) -> Vec<&'static str> {
    let transaction: &[&str] = match reader {
        System::Openelis => &[
            "org.bahmni.feed.openelis.feed.transaction.support.AtomFeedHibernateTransactionManager.executeWithTransaction(AtomFeedHibernateTransactionManager.java:51)",
        ],
        System::Odoo | System::Pacs => &[
            "org.bahmni.module.common.AtomFeedSpringTransactionManager.executeWithTransaction(AtomFeedSpringTransactionManager.java:44)",
        ],
        System::Openmrs => &[
            "org.openmrs.module.atomfeed.transaction.support.AtomFeedSpringTransactionManager.executeWithTransaction(AtomFeedSpringTransactionManager.java:28)",
        ],
    };
    let job: &[&str] = match reader {
        System::Openelis => QUARTZ,
        System::Odoo | System::Pacs | System::Openmrs => SCHEDULED,
    };
    let parts = match reader {
        System::Openelis => [work, transaction, CLIENT, REFLECTION, job],
        System::Odoo | System::Pacs | System::Openmrs => [work, transaction, CLIENT, SPRING, job],
    };
    let mut frames: Vec<&str> = parts.concat();
    frames.extend(REFLECTION);
    frames.extend(THREAD_POOL);
    frames
}

const ELIS_ENCOUNTER: &[&str] = &[
    "org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)",
    "org.bahmni.feed.openelis.feed.event.OpenElisEventWorker.process(OpenElisEventWorker.java:40)",
];
const ODOO_POST: &[&str] = &[
    "org.bahmni.openerp.web.client.strategy.implementation.OdooRESTClient.post(OdooRESTClient.java:98)",
    "org.bahmni.feed.openerp.worker.OpenERPOrdersServiceEventWorker.process(OpenERPOrdersServiceEventWorker.java:61)",
];
const ODOO_WORK: &[&str] = &[
    "org.bahmni.feed.openerp.worker.OpenERPOrdersServiceEventWorker.process(OpenERPOrdersServiceEventWorker.java:55)",
];
const PACS_WORKER: &[&str] =
    &["org.bahmni.module.pacsintegration.atomfeed.worker.EncounterFeedWorker.process(EncounterFeedWorker.java:47)"];
const OPENMRS_WORKER: &[&str] = &[
    "org.bahmni.module.elisatomfeedclient.api.worker.OpenElisAccessionEventWorker.process(OpenElisAccessionEventWorker.java:97)",
];

fn level(class: &'static str, message: impl Into<String>, frames: &[&[&'static str]]) -> Level {
    Level { class, message: message.into(), frames: frames.concat() }
}

/// Returns message and printed trace of a fault, not truncated yet.
pub(super) fn compose(fault: Fault, subject: &Subject) -> String {
    print(&levels(fault, subject))
}

/// Formats like Java: every cause in full, then the number of frames it shares with the enclosing one.
fn print(levels: &[Level]) -> String {
    let mut text = String::with_capacity(4096);
    let mut shared = 0;
    for (index, level) in levels.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match index {
            0 => write!(text, "{}{}: {}", level.message, level.class, level.message),
            _ => write!(text, "Caused by: {}: {}", level.class, level.message),
        };
        text.push('\n');
        for frame in &level.frames {
            let _ = writeln!(text, "\tat {frame}");
        }
        if index > 0 {
            let _ = writeln!(text, "\t... {shared} more");
        }
        shared = if index == 0 { level.frames.len() } else { shared + level.frames.len() };
    }
    text
}

fn levels(fault: Fault, subject: &Subject) -> Vec<Level> {
    match fault {
        // What is not published fails nowhere.
        Fault::Gone | Fault::Forbidden | Fault::PublisherTimeout | Fault::PublisherDown | Fault::NotPublished => {
            over_http(fault, subject.reader)
        }
        Fault::PatientNotInElis | Fault::TestNotSetUp | Fault::PanelMissing | Fault::NoIdentifier => {
            elis(fault, subject)
        }
        Fault::PatientNotInOdoo
        | Fault::OdooTimeout
        | Fault::OdooDown
        | Fault::OdooServerError
        | Fault::PreviousOrder
        | Fault::NoShop
        | Fault::OdooLogin => odoo(fault),
        Fault::MissingConceptSource
        | Fault::NothingToCancel
        | Fault::ModalityRejects
        | Fault::ModalityDown
        | Fault::NoLocation => pacs(fault, subject),
        Fault::ConceptMissing | Fault::AccessionUnreadable | Fault::LoginPage => openmrs(fault, subject),
    }
}

fn elis(fault: Fault, subject: &Subject) -> Vec<Level> {
    let uuid = &subject.record;
    let said = match fault {
        Fault::TestNotSetUp => format!(
            "Test '{uuid}' was not setup properly. No external reference for Test with uuid '{uuid}' found in external_reference table"
        ),
        Fault::PanelMissing => {
            format!("{} panel doesn't exist", subject.name.as_deref().unwrap_or("Thyroid Profile"))
        }
        Fault::NoIdentifier => {
            let name = subject.name.as_deref().unwrap_or("Demo Person");
            format!("Preferred or Primary identifier is not available for the patient: {name}")
        }
        _ => format!("Patient with uuid '{uuid}' not found in ELIS"),
    };
    let wrapped = format!("{LIMS}: {said}");
    vec![
        Level { class: RUNTIME, message: wrapped, frames: outer(&[], System::Openelis) },
        level(LIMS, said.clone(), &[ELIS_ENCOUNTER]),
        level(
            RUNTIME,
            said,
            &[
                HIBERNATE,
                &[
                    "org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.getPatient(EncounterFeedProcessor.java:298)",
                    "org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.process(EncounterFeedProcessor.java:110)",
                ],
            ],
        ),
    ]
}

/// Returns the levels of a failed call to the publisher.
fn over_http(fault: Fault, reader: System) -> Vec<Level> {
    // OpenMRS reads from OpenELIS, all others from OpenMRS.
    let (host, address) = if reader == System::Openmrs {
        ("openelis:8052", "openelis/10.99.0.9")
    } else {
        ("openmrs:8080", "openmrs/10.99.0.8")
    };
    let (said, cause) = match fault {
        Fault::Gone => ("Bad response code of 404".to_owned(), None),
        Fault::Forbidden => ("Bad response code of 403".to_owned(), None),
        Fault::PublisherDown => {
            let said = format!("Connect to {host} [{address}] failed: Connection refused");
            let cause = level("java.net.ConnectException", "Connection refused (Connection refused)", &[CONNECT]);
            (format!("org.apache.http.conn.HttpHostConnectException: {said}"), Some(cause))
        }
        _ => {
            let cause = level("java.net.SocketTimeoutException", "Read timed out", &[SOCKET, HTTP_LIBRARY]);
            ("java.net.SocketTimeoutException: Read timed out".to_owned(), Some(cause))
        }
    };
    let work = match reader {
        System::Openelis => ELIS_ENCOUNTER,
        System::Odoo => ODOO_WORK,
        System::Pacs => PACS_WORKER,
        System::Openmrs => OPENMRS_WORKER,
    };
    let mut levels = vec![
        Level { class: RUNTIME, message: format!("{WEB_CLIENTS}: {said}"), frames: outer(&[], reader) },
        level(WEB_CLIENTS, said, &[HTTP, HTTP_LIBRARY, work]),
    ];
    levels.extend(cause);
    levels
}

fn odoo(fault: Fault) -> Vec<Level> {
    const EXCEPTION: &str = "org.bahmni.openerp.web.OpenERPException";
    let post = "Post call to /api/bahmni-saleorder failed";
    let rest: &[&str] = &["org.bahmni.openerp.web.http.client.RestClient.post(RestClient.java:71)"];
    let cause = match fault {
        Fault::PatientNotInOdoo => level(
            "org.bahmni.openerp.web.OdooRestException",
            "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo",
            &[rest],
        ),
        Fault::OdooServerError => level(
            "org.bahmni.openerp.web.OdooRestException",
            "Error found in response. Response status: 200. Error message: Odoo Server Error",
            &[rest],
        ),
        Fault::OdooTimeout => level(
            "java.util.concurrent.TimeoutException",
            "Did not observe any item or terminal signal within 5000ms in 'flatMap' (and no fallback has been configured)",
            &[&[
                "reactor.core.publisher.FluxTimeout$TimeoutMainSubscriber.handleTimeout(FluxTimeout.java:296)",
                "reactor.core.scheduler.SchedulerTask.call(SchedulerTask.java:68)",
                "reactor.core.scheduler.SchedulerTask.call(SchedulerTask.java:28)",
            ]],
        ),
        Fault::OdooLogin => {
            let said = "Failed to login. The login user is : emrsync, no session cookie set.";
            return vec![
                Level { class: EXCEPTION, message: said.to_owned(), frames: outer(ODOO_POST, System::Odoo) },
                level(EXCEPTION, said, &[rest]),
            ];
        }
        Fault::PreviousOrder | Fault::NoShop => {
            let said = if fault == Fault::NoShop {
                "Can not process order. Order type:Radiology Order - should be matched to a shop"
            } else {
                "Previous order id does not exist in DB. This can be because of previous failed events"
            };
            let python = python(said);
            return vec![
                Level { class: EXCEPTION, message: python.clone(), frames: outer(ODOO_POST, System::Odoo) },
                level("org.apache.xmlrpc.XmlRpcException", python, &[rest]),
            ];
        }
        _ => level(
            "org.apache.http.conn.HttpHostConnectException",
            "Connect to odoo:8069 [odoo/10.99.0.12] failed: Connection refused",
            &[HTTP_LIBRARY, CONNECT],
        ),
    };
    vec![Level { class: RUNTIME, message: post.to_owned(), frames: outer(ODOO_POST, System::Odoo) }, cause]
}

/// Returns a trace of Odoo 10 as in its XML-RPC response.
fn python(said: &str) -> String {
    format!(
        "Traceback (most recent call last):\n  \
         File \"/opt/odoo/odoo/service/wsgi_server.py\", line 56, in xmlrpc_return\n    \
         result = odoo.http.dispatch_rpc(service, method, params)\n  \
         File \"/opt/bahmni-addons/bahmni_atom_feed/models/order_save_service.py\", line 212, in create_orders\n    \
         raise Warning(error_message)\n\
         Warning: {said}"
    )
}

fn pacs(fault: Fault, subject: &Subject) -> Vec<Level> {
    let outermost = "Failed send order to modality";
    let order = &subject.record;
    let mut cause = match fault {
        Fault::MissingConceptSource => level(
            "org.bahmni.module.pacsintegration.exception.HL7MessageException",
            format!("Unable to create HL7 message. Missing concept source for order{order}"),
            &[&["org.bahmni.module.pacsintegration.services.HL7Service.getHL7Message(HL7Service.java:58)"]],
        ),
        Fault::NothingToCancel => level(
            "org.bahmni.module.pacsintegration.exception.HL7MessageException",
            format!("Unable to Cancel the Order. Previous order is not foundORD-{}", subject.number),
            &[&["org.bahmni.module.pacsintegration.services.HL7Service.cancelOrderMessage(HL7Service.java:101)"]],
        ),
        Fault::ModalityRejects => level(
            "org.bahmni.module.pacsintegration.exception.ModalityException",
            format!(
                "Unable to send the message to the modality \nModality{{id=1, name='x-ray', description='Demo X-ray', \
                 ip='dcm4chee', port=2575, timeout=3000}}\nMSH|^~\\&|DCM4CHEE|DEMO|BAHMNI|DEMO|20260101||ACK^O01|{0}|P|2.5\r\
                 MSA|AE|{0}|unknown procedure code",
                subject.number
            ),
            &[&["org.bahmni.module.pacsintegration.services.ModalityService.sendMessage(ModalityService.java:63)"]],
        ),
        Fault::NoLocation => level(
            "org.bahmni.module.pacsintegration.exception.LocationResolutionException",
            format!("Encounter location cannot be null for order: {order}"),
            &[&["org.bahmni.module.pacsintegration.services.LocationResolver.resolve(LocationResolver.java:34)"]],
        ),
        _ => level("java.net.ConnectException", "Connection refused", &[CONNECT]),
    };
    let between: &[&str] = &[
        "org.bahmni.module.pacsintegration.services.PacsIntegrationService.processEncounter(PacsIntegrationService.java:84)",
    ];
    cause.frames.extend(between);
    vec![Level { class: RUNTIME, message: outermost.to_owned(), frames: outer(PACS_WORKER, System::Pacs) }, cause]
}

fn openmrs(fault: Fault, subject: &Subject) -> Vec<Level> {
    const FEED: &str = "org.bahmni.module.elisatomfeedclient.api.exception.OpenElisFeedException";
    let (class, said) = match fault {
        Fault::ConceptMissing => {
            ("org.openmrs.api.APIException", format!("Concept for lab test'{}' not found in openmrs", subject.record))
        }
        Fault::AccessionUnreadable => (FEED, "could not read accession data".to_owned()),
        // The text of a login page is shown unchanged: the pages of the console must not run it.
        _ => (
            "org.codehaus.jackson.JsonParseException",
            "Unexpected character ('<' (code 60)): expected a valid value (number, String, array, object, 'true', 'false' or 'null')\n \
             at [Source: <html><head><script>alert('demo')</script></head><body><h1>Login</h1>; line: 1, column: 2]"
                .to_owned(),
        ),
    };
    let parser: &[&str] = match fault {
        Fault::ConceptMissing => {
            &["org.bahmni.module.elisatomfeedclient.api.mapper.AccessionHelper.mapTest(AccessionHelper.java:142)"]
        }
        _ => &[
            "org.codehaus.jackson.JsonParser._constructError(JsonParser.java:1433)",
            "org.codehaus.jackson.map.ObjectMapper.readValue(ObjectMapper.java:1863)",
            "org.bahmni.webclients.ObjectMapperRepository.readValue(ObjectMapperRepository.java:21)",
        ],
    };
    vec![
        Level { class: FEED, message: format!("{class}: {said}"), frames: outer(OPENMRS_WORKER, System::Openmrs) },
        level(class, said, &[parser]),
    ]
}

/// Formats an error as in `failed_events`: preceded by the page, truncated to the width of the column.
pub(super) fn first_error(page: &str, text: &str) -> String {
    cut(format!("Failed processing event in feed [{page}] \n{text}"))
}

/// Truncates to the width of the column, as the library does.
pub(super) fn cut(mut text: String) -> String {
    // A text has at most as many characters as bytes: most need no counting.
    if text.len() > COLUMN_CHARS
        && let Some((end, _)) = text.char_indices().nth(COLUMN_CHARS)
    {
        text.truncate(end);
    }
    text
}

/// Java's `String.hashCode`, which the library stores beside every error text.
pub(super) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        demo::faults::ALL,
        model::{advice, error_text},
    };

    #[test]
    fn every_fault_reads_like_a_real_one_and_the_console_knows_what_it_means() {
        let record = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7".to_owned();
        let subject = Subject { record, number: 17, name: None, reader: System::Openelis };
        for fault in ALL {
            let text = first_error("http://openmrs:8080/openmrs/ws/atomfeed/encounter/36", &compose(fault, &subject));
            assert!(text.chars().count() > 1500, "{fault:?} is too short for a real trace");
            let error = error_text::parse(&text);
            assert!(error.causes.len() >= 2, "{fault:?} has no cause");
            assert!(error.causes[0].class.is_some(), "{fault:?} does not tell message and class apart");
            assert!(advice::advise(&text).is_some(), "no advice for {fault:?}");
            assert!(!error_text::headline(&text).contains("Exception"), "{}", error_text::headline(&text));
        }
    }

    #[test]
    fn the_hash_is_javas() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    }
}
