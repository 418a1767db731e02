//! An echo server on tokio-uring. Its streams take owned buffers and have no `AsyncRead`, so the
//! WebSocket is tungstenite's, over memory: what a receive brought goes in, what came of it leaves
//! in one send.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use tokio_uring::net::{TcpListener, TcpStream};
use tungstenite::{Error, WebSocket};

/// Room of one receive. Larger than the other peers': one receive takes a message of 16 KB.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// A head longer than this is refused.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Received bytes that the WebSocket has not read, and bytes that it wants sent.
#[derive(Default)]
struct Memory {
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One receive into `memory`, through `buffer`. False: the peer is gone.
async fn receive(stream: &TcpStream, buffer: Vec<u8>, memory: &mut Memory) -> (bool, Vec<u8>) {
    let (result, buffer) = stream.read(buffer).await;
    let bytes = result.unwrap_or(0);
    memory.input.extend(&buffer[..bytes]);
    (bytes > 0, buffer)
}

/// Sends what there is. False: the peer is gone.
async fn send(stream: &TcpStream, memory: &mut Memory) -> bool {
    if memory.output.is_empty() {
        return true;
    }
    let output = std::mem::take(&mut memory.output);
    let (result, mut output) = stream.write_all(output).await;
    output.clear();
    memory.output = output;
    result.is_ok()
}

/// Every whole message goes back. False: the WebSocket is at its end.
fn answer(socket: &mut WebSocket<Memory>) -> bool {
    loop {
        let done = match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => socket.write(message),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return socket.flush().is_ok();
            }
            Err(_) => return false,
        }
    }
}

async fn serve(stream: TcpStream) {
    let (mut memory, mut buffer) = (Memory::default(), vec![0; READ_BUFFER_BYTES]);
    loop {
        let (came, returned) = receive(&stream, buffer, &mut memory).await;
        buffer = returned;
        if !came || memory.input.len() > HEAD_BYTES_MAX {
            return;
        }
        if memory.input.make_contiguous().ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let Ok(mut socket) = tungstenite::accept(memory) else { return };
    loop {
        if !send(&stream, socket.get_mut()).await {
            return;
        }
        let (came, returned) = receive(&stream, buffer, socket.get_mut()).await;
        buffer = returned;
        if !came || !answer(&mut socket) {
            // The answer to a close frame, if that was it. A peer that is gone does not matter.
            send(&stream, socket.get_mut()).await;
            return;
        }
    }
}

fn main() -> io::Result<()> {
    tokio_uring::start(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        let address = listener.local_addr()?;
        let mut stdout = io::stdout();
        writeln!(stdout, "ready ws=ws://{address}/ server=tokio-uring")?;
        stdout.flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio_uring::spawn(serve(stream));
        }
    })
}
