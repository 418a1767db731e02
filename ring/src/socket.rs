//! Sockets as every backend makes them: those that listen, and those that connect.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::driver::{ConnectOptions, ListenOptions};

/// A listening socket and the address it got.
pub(crate) fn listening(
    at: SocketAddr,
    options: ListenOptions,
) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuse_port)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, local))
}

/// A socket that is ready to be connected; `reset_on_close` lets its end be a reset.
pub(crate) fn connecting(options: ConnectOptions, reset_on_close: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(options.to);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if reset_on_close {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if let Some(bind) = options.bind {
        if bind.port() == 0 {
            choose_port_late(&socket)?;
        }
        socket.bind(&bind.into())?;
    }
    Ok(socket)
}

/// IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect, when the whole four-tuple is known, so
/// that one port can serve towards several destinations.
fn choose_port_late(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, name) = (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT);
    let bytes = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is one `c_int`, which is read during the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
