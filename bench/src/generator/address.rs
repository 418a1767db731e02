//! Where clients connect to and from: destinations, source addresses, and the ports between them.
//!
//! A TCP connection is named by four numbers, so one source address has only so many ports towards
//! one destination. Clients take the (source, destination) tuples in turn, each an equal share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use crate::limits::SOURCES_MAX;

/// A server's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it listens.
    pub address: SocketAddr,
    /// `Host` of the upgrade request: name and port as they were given.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// Why an address was not understood. The caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// TLS.
    #[error("{0}: wss is not yet supported by this build; give a ws:// address")]
    Tls(String),
    /// Not a URL of a WebSocket.
    #[error("{0:?} is no WebSocket address; give ws://host:port/path")]
    Url(String),
    /// The name has no address.
    #[error("{0} cannot be resolved: {1}")]
    Resolve(String, String),
    /// Not a list, range or CIDR block of addresses.
    #[error(
        "{0:?} is no source; give addresses (10.0.0.1,10.0.0.2), ranges (10.0.0.1-10.0.0.9) or blocks (127.0.1.0/24)"
    )]
    Source(String),
    /// Too large a range.
    #[error("{0:?} has more than {SOURCES_MAX} addresses")]
    TooMany(String),
    /// IPv4 towards IPv6, or the reverse.
    #[error("source {0} and destination {1} are not of one family")]
    Family(IpAddr, SocketAddr),
}

impl Destination {
    /// Parses and resolves `ws://host[:port][/path]`.
    ///
    /// # Errors
    /// Another scheme, no host, or a name that does not resolve.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let rest = match url.split_once("://") {
            Some(("ws", rest)) => rest,
            Some(("wss", _)) => return Err(AddressError::Tls(url.to_owned())),
            _ => return Err(AddressError::Url(url.to_owned())),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        if host.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AddressError::Url(url.to_owned()));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let has_port = host.rfind(':').is_some_and(|colon| !host[colon..].contains(']'));
        let named = if has_port { host.to_owned() } else { format!("{host}:80") };
        let told = |error: String| AddressError::Resolve(named.clone(), error);
        let mut addresses = named.to_socket_addrs().map_err(|error| told(error.to_string()))?;
        let address = addresses.next().ok_or_else(|| told("no address".to_owned()))?;
        Ok(Self { address, host: host.to_owned(), path })
    }
}

/// Parses sources: addresses, ranges and CIDR blocks, separated by commas. A block of IPv4 leaves
/// out its first and last address, which name the network and everybody in it.
///
/// # Errors
/// Not understood, or more than [`SOURCES_MAX`].
pub fn parse_sources(text: &str) -> Result<Vec<IpAddr>, AddressError> {
    let mut sources = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = bounds(part).ok_or_else(|| AddressError::Source(part.to_owned()))?;
        if last - first >= (SOURCES_MAX - sources.len()) as u128 {
            return Err(AddressError::TooMany(text.to_owned()));
        }
        let is_v4 = part.parse::<IpAddr>().map_or(!part.contains(':'), |address| address.is_ipv4());
        sources.extend((first..=last).map(|number| address(number, is_v4)));
    }
    Ok(sources)
}

