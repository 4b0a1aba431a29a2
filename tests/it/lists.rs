//! The lists of GraphQL: pages, orders, filters, and what a caller is told about values that there
//! are not.

mod indexes;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use server::app::operator;
use tests::installation::Installation;

async fn titles(installation: &Installation, arguments: &str) -> (Vec<String>, Value) {
    let ask = format!(
        "{{ business(slug: \"acme\") {{ tasks({arguments}) {{ pageInfo {{ hasNextPage \
         hasPreviousPage startCursor endCursor }} nodes {{ title {{ text }} }} }} }} }}"
    );
    let tasks = installation.query(&ask).await["business"]["tasks"].clone();
    let title = |node: &Value| node["title"]["text"].as_str().unwrap().to_owned();
    (tasks["nodes"].as_array().unwrap().iter().map(title).collect(), tasks["pageInfo"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_paged_in_both_orders_and_both_directions() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for n in 1..=5 {
        let plan = json!({"title": format!("t{n}"), "team": "hr"});
        installation.must(business, "tasks.plan", None, plan).await;
    }
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    for (order, all) in [
        ("OLDEST_FIRST", ["t1", "t2", "t3", "t4", "t5"]),
        ("NEWEST_FIRST", ["t5", "t4", "t3", "t2", "t1"]),
    ] {
        let (first, page) = titles(&installation, &format!("first: 2, orderBy: {order}")).await;
        assert_eq!(
            (first.as_slice(), &page["hasNextPage"]),
            (&all.map(str::to_owned)[..2], &json!(true))
        );
        let end = page["endCursor"].as_str().unwrap();
        let arguments = format!("first: 9, after: \"{end}\", orderBy: {order}");
        let (rest, page) = titles(&installation, &arguments).await;
        assert_eq!(
            (rest.as_slice(), &page["hasNextPage"]),
            (&all.map(str::to_owned)[2..], &json!(false))
        );
        let start = page["startCursor"].as_str().unwrap();
        let arguments = format!("last: 1, before: \"{start}\", orderBy: {order}");
        let (before, page) = titles(&installation, &arguments).await;
        assert_eq!((before, &page["hasPreviousPage"]), (vec![all[1].to_owned()], &json!(true)));
        let (last, _) = titles(&installation, &format!("last: 2, orderBy: {order}")).await;
        assert_eq!(last, all.map(str::to_owned)[3..]);
    }
}

/// In the file the rows of one business lie behind those of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_cursor_leads_to_no_row_of_another_business() {
    let installation = Installation::new().await;
    for slug in ["before", "acme", "behind"] {
        let business = installation.business(slug).await;
        let plan = json!({"title": slug, "team": "hr"});
        installation.must(business, "tasks.plan", None, plan).await;
    }
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    for n in [-1 << 40, -1 << 36, -5, -1, 0, 1 << 36, 1 << 40, i64::MIN, i64::MAX] {
        let cursor = URL_SAFE_NO_PAD.encode(format!("tasks:{n}"));
        for order in ["OLDEST_FIRST", "NEWEST_FIRST"] {
            for page in ["first: 9, after", "first: 9, before", "last: 9, after", "last: 9, before"]
            {
                let arguments = format!("{page}: \"{cursor}\", orderBy: {order}");
                let (found, _) = titles(&installation, &arguments).await;
                assert!(found.iter().all(|title| title == "acme"), "{arguments}: {found:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_takes_one_value_or_several_and_lists_the_values_there_are() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for team in ["hr", "sales", "legal"] {
        let plan = json!({"title": team, "team": team});
        installation.must(business, "tasks.plan", None, plan).await;
    }
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    for (filter, found) in [
        ("{team: HR}", vec!["hr"]),
        ("{team: [HR, LEGAL]}", vec!["hr", "legal"]),
        ("{team: []}", vec![]),
        ("{team: [HR, SALES], status: PLANNED}", vec!["hr", "sales"]),
        ("{team: HR, status: COMPLETED}", vec![]),
    ] {
        assert_eq!(titles(&installation, &format!("filter: {filter}")).await.0, found, "{filter}");
    }
    let variables = json!({"f": {"status": ["PLANED"]}});
    let by_variable = "query($f: TaskFilter) { business(slug: \"acme\") { tasks(filter: $f) { \
        totalCount } } }";
    for (query, variables) in [
        (
            "{ business(slug: \"acme\") { tasks(filter: {status: PLANED}) { totalCount } } }",
            json!({}),
        ),
        (by_variable, variables.clone()),
        // The second time the document is known.
        (by_variable, json!({"f": {"status": "OFFERED"}})),
        (by_variable, variables),
    ] {
        let viewer = installation.app.viewer(operator()).await.unwrap();
        let request = server::app::graphql_request(query, viewer)
            .variables(async_graphql::Variables::from_json(variables.clone()));
        let answer = serde_json::to_value(installation.app.api.execute(request).await).unwrap();
        if variables["f"]["status"] == json!("OFFERED") {
            assert_eq!(answer["errors"], Value::Null);
            continue;
        }
        let error = &answer["errors"][0];
        let said = error["message"].as_str().unwrap();
        assert!(said.contains("PLANED") && said.contains("ESCALATED"), "{answer}");
        assert_eq!(error["extensions"]["code"], "UNKNOWN_VALUE", "{answer}");
    }
    for (field, code, listed) in [
        (
            "events(filter: {type: \"tasks.plannd\"}) { totalCount }",
            "UNKNOWN_VALUE",
            "tasks.planned",
        ),
        ("kpis(ids: [\"through\"]) { id }", "UNKNOWN_KPI", "throughput"),
        ("tasks(filter: {plannedFrom: \"now\"}) { totalCount }", "BAD_VALUE", "DateTime"),
    ] {
        let ask = format!("{{ business(slug: \"acme\") {{ {field} }} }}");
        let error = installation.try_query(operator(), &ask).await["errors"][0].clone();
        assert_eq!(error["extensions"]["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(listed), "{error}");
        assert!(error["extensions"]["hint"].is_string(), "{error}");
    }
    let ids = format!("[{}]", vec!["\"x\""; 201].join(","));
    let ask = format!(
        "{{ business(slug: \"acme\") {{ tasks(filter: {{id: {ids}}}) {{ totalCount }} }} }}"
    );
    let error = installation.try_query(operator(), &ask).await["errors"][0].clone();
    assert_eq!(error["extensions"]["code"], "BAD_ARGUMENT", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_are_a_page_by_slug_of_those_that_one_may_see() {
    let installation = Installation::new().await;
    let mut all = Vec::new();
    for n in [3, 1, 5, 2, 4] {
        all.push((n, installation.business(&format!("acme-{n}")).await));
    }
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let ask = async |who: domain::PrincipalId, arguments: &str| {
        let ask = format!(
            "{{ businesses{arguments} {{ totalCount nodes {{ slug }} pageInfo {{ hasNextPage \
             endCursor }} }} }}"
        );
        let page = installation.query_as(who, &ask).await["businesses"].clone();
        let slug = |node: &Value| node["slug"].as_str().unwrap().replace("acme-", "");
        let slugs = page["nodes"].as_array().unwrap().iter().map(slug).collect::<Vec<_>>().join("");
        (slugs, page)
    };
    let (slugs, page) = ask(operator(), "(first: 2)").await;
    assert_eq!((slugs.as_str(), &page["totalCount"]), ("12", &json!(5)));
    let end = page["pageInfo"]["endCursor"].as_str().unwrap();
    let (slugs, page) = ask(operator(), &format!("(first: 2, after: \"{end}\")")).await;
    assert_eq!((slugs.as_str(), &page["pageInfo"]["hasNextPage"]), ("34", &json!(true)));
    assert_eq!(ask(operator(), "(last: 2)").await.0, "45");
    assert_eq!(ask(operator(), "(filter: {slug: [\"acme-5\", \"acme-1\"]})").await.0, "15");
    assert_eq!(ask(operator(), "(filter: {phase: OPERATING})").await.0, "");
    let human = domain::access::PrincipalKind::Human;
    let member = installation.principal(all[0].1, human, Some("member")).await.principal;
    let (slugs, page) = ask(member, "").await;
    assert_eq!((slugs.as_str(), &page["totalCount"]), ("3", &json!(1)), "of the others no word");
    let nobody = installation.principal(all[0].1, human, None).await.principal;
    assert_eq!(ask(nobody, "").await.1["totalCount"], json!(0));
}

/// The names and shapes that are promised for good.
#[tokio::test(flavor = "multi_thread")]
async fn the_promised_names_and_shapes_are_there() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "t", "team": "hr"})).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    for by in ["slug: \"acme\"".to_owned(), format!("id: \"{business}\"")] {
        for list in ["tasks", "decisions", "approvals", "calls", "agents", "memory", "events"] {
            let ask = format!(
                "{{ business({by}) {{ {list} {{ totalCount nodes {{ nodeId }} edges {{ cursor node \
                 {{ nodeId }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} \
                 }} }} }}"
            );
            let found = installation.query(&ask).await["business"][list].clone();
            let rows = found["totalCount"].as_u64().unwrap();
            assert_eq!(
                found["nodes"].as_array().map(Vec::len),
                usize::try_from(rows).ok(),
                "{list}"
            );
        }
        let ask = format!(
            "{{ business({by}) {{ kpis {{ id value unit target status definition {{ text version }} \
             }} }} }}"
        );
        let kpis = installation.query(&ask).await["business"]["kpis"].clone();
        let of =
            |id: &str| kpis.as_array().unwrap().iter().find(|k| k["id"] == *id).unwrap().clone();
        let empty = of("agent_completion");
        assert_eq!((&empty["value"], &empty["status"]), (&Value::Null, &json!("NO_DATA")));
        assert!(of("agent_completion")["target"].is_f64(), "a Float");
    }
}

/// Whatever a row is linked to is read at once for all rows of a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_costs_one_read_however_many_rows_have_it() {
    let installation = Installation::new().await;
    let file = "tau-bench/airline-slice.json";
    crate::metrics::import(&installation, &importers::Transcripts, file, "acme").await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    for (list, links) in [
        ("tasks", "producer { id } reviews { nodes { reviewer { id } task { id } } }"),
        (
            "decisions",
            "task { id } agent { id principal { id } } recordedBy { id } evidence { id }",
        ),
        ("calls", "task { id } agent { id } decision { id agent { id } }"),
        ("agents", "owner { id } principal { id agent { id } }"),
        ("events", "actor { id } causation { id } aggregate { nodeId }"),
    ] {
        let reads = async |first: usize| {
            let ask = format!(
                "{{ business(slug: \"acme\") {{ {list}(first: {first}) {{ nodes {{ {links} }} }} }} }}"
            );
            let before = installation.app.views.reads();
            let answer = installation.query(&ask).await;
            let rows = answer["business"][list]["nodes"].as_array().unwrap().len();
            (rows, installation.app.views.reads() - before)
        };
        let ((few, of_few), (many, of_many)) = (reads(2).await, reads(40).await);
        assert!(many >= few && few > 0, "{list}: {few}, {many}");
        // What is asked for while a read is under way is read by the next one.
        let more = 8;
        assert!(of_many <= of_few + more, "{list}: {of_few} for {few}, {of_many} for {many}");
    }
}

/// What a review found: each of it is asked as its finder did.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_costly_or_long_is_told_before_it_is_done() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "t", "team": "hr"})).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let event = installation
        .query("{ business(slug: \"acme\") { events(first: 1) { nodes { nodeId } } } }")
        .await["business"]["events"]["nodes"][0]["nodeId"]
        .clone();
    // A cost beyond what a number holds is no small cost.
    let chain = format!(
        "{{ node(id: {event}) {{ ... on Event {{ {} {} {} }} }} }}",
        "causes { ".repeat(10),
        "id ".repeat(200),
        "}".repeat(10)
    );
    let refused = installation.try_query(operator(), &chain).await["errors"][0].clone();
    assert_eq!(refused["extensions"]["code"], "TOO_EXPENSIVE", "{refused}");
    assert!(refused["extensions"]["cost"].as_u64().unwrap() > 1_000_000, "{refused}");
    // A value is not said again for every alias, and no more than so much of it is taken.
    for (declared, field) in [
        ("$x: DateTime", "events(first: 1, filter: {recordedFrom: $x})"),
        ("$x: [TaskStatus!]", "tasks(first: 1, filter: {status: $x})"),
        ("$x: Int", "tasks(first: $x)"),
    ] {
        let aliases: String = (0..50).map(|n| format!("a{n}: {field} {{ totalCount }} ")).collect();
        let ask = format!("query({declared}) {{ business(slug: \"acme\") {{ {aliases} }} }}");
        for bytes in [60_000, 900_000] {
            let viewer = installation.app.viewer(operator()).await.unwrap();
            let variables = json!({"x": {"a": "x".repeat(bytes)}});
            let request = server::app::graphql_request(&ask, viewer)
                .variables(async_graphql::Variables::from_json(variables));
            let answer =
                serde_json::to_string(&installation.app.api.execute(request).await).unwrap();
            assert!(
                answer.contains("errors") && answer.len() < 200_000,
                "{field}: {}",
                answer.len()
            );
        }
    }
}

/// An omitted variable is as if its argument had been left out.
#[tokio::test(flavor = "multi_thread")]
async fn an_omitted_variable_leaves_its_argument_out() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let ask = "query($o: ListOrder, $h: Boolean, $c: String, $f: TaskFilter) { \
        business(slug: \"acme\") { tasks(orderBy: $o, filter: $f) { totalCount } \
        memory(history: $h) { totalCount } } portfolio { kpis(ids: [\"cost\"], currency: $c) { unit } } }";
    let answer = installation.query(ask).await;
    assert_eq!(answer["portfolio"]["kpis"][0]["unit"], "USD", "{answer}");
    // What failed is null where that is allowed, else what it is in.
    let ask =
        "{ business(slug: \"acme\") { slug tasks(first: 0) { totalCount } } limits { name } }";
    let answer = installation.try_query(operator(), ask).await;
    assert_eq!(answer["data"]["business"], Value::Null, "{answer}");
    assert!(answer["data"]["limits"].is_array() && answer["errors"][0]["path"] != Value::Null);
}

/// Only a subscription is streamed: everything else is answered in a place and in a time.
#[tokio::test(flavor = "multi_thread")]
async fn the_operation_that_is_run_says_whether_it_has_an_end() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let both = "query Q { limits { name } } subscription S { events(slug: \"acme\") { id } }";
    for (name, endless) in [("Q", false), ("S", true), ("other", false)] {
        let viewer = installation.app.viewer(operator()).await.unwrap();
        let mut request = server::app::graphql_request(both, viewer).operation_name(name);
        assert_eq!(
            installation.app.api.is_subscription(&mut request).await,
            Some(endless),
            "{name}"
        );
    }
}
