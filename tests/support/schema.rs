//! The tables of every schema variant, as their applications make them.

use super::database::{Server, Variant};

pub const TABLES: [&str; 7] = [
    "failed_events",
    "failed_event_retry_log",
    "markers",
    "event_records",
    "event_records_queue",
    "chunking_history",
    "event_records_offset_marker",
];

/// Returns the columns of a table in this variant; none if the table is absent.
pub fn columns(server: Server, variant: Variant, table: &str) -> Vec<String> {
    definition(server, variant, table).into_iter().map(|(name, _)| name).collect()
}

/// Returns the statements that create a variant's tables.
pub fn tables(server: Server, variant: Variant) -> Vec<String> {
    let schema = match variant {
        Variant::OpenElis | Variant::OpenElisDump => "clinlims.",
        _ => "",
    };
    TABLES
        .iter()
        .filter_map(|table| {
            let columns = definition(server, variant, table);
            let columns: Vec<String> = columns.into_iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            (!columns.is_empty()).then(|| format!("CREATE TABLE {schema}{table} ({})", columns.join(", ")))
        })
        .collect()
}

fn definition(server: Server, variant: Variant, table: &str) -> Vec<(String, String)> {
    let kinds = Kinds::of(server, variant);
    let text = "varchar(255)";
    let columns: Vec<(&str, &str)> = match table {
        "failed_events" => {
            let mut columns = vec![
                ("id", kinds.key),
                ("feed_uri", text),
                ("failed_at", kinds.failed_at),
                ("error_message", kinds.long),
                ("event_id", text),
                ("event_content", kinds.long),
                ("error_hash_code", "int"),
                ("title", text),
            ];
            if variant != Variant::Oldest {
                columns.extend([("retries", "int NOT NULL DEFAULT 0"), ("tags", text)]);
            }
            columns
        }
        "failed_event_retry_log" if variant == Variant::ModuleAtomfeed => Vec::new(),
        "failed_event_retry_log" => vec![
            ("id", kinds.key),
            ("feed_uri", text),
            ("failed_at", kinds.time),
            ("error_message", kinds.long),
            ("event_id", text),
            ("event_content", kinds.long),
            ("error_hash_code", "int"),
        ],
        "markers" => match variant {
            Variant::OpenElis | Variant::OpenElisDump => vec![
                ("id", kinds.key),
                ("feed_uri", "varchar(250)"),
                ("last_read_entry_id", "varchar(250)"),
                ("feed_uri_for_last_read_entry", "varchar(250)"),
            ],
            Variant::Odoo | Variant::Odoo10 => {
                let mut columns = vec![
                    ("id", "serial PRIMARY KEY"),
                    ("feed_uri", "varchar(250) NOT NULL"),
                    ("last_read_entry_id", "varchar(250) NOT NULL"),
                    ("feed_uri_for_last_read_entry", "varchar(250) NOT NULL"),
                ];
                if variant == Variant::Odoo10 {
                    columns.extend([
                        ("create_uid", "int"),
                        ("create_date", "timestamp"),
                        ("write_uid", "int"),
                        ("write_date", "timestamp"),
                    ]);
                }
                columns
            }
            _ => vec![
                ("feed_uri", "varchar(255) PRIMARY KEY"),
                ("last_read_entry_id", text),
                ("feed_uri_for_last_read_entry", text),
            ],
        },
        "event_records" | "event_records_queue" if variant == Variant::Pacs => Vec::new(),
        "event_records" | "event_records_queue" => {
            let mut columns = vec![
                ("id", kinds.key),
                ("uuid", "varchar(40)"),
                ("title", text),
                ("timestamp", kinds.time),
                ("uri", text),
                ("object", "varchar(1000)"),
            ];
            if variant != Variant::Oldest {
                columns.extend([("category", text), ("date_created", kinds.time), ("tags", text)]);
            }
            columns
        }
        "chunking_history" if variant == Variant::Pacs => Vec::new(),
        "chunking_history" => vec![("id", kinds.key), ("chunk_length", "bigint"), ("start", "bigint")],
        _ => vec![("id", "int PRIMARY KEY"), ("event_id", "int"), ("event_count", "int"), ("category", text)],
    };
    columns.into_iter().map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Column types that differ between the variants.
struct Kinds {
    key: &'static str,
    failed_at: &'static str,
    time: &'static str,
    long: &'static str,
}

impl Kinds {
    fn of(server: Server, variant: Variant) -> Self {
        match (server, variant) {
            (Server::Mysql | Server::MysqlOld, Variant::ModuleAtomfeed) => Self {
                key: "bigint unsigned AUTO_INCREMENT PRIMARY KEY",
                failed_at: "timestamp(6) NULL",
                time: "timestamp(6) NULL",
                long: "longtext",
            },
            // On 5.x the first TIMESTAMP of a table changes with every update.
            (Server::Mysql | Server::MysqlOld, _) => Self {
                key: "bigint unsigned AUTO_INCREMENT PRIMARY KEY",
                failed_at: "timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
                time: "timestamp NULL",
                long: "varchar(4000)",
            },
            (Server::Postgres, Variant::OpenElis) => Self {
                key: "numeric(10,0) PRIMARY KEY",
                failed_at: "timestamp(6) without time zone",
                time: "timestamp without time zone",
                long: "varchar(4000)",
            },
            (Server::Postgres, Variant::OpenElisDump) => Self {
                key: "integer PRIMARY KEY",
                failed_at: "timestamp with time zone",
                time: "timestamp with time zone",
                long: "varchar(4000)",
            },
            (Server::Postgres, _) => Self {
                key: "serial PRIMARY KEY",
                failed_at: "timestamp without time zone",
                time: "timestamp without time zone",
                long: "varchar(4000)",
            },
            (Server::Sqlite, _) => {
                Self { key: "integer PRIMARY KEY", failed_at: "timestamp", time: "timestamp", long: "varchar(4000)" }
            }
        }
    }
}
