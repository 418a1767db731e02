//! The state machine's operations as submission queue entries, and the memory they refer to.
//!
//! Everything the kernel may read or write for an operation is owned here from submission to the
//! operation's last completion: flights (by slot), addresses of accepts and connects (by slot), the
//! doorbell's counter, the receive buffers. When the driver is dropped all operations are cancelled
//! and waited for; what does not come back in time is leaked and not freed under the kernel.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};
use io_uring::{opcode, squeue};
use rustix::event::EventfdFlags;
use socket2::{SockAddr, SockAddrStorage, Socket};

use crate::driver::{ConnId, ConnectOptions, ListenOptions};
use crate::host;
use crate::limits;
use crate::reactor::flight::{Flight, Message};
use crate::reactor::kernel::{Completion, Kernel};
use crate::reactor::token::{OpKind, Token};
use crate::setup::SetupError;
use crate::socket;
use crate::uring::UringConfig;
use crate::uring::buffers::{self, Buffers, Lease};
use crate::uring::explain::Live;
use crate::uring::ring::Ring;
use crate::wake::Wake;

/// The doorbell's read.
const DOORBELL: u64 = Token::BACKEND;
/// The cancel of everything, when the driver is dropped.
const TEARDOWN: u64 = Token::BACKEND + 1;
/// The set-up's question to the kernel.
const PROBE: u64 = Token::BACKEND + 2;

// IORING_RECVSEND_POLL_FIRST and IORING_RECV_MULTISHOT, flags in a receive's ioprio field. The
// crate's own multishot opcode leaves no room for the first.
const RECEIVE_POLL_FIRST: u16 = 1;
const RECEIVE_MULTISHOT: u16 = 2;

/// An address that the kernel reads (connect) or writes (accept).
#[derive(Debug)]
struct Address {
    storage: libc::sockaddr_storage,
    bytes: libc::socklen_t,
}

/// See the module header.
#[derive(Debug)]
pub struct UringKernel {
    ring: Ring,
    buffers: Buffers,
    /// Cap of one receive; 0 where the kernel does not let a multishot receive have one.
    receive_bytes_max: u32,
    /// See [`UringConfig::connect_reset_on_close`].
    connect_reset_on_close: bool,
    wake: Arc<Wake>,
    doorbell: Box<u64>,
    doorbell_armed: bool,
    listeners: Vec<Option<Socket>>,
    flights: Vec<Option<Box<Flight>>>,
    landed: Option<Box<Flight>>,
    addresses: HashMap<u32, Box<Address>>,
    #[allow(clippy::vec_box, reason = "the kernel is given the address: it must not move")]
    spare_addresses: Vec<Box<Address>>,
    peer: SocketAddr,
    /// Operations submitted whose last completion was not taken.
    outstanding: usize,
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl UringKernel {
    /// Whether waits gather completions.
    pub(super) fn gathers(&self) -> bool {
        self.ring.gathers()
    }

    /// A ring on this thread, and the slots of its descriptor table.
    pub(super) fn new(config: &UringConfig) -> Result<(Self, u32), SetupError> {
        let live = Live::read();
        if !live.is_new_enough() {
            return Err(SetupError::KernelTooOld { release: host::kernel_release() });
        }
        let told = |step| move |error| Live::read().explain(step, error);
        let (submissions, completions) = (config.submission_entries, config.completion_entries);
        let mut ring =
            Ring::new(submissions, completions, config.gather).map_err(told("io_uring_setup"))?;
        ring.register_itself().map_err(told("registering the ring's descriptor"))?;
        let nofile = host::rlimit_nofile().soft.unwrap_or(u64::MAX);
        let capped = nofile.min(u64::from(limits::CONNECTIONS_MAX)) as u32;
        let slots = config.connections_max.min(capped);
        let submitter = ring.submitter();
        submitter.register_files_sparse(slots).map_err(told("registering the descriptor table"))?;
        let mut workers = [1, limits::KERNEL_WORKERS_MAX];
        submitter.register_iowq_max_workers(&mut workers).map_err(told("capping workers"))?;
        let (count, bytes) = (config.receive_buffers, config.receive_buffer_bytes);
        let buffers = Buffers::new(&submitter, count, bytes, config.receive_packed)
            .map_err(told("registering receive buffers"))?;
        let doorbell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|errno| live.explain("making the doorbell", errno.into()))?;
        let mut kernel = Self::over(ring, buffers, doorbell);
        kernel.connect_reset_on_close = config.connect_reset_on_close;
        kernel.probe_receive_cap().map_err(told("probing receive"))?;
        Ok((kernel, slots))
    }

