//! Every limit of the client protocol, the link, WebSocket and HTTP, and why they fit together.

// ------------------------------------------------------------------ the client protocol

/// One frame of a client in whatever encoding, bytes. A larger one ends the connection (1009).
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// An operation as Protobuf without its id, bytes: what an edge passes on. More is `too_large`.
pub const OP_BYTES_MAX: usize = 60 * 1024;

/// `text` (UTF-8) or `data` (decoded) of a message, bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A user's or a device's name, bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// `send.kind`, bytes.
pub const KIND_BYTES_MAX: usize = 32;

/// `hello.agent`, bytes.
pub const AGENT_BYTES_MAX: usize = 64;

/// A group's name, bytes.
pub const GROUP_NAME_BYTES_MAX: usize = 128;

/// `hello.token`, bytes.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// A cursor, bytes.
pub const CURSOR_BYTES_MAX: usize = 128;

/// Users named by one `create_group`, `add_members` or `remove_members`.
pub const MEMBERS_PER_REQUEST_MAX: usize = 500;

/// Events in one page of history, and its default.
pub const PAGE_EVENTS_MAX: u32 = 200;
/// See [`PAGE_EVENTS_MAX`].
pub const PAGE_EVENTS_DEFAULT: u32 = 50;

/// Items in one page of conversations, changes or members, and its default.
pub const PAGE_ITEMS_MAX: u32 = 200;
/// See [`PAGE_ITEMS_MAX`].
pub const PAGE_ITEMS_DEFAULT: u32 = 100;

/// Conversations in one `sync`.
pub const SYNC_CONVS_MAX: usize = 100;

/// How far a `client_msg_id` may be ahead of the server's clock, milliseconds.
pub const MSG_ID_AHEAD_MAX_MS: u64 = 2 * 60 * 1000;

/// How old a `client_msg_id` may be, milliseconds.
pub const MSG_ID_AGE_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// One event of a log as Protobuf, bytes.
pub const EVENT_BYTES_MAX: usize = 48 * 1024;

/// The answer to one request as Protobuf, bytes. Pages end before it and say `has_more`.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

// ------------------------------------------------------------------ decoding

/// Elements of repeated fields in one frame of a client, at all depths together.
pub const CLIENT_ELEMENTS_MAX: usize = 1024;

/// Elements of repeated fields in any other message.
pub const ELEMENTS_MAX: usize = 32 * 1024;

/// Depth of an unknown value in JSON that is still passed over.
pub const JSON_DEPTH_MAX: usize = 32;

/// End of the integers that every JSON reader keeps exact (RFC 7493 section 2.2): 2^53.
pub const JSON_INTEGER_END: u64 = 1 << 53;

// ------------------------------------------------------------------ the link

/// One frame of the link, header included, bytes.
pub const LINK_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Of an answer in one frame of the link, bytes.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// What a router keeps to send over one link, bytes.
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Unfinished answers that an edge keeps of one link, bytes.
pub const ANSWERS_BYTES_MAX: usize = OUTBOX_BYTES_MAX;

/// Connections that one hint names.
pub const HINT_RECIPIENTS_MAX: usize = 1024;

// ------------------------------------------------------------------ WebSocket and HTTP

/// WebSocket: the first buffer of a message that is cut by the end of the input. Most messages
/// fit, so they are assembled with one allocation.
pub const ASSEMBLY_BYTES_MIN: usize = 1024;

/// WebSocket: how many times what has arrived an assembly buffer may hold. What a peer makes this
/// end allocate stays in proportion to what it sent.
pub const ASSEMBLY_GROWTH: usize = 4;

/// HTTP: the head of a request or response, its blank line included.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;

/// HTTP: the first line of a request, its line end included.
pub const HTTP_REQUEST_LINE_BYTES_MAX: usize = 2 * 1024;

/// HTTP: header lines of a request or response. Browsers send about 20.
pub const HTTP_HEADERS_MAX: usize = 64;

/// HTTP: lines of `Sec-WebSocket-Protocol` in a request. Browsers send one.
pub const HTTP_SUBPROTOCOL_LINES_MAX: usize = 4;

// Otherwise a long request line could never be told from a long head.
const _: () = assert!(HTTP_REQUEST_LINE_BYTES_MAX < HTTP_HEAD_BYTES_MAX);

// ------------------------------------------------------------------ relations

/// What surrounds a frame, a chunk or an event in a link frame: header, numbers, user and device.
const LINK_OVERHEAD_BYTES: usize = 256 + 2 * NAME_BYTES_MAX;

/// A member in a `created` event: two tags and lengths, name, role, joined_seq.
const CREATED_MEMBER_BYTES: usize = 2 + (2 + NAME_BYTES_MAX) + (2 + 6) + 2;

/// Two varints of 32 bits.
const HINT_RECIPIENT_BYTES: usize = 5 + 5;

// An operation fits into one frame of the link: requests are never chunked.
const _: () = assert!(OP_BYTES_MAX + LINK_OVERHEAD_BYTES <= LINK_FRAME_BYTES_MAX);
// Every message that is allowed fits into an operation, also as base64 in a JSON frame.
const _: () = assert!(BODY_BYTES_MAX * 4 / 3 + 1024 <= FRAME_BYTES_MAX);
const _: () = assert!(MEMBERS_PER_REQUEST_MAX * (NAME_BYTES_MAX + 3) + 1024 <= OP_BYTES_MAX);
// A token that a `hello` may carry also fits into a header line.
const _: () = assert!(TOKEN_BYTES_MAX + 2048 <= HTTP_HEAD_BYTES_MAX);
// The largest event is the creation of the largest group, or a message.
const _: () =
    assert!((MEMBERS_PER_REQUEST_MAX + 1) * CREATED_MEMBER_BYTES + 1024 <= EVENT_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX + 1024 <= EVENT_BYTES_MAX);
// A hint holds any event and all its recipients.
const _: () = assert!(
    EVENT_BYTES_MAX + HINT_RECIPIENTS_MAX * HINT_RECIPIENT_BYTES + LINK_OVERHEAD_BYTES
        <= LINK_FRAME_BYTES_MAX
);
// Any event fits into an answer, or a page could stay empty for ever.
const _: () = assert!(EVENT_BYTES_MAX + 1024 <= ANSWER_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES + LINK_OVERHEAD_BYTES <= LINK_FRAME_BYTES_MAX);
// A router keeps every answer whole until its last chunk is sent, so an honest one cannot exceed
// what the edge keeps.
const _: () = assert!(OUTBOX_BYTES_MAX <= ANSWERS_BYTES_MAX);
const _: () = assert!(ANSWER_BYTES_MAX <= OUTBOX_BYTES_MAX);
// Every answer and every frame of a client that is allowed can be decoded. The shortest element of
// an answer (a member with a name of one byte, role and seq) takes 15 bytes; packed numbers one.
const _: () = assert!(ANSWER_BYTES_MAX / 15 <= ELEMENTS_MAX);
const _: () = assert!(2 * HINT_RECIPIENTS_MAX <= ELEMENTS_MAX);
const _: () = assert!(MEMBERS_PER_REQUEST_MAX <= CLIENT_ELEMENTS_MAX);
const _: () = assert!(SYNC_CONVS_MAX <= CLIENT_ELEMENTS_MAX);
