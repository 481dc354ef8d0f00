//! The schema, one for both databases, and its migrations.
//!
//! A migration that a release has run is never changed: the next change is another file. `sqlx`
//! keeps their checksums and refuses a database of a later release.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, SqlSafeStr};

use super::error::QueueError;

const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "jobs and tasks", include_str!("migrations/0001_jobs_and_tasks.sql")),
    (2, "superseded", include_str!("migrations/0002_superseded.sql")),
    (3, "said and spent", include_str!("migrations/0003_said_and_spent.sql")),
    (4, "read bytes", include_str!("migrations/0004_read_bytes.sql")),
];

/// Brings a database up to date. Several processes may do so at once.
pub(super) async fn migrate(pool: &AnyPool) -> Result<(), QueueError> {
    let migrations = MIGRATIONS.map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.to_vec()).run(pool).await.map_err(|e| {
        QueueError::Database {
            text: format!("its tables cannot be made or brought up to date: {e}"),
            is_transient: false,
        }
    })
}
