//! The index held against folders: what is new, changed, gone, cut short, from elsewhere, and many writers at once.

use std::fs;
use std::path::Path;

use super::*;
use crate::sample;
use crate::{Results, RunFolder};

/// Writes a finished run.
fn put(store: &Path, name: &str, results: &Results) -> PathBuf {
    let folder = store.join(name).join(&results.run);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("results.json"), serde_json::to_vec(results).expect("plain data"))
        .expect("results");
    folder
}

fn run(number: u32) -> Results {
    let mut results = sample::results();
    results.run = format!("20260724T0915{:02}-{number}", number % 60);
    results.started_at = format!("2026-07-24T09:15:{:02}Z", number % 60);
    results
}

fn store_of(count: u32) -> tempfile::TempDir {
    let store = tempfile::tempdir().expect("a folder");
    (0..count).for_each(|number| drop(put(store.path(), "register", &run(number))));
    store
}

fn paths(index: &Index, filter: &Filter) -> Vec<String> {
    index.list(filter, 0, 100).expect("a list").rows.into_iter().map(|row| row.path).collect()
}

fn everything(index: &Index) -> Vec<String> {
    paths(index, &Filter::default())
}

fn synced(store: &Path) -> Index {
    let mut index = Index::open(store).expect("an index");
    index.sync().expect("in agreement");
    index
}

#[test]
fn new_runs_come_and_deleted_ones_go() {
    let store = store_of(2);
    let mut index = synced(store.path());
    assert_eq!(everything(&index), ["register/20260724T091501-1", "register/20260724T091500-0"]);
    let late = put(store.path(), "other", &run(7));
    assert_eq!(index.sync().expect("in agreement"), Synced { written: 1, removed: 0 });
    assert_eq!(everything(&index)[0], "other/20260724T091507-7");
    fs::remove_dir_all(&late).expect("gone");
    assert_eq!(index.sync().expect("in agreement"), Synced { written: 0, removed: 1 });
    fs::remove_dir_all(store.path().join("register")).expect("gone");
    assert_eq!(index.sync().expect("in agreement"), Synced { written: 0, removed: 2 });
    assert_eq!(everything(&index), [""; 0]);
}

#[test]
fn a_run_is_unfinished_until_it_has_results() {
    let store = tempfile::tempdir().expect("a folder");
    let results = run(3);
    let folder = store.path().join("register").join(&results.run);
    fs::create_dir_all(&folder).expect("a folder");
    let mut index = synced(store.path());
    assert_eq!(everything(&index), [""; 0], "a folder without a plan is no run");
    let plan = r#"{"system":"etcd","workload":"register","nodes":3,"seed":18446744073709551615,"faults":"kill@leader,pause"}"#;
    fs::write(folder.join("plan.json"), plan).expect("a plan");
    index.sync().expect("in agreement");
    let row = index.run(&format!("register/{}", results.run)).expect("a query").expect("a row");
    assert_eq!(
        (row.state, row.verdict.as_deref(), row.system.as_deref()),
        (State::Unfinished, None, Some("etcd"))
    );
    assert_eq!(
        (row.seed.as_deref(), row.faults.as_deref()),
        (Some("18446744073709551615"), Some("kill,pause"))
    );
    assert_eq!(row.started_at.as_deref(), Some("2026-07-24T09:15:03Z"), "the folder tells");
    put(store.path(), "register", &results);
    index.sync().expect("in agreement");
    let row = index.run(&row.path).expect("a query").expect("a row");
    assert_eq!((row.state, row.verdict.as_deref()), (State::Finished, Some("valid")));
}

#[test]
fn results_of_another_version_or_cut_short_are_shown_as_such() {
    let store = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("old", r#"{"verdict":"invalid","system":"rafture","labels":{"commit":"abc"},"faults":{"kill":{}}}"#),
        ("cut", r#"{"verdict":"inv"#),
        ("binary", "\u{0}\u{1}"),
    ] {
        let folder = store.path().join(name).join("20260724T091502-7");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("results.json"), text).expect("results");
    }
    let index = synced(store.path());
    let rows = index.list(&Filter::default(), 0, 10).expect("a list").rows;
    assert!(rows.iter().all(|row| row.state == State::Unreadable && row.complaint.is_some()), "{rows:?}");
    let old = rows.iter().find(|row| row.name == "old").expect("a row");
    assert_eq!((old.verdict.as_deref(), old.commit.as_deref()), (Some("invalid"), Some("abc")));
    let only = Filter { verdict: Some("unreadable".into()), ..Filter::default() };
    assert_eq!(index.list(&only, 0, 10).expect("a list").total(), 3);
}

