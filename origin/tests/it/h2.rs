//! HTTP/2: the same answers as HTTP/1.1, and limits of its own.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use headwater_origin::adapter::Terms;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::{Client, Stored};
use crate::net::{TERMS, ask, ask_with, h2_over, read, until, wired};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn answers_are_those_of_http_1() {
    let stored = Stored::with_movie_scaled(200);
    let wired = wired(&stored, TERMS);
    let base = wired.origin.base();
    let segment = format!("{base}v720/1.m4s");
    type Case<'a> = (&'a str, Method, &'a str, &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        ("whole", Method::GET, &segment, &[]),
        ("head", Method::HEAD, &segment, &[]),
        ("range", Method::GET, &segment, &[("range", "bytes=1000000-1999999")]),
        ("outside", Method::GET, &segment, &[("range", "bytes=999999999-")]),
        ("any tag", Method::GET, &segment, &[("if-none-match", "*")]),
        ("preflight", Method::OPTIONS, &segment, &[("origin", "https://a.example")]),
        ("method", Method::DELETE, &segment, &[]),
        ("missing", Method::GET, "/clear/none/manifest.mpd", &[]),
        ("unrouted", Method::HEAD, "/nothing", &[]),
        ("master", Method::GET, "/clear/movie/master.m3u8", &[]),
        ("health", Method::GET, "/healthz", &[]),
        ("page", Method::GET, "/", &[]),
        ("options of all", Method::OPTIONS, "*", &[]),
    ];
    let mut h1 = Client::connect(wired.address);
    wired.runtime.block_on(async {
        let h2 = wired.h2c().await;
        for (name, method, path, headers) in cases {
            let fields: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
            h1.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
            let mut wanted = h1.read(*method == Method::HEAD);
            if *path == "*" {
                continue;
            }
            let mut got = ask_with(&h2, method.clone(), path, headers).await.unwrap();
            for seen in [&mut wanted, &mut got] {
                assert!(seen.headers.remove("date").is_some(), "{name}");
            }
            assert_eq!(got.status, wanted.status, "{name}");
            assert_eq!(got.headers, wanted.headers, "{name}");
            assert!(got.body == wanted.body, "{name}");
        }
    });
    let sent = || wired.origin.counted("sent_bytes_total{kind=\"segment\"}");
    let len = stored.track("v720").segment(1).len() as u64;
    until("they are counted alike", || sent() >= 2 * (len + 1_000_000));
    assert!(sent() < 2 * (len + 1_000_000) + 2_000, "bodies of refusals aside: {}", sent());
}

#[test]
fn many_requests_share_a_connection_and_end_with_the_answers() {
    let stored = Stored::with_movie_scaled(100);
    let wired = wired(&stored, TERMS);
    let base = wired.origin.base();
    wired.runtime.block_on(async {
        let client = wired.h2c().await;
        // From here on the client knows how many it may have at a time.
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
        let mut asked = tokio::task::JoinSet::new();
        for i in 0..300 {
            let (client, path) = (client.clone(), format!("{base}v360/{}.m4s", i % 4 + 1));
            asked.spawn(async move { (i, ask(&client, Method::GET, &path).await.unwrap()) });
        }
        let wanted: Vec<_> = (1..=4).map(|n| stored.track("v360").segment(n)).collect();
        while let Some(answered) = asked.join_next().await {
            let (i, seen) = answered.unwrap();
            assert!(seen.status == 200 && seen.body == wanted[i % 4], "{i}");
        }
    });
    assert_eq!(wired.origin.counted("connections_total"), 1);
    assert_eq!(wired.origin.counted("connection_protocols_total{protocol=\"h2\"}"), 1);
    until("the count goes down", || wired.open() == 0);
}

#[test]
fn bodies_of_requests_are_refused_and_other_streams_go_on() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    wired.runtime.block_on(async {
        let client = wired.h2c().await;
        for (method, status) in [(Method::POST, 405), (Method::GET, 413)] {
            let request = Request::builder().method(method).uri("http://test/healthz");
            let mut ready = client.clone().ready().await.unwrap();
            let (answer, mut body) = ready.send_request(request.body(()).unwrap(), false).unwrap();
            // Refused already, perhaps: then the stream takes no more, which is as good.
            let _late = body.send_data(bytes::Bytes::from_static(b"a body"), false);
            assert_eq!(read(answer.await.unwrap()).await.unwrap().status, status);
        }
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
    });
}

#[test]
fn authority_takes_the_place_of_host() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    wired.runtime.block_on(async {
        let client = wired.h2c().await;
        for (host, status) in [(None, 200), (Some("test"), 200), (Some("other"), 400)] {
            let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
            let seen = ask_with(&client, Method::GET, "/healthz", &headers).await.unwrap();
            assert_eq!(seen.status, status, "{host:?}");
        }
    });
}