/// First and last address of a part, as numbers.
fn bounds(part: &str) -> Option<(u128, u128)> {
    let parse = |text: &str| text.trim().parse::<IpAddr>().ok();
    if let Some((first, last)) = part.split_once('-') {
        let (first, last) = (parse(first)?, parse(last)?);
        let fits = first.is_ipv4() == last.is_ipv4() && number(first) <= number(last);
        return fits.then(|| (number(first), number(last)));
    }
    let Some((base, prefix)) = part.split_once('/') else {
        return parse(part).map(|address| (number(address), number(address)));
    };
    let (base, prefix): (IpAddr, u32) = (parse(base)?, prefix.parse().ok()?);
    let host_bits = if base.is_ipv4() { 32_u32 } else { 128 }.checked_sub(prefix)?;
    let hosts = if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 };
    let (first, last) = (number(base) & !hosts, number(base) | hosts);
    let has_names = base.is_ipv4() && host_bits > 1;
    Some(if has_names { (first + 1, last - 1) } else { (first, last) })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(number: u128, is_v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_v4 => IpAddr::V4(Ipv4Addr::from(number)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// Loopback sources for `connections` to `destinations` of which each tuple serves `ports`; none
/// if the kernel's own choice is enough, or a destination is not 127.0.0.0/8.
///
/// A tuple is given half its ports: beyond that the kernel searches longer and longer for a free
/// one (it tries those of one parity first), and that time would look like the server's.
#[must_use]
pub fn loopback_sources(connections: u32, destinations: &[Destination], ports: u64) -> Vec<IpAddr> {
    let is_loopback = |destination: &Destination| match destination.address.ip() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(_) => false,
    };
    let per_source = (ports / 2).max(1) * destinations.len().max(1) as u64;
    let wanted = u64::from(connections).div_ceil(per_source);
    if wanted <= 1 || !destinations.iter().all(is_loopback) {
        return Vec::new();
    }
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 1));
    let count = u32::try_from(wanted).unwrap_or(u32::MAX).min(SOURCES_MAX as u32);
    (first..first + count).map(|number| IpAddr::V4(Ipv4Addr::from(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<String> {
        parse_sources(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_url_names_address_host_and_path() {
        let parsed = Destination::parse("ws://127.0.0.1:7400/v1/ws?a=b").unwrap();
        assert_eq!(parsed.address, "127.0.0.1:7400".parse().unwrap());
        assert_eq!((parsed.host.as_str(), parsed.path.as_str()), ("127.0.0.1:7400", "/v1/ws?a=b"));
        let bare = Destination::parse("ws://127.0.0.1").unwrap();
        assert_eq!((bare.address.port(), bare.path.as_str()), (80, "/"));
        let v6 = Destination::parse("ws://[::1]:9/x").unwrap();
        assert_eq!(v6.address, "[::1]:9".parse().unwrap());
        assert_eq!(Destination::parse("ws://[::1]/x").unwrap().address.port(), 80);
    }

    #[test]
    fn other_schemes_are_refused_and_tls_says_why() {
        let error = Destination::parse("wss://127.0.0.1/").unwrap_err();
        assert!(error.to_string().contains("not yet supported by this build"));
        for url in ["http://127.0.0.1/", "127.0.0.1:80", "ws://", "ws://host/\r\nx"] {
            let refused = Destination::parse(url);
            assert_eq!(refused, Err(AddressError::Url(url.to_owned())), "{url}");
        }
    }

    #[test]
    fn sources_are_lists_ranges_and_blocks() {
        assert_eq!(sources("10.0.0.1, 10.0.0.9"), ["10.0.0.1", "10.0.0.9"]);
        assert_eq!(sources("10.0.0.254-10.0.1.1").len(), 4);
        assert_eq!(sources("127.0.1.0/30"), ["127.0.1.1", "127.0.1.2"]);
        assert_eq!(sources("127.0.1.0/24").len(), 254);
        assert_eq!(sources("127.0.1.6/31"), ["127.0.1.6", "127.0.1.7"]);
        assert_eq!(sources("127.0.1.6/32"), ["127.0.1.6"]);
        assert_eq!(sources("fd00::8/127"), ["fd00::8", "fd00::9"]);
        assert_eq!(sources("10.0.0.1,fd00::1-fd00::2"), ["10.0.0.1", "fd00::1", "fd00::2"]);
    }

    #[test]
    fn sources_that_cannot_be_are_refused() {
        for text in ["", "10.0.0", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "10.0.0.1/33", "x/24"] {
            assert!(matches!(parse_sources(text), Err(AddressError::Source(_))), "{text}");
        }
    }

    #[test]
    fn as_many_sources_as_the_limit_pass_and_one_more_does_not() {
        // A /16 block has 65,534 hosts.
        assert_eq!(parse_sources("10.0.0.0/16,10.1.0.1-10.1.0.2").unwrap().len(), SOURCES_MAX);
        let more = parse_sources("10.0.0.0/16,10.1.0.1-10.1.0.3");
        assert!(matches!(more, Err(AddressError::TooMany(_))));
        assert!(matches!(parse_sources("::/0"), Err(AddressError::TooMany(_))));
    }

    #[test]
    fn loopback_gets_the_sources_that_its_connections_need() {
        let near = [Destination::parse("ws://127.0.0.1:1/").unwrap()];
        let far = [Destination::parse("ws://192.0.2.1:1/").unwrap()];
        assert_eq!(loopback_sources(14_000, &near, 28_000), [] as [IpAddr; 0]);
        assert_eq!(loopback_sources(14_001, &near, 28_000).len(), 2);
        assert_eq!(loopback_sources(1_000_000, &near, 28_000).len(), 72);
        assert_eq!(loopback_sources(1_000_000, &far, 28_000), [] as [IpAddr; 0]);
    }
}
