//! What a claim costs where 100,000 chunks are queued: counted in steps and pages, not in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::super::sql_row::TASK_COLUMNS;
use super::super::{Queue, SqlQueue};
use super::backend::{Backend, on_postgres, on_sqlite};
use super::drive::{TOOL, claim, plan, planned, submission};
use crate::job::{Priority, Terms};

/// Chunks that are planned as ever; the others are copies of them.
const PLANNED: u32 = 1_000;
const QUEUED: u32 = 100_000;

#[test]
fn a_claim_in_sqlite_reads_no_more_where_more_is_queued() {
    on_sqlite(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        fill(&queue, 1, 20).await;
        let few = sqlite_steps(&queue).await;
        fill(&queue, 2, PLANNED).await;
        copy(&queue).await;
        let many = sqlite_steps(&queue).await;
        println!("measured: steps of SQLite for a claim's reads: {few} of 20, {many} of 100,020");
        assert!(many <= few + few / 10, "{many} steps where {few} were enough");
        for statement in queue.claim_statements() {
            let plan =
                explained(&queue, &format!("EXPLAIN QUERY PLAN {statement}"), "detail").await;
            assert!(
                plan.contains("USING INDEX tasks_") || plan.contains("COVERING INDEX tasks_"),
                "{plan}"
            );
            assert!(!plan.contains("TEMP B-TREE"), "sorts: {plan}");
        }
        assert!(claim(&queue, 1).await.is_some());
    });
}

#[test]
fn a_claim_in_postgresql_reads_no_more_where_more_is_queued() {
    on_postgres(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        fill(&queue, 1, 20).await;
        let few = postgres_pages(&queue).await;
        fill(&queue, 2, PLANNED).await;
        copy(&queue).await;
        let many = postgres_pages(&queue).await;
        println!(
            "measured: pages of PostgreSQL for a claim's reads: {few} of 20, {many} of 100,020"
        );
        // Two or three levels of an index instead of one, twice.
        assert!(many <= few + 8, "{many} pages where {few} were enough");
        assert!(claim(&queue, 1).await.is_some());
    });
}

async fn fill(queue: &SqlQueue, number: u32, chunks: u32) {
    let queue: &dyn Queue = queue;
    planned(queue, &submission(number, Priority::Backfill), &plan(chunks, 0), 0).await;
}

/// Adds copies of what is planned, up to [`QUEUED`] chunks.
async fn copy(queue: &SqlQueue) {
    let columns = TASK_COLUMNS.join(", ");
    for copy in 1..QUEUED / PLANNED {
        let values = columns.replace("number", &format!("number + {}", copy * PLANNED));
        let statement = format!(
            "INSERT INTO tasks ({columns}) SELECT {values} FROM tasks \
             WHERE kind = 3 AND frames > 0 AND number < {PLANNED} AND job LIKE '%2'"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(queue.pool()).await.unwrap();
    }
}

/// Steps of SQLite's machine for the reads of a claim, on a connection that counts each.
async fn sqlite_steps(queue: &SqlQueue) -> u64 {
    let options = queue.pool().connect_options();
    let path = options.database_url.path().to_owned();
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let statements = queue.claim_statements();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let head = sqlx::query(statements[0]).bind(TOOL);
    assert!(head.fetch_optional(&mut connection).await.unwrap().is_some());
    let due = sqlx::query(statements[1]).bind(1_i64).bind(1_i64);
    assert!(due.fetch_optional(&mut connection).await.unwrap().is_none());
    connection.close().await.unwrap();
    steps.load(Ordering::Relaxed)
}

/// Pages that PostgreSQL touches for the reads of a claim.
async fn postgres_pages(queue: &SqlQueue) -> u64 {
    let values = [[format!("'{TOOL}'"), String::new()], ["1".to_owned(), "1".to_owned()]];
    let mut pages = 0;
    for (statement, values) in queue.claim_statements().into_iter().zip(values) {
        let statement = statement.replace("$1", &values[0]).replace("$2", &values[1]);
        let text = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}");
        let plan = explained(queue, &text, "QUERY PLAN").await;
        assert!(plan.contains("Index Scan") && !plan.contains("Sort"), "{plan}");
        let buffers = plan.lines().find(|line| line.trim_start().starts_with("Buffers:")).unwrap();
        let numbers = buffers.split(['=', ' ']).filter_map(|word| word.parse::<u64>().ok());
        pages += numbers.sum::<u64>();
    }
    pages
}

async fn explained(queue: &SqlQueue, statement: &str, column: &str) -> String {
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(queue.pool()).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(column)).collect();
    lines.join("\n")
}
