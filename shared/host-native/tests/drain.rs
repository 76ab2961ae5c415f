//! Stopping: what is under way is finished, nothing new is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Gateway, PATIENCE, Peer, ask, provider, relay, text};
use lockgate_host::{AnswerBody, Background, Clock};
use lockgate_host_native::server::start_beside;
use lockgate_host_native::{Folder, Listeners, Shared};

#[test]
fn what_is_under_way_is_finished() {
    let address = provider(|mut peer: Peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n");
        std::thread::sleep(Duration::from_millis(500));
        peer.send("4\r\ntwo\n\r\n0\r\n\r\n");
    });
    let recorded = Arc::new(AtomicBool::new(false));
    let record = Arc::clone(&recorded);
    let mut gateway = Gateway::serve(move |host, _| {
        let record = Arc::clone(&record);
        async move {
            let later = host.clone();
            host.spawn(async move {
                later.sleep(Duration::from_secs(1)).await;
                record.store(true, Ordering::SeqCst);
            });
            let url = format!("http://{address}/");
            relay(host, ask(&url), AnswerBody::Through).await
        }
    });
    let mut client = gateway.get("/");
    client.head();
    assert_eq!(client.chunk(), b"one\n");
    let mut idle = gateway.connect();
    idle.send("GET / HTTP/1.1\r\nhost: g\r\nconnection: keep-alive\r\n\r\n");
    idle.head();
    while !idle.chunk().is_empty() {}
    let mut fresh = gateway.connect();
    let begun = Instant::now();
    let running = gateway.running.take().unwrap();
    let stopping = std::thread::spawn(move || running.stop());
    // Connections without a request are closed at once, one with a request is not.
    idle.closed();
    fresh.closed();
    assert_eq!(client.chunk(), b"two\n");
    assert_eq!(client.chunk(), b"");
    assert!(TcpStream::connect(gateway.address).is_err());
    stopping.join().unwrap().unwrap();
    assert!(
        recorded.load(Ordering::SeqCst),
        "background work was waited for"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_goes_on_beside_ends_with_serving_and_what_it_began_is_finished() {
    /// Counts that it was dropped.
    struct Beside(Arc<AtomicBool>);
    impl Drop for Beside {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder::take(&folder.path().join("data")).unwrap();
    let shared = Shared::open(folder, HashMap::new()).unwrap();
    let listeners = Listeners::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    let (dropped, finished) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let (beside, work) = (Beside(Arc::clone(&dropped)), Arc::clone(&finished));
    let (begun, has_begun) = channel();
    let handler = |_, _| async { text(200, "") };
    let running = start_beside(listeners, shared, handler, move |host| async move {
        let _beside = beside;
        let later = host.clone();
        host.spawn(async move {
            begun.send(()).unwrap();
            later.sleep(Duration::from_millis(300)).await;
            work.store(true, Ordering::SeqCst);
        });
        std::future::pending().await
    })
    .unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let mut client = Peer::connect(running.address());
    client.send("GET / HTTP/1.1\r\nhost: g\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    running.stop().unwrap();
    assert!(dropped.load(Ordering::SeqCst) && finished.load(Ordering::SeqCst));
}

#[test]
fn a_port_is_not_shared_with_another_gateway() {
    let gateway = Gateway::serve(|_, _| async { text(200, "") });
    for threads in [1, 2] {
        let error = Listeners::bind(gateway.address, threads).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
}

#[test]
fn connections_are_spread_over_the_threads() {
    let gateway =
        Gateway::serve(|_, _| async { text(200, format!("{:?}", std::thread::current().id())) });
    let mut threads = std::collections::HashSet::new();
    for _ in 0..64 {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
        client.head();
        threads.insert(client.rest());
    }
    assert_eq!(threads.len(), 2);
}
