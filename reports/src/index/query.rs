//! What pages ask of the index: lists with filters, what there is to choose from, one run, the runs behind a trend.

use rusqlite::types::{ToSql, Value as SqlValue};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::{Index, IndexError, State};

/// Which runs. What is `None` or empty does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The system under test.
    pub system: Option<String>,
    /// The workload.
    pub workload: Option<String>,
    /// A kind of fault that was among those asked for; `none` for runs without any.
    pub fault: Option<String>,
    /// A verdict, or `unfinished` or `unreadable`.
    pub verdict: Option<String>,
    /// The first day, as `2026-07-24`, in UTC.
    pub from: Option<String>,
    /// The last day.
    pub until: Option<String>,
    /// How the commit of the system under test begins.
    pub commit: Option<String>,
    /// The name under which the run is stored.
    pub name: Option<String>,
    /// The campaign.
    pub campaign: Option<String>,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of `schema.sql`, which says what they are")]
pub struct Row {
    pub path: String,
    pub name: String,
    pub run: String,
    pub state: State,
    pub complaint: Option<String>,
    pub system: Option<String>,
    pub workload: Option<String>,
    pub nodes: Option<i64>,
    pub network: Option<String>,
    pub seed: Option<String>,
    pub verdict: Option<String>,
    pub reason: Option<String>,
    pub anomaly: Option<String>,
    pub oracle: Option<String>,
    pub faults: Option<String>,
    pub started_at: Option<String>,
    pub seconds: Option<f64>,
    pub throughput: Option<f64>,
    pub operations_ok: Option<i64>,
    pub recovery_p50_ms: Option<f64>,
    pub recovery_p99_ms: Option<f64>,
    pub recovery_max_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    pub commit: Option<String>,
    pub campaign: Option<String>,
    pub overloaded: bool,
}

const COLUMNS: &str = "path, name, run, state, complaint, system, workload, nodes, network, seed, verdict, reason, \
    anomaly, oracle, faults, started_at, seconds, throughput, operations_ok, recovery_p50_ms, recovery_p99_ms, \
    recovery_max_ms, latency_p99_ms, commit_id, campaign, overloaded";

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// The runs of this page.
    pub rows: Vec<Row>,
    /// How many runs the filter lets through, by verdict, or by state where there is no verdict; most frequent first.
    pub tally: Vec<(String, u64)>,
}

impl Listing {
    /// How many runs the filter lets through.
    pub fn total(&self) -> u64 {
        self.tally.iter().map(|(_, count)| count).sum()
    }
}

/// What filters can be set to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices {
    /// Systems.
    pub systems: Vec<String>,
    /// Workloads.
    pub workloads: Vec<String>,
    /// Kinds of faults.
    pub faults: Vec<String>,
    /// Names of runs.
    pub names: Vec<String>,
    /// Campaigns.
    pub campaigns: Vec<String>,
}

/// One run of a trend. Figures that the run has not are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The run.
    pub path: String,
    /// The commit of the system under test; for runs without one, the day.
    pub commit: String,
    /// Whether `commit` is a commit.
    pub is_commit: bool,
    /// Seconds since 1970.
    pub started_s: i64,
    /// Median outage.
    pub recovery_p50_ms: Option<f64>,
    /// 99 of 100 outages were no longer.
    pub recovery_p99_ms: Option<f64>,
    /// Successes per second.
    pub throughput: Option<f64>,
    /// Of the slowest kind of operation.
    pub latency_p99_ms: Option<f64>,
}

/// Runs that may be compared: those that were made by the same recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The system under test.
    pub system: String,
    /// The workload.
    pub workload: String,
    /// Kinds, comma-separated; empty for none.
    pub faults: String,
    /// How many nodes.
    pub nodes: i64,
    /// The line that repeats such a run, without what they differ in.
    pub recipe: String,
    /// How many runs there are.
    pub runs: u64,
}

impl Setting {
    /// In the order of the placeholders.
    fn values(&self) -> [&dyn ToSql; 5] {
        [&self.system, &self.workload, &self.faults, &self.nodes, &self.recipe]
    }
}

/// Runs whose figures tell about the system: judged to the end, not vacuous, on a machine that kept up. An invalid run ends
/// at its violation, so its figures are of a shorter time.
const MEASURED: &str = "state = 'finished' AND verdict IN ('valid', 'unknown') AND overloaded = 0";