#[test]
fn links_and_hidden_folders_are_no_runs() {
    let store = store_of(1);
    let elsewhere = store_of(1);
    std::os::unix::fs::symlink("register/20260724T091500-0", store.path().join("latest")).expect("a link");
    std::os::unix::fs::symlink(elsewhere.path().join("register"), store.path().join("out")).expect("a link");
    put(store.path(), ".hidden", &run(1));
    assert_eq!(everything(&synced(store.path())).len(), 1);
}

#[test]
fn a_damaged_index_or_one_of_another_version_is_built_again() {
    let store = store_of(3);
    let no_database =
        "not a database, and as long as the header of one, which has a hundred bytes: ".repeat(2);
    let written = |bytes: &[u8]| fs::write(store.path().join(FILE), bytes).expect("a write");
    let cut = || {
        let file = fs::File::options().write(true).open(store.path().join(FILE)).expect("an index");
        file.set_len(5_000).expect("a cut");
    };
    let changed = |sql: &str| {
        let connection = Connection::open(store.path().join(FILE)).expect("an index");
        connection.execute_batch(sql).expect("a change");
    };
    let damages: [&dyn Fn(); 5] = [
        &|| written(no_database.as_bytes()),
        &|| written(b"SQLite format 3\0and then nothing of the kind"),
        &cut,
        &|| changed("DROP TABLE runs; CREATE VIEW runs AS SELECT 1; PRAGMA user_version = 77"),
        &|| changed("DROP TABLE runs"),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        assert_eq!(everything(&synced(store.path())).len(), 3, "before damage {number}");
        damage();
        assert_eq!(everything(&synced(store.path())).len(), 3, "after damage {number}");
        damage();
        Index::record(&store.path().join("register/20260724T091501-1")).expect("recorded");
        assert_eq!(everything(&synced(store.path())).len(), 3, "recorded after damage {number}");
    }
}

#[test]
fn an_index_that_another_process_replaced_is_opened_anew() {
    let store = store_of(1);
    let mut index = synced(store.path());
    fs::remove_file(store.path().join(FILE)).expect("gone");
    let mut other = synced(store.path());
    put(store.path(), "register", &run(9));
    other.sync().expect("in agreement");
    index.sync().expect("in agreement");
    assert_eq!(everything(&index), everything(&other));
    assert_eq!(everything(&index).len(), 2);
}

/// Each of eight opens the index, which does not exist yet, and writes thirty rows, as so many `rafture run` would.
#[test]
fn many_writers_at_once_lose_nothing() {
    let store = store_of(0);
    std::thread::scope(|scope| {
        for writer in 0..8u32 {
            let store = store.path();
            scope.spawn(move || {
                for number in 0..30 {
                    let folder = put(store, &format!("writer{writer}"), &run(number));
                    Index::record(&folder).expect("recorded");
                }
            });
        }
    });
    let index = Index::open(store.path()).expect("an index");
    assert_eq!(
        index.list(&Filter::default(), 0, 1).expect("a list").total(),
        240,
        "without a look at the folders"
    );
}

