//! The page that development mode serves at `/`: a small chat and the example client, part of the
//! binary. Written as several files, served as one that loads nothing.

/// HTML. The end of the head and the beginning of the body are implied (HTML, section 13.1.2.4).
pub(crate) const INDEX: &[u8] = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<style>\n",
    include_str!("page/style.css"),
    "</style>\n",
    include_str!("page/index.html"),
    "<script>\n",
    include_str!("page/client.js"),
    "</script>\n<script>\n",
    include_str!("page/page.js"),
    "</script>\n</html>\n",
)
.as_bytes();

/// What the page may do: run what came with it, and talk to where it came from.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
