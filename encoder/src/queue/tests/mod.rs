//! One suite that every backend passes: in memory, in SQLite, in PostgreSQL.

mod backend;
mod chance;
mod cluster;
mod cost;
mod crowd;
mod drive;
mod growing;
mod leases;
mod life;
mod order;
mod random;
mod spoiled;
mod strict;

/// A test of each backend for each function: `async fn(Backend)`.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[test]
            fn $name() {
                super::super::backend::on_memory(super::$name);
            })+
        }
        mod sqlite {
            $(#[test]
            fn $name() {
                super::super::backend::on_sqlite(super::$name);
            })+
        }
        mod postgres {
            $(#[test]
            fn $name() {
                super::super::backend::on_postgres(super::$name);
            })+
        }
    };
}
use on_every_backend;
