//! Files that are made to stop an importer: what is too much is refused with its line and why,
//! before it is taken apart, and the records behind it come in.

use std::path::PathBuf;

use domain::limits::{DEPTH_MAX, IMPORT_RECORD_BYTES_MAX, IMPORT_RECORD_VALUES_MAX};
use importers::Format;
use importers::csv::Columns;
use importers::source::Reading;
use tempfile::TempDir;

/// Line and fault of every record of a file; `None` = it can be taken.
fn read(format: Format, name: &str, content: &[u8]) -> Vec<(u64, Option<String>)> {
    let folder = TempDir::new().unwrap();
    let file: PathBuf = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    let path = if format.name() == "documents" { folder.path().to_owned() } else { file };
    let columns = Columns {
        case: "c".to_owned(),
        activity: "a".to_owned(),
        time: "t".to_owned(),
        ..Columns::default()
    };
    let records = format
        .open(&path, &Reading { columns, allow_missing: true, ..Reading::default() })
        .unwrap();
    records.map(|record| record.unwrap()).map(|record| (record.line, record.bytes.err())).collect()
}

fn said(records: &[(u64, Option<String>)], n: usize) -> &str {
    records[n].1.as_deref().unwrap_or_else(|| panic!("record {n} is taken: {records:?}"))
}

#[test]
fn json_that_is_too_deep_or_too_large_is_passed_over_and_the_next_record_comes_in() {
    let deep = |n: usize| format!("{{\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let large = |n: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(n - 8));
    let values = |n: usize| format!("{{\"x\":[0{}]}}", ",0".repeat(n));
    let cases = [
        (deep(20_000), "deeper than 64 levels"),
        (deep(DEPTH_MAX), "deeper than 64 levels"),
        (large(IMPORT_RECORD_BYTES_MAX + 1), "more than 16777216 bytes"),
        (values(IMPORT_RECORD_VALUES_MAX), "more than 250000 values"),
    ];
    for (bad, why) in cases {
        let records =
            read(&importers::Langfuse, "x.json", format!("[{bad},\n{{\"ok\":1}}]").as_bytes());
        assert_eq!(records.len(), 2, "{why}");
        assert!(said(&records, 0).contains(why), "{}", said(&records, 0));
        assert_eq!(records[1], (2, None), "{why}");
    }
    for good in
        [deep(DEPTH_MAX - 1), large(IMPORT_RECORD_BYTES_MAX), values(IMPORT_RECORD_VALUES_MAX - 2)]
    {
        assert_eq!(read(&importers::Langfuse, "x.json", good.as_bytes()), [(1, None)]);
    }
    // A file that is one record.
    let list = format!("[{}]", deep(20_000));
    assert!(
        said(&read(&importers::Openhands, "x.json", list.as_bytes()), 0).contains("deeper than")
    );
    let big = " ".repeat(IMPORT_RECORD_BYTES_MAX + 1);
    assert!(
        said(&read(&importers::Openhands, "x.json", format!("[{big}]").as_bytes()), 0)
            .contains("more than 16777216 bytes")
    );
    assert!(
        said(&read(&importers::Documents, "x.md", big.as_bytes()), 0)
            .contains("more than 16777216 bytes")
    );
    assert!(
        said(&read(&importers::Documents, "x.json", deep(20_000).as_bytes()), 0)
            .contains("deeper than")
    );
    assert_eq!(
        read(&importers::Documents, "x.md", "[".repeat(20_000).as_bytes()),
        [(1, None)],
        "text is not nested"
    );
}

#[test]
fn a_case_that_is_too_deep_or_too_large_is_passed_over_and_the_next_one_comes_in() {
    let attribute = |n: usize| format!("{}{}", "<list key=\"k\">".repeat(n), "</list>".repeat(n));
    let event = format!("<event><string key=\"x\" value=\"{}\"/></event>", "y".repeat(1 << 20));
    let log = |inside: &str| {
        let good = "<trace><string key=\"concept:name\" value=\"good\"/><event><string \
            key=\"concept:name\" value=\"a\"/></event></trace>";
        format!("<log xes.version=\"1.0\">\n<trace>{inside}</trace>\n{good}\n</log>")
    };
    for (bad, why) in [
        (attribute(20_000), "deeper than 28 levels"),
        (attribute(29), "deeper than 28 levels"),
        (event.repeat(17), "more than 16777216 bytes"),
    ] {
        let records = read(&importers::Xes, "x.xes", log(&bad).as_bytes());
        assert_eq!(
            records.len(),
            3,
            "a case, then the header that waited for one that can be taken, and that one: \
             {records:?}"
        );
        assert!(
            said(&records, 0).contains(why) && said(&records, 0).contains("case `#1`"),
            "{}",
            said(&records, 0)
        );
        assert_eq!(records[1..], [(3, None), (3, None)]);
    }
    assert!(
        read(&importers::Xes, "x.xes", log(&attribute(28)).as_bytes())
            .iter()
            .all(|(_, fault)| fault.is_none())
    );
    // What no case begins after: one attribute without an end, and elements without end.
    let endless = log(&format!(
        "<string key=\"x\" value=\"{}\"/>",
        "y".repeat(IMPORT_RECORD_BYTES_MAX + (1 << 20))
    ));
    let records = read(&importers::Xes, "x.xes", endless.as_bytes());
    assert!(
        records.last().unwrap().1.as_ref().unwrap().contains("more than 16777216 bytes"),
        "{:?}",
        records.last()
    );
    let records = read(&importers::Xes, "x.xes", log(&"<x>".repeat(100_002)).as_bytes());
    assert!(
        records.last().unwrap().1.as_ref().unwrap().contains("lie in one another"),
        "{:?}",
        records.last()
    );
    let header = format!(
        "<log>{}<trace></trace></log>",
        format!("<extension name=\"{}\"/>", "y".repeat(1 << 20)).repeat(17)
    );
    assert!(
        said(&read(&importers::Xes, "x.xes", header.as_bytes()), 0)
            .contains("more than 16777216 bytes")
    );
}

#[test]
fn a_row_whose_quote_is_not_closed_is_not_read_to_the_end_of_the_file() {
    let row = "1,a,2026-11-22T20:00:00Z\n";
    let endless = format!("c,a,t\n{row}1,\"{}", "y".repeat(IMPORT_RECORD_BYTES_MAX + (1 << 20)));
    let records = read(&importers::Csv, "x.csv", endless.as_bytes());
    let fault = records
        .iter()
        .find_map(|(line, fault)| fault.as_ref().map(|f| (*line, f.clone())))
        .unwrap();
    assert!(fault.1.contains("more than 16777216 bytes") && fault.1.contains("quote"), "{fault:?}");
    let large =
        format!("c,a,t\n1,{},2026-11-22T20:00:00Z\n{row}", "y".repeat(IMPORT_RECORD_BYTES_MAX / 2));
    assert!(
        read(&importers::Csv, "x.csv", large.as_bytes()).iter().all(|(_, fault)| fault.is_none())
    );
}

#[test]
fn a_file_has_so_many_cases() {
    let mut content = "c,a,t\n".to_owned();
    for case in 0..=domain::limits::IMPORT_CASES_MAX {
        content += &format!("{case},a,2026-11-22T20:00:00Z\n");
    }
    let faults: Vec<_> = read(&importers::Csv, "x.csv", content.as_bytes())
        .into_iter()
        .filter_map(|(line, fault)| Some((line, fault?)))
        .collect();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].1.contains("more than 500000 cases") && faults[0].0 == 500_002, "{faults:?}");
}
