//! What a run's clients talk to, and the bytes of their upgrade requests, made once.

use std::net::{IpAddr, SocketAddr};

use throng_ring::ConnectOptions;
use throng_wire::http::{
    UpgradeError, UpgradeRequest, encode_upgrade_request, parse_upgrade_response,
};
use throng_wire::ws::accept::client_key;

use super::address::{AddressError, Destination};
use super::random::mix;

/// Servers, source addresses and the form of the upgrade request.
#[derive(Clone, Debug)]
pub struct Target {
    /// Servers, in turn.
    pub destinations: Vec<Destination>,
    /// Source addresses, in turn; none: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Further headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// Subprotocols to offer, in order of preference.
    pub subprotocols: Vec<String>,
}

impl Target {
    /// One server, by its address, without sources, headers or subprotocols.
    #[must_use]
    pub fn new(destination: Destination) -> Self {
        let destinations = vec![destination];
        Self { destinations, sources: Vec::new(), headers: Vec::new(), subprotocols: Vec::new() }
    }

    /// The server at an address and path.
    #[must_use]
    pub fn at(address: SocketAddr, path: &str) -> Self {
        Self::new(Destination { address, host: address.to_string(), path: path.to_owned() })
    }

    /// Checks that each source can reach each destination.
    ///
    /// # Errors
    /// Two are of different families.
    pub fn check(&self) -> Result<(), AddressError> {
        for destination in &self.destinations {
            let to = destination.address;
            if let Some(source) =
                self.sources.iter().find(|source| source.is_ipv4() != to.is_ipv4())
            {
                return Err(AddressError::Family(*source, to));
            }
        }
        Ok(())
    }

    /// Pairs of source and destination.
    #[must_use]
    pub fn tuples(&self) -> usize {
        self.destinations.len() * self.sources.len().max(1)
    }
}

/// The upgrade requests of a target's destinations, ready but for the key.
#[derive(Debug)]
pub(super) struct Requests {
    target: Target,
    /// Of each destination: the bytes of the request and where its key is.
    templates: Vec<(Vec<u8>, usize)>,
    seed: u64,
}

impl Requests {
    pub(super) fn new(target: &Target, seed: u64) -> Self {
        let key = client_key([0; 16]);
        let template = |destination: &Destination| {
            let mut bytes = Vec::new();
            with_request(target, destination, &key, |request| {
                encode_upgrade_request(&mut bytes, request);
            });
            let at = bytes.windows(key.len()).position(|part| part == key.as_bytes());
            (bytes, at.unwrap_or_default())
        };
        let templates = target.destinations.iter().map(template).collect();
        Self { target: target.clone(), templates, seed }
    }

    /// Where to and from which source a client connects.
    pub(super) fn connect_options(&self, client: u32) -> ConnectOptions {
        let sources = &self.target.sources;
        let turn = client as usize / self.target.destinations.len();
        let source = sources.get(turn % sources.len().max(1));
        ConnectOptions {
            to: self.destination(client).address,
            bind: source.map(|source| SocketAddr::new(*source, 0)),
        }
    }

    fn destination(&self, client: u32) -> &Destination {
        &self.target.destinations[client as usize % self.target.destinations.len()]
    }

    /// Appends a client's request. `nonce` makes its key and must be given again for the answer.
    pub(super) fn write(&self, client: u32, nonce: u64, out: &mut Vec<u8>) {
        let (bytes, key_at) = &self.templates[client as usize % self.templates.len()];
        let start = out.len();
        out.extend_from_slice(bytes);
        let key = self.key(client, nonce);
        out[start + key_at..][..key.len()].copy_from_slice(key.as_bytes());
    }

    /// Judges the answer: the length of its head when it is whole and right.
    pub(super) fn answer(
        &self,
        client: u32,
        nonce: u64,
        head: &[u8],
    ) -> Result<Option<usize>, UpgradeError> {
        let key = self.key(client, nonce);
        with_request(&self.target, self.destination(client), &key, |request| {
            Ok(parse_upgrade_response(head, request)?.map(|upgraded| upgraded.consumed))
        })
    }

    fn key(&self, client: u32, nonce: u64) -> String {
        let (high, low) = (mix(self.seed, nonce), mix(nonce, u64::from(client)));
        client_key((u128::from(high) << 64 | u128::from(low)).to_ne_bytes())
    }
}

fn with_request<T>(
    target: &Target,
    destination: &Destination,
    key: &str,
    use_request: impl FnOnce(&UpgradeRequest<'_>) -> T,
) -> T {
    let subprotocols: Vec<&str> = target.subprotocols.iter().map(String::as_str).collect();
    let headers: Vec<(&str, &str)> =
        target.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    use_request(&UpgradeRequest {
        host: &destination.host,
        target: &destination.path,
        subprotocols: &subprotocols,
        headers: &headers,
        key,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn target() -> Target {
        let destination = |port| Destination::parse(&format!("ws://127.0.0.1:{port}/x")).unwrap();
        Target {
            destinations: vec![destination(1), destination(2)],
            sources: (1..=3).map(|host| IpAddr::from([127, 0, 0, host])).collect(),
            headers: vec![("X-Tenant".to_owned(), "seven".to_owned())],
            subprotocols: vec!["chat".to_owned()],
        }
    }

    #[test]
    fn clients_take_all_pairs_of_source_and_destination_in_turn() {
        let requests = Requests::new(&target(), 1);
        let pair = |client| {
            let options = requests.connect_options(client);
            (options.bind, options.to)
        };
        let pairs: HashSet<_> = (0..6).map(pair).collect();
        assert_eq!((pairs.len(), target().tuples()), (6, 6));
        assert_eq!(pair(0), pair(6));
    }

    #[test]
    fn a_request_has_its_own_key_and_takes_no_answer_to_another() {
        let requests = Requests::new(&target(), 1);
        let written = |client, nonce| {
            let mut out = Vec::new();
            requests.write(client, nonce, &mut out);
            String::from_utf8(out).unwrap()
        };
        let text = written(1, 5);
        assert!(text.contains("Host: 127.0.0.1:2\r\n") && text.contains("X-Tenant: seven\r\n"));
        assert!(text.contains("Sec-WebSocket-Protocol: chat\r\n"));
        assert_ne!(text, written(1, 6));
        let key = text.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let accept = throng_wire::ws::accept::accept_value(key);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        assert_eq!(requests.answer(1, 5, answer.as_bytes()), Ok(Some(answer.len())));
        assert_eq!(requests.answer(1, 5, &answer.as_bytes()[..40]), Ok(None));
        assert!(requests.answer(1, 6, answer.as_bytes()).is_err());
    }

    #[test]
    fn a_source_of_another_family_is_refused() {
        let mut target = target();
        assert_eq!(target.check(), Ok(()));
        target.sources.push("::1".parse().unwrap());
        assert!(matches!(target.check(), Err(AddressError::Family(..))));
    }
}
