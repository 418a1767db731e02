//! Every limit of the client protocol, the link, WebSocket and HTTP.

/// Elements of repeated fields in one frame of a client, at all depths together.
pub const CLIENT_ELEMENTS_MAX: usize = 1024;

/// Elements of repeated fields in any other message.
pub const ELEMENTS_MAX: usize = 32 * 1024;

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

/// Depth of an unknown value in JSON that is still passed over.
pub const JSON_DEPTH_MAX: usize = 32;

/// End of the integers that every JSON reader keeps exact (RFC 7493 section 2.2): 2^53.
pub const JSON_INTEGER_END: u64 = 1 << 53;
