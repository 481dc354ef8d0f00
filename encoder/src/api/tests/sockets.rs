//! The API over sockets: answers, event streams, a stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Bench, MANAGER, NOW_MS};
use crate::api::serve;
use crate::cancel;

/// Reads until `wanted` has come, or the end.
async fn read_to(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut bytes));
        match read.await.expect("it is sent within a minute").unwrap() {
            0 => break,
            len_bytes => text.push_str(std::str::from_utf8(&bytes[..len_bytes]).unwrap()),
        }
    }
    text
}

#[tokio::test]
async fn events_come_as_they_happen_and_go_on_where_they_ended() {
    let bench = Bench::new();
    let job = bench.submit("film").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (canceller, cancel) = cancel::pair();
    let server = tokio::spawn(serve(listener, Arc::clone(&bench.api), cancel));
    let ask = async |after: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {MANAGER}\r\n\
             {after}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut live = ask("").await;
    let text = read_to(&mut live, "\"submitted\"").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("id: 1\nevent: submitted\ndata: {\"at_ms\":1000000,"), "{text}");
    bench.queue.cancel(job, NOW_MS).await.unwrap();
    let text = read_to(&mut live, "0\r\n\r\n").await;
    assert!(text.contains("id: 2\nevent: cancelled\n"), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "it ends with its job: {text}");
    let text = read_to(&mut ask("Last-Event-ID: 1\r\n").await, "0\r\n\r\n").await;
    assert!(text.contains("id: 2\n") && !text.contains("id: 1\n"), "{text}");
    let text = read_to(&mut ask("Last-Event-ID: x\r\n").await, "}").await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    // A stop ends streams whose job goes on.
    let other = bench.submit("other").await;
    let mut open = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/jobs/{other}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {MANAGER}\r\n\r\n"
    );
    open.write_all(request.as_bytes()).await.unwrap();
    read_to(&mut open, "submitted").await;
    canceller.cancel();
    server.await.unwrap();
    read_to(&mut open, "never said").await;
}
