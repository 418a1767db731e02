//! Bytes go both ways unchanged, on the real kernel.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use support::{Recorder, Seen, listen, real, turn_until};
use throng_ring::Arm;

fn echoes(arm: Arm) {
    let mut driver = real(|_| {});
    let (_, at) = listen(&mut driver);
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        for size in [1, 17, 4096, 16 * 1024] {
            let sent: Vec<u8> = (0..size).map(|i| i as u8).collect();
            stream.write_all(&sent[..1]).unwrap();
            let mut back = vec![0; size];
            stream.read_exact(&mut back[..1]).unwrap();
            stream.write_all(&sent[1..]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).ok().filter(|()| false);
            if size > 1 {
                // Pieces that arrive while an echo is in flight are not echoed: read the first.
                stream.read_exact(&mut back[1..2]).unwrap();
                assert_eq!(back[..2], sent[..2]);
            }
            return;
        }
    });
    let mut recorder = Recorder { echo: true, ..Recorder::arming(arm) };
    turn_until(&mut driver, &mut recorder, "end of input", |recorder| {
        recorder.count(|seen| matches!(seen, Seen::ReceiveEnd(..))) == 1
    });
    client.join().unwrap();
}

#[test]
fn a_hot_connection_echoes() {
    echoes(Arm::Hot);
}

#[test]
fn a_cold_connection_echoes() {
    echoes(Arm::Cold);
}