#[test]
fn a_stream_that_takes_nothing_ends_while_others_go_on() {
    let stored = Stored::with_movie_scaled(100);
    let wired = wired(&stored, Terms { write_timeout: Duration::from_secs(1), ..TERMS });
    let path = format!("{}v720/1.m4s", wired.origin.base());
    wired.runtime.block_on(async {
        let stream = TcpStream::connect(wired.address).await.unwrap();
        // A window of its own for each stream, and room for all on the connection.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 24);
        let (client, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri(format!("http://test{path}"));
        let (stuck, _) = client.clone().send_request(request.body(()).unwrap(), true).unwrap();
        // Its window stays shut: nothing is released.
        let mut stuck = stuck.await.unwrap().into_body();
        let started = Instant::now();
        while wired.stream_faults("write_timeout") == 0 {
            assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
            assert!(started.elapsed() < Duration::from_secs(10), "never ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(900));
        let ended = loop {
            match stuck.data().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        assert_eq!(ended.unwrap().unwrap_err().reason(), Some(h2::Reason::CANCEL));
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
    });
    assert_eq!(wired.faults("write_timeout"), 0, "the connection goes on");
}

#[test]
fn a_connection_that_takes_nothing_ends() {
    let stored = Stored::with_movie_scaled(2000);
    let wired = wired(&stored, Terms { write_timeout: Duration::from_millis(1500), ..TERMS });
    let path = format!("{}v720/1.m4s", wired.origin.base());
    wired.runtime.block_on(async {
        let stream = TcpStream::connect(wired.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
        let (mut client, mut connection) =
            builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
        let request = Request::builder().uri(format!("http://test{path}")).body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        // Driven until the answer begins, and never again.
        tokio::select! {
            _ = poll_fn(|cx| std::pin::Pin::new(&mut connection).poll(cx)) => {}
            answer = answer => drop(answer.unwrap().into_body().data().await),
        }
        let started = Instant::now();
        while wired.faults("write_timeout") == 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "never ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(connection);
    });
}

#[test]
fn silence_ends_a_connection_and_pings_are_silence() {
    let stored = Stored::with_movie();
    let terms = Terms {
        header_timeout: Duration::from_millis(700),
        idle_timeout: Duration::from_millis(1500),
        ..TERMS
    };
    let wired = wired(&stored, terms);
    wired.runtime.block_on(async {
        // No preface; no settings; no request.
        for sent in
            [b"PRI * HT".to_vec(), PREFACE.to_vec(), [PREFACE, &frame(4, 0, 0, &[])].concat()]
        {
            let mut stream = TcpStream::connect(wired.address).await.unwrap();
            stream.write_all(&sent).await.unwrap();
            let started = Instant::now();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            let took = started.elapsed();
            assert!(
                took > Duration::from_millis(600) && took < Duration::from_secs(10),
                "{took:?}"
            );
        }
        until("all are counted", || wired.faults("header_timeout") == 3);

        let stream = TcpStream::connect(wired.address).await.unwrap();
        let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
        let mut ping_pong = connection.ping_pong().unwrap();
        let driven = tokio::spawn(connection);
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
        let started = Instant::now();
        while ping_pong.ping(h2::Ping::opaque()).await.is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "never ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(1400), "{:?}", started.elapsed());
        drop(client);
        assert!(driven.await.unwrap().is_ok(), "it is told that it may go");
    });
    until("it is counted", || wired.faults("idle_timeout") == 1);
}

#[test]
fn on_a_stop_streams_finish_and_nothing_new_begins() {
    let stored = Stored::with_movie_scaled(200);
    let wired = wired(&stored, TERMS);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    wired.runtime.block_on(async {
        let (idle, busy) = (wired.h2c().await, wired.h2c().await);
        assert_eq!(ask(&idle, Method::GET, "/healthz").await.unwrap().status, 200);
        let request = Request::builder().uri(format!("http://test{path}")).body(()).unwrap();
        let (answer, _) = busy.clone().send_request(request, true).unwrap();
        let answer = answer.await.unwrap();
        wired.stop.send(true).unwrap();
        let ended = Instant::now() + Duration::from_secs(10);
        while ask(&idle, Method::GET, "/healthz").await.is_ok() {
            assert!(Instant::now() < ended, "an idle connection goes on");
        }
        assert!(read(answer).await.unwrap().body == stored.track("v720").segment(1));
    });
    until("nothing is open", || wired.open() == 0);
}

/// A client that says something while it takes what the origin has long sent and forgotten: its frames
/// must not come to a closed socket, which would throw the rest away.
#[test]
fn a_client_that_sends_frames_until_the_end_gets_the_whole_answer() {
    let stored = Stored::with_movie_scaled(300);
    let wired = wired(&stored, TERMS);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    let wanted = stored.track("v720").segment(1);
    wired.runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = socket.connect(wired.address).await.unwrap();
        // Windows of all that there are, and a GET by the static table (RFC 7541 A).
        let windows = 0x4000_0000_u32.to_be_bytes();
        let settings = frame(4, 0, 0, &[&[0, 4], &windows[..]].concat());
        let len = u8::try_from(path.len()).unwrap();
        let get = [b"\x82\x86\x41\x01x\x04", &[len][..], path.as_bytes()].concat();
        let asks = [PREFACE, &settings, &frame(8, 0, 0, &windows), &frame(1, 5, 1, &get)].concat();
        stream.write_all(&asks).await.unwrap();
        let mut body = Vec::new();
        let mut is_last_said = false;
        while let Some((kind, payload)) = next_frame(&mut stream).await {
            match kind {
                0 => {
                    body.extend_from_slice(&payload);
                    wired.stop.send(true).unwrap();
                }
                6 => stream.write_all(&frame(6, 1, 0, &payload)).await.unwrap(),
                7 => is_last_said = true,
                _ => {}
            }
            // The origin is far ahead.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = stream.write_all(&frame(6, 0, 0, b"anything")).await;
        }
        assert!(is_last_said);
        assert!(body == wanted, "{} of {} bytes", body.len(), wanted.len());
    });
    until("nothing is open", || wired.open() == 0);
    assert_eq!(wired.faults("broken") + wired.faults("flood"), 0);
}

/// One that never closes is waited for for so long, whatever it sends, and what ended the connection is told.
#[test]
fn a_client_that_does_not_close_is_closed() {
    let stored = Stored::with_movie();
    let terms = Terms {
        write_timeout: Duration::from_millis(800),
        idle_timeout: Duration::from_millis(3000),
        ..TERMS
    };
    let at_most = Duration::from_secs(20);
    for (name, is_stop, pings, at_least_ms) in [
        ("a fault, in silence", false, false, 700),
        ("a fault, and goes on", false, true, 900),
        ("a stop, in silence", true, false, 700),
        ("a stop, and goes on", true, true, 2700),
    ] {
        let wired = wired(&stored, terms.clone());
        let faults = wired.runtime.block_on(async {
            let mut stream = TcpStream::connect(wired.address).await.unwrap();
            stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await.unwrap();
            // The origin's settings, and that it has seen ours.
            for kind in [4, 4] {
                assert_eq!(next_frame(&mut stream).await.unwrap().0, kind, "{name}");
            }
            let began = Instant::now();
            if is_stop {
                wired.stop.send(true).unwrap();
            } else {
                stream.write_all(&frame(0, 0, 7, b"data on no stream")).await.unwrap();
            }
            while let Some((kind, payload)) = next_frame(&mut stream).await {
                if kind == 6 {
                    stream.write_all(&frame(6, 1, 0, &payload)).await.unwrap();
                }
            }
            while wired.open() > 0 {
                assert!(began.elapsed() < at_most, "{name}: never ended");
                if pings {
                    let _ = stream.write_all(&frame(6, 0, 0, b"anything")).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(at_least_ms), "{name}: {took:?}");
            ["bad_request", "write_timeout", "idle_timeout", "flood"]
                .map(|fault| wired.faults(fault))
        });
        assert_eq!(faults, [u64::from(!is_stop), 0, 0, 0], "{name}");
    }
}

/// Kind and payload of what comes next, until the end.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.expect("a whole frame");
    // Said of our own pings and settings.
    let is_ack = head[3] == 6 && head[4] == 1;
    Some((if is_ack { 255 } else { head[3] }, payload))
}

#[test]
fn what_is_no_http_2_is_refused_and_counted() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let settings = frame(4, 0, 0, &[]);
    wired.runtime.block_on(async {
        for (name, sent) in [
            ("a header on stream 0", frame(1, 5, 0, &[0x82])),
            ("an index out of the table", frame(1, 5, 1, &[0xff, 0xff, 0xff, 0x0f])),
            ("a frame of 16 MB", vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
            ("data on no stream", frame(0, 0, 7, b"x")),
        ] {
            let mut stream = TcpStream::connect(wired.address).await.unwrap();
            stream.write_all(&[PREFACE, &settings, &sent].concat()).await.unwrap();
            let mut rest = Vec::new();
            let read = stream.read_to_end(&mut rest);
            assert!(tokio::time::timeout(Duration::from_secs(10), read).await.is_ok(), "{name}");
        }
        until("counted", || wired.faults("bad_request") == 4);
        let other = h2_over(TcpStream::connect(wired.address).await.unwrap()).await;
        assert_eq!(ask(&other, Method::GET, "/healthz").await.unwrap().status, 200);
    });
}