    fn over(ring: Ring, buffers: Buffers, doorbell: OwnedFd) -> Self {
        Self {
            ring,
            buffers,
            receive_bytes_max: 0,
            connect_reset_on_close: false,
            wake: Arc::new(Wake::new(Some(doorbell))),
            doorbell: Box::new(0),
            doorbell_armed: false,
            listeners: Vec::new(),
            flights: Vec::new(),
            landed: None,
            addresses: HashMap::new(),
            spare_addresses: Vec::new(),
            peer: NOWHERE,
            outstanding: 0,
        }
    }

    /// Asks the kernel whether a multishot receive may be capped (6.17): receives from a socket
    /// whose peer is gone, which ends at once either way.
    fn probe_receive_cap(&mut self) -> io::Result<()> {
        let (socket, peer) = std::os::unix::net::UnixStream::pair()?;
        drop(peer);
        let cap = limits::RECEIVE_BYTES_MAX;
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), std::ptr::null_mut(), cap)
            .buf_group(buffers::GROUP)
            .ioprio(RECEIVE_MULTISHOT)
            .build();
        self.submit(entry.flags(squeue::Flags::BUFFER_SELECT).user_data(PROBE));
        while self.outstanding > 0 {
            self.ring.enter(limits::QUIESCE)?;
            while let Some(entry) = self.ring.next() {
                self.outstanding -= usize::from(!io_uring::cqueue::more(entry.flags()));
                if let Some(lease) = self.buffers.take(entry.flags(), entry.result()) {
                    self.buffers.give_back(lease);
                }
                if entry.result() != -libc::EINVAL {
                    self.receive_bytes_max = cap;
                }
            }
        }
        Ok(())
    }

    /// Queues an entry whose memory this struct owns until it has completed (module header).
    fn submit(&mut self, entry: squeue::Entry) {
        self.outstanding += 1;
        // SAFETY: entries refer to nothing, or to flights, addresses, the doorbell's counter or the
        // buffers, none of which are freed or touched before the completion was taken.
        unsafe { self.ring.push(entry) };
    }

    fn submit_for(&mut self, token: Token, entry: squeue::Entry) {
        self.submit(entry.user_data(token.pack()));
    }

    /// Keeps a read on the doorbell outstanding.
    fn arm_doorbell(&mut self) {
        let Some(fd) = self.wake.doorbell().map(|fd| Fd(fd.as_raw_fd())) else { return };
        if !std::mem::replace(&mut self.doorbell_armed, true) {
            let counter = &raw mut *self.doorbell;
            let read = opcode::Read::new(fd, counter.cast(), size_of::<u64>() as u32);
            self.submit(read.build().user_data(DOORBELL));
        }
    }

    /// Room for the address of the slot's accept or connect.
    fn address(&mut self, slot: u32) -> &mut Address {
        let mut address = self.spare_addresses.pop().unwrap_or_else(|| {
            // SAFETY: a `sockaddr_storage` is plain integers; all zeroes is one.
            let storage = unsafe { std::mem::zeroed() };
            Box::new(Address { storage, bytes: 0 })
        });
        address.bytes = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        self.addresses.entry(slot).insert_entry(address).into_mut()
    }

    /// After the slot's accept or connect has completed.
    fn release_address(&mut self, slot: u32, accepted: bool) {
        let Some(address) = self.addresses.remove(&slot) else { return };
        if accepted {
            self.peer = address.to_socket_addr().unwrap_or(NOWHERE);
        }
        if self.spare_addresses.len() < limits::ACCEPTS_IN_FLIGHT {
            self.spare_addresses.push(address);
        }
    }

    fn install(&mut self, slot: u32, socket: &impl AsFd) -> io::Result<()> {
        let fd = socket.as_fd().as_raw_fd();
        match self.ring.submitter().register_files_update(slot, &[fd])? {
            1 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ENFILE)),
        }
    }

    /// Cancels everything and waits for the last completion. False if some did not come.
    fn quiesce(&mut self) -> bool {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.submit(cancel.user_data(TEARDOWN));
        let deadline = Instant::now() + limits::QUIESCE;
        while self.outstanding > 0 && Instant::now() < deadline {
            if self.ring.enter(Duration::from_millis(10)).is_err() {
                break;
            }
            while let Some(entry) = self.ring.next() {
                self.outstanding -= usize::from(!io_uring::cqueue::more(entry.flags()));
            }
        }
        self.outstanding == 0
    }
}

