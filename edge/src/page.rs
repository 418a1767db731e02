//! The page that development mode serves at `/`: one self-contained file, part of the binary.

/// HTML.
pub(crate) const INDEX: &[u8] = include_bytes!("page/index.html");
