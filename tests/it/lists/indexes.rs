//! What is asked often is found by an index, from where it is asked on.

use tests::installation::Installation;

/// Without statistics SQLite takes a business for ten rows, and walks through it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_found_by_an_index_in_a_new_file_and_in_a_rebuilt_one() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let minute = std::time::Duration::from_secs(60);
    for round in 0..2 {
        if round == 1 {
            installation.app.views.rebuild(None).await.unwrap();
            installation.app.views.settled(minute).await.unwrap();
        }
        installation.app.caught_up(minute).await.unwrap();
        let of = |before: &str, after: &str| {
            format!(
                "{before} place BETWEEN (SELECT first FROM business_places WHERE id = :business) AND \
                 (SELECT last FROM business_places WHERE id = :business) {after}"
            )
        };
        let waits = |rows: &str| {
            format!(
                "WITH b AS (SELECT first, last FROM business_places WHERE id IN (SELECT \
                 unhex(value, '-') FROM json_each(:business))) SELECT t.id FROM b CROSS JOIN {rows}"
            )
        };
        let number = "business = (SELECT n FROM business_numbers WHERE id = :business)";
        for (sql, index) in [
            (
                waits(
                    "tasks t ON t.place BETWEEN b.first AND b.last WHERE next_actor >= 'human:' AND \
                     next_actor < 'human;'",
                ),
                "tasks_for_humans",
            ),
            (
                waits("calls t ON t.place BETWEEN b.first AND b.last WHERE status = 'ambiguous'"),
                "calls_by_status",
            ),
            (
                waits(
                    "approvals t ON t.place BETWEEN b.first AND b.last WHERE status = 'requested'",
                ),
                "approvals_by_status",
            ),
            (format!("SELECT text FROM memory WHERE {number} AND id = x'01'"), "memory_by_id"),
            (of("SELECT id FROM agents WHERE", "AND principal = x'01'"), "agents_by_principal"),
            (of("SELECT seq FROM events WHERE", "AND event_id = x'01'"), "events_by_id"),
            (of("SELECT seq FROM tasks WHERE", "AND id = x'01'"), "tasks_by_id"),
            (
                of("SELECT seq FROM activities WHERE", "AND task = x'01' ORDER BY place LIMIT 5"),
                "activities_by_task",
            ),
            (format!("SELECT n FROM members WHERE {number} ORDER BY n LIMIT 50"), "roles_by_seq"),
            (
                of("SELECT seq FROM tasks WHERE", "ORDER BY place LIMIT 50"),
                "SEARCH tasks USING INTEGER PRIMARY KEY",
            ),
            // After a cursor: from there on, not from the beginning of the business.
            (
                "SELECT seq FROM tasks WHERE 1 AND place > (SELECT first FROM business_places WHERE \
                 id = :business) + 7 AND place <= (SELECT last FROM business_places WHERE id = \
                 :business) ORDER BY place LIMIT 5"
                    .to_owned(),
                "SEARCH tasks USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            ),
            ("SELECT slug FROM businesses WHERE id = :business".to_owned(), "businesses_by_id"),
            (
                of("SELECT seq FROM events WHERE event_type = 'x' AND", "ORDER BY place LIMIT 5"),
                "events_by_type",
            ),
            (
                format!(
                    "SELECT total FROM sample_hour_values WHERE {number} AND hour >= 1 AND sample = \
                     'cost'"
                ),
                "SEARCH s USING PRIMARY KEY (sample_kind=? AND hour>?)",
            ),
            (
                format!(
                    "SELECT value FROM sample_values WHERE {number} AND sample = 'cost' ORDER BY \
                     number LIMIT 1"
                ),
                "samples_by_number",
            ),
        ] {
            let plan: Vec<String> = installation
                .app
                .views
                .read(|c| {
                    c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
                        .query_map(["[]"], |r| r.get("detail"))?
                        .collect()
                })
                .unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
