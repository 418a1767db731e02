//! What a home actor tells a client, as frames.

use bytes::Bytes;
use throng_wire::{Protobuf, id, v1};

use super::home::Registration;
use crate::home::lists::ChangesPage;
use crate::limits::Limits;
use crate::owner::event;

pub(super) fn changes(page: &ChangesPage) -> Bytes {
    event::frame(v1::Body::Changes(v1::Changes {
        items: page.changes(),
        cursor: page.cursor.encode().into(),
        more: page.more,
        sync: page.sync().into(),
    }))
}

/// What the router knows of a welcome. The edge adds its heartbeat, and its own limits.
pub(super) fn welcome(
    registration: &Registration,
    page: &ChangesPage,
    log_id: [u8; 16],
    time_ms: u64,
    limits: &Limits,
) -> Bytes {
    let frame = v1::ServerFrame {
        id: None,
        body: Some(v1::Body::Welcome(v1::Welcome {
            user: (&*registration.user.name).into(),
            device: (&*registration.device).into(),
            session: format!("{:016x}", registration.session_id).into(),
            time_ms,
            heartbeat_ms: 0,
            limits: Some(welcome_limits(limits)),
            server: Some(v1::ServerInfo { version: env!("CARGO_PKG_VERSION").into() }),
            log_id: id::text(&log_id).into(),
            sync: page.sync().into(),
            changes: page.changes(),
            more: page.more,
            cursor: page.cursor.encode().into(),
        })),
    };
    frame.encode_to_vec().into()
}

fn welcome_limits(limits: &Limits) -> v1::Limits {
    let small = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    v1::Limits {
        text_bytes_max: limits.text_bytes_max as u64,
        group_members_max: small(limits.group_members_max),
        page_events_max: throng_wire::limits::PAGE_EVENTS_MAX,
        sync_convs_max: small(throng_wire::limits::SYNC_CONVS_MAX),
        devices_max: small(limits.devices_max),
        ..v1::Limits::default()
    }
}