#[test]
fn filters_are_all_demanded_and_nothing_typed_is_sql() {
    let store = store_of(0);
    let odd = "' OR 1=1 --";
    for (number, system, faults, commit) in [
        (1, "rafture", vec!["kill", "pause"], "4f2a"),
        (2, "etcd", vec!["kill"], "4f2b"),
        (3, "etcd", vec![], odd),
    ] {
        let mut results = run(number);
        results.system = system.into();
        results.faults = faults.iter().map(|kind| ((*kind).to_owned(), Default::default())).collect();
        results.labels = [("commit".to_owned(), commit.to_owned())].into();
        results.started_at = format!("2026-07-{:02}T00:00:00Z", 20 + number);
        put(store.path(), "mixed", &results);
    }
    let index = synced(store.path());
    let count = |set: fn(&mut Filter, String), value: &str| {
        let mut filter = Filter::default();
        set(&mut filter, value.to_owned());
        paths(&index, &filter).len()
    };
    assert_eq!(count(|filter, value| filter.system = Some(value), "etcd"), 2);
    assert_eq!(count(|filter, value| filter.fault = Some(value), "kill"), 2);
    assert_eq!(count(|filter, value| filter.fault = Some(value), "kil"), 0);
    assert_eq!(count(|filter, value| filter.fault = Some(value), "none"), 1);
    assert_eq!(count(|filter, value| filter.commit = Some(value), "4f2"), 2);
    assert_eq!(count(|filter, value| filter.commit = Some(value), odd), 1);
    assert_eq!(count(|filter, value| filter.commit = Some(value), "%"), 0);
    assert_eq!(count(|filter, value| filter.from = Some(value), "2026-07-22"), 2);
    assert_eq!(count(|filter, value| filter.until = Some(value), "2026-07-22"), 2);
    assert_eq!(count(|filter, value| filter.verdict = Some(value), "valid"), 3);
    assert_eq!(count(|filter, value| filter.system = Some(value), ""), 3);
    let both = Filter { system: Some("etcd".into()), fault: Some("kill".into()), ..Filter::default() };
    assert_eq!(paths(&index, &both).len(), 1);
}

#[test]
fn trends_leave_out_overload_and_what_proves_nothing() {
    let store = store_of(2);
    let mut late = run(5);
    late.lateness = Some(crate::results::Lateness { p99_ms: 90.0, max_ms: 100.0 });
    put(store.path(), "register", &late);
    let mut vacuous = run(6);
    vacuous.verdict = rafture_checker::verdict::Verdict::Vacuous;
    put(store.path(), "register", &vacuous);
    // As fast as none of the others, on purpose.
    let mut other = run(7);
    other.command = "rafture run --rate 50 --seed 7".into();
    put(store.path(), "register", &other);
    let index = synced(store.path());
    let settings = index.settings().expect("settings");
    assert_eq!(settings.len(), 2, "runs of another rate are another matter: {settings:?}");
    assert_eq!(settings[1].recipe, "rafture run --rate 50");
    assert_eq!((settings[0].runs, settings[0].faults.as_str()), (2, "kill"));
    let samples = index.samples(&settings[0]).expect("samples");
    assert_eq!(samples.len(), 2);
    assert!(samples.iter().all(|sample| sample.commit == "4f2a9c1" && sample.recovery_p50_ms.is_some()));
    assert_eq!(index.overloaded(&settings[0]).expect("a count"), 1);
}

/// Every query of docs/index.md is one that the schema understands, and what the document says of columns is all there.
#[test]
fn the_queries_of_the_document_run_and_its_columns_exist() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/index.md");
    let text = fs::read_to_string(document).expect("docs/index.md");
    let queries: Vec<&str> =
        text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(queries.len() >= 5, "{} queries", queries.len());
    let store = store_of(3);
    let index = synced(store.path());
    let mut answers = 0;
    for query in queries {
        let mut statement =
            index.connection.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut rows = statement.query([]).expect("a query");
        while rows.next().unwrap_or_else(|error| panic!("{query}: {error}")).is_some() {
            answers += 1;
        }
    }
    assert!(answers >= 5, "{answers} rows of all queries together");
    for table in ["runs", "faults", "latency", "labels"] {
        let mut statement =
            index.connection.prepare("SELECT name FROM pragma_table_info(?1)").expect("a query");
        let columns = statement.query_map([table], |row| row.get::<_, String>(0)).expect("columns");
        for column in columns.map(|column| column.expect("a name")) {
            assert!(text.contains(&format!("`{column}`")), "docs/index.md does not tell of {table}.{column}");
        }
    }
}

#[test]
fn a_run_that_the_store_made_is_recorded_by_its_folder() {
    let store = store_of(1);
    let folder = RunFolder::open(store.path().join("register/20260724T091500-0")).expect("a run");
    Index::record(folder.path()).expect("recorded");
    assert_eq!(everything(&Index::open(store.path()).expect("an index")).len(), 1);
}
