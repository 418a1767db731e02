//! The page that development mode serves at `/`: a small chat and the example client, part of the
//! binary. Written as several files, served as one that loads nothing. Where to begin reading the
//! client is said in `page/client/client.js`.

macro_rules! script {
    ($path:literal) => {
        concat!("<script>\n", include_str!($path), "</script>\n")
    };
}

/// HTML. The end of the head and the beginning of the body are implied (HTML, section 13.1.2.4).
pub(crate) const INDEX: &[u8] = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<style>\n",
    include_str!("page/style.css"),
    "</style>\n",
    include_str!("page/index.html"),
    script!("page/client/identifiers.js"),
    script!("page/client/errors.js"),
    script!("page/client/link.js"),
    script!("page/client/connection.js"),
    script!("page/client/conversation.js"),
    script!("page/client/catch-up.js"),
    script!("page/client/watermarks.js"),
    script!("page/client/outbox.js"),
    script!("page/client/client.js"),
    script!("page/drawing.js"),
    script!("page/page.js"),
    "</html>\n",
)
.as_bytes();

/// What the page may do: run what came with it, and talk to where it came from.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
