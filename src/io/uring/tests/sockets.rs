use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::net::{Listener, Stream};
use super::*;
use crate::io::spawn;

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn listener() -> Listener {
    let mut bound = net::bind(any_port(), 1).unwrap();
    Listener::new(bound.remove(0)).unwrap()
}

async fn pair() -> (Stream, Stream) {
    let mut listener = listener();
    let client = Stream::connect(listener.local_addr()).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(client.peer_addr(), server.local_addr().unwrap());
    (client, server)
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i + seed) * 31 / 7) as u8).collect()
}

#[test]
fn what_is_sent_comes_back() {
    on_one_core(|| async {
        let mut listener = listener();
        let address = listener.local_addr();
        drop(spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (mut reader, mut writer) = stream.split();
                drop(spawn(async move {
                    while let Some(chunk) = reader.recv().await.unwrap() {
                        writer.send(vec![Bytes::copy_from_slice(&chunk)]).await.unwrap();
                    }
                }));
            }
        }));
        let clients: Vec<_> = (0..20)
            .map(|n| {
                spawn(async move {
                    let (mut reader, mut writer) = Stream::connect(address).await.unwrap().split();
                    for round in 0..50 {
                        let message = pattern(1 + n * 997, round);
                        let (a, b) = message.split_at(message.len() / 2);
                        writer
                            .send(vec![
                                Bytes::copy_from_slice(a),
                                Bytes::new(),
                                Bytes::copy_from_slice(b),
                            ])
                            .await
                            .unwrap();
                        let back = reader.recv_exact(BytesMut::new(), message.len()).await.unwrap();
                        assert_eq!(back, message);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await;
        }
    });
}

#[test]
fn a_large_frame_goes_straight_to_its_memory_and_the_stream_goes_on_behind_it() {
    on_one_core(|| async {
        let (client, server) = pair().await;
        let (client_reader, mut writer) = client.split();
        let (mut reader, _writer) = server.split();
        let sizes = [10, 3_000_000, 1, 70_000, 100_000, 16_384, 900_000];
        let sender = spawn(async move {
            for (n, size) in sizes.into_iter().enumerate() {
                writer.send(vec![Bytes::from(pattern(size, n))]).await.unwrap();
            }
            drop(client_reader);
        });
        for (n, size) in sizes.into_iter().enumerate() {
            let buf = BytesMut::from(&b"head"[..]);
            let frame = reader.recv_exact(buf, size).await.unwrap();
            assert_eq!(&frame[..4], b"head");
            assert!(frame[4..] == pattern(size, n), "frame {n} of {size} bytes");
        }
        sender.await;
        assert!(reader.recv().await.unwrap().is_none());
    });
}

#[test]
fn many_segments_leave_in_order() {
    on_one_core(|| async {
        let (client, server) = pair().await;
        let (_reader, mut writer) = client.split();
        let (mut reader, _writer) = server.split();
        let all = pattern(2_500 * 1_001, 3);
        let segments = Bytes::from(all.clone());
        let sender = spawn(async move {
            let segments = (0..2_500)
                .map(|n| segments.slice(n * 1_001..(n + 1) * 1_001))
                .collect();
            writer.send(segments).await.unwrap();
        });
        let got = reader.recv_exact(BytesMut::new(), all.len()).await.unwrap();
        assert!(got == all);
        sender.await;
    });
}

#[test]
fn a_slow_reader_holds_its_sender_up_and_loses_nothing() {
    on_one_core(|| async {
        let (client, server) = pair().await;
        let (client_reader, mut writer) = client.split();
        let (mut reader, _writer) = server.split();
        const LEN: usize = 8_000_000;
        let sender = spawn(async move {
            writer.send(vec![Bytes::from(pattern(LEN, 0))]).await.unwrap();
            drop(client_reader);
            now()
        });
        drop(reader.recv().await.unwrap());
        sleep(Duration::from_millis(50)).await;
        let resumed = now();
        let mut len = 0;
        while let Some(chunk) = reader.recv().await.unwrap() {
            len += chunk.len();
        }
        assert!(sender.await > resumed, "the sender had to wait");
        assert!(len > LEN - 17_000 && len < LEN);
    });
}

#[test]
fn readers_that_hold_all_buffers_starve_nobody() {
    on_one_core(|| async {
        let mut listener = listener();
        let address = listener.local_addr();
        let mut connections = Vec::new();
        for _ in 0..300 {
            let (_, mut writer) = Stream::connect(address).await.unwrap().split();
            let (mut reader, server_writer) = listener.accept().await.unwrap().0.split();
            writer.send(vec![Bytes::from_static(b"held")]).await.unwrap();
            let chunk = timeout(Duration::from_secs(5), reader.recv())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(&*chunk, b"held");
            connections.push((writer, reader, server_writer, chunk));
        }
        for (writer, reader, ..) in &mut connections {
            writer.send(vec![Bytes::from_static(b"more")]).await.unwrap();
            let chunk = timeout(Duration::from_secs(5), reader.recv())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(&*chunk, b"more");
        }
    });
}

#[test]
fn a_burst_to_more_readers_than_buffers_arrives_at_all() {
    on_one_core(|| async {
        let mut listener = listener();
        let address = listener.local_addr();
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..400 {
            let client = Stream::connect(address).await.unwrap();
            let (mut reader, keep) = listener.accept().await.unwrap().0.split();
            readers.push(spawn(async move {
                let got = reader.recv_exact(BytesMut::new(), 40_000).await.unwrap();
                drop(keep);
                got
            }));
            writers.push(client.split());
        }
        let sends: Vec<_> = writers
            .into_iter()
            .map(|(_reader, mut writer)| {
                spawn(async move { writer.send(vec![Bytes::from(pattern(40_000, 1))]).await.unwrap() })
            })
            .collect();
        for send in sends {
            send.await;
        }
        for reader in readers {
            assert!(timeout(Duration::from_secs(10), reader).await.unwrap() == pattern(40_000, 1));
        }
    });
}

#[test]
fn dropping_both_halves_closes_the_connection() {
    on_one_core(|| async {
        let (client, server) = pair().await;
        let (mut reader, writer) = client.split();
        let (server_reader, server_writer) = server.split();
        let waiting = spawn(async move { reader.recv().await.unwrap().is_none() });
        let pending = spawn(async move {
            let mut server_reader = server_reader;
            // Armed when it is dropped.
            timeout(Duration::from_millis(2), server_reader.recv())
                .await
                .is_err()
        });
        assert!(pending.await);
        drop(server_writer);
        assert!(timeout(Duration::from_secs(5), waiting).await.unwrap());
        drop(writer);
    });
}

#[test]
fn shutdown_ends_both_directions() {
    on_one_core(|| async {
        let (client, server) = pair().await;
        let (mut reader, writer) = client.split();
        let (mut server_reader, _server_writer) = server.split();
        writer.shutdown();
        assert!(reader.recv().await.unwrap().is_none());
        assert!(server_reader.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_frame_cut_short_is_an_error() {
    on_one_core(|| async {
        for wanted in [100, 1_000_000] {
            let (client, server) = pair().await;
            let (reader, mut writer) = client.split();
            writer.send(vec![Bytes::from_static(b"half")]).await.unwrap();
            drop((reader, writer));
            let (mut reader, _writer) = server.split();
            let error = reader.recv_exact(BytesMut::new(), wanted).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    });
}

#[test]
fn dropped_receives_and_sends_leave_their_memory_with_the_kernel() {
    on_one_core(|| async {
        for _ in 0..20 {
            let (client, server) = pair().await;
            let (reader, mut writer) = client.split();
            let (mut server_reader, server_writer) = server.split();
            let short = Duration::from_micros(500);
            // More than the socket takes, to a peer that doesn't read: the send waits in the kernel when it is dropped.
            let stuck = writer.send(vec![Bytes::from(vec![1; 20_000_000])]);
            assert!(timeout(short, stuck).await.is_err());
            let partial = server_reader.recv_exact(BytesMut::new(), 60_000_000);
            assert!(timeout(short, partial).await.is_err());
            drop((reader, writer, server_reader, server_writer));
        }
    });
}

#[test]
fn connecting_to_a_closed_port_is_refused() {
    on_one_core(|| async {
        let bound = net::bind(any_port(), 1).unwrap();
        let address = bound[0].local_addr();
        drop(bound);
        let error = Stream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_port_in_use_is_refused_although_its_user_would_share_it() {
    let bound = net::bind(any_port(), 2).unwrap();
    let again = net::bind(bound[0].local_addr(), 2).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn every_core_of_a_group_accepts() {
    let bound: Vec<_> = net::bind(any_port(), 2).unwrap().into_iter().map(Some).collect();
    let address = bound[0].as_ref().unwrap().local_addr();
    let bound = Arc::new(Mutex::new(bound));
    on_a_mesh::<(), _>(2, 64, Profile::Park, move |core, port| {
        let bound = bound.lock().unwrap()[core.index()].take().unwrap();
        async move {
            let mut listener = Listener::new(bound).unwrap();
            drop(spawn(async move {
                // A dropped connection closes, which the client sees.
                while listener.accept().await.is_ok() {
                    port.send(CoreId(0), ()).await;
                }
            }));
            if core == CoreId(0) {
                for _ in 0..64 {
                    let (mut reader, _writer) = Stream::connect(address).await.unwrap().split();
                    assert!(reader.recv().await.unwrap().is_none());
                }
            }
        }
    });
}
