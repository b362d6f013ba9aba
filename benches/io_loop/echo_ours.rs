//! An echo on the `io` room's loop, written as the broker's connections are: one task that receives, one buffer that is sent.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ringlog::io::{self, Options, Profile, net};

use crate::Server;

pub fn start(cpu: usize, busy: bool) -> Server {
    let bound = net::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = bound.local_addr();
    let bound = Arc::new(Mutex::new(Some(bound)));
    let options = Options {
        cores: vec![cpu],
        profile: if busy { Profile::Busy } else { Profile::Park },
        stall_limit: Options::STALL_LIMIT_DEFAULT,
        pin: true,
    };
    let thread = std::thread::spawn(move || {
        io::run(options, move |_| {
            let bound = bound.lock().unwrap().take().expect("one core");
            echo(bound)
        })
        .unwrap();
    });
    Server { address, thread }
}

async fn echo(bound: net::Bound) {
    let mut listener = net::Listener::new(bound).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (mut reader, mut writer) = stream.split();
    while let Ok(Some(chunk)) = reader.recv().await {
        let bytes = Bytes::copy_from_slice(&chunk);
        drop(chunk);
        if writer.send(vec![bytes]).await.is_err() {
            return;
        }
    }
}
