//! A server that answers as its script says: well, with wrong bytes, cut, refusing, silent, or gone.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The body that belongs to the path.
    Good,
    /// As long, but other bytes.
    WrongBytes,
    /// A body that ends in its middle, and the connection with it.
    Cut,
    /// 503 with a body.
    Refused,
    /// The connection ends before an answer.
    Gone,
    /// Nothing, until the client gives up.
    Silent,
}

/// A request as it came: its path, and its header fields in lower case.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub fields: Vec<String>,
}

/// The server.
pub struct Liar {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    /// Answers the n-th request for `path` as `script` says, with `body`'s bytes.
    pub fn start(
        script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
        body: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (all, script, body) = (Arc::clone(&asked), Arc::new(script), Arc::new(body));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (all, script, body) =
                    (Arc::clone(&all), Arc::clone(&script), Arc::clone(&body));
                thread::spawn(move || {
                    serve(&stream, |request| {
                        let mut all = all.lock().unwrap();
                        let n = all.len();
                        all.push(request.clone());
                        drop(all);
                        (script(n, &request.path), body(&request.path))
                    })
                });
            }
        });
        Self { address, asked }
    }

    /// Everything that was asked for, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Serves a connection until one of both ends it.
fn serve(mut stream: &TcpStream, answer: impl Fn(&Asked) -> (Answer, Vec<u8>)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        let (how, mut body) = answer(&request);
        let len = body.len();
        let status = if how == Answer::Refused { "503 Service Unavailable" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {len}\r\n\r\n");
        match how {
            Answer::Good | Answer::Refused => {}
            Answer::WrongBytes => body.iter_mut().for_each(|byte| *byte ^= 1),
            Answer::Cut => body.truncate(len / 2),
            Answer::Gone => return stream.shutdown(Shutdown::Both).ok(),
            Answer::Silent => {
                // Until the client closes: then there is no next request.
                return read(&mut reader).map(drop);
            }
        }
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body).ok()?;
        if how == Answer::Cut {
            return stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    Some(Asked { path, fields: lines[1..].iter().map(|line| line.to_lowercase()).collect() })
}
