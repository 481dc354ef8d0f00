//! Times of the packager's work, by criterion. Instructions are counted by `packager/bench/count`.

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, work) in headwater_packager_bench::works() {
        criterion.bench_function(name, |bench| bench.iter(&work));
    }
    criterion.final_summary();
}
