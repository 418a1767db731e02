//! An echo server as tokio-tungstenite's authors write theirs (their `echo-server` example): the
//! stream of messages forwarded into its own sink, on tokio with one thread.
//!
//! The read buffer is 4 KB: the default of 128 KB per connection serves few connections best.

use std::future;
use std::io::Write;

use futures_util::{StreamExt, TryStreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const READ_BUFFER_BYTES: usize = 4096;

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let socket = accept_async_with_config(stream, Some(config)).await?;
    let (write, read) = socket.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(write)
        .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready ws=ws://{address}/ server=tokio-tungstenite")?;
    stdout.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A peer that goes away in the middle is no event for an echo server.
        tokio::spawn(async move { drop(echo(stream).await) });
    }
}
