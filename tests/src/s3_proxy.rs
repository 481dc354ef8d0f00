//! Stands between a client and an S3 server: writes down every request, and spoils what the test
//! says. Plain HTTP/1.1 with lengths, one thread a connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What is done to one request, or to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// The connection is reset before the server hears of the request.
    Reset,
    /// The server does what it is asked to, and the connection is reset instead of its answer.
    LoseAnswer,
    /// Of the request's body only so many thousandths reach the server, and then both connections end.
    Tear(usize),
    /// The answer begins after so many milliseconds.
    Late(u64),
    /// Of the answer's body only so many thousandths come, and then nothing.
    Stall(usize),
    /// The answer's body comes in hundreds of small pieces, ten a second: slowly, and without a pause.
    Drip,
    /// Of the answer's body only so many thousandths come, and then the connection ends.
    Cut(usize),
    /// One byte of the body, so many thousandths from its start, has its highest bit turned.
    Flip(usize),
    /// The server answers with this status and code; no code is an answer that is no S3 server's.
    Status(u16, &'static str),
    /// The answer says 200 and no range, as one of a server that knows none.
    NoRange,
}

/// A request as it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it does.
    pub kind: Kind,
    /// Path and query.
    pub target: String,
    /// The Range header.
    pub range: String,
    /// The If-None-Match header.
    pub if_none_match: String,
    /// Header fields that speak of the SDK's own checksums, by name.
    pub checksums: Vec<String>,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole object.
    Get,
    /// A part of an object.
    Range,
    /// A listing.
    List,
    /// Writes an object.
    Put,
    /// Begins an upload.
    Create,
    /// Sends a part of one.
    Part,
    /// Ends one.
    Complete,
    /// Gives one up.
    Abort,
    /// Removes an object.
    Delete,
}

impl Kind {
    /// Whether it changes what is stored.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::Range | Self::List)
    }
}

/// A body that drips comes in about so many pieces.
const DROPS: usize = 400;
/// Time between two of them.
const DROP_EVERY: Duration = Duration::from_millis(100);

type Plan = Box<dyn FnMut(&Asked) -> Fault + Send>;

/// A running proxy. It stops listening when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    plan: Mutex<Plan>,
    asked: Mutex<Vec<Asked>>,
    /// Connections that a request came on.
    connections: AtomicUsize,
    /// Requests on their way now, and the most that ever were.
    running: AtomicUsize,
    most: AtomicUsize,
    open: Mutex<HashMap<u64, TcpStream>>,
    refusing: AtomicBool,
    stopped: AtomicBool,
}

