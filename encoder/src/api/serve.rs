//! Connections of the API: HTTP/1.1, bounded in number and in patience.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Api;
use crate::cancel::Cancel;
use crate::limits;

/// Serves until `cancel`, then ends every connection with the answer that it is at.
pub async fn serve(listener: TcpListener, api: Arc<Api>, cancel: Cancel) {
    let room = Arc::new(Semaphore::new(limits::API_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // One too many is closed at once: a client that is refused tries again.
            Ok((stream, _)) => {
                if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                    let (api, cancel) = (Arc::clone(&api), cancel.clone());
                    tokio::spawn(async move {
                        connection(stream, &api, &cancel).await;
                        drop(place);
                    });
                }
            }
            // Of this process: no files left. Others' faults end their own connection alone.
            Err(_) => tokio::time::sleep(limits::ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, api: &Api, cancel: &Cancel) {
    let service = service_fn(async |request| Ok::<_, Infallible>(api.answer(request).await));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::API_HEADER_TIME)
        .max_headers(limits::API_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A fault of a connection is its client's to see.
        _ = connection.as_mut() => return,
        () = cancel.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // An event stream would go on for as long as its job.
    let _ = tokio::time::timeout(limits::API_GRACE, connection).await;
}