impl Address {
    fn to_socket_addr(&self) -> Option<SocketAddr> {
        let mut copy = SockAddrStorage::zeroed();
        // SAFETY: a `SockAddrStorage` is a `sockaddr_storage`.
        let raw = unsafe { copy.view_as::<libc::sockaddr_storage>() };
        *raw = self.storage;
        // SAFETY: the kernel wrote address and length, or both are as they were zeroed.
        unsafe { SockAddr::new(copy, self.bytes) }.as_socket()
    }
}

impl Flight {
    /// The message header of what is left, for SENDMSG. Points into the flight's own memory, which
    /// stays where it is while the flight is boxed.
    fn message(&mut self) -> *const libc::msghdr {
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut message = self.message.take().unwrap_or_else(|| {
            // SAFETY: a `msghdr` is integers and pointers; all zeroes is an empty one.
            let header = unsafe { std::mem::zeroed() };
            Box::new(Message { iovecs: [empty; limits::SEND_CHUNKS_MAX], header })
        });
        let mut count = 0;
        for (iovec, piece) in message.iovecs.iter_mut().zip(self.pieces()) {
            *iovec =
                libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() };
            count += 1;
        }
        message.header.msg_iov = message.iovecs.as_mut_ptr();
        message.header.msg_iovlen = count;
        &raw const self.message.insert(message).header
    }
}

impl Kernel for UringKernel {
    type Lease = Lease;

    fn clock(&self) -> Instant {
        Instant::now()
    }

    fn doorbell(&self) -> Arc<Wake> {
        Arc::clone(&self.wake)
    }

    fn listen(&mut self, at: SocketAddr, options: ListenOptions) -> io::Result<(u32, SocketAddr)> {
        let (socket, local) = socket::listening(at, options)?;
        let free = self.listeners.iter().position(Option::is_none);
        let key = free.unwrap_or_else(|| {
            self.listeners.push(None);
            self.listeners.len() - 1
        });
        self.listeners[key] = Some(socket);
        Ok((key as u32, local))
    }

    fn unlisten(&mut self, listener: u32) {
        if let Some(socket) = self.listeners.get_mut(listener as usize) {
            *socket = None;
        }
    }

    fn accept(&mut self, token: Token, listener: u32) {
        let socket = self.listeners.get(listener as usize).and_then(Option::as_ref);
        let fd = Fd(socket.map_or(-1, AsRawFd::as_raw_fd));
        let slot = DestinationSlot::try_from_slot_target(token.conn.slot).ok();
        let address = self.address(token.conn.slot);
        let (storage, bytes) = (&raw mut address.storage, &raw mut address.bytes);
        let accept = opcode::Accept::new(fd, storage.cast(), bytes).file_index(slot).build();
        self.submit_for(token, accept);
    }

    fn peer(&mut self, _slot: u32) -> SocketAddr {
        self.peer
    }

    fn connect(&mut self, token: Token, options: ConnectOptions) -> io::Result<()> {
        let slot = token.conn.slot;
        let socket = socket::connecting(options, self.connect_reset_on_close)?;
        self.install(slot, &socket)?;
        let to = SockAddr::from(options.to);
        let address = self.address(slot);
        address.bytes = to.len();
        // SAFETY: both are `sockaddr_storage` by layout; a whole one is copied.
        address.storage = unsafe { to.as_ptr().cast::<libc::sockaddr_storage>().read() };
        let storage = (&raw const address.storage).cast();
        self.submit_for(token, opcode::Connect::new(Fixed(slot), storage, to.len()).build());
        Ok(())
    }