impl Proxy {
    /// A proxy before `server` that spoils nothing.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            plan: Mutex::new(Box::new(|_| Fault::Pass)),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            open: Mutex::default(),
            refusing: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let proxy = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || shared.listen(listener));
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on.
    pub fn inject(&self, plan: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }

    /// Spoils nothing any more, and listens.
    pub fn heal(&self) {
        self.inject(|_| Fault::Pass);
        self.shared.refusing.store(false, Ordering::SeqCst);
        // The listener is bound anew by its thread.
        while TcpStream::connect(self.address).is_err() {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Nobody listens any more; what was open is closed.
    pub fn refuse(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        while TcpStream::connect(self.address).is_ok() {
            thread::sleep(Duration::from_millis(2));
        }
        for (_, stream) in lock(&self.shared.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What was asked since the last call.
    pub fn taken(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }

    /// How many connections requests came on since the last call.
    pub fn connections(&self) -> usize {
        self.shared.connections.swap(0, Ordering::SeqCst)
    }

    /// The most requests that were on their way at a time since the last call.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.swap(0, Ordering::SeqCst)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, first: TcpListener) {
        let address = first.local_addr().unwrap();
        let (mut listener, mut number) = (Some(first), 0);
        while !self.stopped.load(Ordering::SeqCst) {
            if self.refusing.load(Ordering::SeqCst) {
                listener = None;
            } else if listener.is_none() {
                listener = TcpListener::bind(address).ok();
            }
            let Some(listening) = &listener else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            listening.set_nonblocking(true).unwrap();
            match listening.accept() {
                Ok((client, _)) => {
                    let this = Arc::clone(self);
                    number += 1;
                    lock(&self.open).extend(client.try_clone().map(|client| (number, client)));
                    thread::spawn(move || {
                        // Whatever breaks here breaks for the client: that is what it is for.
                        let _ = this.carry(&client);
                        // A reset is sent when the last handle is closed.
                        lock(&this.open).remove(&number);
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// One connection: requests one after the other.
    fn carry(&self, client: &TcpStream) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        let server = TcpStream::connect(self.server)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut from_server) = (BufReader::new(client), BufReader::new(&server));
        let mut is_first = true;
        while let Some(request) = Message::read(&mut from_client, false)? {
            if std::mem::take(&mut is_first) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            let _running = Running::of(self);
            let asked = request.asked();
            lock(&self.asked).push(asked.clone());
            let fault = (lock(&self.plan))(&asked);
            match fault {
                Fault::Reset => return reset(client),
                Fault::Tear(thousandths) => {
                    let head = request.head();
                    let part = request.body.len() * thousandths.min(999) / 1000;
                    (&server).write_all(&head)?;
                    (&server).write_all(&request.body[..part])?;
                    server.shutdown(Shutdown::Both)?;
                    return reset(client);
                }
                Fault::Status(status, code) => {
                    answer(client, status, code)?;
                    continue;
                }
                _ => {}
            }
            request.write(&server)?;
            let Some(answer) = Message::read(&mut from_server, true)? else { return Ok(()) };
            if !self.spoil(client, answer, fault)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends an answer on as the fault wants it; whether the connection goes on.
    fn spoil(
        &self,
        client: &TcpStream,
        mut answer: Message,
        fault: Fault,
    ) -> std::io::Result<bool> {
        let part = |thousandths: usize| answer.body.len() * thousandths / 1000;
        match fault {
            Fault::LoseAnswer => {
                reset(client)?;
                return Ok(false);
            }
            Fault::Late(ms) => thread::sleep(Duration::from_millis(ms)),
            Fault::Stall(thousandths) | Fault::Cut(thousandths) if !answer.body.is_empty() => {
                let mut head = client;
                head.write_all(&answer.head())?;
                head.write_all(&answer.body[..part(thousandths.min(999))])?;
                if matches!(fault, Fault::Stall(_)) {
                    // Until the client gives up.
                    let _ = head.read(&mut [0]);
                }
                client.shutdown(Shutdown::Both)?;
                return Ok(false);
            }
            Fault::Drip => {
                let mut to = client;
                to.write_all(&answer.head())?;
                for piece in answer.body.chunks((answer.body.len() / DROPS).max(1)) {
                    to.write_all(piece)?;
                    thread::sleep(DROP_EVERY);
                }
                return Ok(true);
            }
            Fault::Flip(thousandths) => {
                let at = part(thousandths.min(999));
                if let Some(byte) = answer.body.get_mut(at) {
                    *byte ^= 0x80;
                }
            }
            Fault::NoRange => {
                "HTTP/1.1 200 OK".clone_into(&mut answer.first);
                answer.fields.retain(|(name, _)| name != "content-range");
            }
            _ => {}
        }
        answer.write(client)?;
        Ok(true)
    }
}

/// Counts one request while it is on its way.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn of(shared: &'a Shared) -> Self {
        let now = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request or an answer, whole.
struct Message {
    first: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    /// Reads one; `None` where the connection ended before it began.
    fn read(from: &mut impl BufRead, is_answer: bool) -> std::io::Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let line = line.trim_end();
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut message = Self { first: first.trim_end().to_owned(), fields, body: Vec::new() };
        let bodiless = is_answer && [" 204", " 304"].iter().any(|s| message.first.contains(s));
        if let Some(len) = message.field("content-length").filter(|_| !bodiless) {
            message.body.resize(len.parse().expect("a length"), 0);
            from.read_exact(&mut message.body)?;
        } else if message.field("transfer-encoding").is_some() {
            message.body = chunks(from)?;
        }
        Ok(Some(message))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn asked(&self) -> Asked {
        let mut words = self.first.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let has = |name: &str| query.split('&').any(|p| p.split('=').next() == Some(name));
        let field = |name| self.field(name).unwrap_or("").to_owned();
        let (range, if_none_match) = (field("range"), field("if-none-match"));
        let kind = match method {
            "GET" if has("list-type") => Kind::List,
            "GET" if !range.is_empty() => Kind::Range,
            "GET" => Kind::Get,
            "PUT" if has("partNumber") => Kind::Part,
            "PUT" => Kind::Put,
            "POST" if has("uploads") => Kind::Create,
            "POST" => Kind::Complete,
            "DELETE" if has("uploadId") => Kind::Abort,
            "DELETE" => Kind::Delete,
            other => panic!("{other} {target}: what is this?"),
        };
        let names = self.fields.iter().map(|(name, _)| name);
        let checksums = names.filter(|name| is_of_checksums(name)).cloned().collect();
        Asked { kind, target: target.to_owned(), range, if_none_match, checksums }
    }

    /// The head, with the body's true length.
    fn head(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.first);
        for (name, value) in &self.fields {
            if !matches!(name.as_str(), "content-length" | "transfer-encoding") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if !self.first.contains(" 204") && !self.first.contains(" 304") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn write(&self, mut to: &TcpStream) -> std::io::Result<()> {
        to.write_all(&self.head())?;
        to.write_all(&self.body)
    }
}

/// Not `x-amz-content-sha256`, which is the signature's.
fn is_of_checksums(name: &str) -> bool {
    let name = name.strip_prefix("x-amz-").unwrap_or("");
    ["sdk-checksum", "checksum", "trailer"].iter().any(|beginning| name.starts_with(beginning))
}

fn chunks(from: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let len = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
        let from_byte = body.len();
        body.resize(from_byte + len, 0);
        from.read_exact(&mut body[from_byte..])?;
        from.read_line(&mut line)?;
        if len == 0 {
            return Ok(body);
        }
    }
}

/// Closing with a zero linger time sends RST.
fn reset(client: &TcpStream) -> std::io::Result<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO))?;
    Ok(())
}

fn answer(mut client: &TcpStream, status: u16, code: &str) -> std::io::Result<()> {
    let body = if code.is_empty() {
        "<html>nothing here</html>".to_owned()
    } else {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
             <Message>injected</Message><RequestId>REQ42</RequestId></Error>"
        )
    };
    let head = format!(
        "HTTP/1.1 {status} Injected\r\ncontent-type: application/xml\r\n\
         x-amz-request-id: REQ42\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread of the proxy panics while it holds this")
}
