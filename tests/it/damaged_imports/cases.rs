//! Cases of process logs: two of one name, mended rows, large headers.

use super::{NAMELESS, data, import, one};
use serde_json::json;
use tempfile::TempDir;

#[test]
pub(super) fn two_cases_of_one_name_are_two_cases() {
    let (taken, recorded) = one("xes", "twice.xes");
    assert!(taken.is_whole(), "{taken:?}");
    assert_eq!((&taken.counts["cases"], &taken.counts["events"]), (&json!(3), &json!(4)));
    assert_eq!(
        recorded["tasks"],
        json!([["a", "COMPLETED", 1], ["a", "COMPLETED", 2], ["b", "COMPLETED", 1]])
    );
    let (after, _) = one("xes", "after.xes");
    assert!(after.broken().iter().any(|why| why.contains("after the end of the log")), "{after:?}");
}

#[test]
pub(super) fn a_mended_row_takes_its_own_place_and_a_grown_file_adds_what_is_new() {
    let folder = TempDir::new().unwrap();
    let files = ["rows-broken.csv", "rows-mended.csv", "rows-grown.csv"].map(|from| {
        let to = folder.path().join(from).join("rows.csv");
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(data(from), &to).unwrap();
        to
    });
    let (taken, recorded) =
        import("csv", &[(&files[0], &[]), (&files[1], &[]), (&files[1], &[]), (&files[2], &[])]);
    assert_eq!(taken[0].broken().len(), 1, "{taken:?}");
    assert!(taken[1].is_whole() && taken[2].is_whole() && taken[3].is_whole(), "{taken:?}");
    // The row that was broken, and the case is closed; equal rows are numbered among themselves.
    assert_eq!((taken[1].new_events(), taken[2].new_events()), (2, 0), "{taken:?}");
    assert_eq!(recorded["tasks"], json!([["T-1", "COMPLETED", 5], ["T-2", "COMPLETED", 1]]));
}

#[test]
pub(super) fn a_header_of_more_than_a_megabyte_is_kept_whole() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("long.xes");
    let orders = std::fs::read_to_string(data("process-logs/orders.xes")).unwrap();
    let note = |n: usize| {
        format!(
            "<string key=\"note {n}\" value=\"{}\"/>\n",
            "ä\"".replace('"', "&quot;").repeat(10_000)
        )
    };
    let notes: String = (0..40).map(note).collect();
    std::fs::write(&file, orders.replacen("  <trace>", &format!("{notes}  <trace>"), 1)).unwrap();
    let (taken, recorded) = import("xes", &[(&file, NAMELESS), (&file, NAMELESS)]);
    assert!(taken[0].is_whole() && taken[1].is_whole(), "{:?}", taken[0].broken());
    assert_eq!(taken[1].new_events(), 0);
    assert_eq!(recorded, super::orders());
}