    fn adopt(&mut self, conn: ConnId, socket: OwnedFd) -> io::Result<()> {
        self.install(conn.slot, &socket)
    }

    fn receive(&mut self, token: Token, readable: bool) {
        let poll_first = if readable { 0 } else { RECEIVE_POLL_FIRST };
        let (slot, cap) = (Fixed(token.conn.slot), self.receive_bytes_max);
        let receive = opcode::Recv::new(slot, std::ptr::null_mut(), cap)
            .buf_group(buffers::GROUP)
            .ioprio(RECEIVE_MULTISHOT | poll_first)
            .build();
        self.submit_for(token, receive.flags(squeue::Flags::BUFFER_SELECT));
    }

    fn poll(&mut self, token: Token) {
        let slot = Fixed(token.conn.slot);
        self.submit_for(token, opcode::PollAdd::new(slot, libc::POLLIN as u32).build());
    }

    fn send(&mut self, token: Token, mut flight: Box<Flight>) {
        let slot = Fixed(token.conn.slot);
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let entry = match flight.only_piece() {
            Some(piece) => {
                opcode::Send::new(slot, piece.as_ptr(), piece.len() as u32).flags(flags).build()
            }
            None => opcode::SendMsg::new(slot, flight.message()).flags(flags as u32).build(),
        };
        let index = token.conn.slot as usize;
        if index >= self.flights.len() {
            self.flights.resize_with(index + 1, || None);
        }
        if let Some(former) = self.flights[index].replace(flight) {
            // Cannot be (one send per slot); but then the kernel may still be reading it.
            debug_assert!(false, "two flights on slot {index}");
            std::mem::forget(former);
        }
        self.submit_for(token, entry);
    }

    fn landed(&mut self, _slot: u32) -> Option<Box<Flight>> {
        self.landed.take()
    }

    fn shutdown(&mut self, token: Token) {
        let slot = Fixed(token.conn.slot);
        self.submit_for(token, opcode::Shutdown::new(slot, libc::SHUT_WR).build());
    }

    fn cancel(&mut self, token: Token, target: Token) {
        self.submit_for(token, opcode::AsyncCancel::new(target.pack()).build());
    }

    fn close(&mut self, token: Token) {
        self.submit_for(token, opcode::Close::new(Fixed(token.conn.slot)).build());
    }

    fn enter(&mut self, wait: Duration) -> io::Result<()> {
        self.arm_doorbell();
        self.ring.enter(wait)
    }

    fn pending(&mut self) -> bool {
        self.ring.completions() > 0
    }

    fn next(&mut self) -> Option<Completion<Lease>> {
        loop {
            let entry = self.ring.next()?;
            let (flags, result) = (entry.flags(), entry.result());
            let more = io_uring::cqueue::more(flags);
            self.outstanding -= usize::from(!more);
            let Some(token) = Token::unpack(entry.user_data()) else {
                self.doorbell_armed = false;
                continue;
            };
            let slot = token.conn.slot;
            match token.kind {
                OpKind::Open => self.release_address(slot, result >= 0),
                OpKind::Send => self.landed = self.flights[slot as usize].take(),
                _ => {}
            }
            let lease = self.buffers.take(flags, result);
            return Some(Completion { token, result, more, lease });
        }
    }

    fn give_back(&mut self, lease: Lease) {
        self.buffers.give_back(lease);
    }

    fn provide(&mut self) -> usize {
        self.buffers.provide()
    }
}

impl Drop for UringKernel {
    fn drop(&mut self) {
        if self.quiesce() {
            return;
        }
        tracing::error!(self.outstanding, "operations did not end: their memory is leaked");
        std::mem::forget(std::mem::take(&mut self.flights));
        std::mem::forget(std::mem::take(&mut self.addresses));
        std::mem::forget(std::mem::take(&mut self.doorbell));
        self.buffers.leak();
    }
}