impl Index {
    /// Runs that `filter` lets through, newest first: `limit` of them from the `offset`th.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, filter: &Filter, offset: u64, limit: u64) -> Result<Listing, IndexError> {
        let (condition, mut values) = filter.sql();
        let tally = format!(
            "SELECT iif(state = 'finished', verdict, state), count(*) AS runs FROM runs WHERE {condition}
             GROUP BY 1 ORDER BY runs DESC, 1"
        );
        let page = format!(
            "SELECT {COLUMNS} FROM runs WHERE {condition} ORDER BY started_s DESC, path DESC LIMIT ? OFFSET ?"
        );
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&tally)?;
            let counts =
                statement.query_map(params_from_iter(&values), |row| Ok((row.get(0)?, row.get(1)?)))?;
            let tally = counts.collect::<rusqlite::Result<Vec<(String, u64)>>>()?;
            values.extend(
                [limit, offset].map(|number| SqlValue::from(i64::try_from(number).unwrap_or(i64::MAX))),
            );
            let mut statement = connection.prepare_cached(&page)?;
            let rows =
                statement.query_map(params_from_iter(&values), row)?.collect::<rusqlite::Result<_>>()?;
            Ok(Listing { rows, tally })
        })
    }

    /// The run at `path`, as `name/run`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn run(&self, path: &str) -> Result<Option<Row>, IndexError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE path = ?1");
        self.ask(|connection| connection.prepare_cached(&sql)?.query_row([path], row).optional())
    }

    /// What there is to choose from.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn choices(&self) -> Result<Choices, IndexError> {
        self.ask(|connection| {
            Ok(Choices {
                systems: texts(
                    connection,
                    "SELECT DISTINCT system FROM runs WHERE system IS NOT NULL ORDER BY 1",
                )?,
                workloads: texts(
                    connection,
                    "SELECT DISTINCT workload FROM runs WHERE workload IS NOT NULL ORDER BY 1",
                )?,
                faults: texts(connection, "SELECT DISTINCT kind FROM faults ORDER BY 1")?,
                names: texts(connection, "SELECT DISTINCT name FROM runs ORDER BY 1")?,
                campaigns: texts(
                    connection,
                    "SELECT DISTINCT campaign FROM runs WHERE campaign IS NOT NULL ORDER BY 1",
                )?,
            })
        })
    }

    /// What was run how often, most frequent first. Only runs with figures to compare.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn settings(&self) -> Result<Vec<Setting>, IndexError> {
        let sql = format!(
            "SELECT system, workload, faults, nodes, recipe, count(*) AS runs FROM runs WHERE {MEASURED}
             GROUP BY 1, 2, 3, 4, 5 ORDER BY runs DESC, 1, 2, 3, 4, 5"
        );
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let settings = statement.query_map([], |row| {
                Ok(Setting {
                    system: row.get(0)?,
                    workload: row.get(1)?,
                    faults: row.get(2)?,
                    nodes: row.get(3)?,
                    recipe: row.get(4)?,
                    runs: row.get(5)?,
                })
            })?;
            settings.collect()
        })
    }

    /// The runs of `setting`, oldest first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn samples(&self, setting: &Setting) -> Result<Vec<Sample>, IndexError> {
        let sql = format!(
            "SELECT path, coalesce(commit_id, substr(started_at, 1, 10)), commit_id IS NOT NULL, started_s,
                    recovery_p50_ms, recovery_p99_ms, throughput, latency_p99_ms
             FROM runs WHERE {MEASURED} AND started_s IS NOT NULL
               AND system = ?1 AND workload = ?2 AND faults = ?3 AND nodes = ?4 AND recipe = ?5 ORDER BY started_s, path"
        );
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let values = setting.values();
            let samples = statement.query_map(values, |row| {
                Ok(Sample {
                    path: row.get(0)?,
                    commit: row.get(1)?,
                    is_commit: row.get(2)?,
                    started_s: row.get(3)?,
                    recovery_p50_ms: row.get(4)?,
                    recovery_p99_ms: row.get(5)?,
                    throughput: row.get(6)?,
                    latency_p99_ms: row.get(7)?,
                })
            })?;
            samples.collect()
        })
    }

    /// How many runs of `setting` were left out because the machine was overloaded.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn overloaded(&self, setting: &Setting) -> Result<u64, IndexError> {
        let sql =
            "SELECT count(*) FROM runs WHERE overloaded = 1 AND system = ?1 AND workload = ?2 AND faults = ?3
                   AND nodes = ?4 AND recipe = ?5";
        let values = setting.values();
        self.ask(|connection| connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)))
    }
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

impl Filter {
    /// A condition with a `?` for each of the values.
    fn sql(&self) -> (String, Vec<SqlValue>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut demand = |condition: &str, value: &Option<String>| {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                conditions.push(condition.to_owned());
                values.push(SqlValue::from(value.clone()));
            }
        };
        demand("system = ?", &self.system);
        demand("workload = ?", &self.workload);
        demand("iif(state = 'finished', verdict, state) = ?", &self.verdict);
        demand("substr(started_at, 1, 10) >= ?", &self.from);
        demand("substr(started_at, 1, 10) <= ?", &self.until);
        // Not LIKE: what was typed may hold its wildcards.
        let begins = "instr(commit_id, ?) = 1";
        demand(begins, &self.commit);
        demand("name = ?", &self.name);
        demand("campaign = ?", &self.campaign);
        match self.fault.as_deref() {
            None | Some("") => {}
            Some("none") => conditions.push("faults = ''".to_owned()),
            Some(_) => demand("instr(',' || faults || ',', ',' || ? || ',') > 0", &self.fault),
        }
        (conditions.join(" AND "), values)
    }
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        path: row.get(0)?,
        name: row.get(1)?,
        run: row.get(2)?,
        state: State::parse(&row.get::<_, String>(3)?),
        complaint: row.get(4)?,
        system: row.get(5)?,
        workload: row.get(6)?,
        nodes: row.get(7)?,
        network: row.get(8)?,
        seed: row.get(9)?,
        verdict: row.get(10)?,
        reason: row.get(11)?,
        anomaly: row.get(12)?,
        oracle: row.get(13)?,
        faults: row.get(14)?,
        started_at: row.get(15)?,
        seconds: row.get(16)?,
        throughput: row.get(17)?,
        operations_ok: row.get(18)?,
        recovery_p50_ms: row.get(19)?,
        recovery_p99_ms: row.get(20)?,
        recovery_max_ms: row.get(21)?,
        latency_p99_ms: row.get(22)?,
        commit: row.get(23)?,
        campaign: row.get(24)?,
        overloaded: row.get(25)?,
    })
}
