//! tmp
use throng_ring::{ConnId, Io};
use super::Core;
pub struct LinkSource(pub Box<dyn FnMut() -> std::io::Result<std::os::fd::OwnedFd> + Send>);
#[derive(Debug, Default)]
pub(super) struct Link { pub(super) conn: Option<ConnId> }
impl Link { pub(super) fn has_connection(&self) -> bool { self.conn.is_some() } }
impl Core {
    pub(super) fn unregister(&mut self, _id: ConnId) {}
    pub(super) fn look_after<I: Io>(&mut self, _io: &mut I, _id: ConnId) {}
}
