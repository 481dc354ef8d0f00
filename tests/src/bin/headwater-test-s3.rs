//! `headwater-test-s3 FOLDER`: the S3 server of the tests, for tests that are not in Rust. It holds a
//! copy of a folder's store, prints one line of JSON that says how an origin reaches it, and ends
//! with its standard input.
#![expect(clippy::print_stdout, reason = "it is how the address gets out")]
#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use headwater_tests::s3::{self, Server};

fn main() {
    let folder: PathBuf = std::env::args_os().nth(1).expect("a store's folder").into();
    let server = Server::holding(&folder);
    let store = s3::settings(server.address(), "");
    let env: BTreeMap<_, _> = s3::env().into();
    println!("{}", serde_json::json!({ "store": store, "env": env }));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
