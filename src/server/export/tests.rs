use super::*;

#[test]
fn a_row_without_a_time_has_no_first_failure() {
    assert_eq!(is_what(&FailedSince::First(None)), "not known");
    let stamp = |text: &str, at| Some(Stamp { text: text.into(), at });
    assert_eq!(is_what(&FailedSince::First(stamp("0000-00-00 00:00:00", None))), "not known");
    assert_eq!(is_what(&FailedSince::First(stamp("1970-01-01", Some(DateTime::UNIX_EPOCH)))), "first failure");
}

/// Returns the cells of a column as they are written.
fn written(column: &str, cells: &[&str]) -> Vec<String> {
    let columns = vec![column; cells.len()];
    let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
    let line = csv_line(&columns, &cells);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
    let read = reader.records().next().unwrap().unwrap();
    read.iter().map(str::to_owned).collect()
}

#[test]
fn a_spreadsheet_sees_texts_and_no_formulas() {
    let cells =
        ["=1+1", "+x", "-5", "-x", "@sum", "\tx", "\n=1", "＝1", "\r=1\x1b[31m", "plain, \"quoted\"\nand two lines"];
    let expected =
        ["'=1+1", "'+x", "-5", "'-x", "'@sum", "'\tx", "'\n=1", "'＝1", "␍=1␛[31m", "plain, \"quoted\"\nand two lines"];
    assert_eq!(written("title", &cells), expected);
    assert_eq!(written("first_failed_at_as_stored", &cells)[..2], ["'=1+1", "'+x"]);
}

#[test]
fn a_text_that_a_spreadsheet_would_change_stays_a_text_and_a_number_a_number() {
    for text in [
        "+1",
        "1E18",
        "1e5",
        "-1E5",
        "2026-01-02",
        "2026-01-02 10:00:00",
        "02/01",
        "1-2",
        "3-Dec",
        "Dec 3",
        "5 March 2026",
        "10:30",
        "10:30 PM",
        "007",
        "1.50",
        "1,234",
        "50 %",
        "₹ 5",
        "(5)",
        "TRUE",
        "false",
        " 1E18",
        "18446744073709551615",
        "2026-01-02T10:00:00Z",
    ] {
        assert_eq!(written("title", &[text]), [format!("'{text}")], "{text}");
    }
    for text in [
        "5",
        "-5",
        "0",
        "3.25",
        "123456789012345",
        "",
        "Dec",
        "May",
        "ORD-19",
        "GAN203006",
        "10 mg",
        "क 5",
        "1st",
        "404 Not Found",
    ] {
        assert_eq!(written("title", &[text]), [text]);
    }
    for (column, text) in [
        ("id", "18446744073709551615"),
        ("retries", "-5"),
        ("first_failed_at_utc", "2026-11-20T08:00:00.000000Z"),
        ("latest_failed_at_as_stored", "2026-11-20 08:00:00"),
    ] {
        assert_eq!(written(column, &[text]), [text], "{column}");
    }
}
