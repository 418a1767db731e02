//! Servers over real sockets, one thread for each connection, stopped when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use throng_wire::ws::{self, Decoder, Opcode, Role, encode};

/// A listening script.
pub struct Scripted {
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Runs `script` for each connection, on a thread of its own.
    pub fn start(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (ended, script) = (Arc::clone(&stopping), Arc::new(script));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(stream));
            }
        });
        Self { address, stopping, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Ends the accept that it waits in.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Reads the upgrade request and answers it.
pub fn upgrade(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let Ok(bytes @ 1..) = stream.read(&mut piece) else { return };
        request.extend_from_slice(&piece[..bytes]);
        if let Some((_, answer)) = super::accept(&request) {
            let _ = stream.write_all(answer.as_bytes());
            return;
        }
    }
}

pub fn send(stream: &mut TcpStream, opcode: Opcode, payload: &[u8]) {
    let mut frame = Vec::new();
    encode::frame(&mut frame, opcode, payload, None);
    let _ = stream.write_all(&frame);
}

/// Waits until the client has ended the connection.
pub fn wait_for_end(stream: &mut TcpStream) {
    let mut piece = [0; 1024];
    while matches!(stream.read(&mut piece), Ok(1..)) {}
}

/// A good echo server.
pub fn echo(mut stream: TcpStream) {
    upgrade(&mut stream);
    let mut decoder = Decoder::new(Role::Server, 1 << 20);
    let mut piece = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut piece) {
        let (mut out, mut closes) = (Vec::new(), false);
        let mut input = ws::Input::new(&mut piece[..bytes]);
        while let Ok(Some(event)) = decoder.next(&mut input) {
            match event {
                ws::Event::Text(text) => {
                    encode::frame(&mut out, Opcode::Text, text.as_bytes(), None);
                }
                ws::Event::Binary(bytes) => encode::frame(&mut out, Opcode::Binary, bytes, None),
                ws::Event::Ping(payload) => encode::pong(&mut out, payload, None),
                ws::Event::Pong(_) => {}
                ws::Event::Close(close) => {
                    encode::close_reply(&mut out, close, None);
                    closes = true;
                }
            }
        }
        if stream.write_all(&out).is_err() || closes {
            return;
        }
    }
}
