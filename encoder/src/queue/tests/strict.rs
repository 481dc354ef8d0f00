//! What a database must keep, and what a start refuses.

use std::time::Duration;

use super::super::Queue;
use super::super::{QueueError, SqlQueue};
use super::backend::{Backend, on_postgres, on_sqlite};
use super::drive::{TOOL, claim, plan, planned, submission, version, worker};
use crate::job::{Event, Priority, Terms};
use crate::limits;

#[test]
fn sqlite_says_done_when_it_is_on_disk_and_keeps_it() {
    on_sqlite(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        let pragma = async |name: &'static str| -> String {
            let row = sqlx::query(name).fetch_one(queue.pool()).await.unwrap();
            let as_text: Result<String, _> = sqlx::Row::try_get(&row, 0);
            as_text.unwrap_or_else(|_| sqlx::Row::get::<i64, _>(&row, 0).to_string())
        };
        assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma("PRAGMA synchronous").await, "2", "FULL");
        planned(&queue, &submission(1, Priority::Normal), &plan(2, 1), 0).await;
        let before = queue.tasks(version(1)).await.unwrap();
        queue.close().await;
        let again = backend.sql(Terms::default()).await.unwrap();
        assert_eq!(again.tasks(version(1)).await.unwrap(), before);
    });
}

#[test]
fn a_database_of_a_later_release_is_refused() {
    on_sqlite(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        let later = "INSERT INTO _sqlx_migrations \
             (version, description, success, checksum, execution_time) VALUES (9, 'later', 1, x'00', 0)";
        sqlx::query(later).execute(queue.pool()).await.unwrap();
        let place = queue.pool().connect_options().database_url.to_string();
        let refused = SqlQueue::open(&place, 1, Terms::default()).await.unwrap_err();
        assert!(refused.to_string().contains("9"), "{refused}");
    });
}

#[test]
fn an_address_that_is_no_database_is_refused_and_not_repeated() {
    on_sqlite(async |_| {
        for url in ["mysql://user:hunter2@host/db", "hunter2", ""] {
            let refused = SqlQueue::open(url, 1, Terms::default()).await.unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    });
}

#[test]
fn what_was_refused_holds_nothing_that_another_worker_would_skip() {
    on_postgres(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        let other = backend.sql(Terms::default()).await.unwrap();
        planned(&queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
        for _ in 0..50 {
            let hold = claim(&other, 0).await.expect("it is ready").hold;
            queue.tell(&hold, Event::Released, 0).await.unwrap();
            queue.tell(&hold, Event::Released, 0).await.unwrap_err();
        }
    });
}

#[test]
fn what_another_worker_is_claiming_is_skipped() {
    on_postgres(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        let other = backend.sql(Terms::default()).await.unwrap();
        planned(&queue, &submission(1, Priority::Normal), &plan(2, 0), 0).await;
        let mut claiming = queue.pool().begin().await.unwrap();
        let head = sqlx::query(queue.claim_statements()[0]).bind(TOOL);
        head.fetch_one(&mut *claiming).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(20), claim(&other, 0)).await;
        let next = next.expect("it does not wait").expect("it is ready");
        assert_eq!(next.hold.key.index, 1);
    });
}

#[test]
fn long_names_are_refused() {
    on_sqlite(async |backend: Backend| {
        let queue = backend.sql(Terms::default()).await.unwrap();
        let mut long = submission(1, Priority::Normal);
        long.input = "x".repeat(limits::INPUT_BYTES + 1);
        let refused = queue.submit(&long, 0).await;
        assert!(matches!(refused, Err(QueueError::OutOfBounds(_))), "{refused:?}");
        let worker = worker(&"x".repeat(limits::WORKER_BYTES + 1));
        let refused = queue.claim(&worker, 0).await;
        assert!(matches!(refused, Err(QueueError::OutOfBounds(_))), "{refused:?}");
    });
}
