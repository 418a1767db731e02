//! Who a token does not vouch for stays out (4401): wrong key, wrong algorithm, forged, expired,
//! for another audience, issuer or device. Each accepted algorithm works, from a key file and from
//! a set.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;
use throng_tests::client::{Client, Refused};
use throng_tests::gateway::Gateway;
use throng_tests::ids;
use throng_tests::tokens::{Key, claims, unsigned, write_jwks};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn hello(gateway: &Gateway, token: &str) -> Result<Value, Option<u16>> {
    let mut client = Client::connect(&gateway.url()).unwrap();
    let id = client.request("hello", &json!({"token": token, "device": "phone"}));
    match client.answer(id) {
        Ok(answer) if answer.get("welcome").is_some() => Ok(answer["welcome"].clone()),
        Ok(answer) => {
            assert_eq!(answer["error"]["code"], "unauthenticated", "{answer}");
            Err(client.closed_within(Duration::from_secs(10)).code)
        }
        Err(closed) => Err(closed.code),
    }
}

fn accepted(gateway: &Gateway, token: &str, user: &str) {
    let welcome = hello(gateway, token).expect("a good token");
    assert_eq!(welcome["user"], user);
}

fn refused(gateway: &Gateway, token: &str) {
    assert_eq!(hello(gateway, token).unwrap_err(), Some(4401), "{token}");
}

fn with_key(key: impl FnOnce(&TempDir) -> (Key, Vec<String>)) -> (Gateway, Key) {
    let dir = TempDir::new().unwrap();
    let (key, mut arguments) = key(&dir);
    arguments.extend(["--jwt-key".to_owned(), key.file().to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    (Gateway::start_in(dir, &arguments), key)
}

#[test]
fn each_public_key_algorithm_is_accepted_from_a_key_file() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (gateway, key) = with_key(|dir| (Key::pair(algorithm, dir.path(), "key"), vec![]));
        accepted(&gateway, &key.sign(&claims("ann"), None), "ann");
        let stranger = Key::pair(algorithm, gateway.dir(), "stranger");
        refused(&gateway, &stranger.sign(&claims("ann"), None));
    }
}

fn with_secret(arguments: &[&str]) -> (Gateway, Key) {
    with_key(|dir| {
        let mut all = vec!["--jwt-alg".to_owned(), "HS256".to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        (Key::secret(SECRET, dir.path(), "key"), all)
    })
}

#[test]
fn a_shared_secret_is_accepted_and_another_is_not() {
    let (gateway, key) = with_secret(&[]);
    accepted(&gateway, &key.sign(&claims("ann"), None), "ann");
    let other = Key::secret(b"fedcba9876543210fedcba9876543210", gateway.dir(), "other");
    refused(&gateway, &other.sign(&claims("ann"), None));
}

#[test]
fn a_key_set_holds_all_algorithms_side_by_side() {
    let dir = TempDir::new().unwrap();
    let keys = [
        ("rsa", Key::pair(Algorithm::RS256, dir.path(), "rsa")),
        ("ec", Key::pair(Algorithm::ES256, dir.path(), "ec")),
        ("ed", Key::pair(Algorithm::EdDSA, dir.path(), "ed")),
        ("hmac", Key::secret(SECRET, dir.path(), "hmac")),
    ];
    let set: Vec<Value> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
    let path = write_jwks(dir.path(), &set);
    let gateway = Gateway::start_in(dir, &["--jwks", path.to_str().unwrap()]);
    for (kid, key) in &keys {
        accepted(&gateway, &key.sign(&claims("ann"), Some(kid)), "ann");
    }
    let stranger = Key::pair(Algorithm::EdDSA, gateway.dir(), "stranger");
    refused(&gateway, &stranger.sign(&claims("ann"), Some("ed")));
    refused(&gateway, &keys[1].1.sign(&claims("ann"), Some("ed")));
    refused(&gateway, &keys[2].1.sign(&claims("ann"), Some("no-such-key")));
}

#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    let (gateway, key) = with_key(|dir| (Key::pair(Algorithm::RS256, dir.path(), "key"), vec![]));
    refused(&gateway, &unsigned(&claims("ann")));
    let public_as_secret = Key::secret(&key.public_bytes(), gateway.dir(), "confused");
    refused(&gateway, &public_as_secret.sign(&claims("ann"), None));
    let (gateway, _) = with_secret(&[]);
    refused(&gateway, &unsigned(&claims("ann")));
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let (gateway, key) = with_secret(&[]);
    let good = key.sign(&claims("ann"), None);
    let parts: Vec<&str> = good.split('.').collect();
    let others = key.sign(&claims("bob"), None);
    let other_claims = others.split('.').nth(1).unwrap();
    for forged in [
        format!("{}.{other_claims}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        good[..good.len() - 2].to_owned(),
        String::new(),
        "x".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(4_096),
        "x".repeat(7_000),
    ] {
        refused(&gateway, &forged);
    }
}

#[test]
fn expiry_has_a_minute_of_leeway_and_no_more() {
    let (gateway, key) = with_secret(&[]);
    let at = |seconds: i64| {
        let now_s = i64::try_from(ids::now_ms() / 1_000).unwrap();
        key.sign(&json!({"sub": "ann", "exp": now_s + seconds}), None)
    };
    accepted(&gateway, &at(-30), "ann");
    refused(&gateway, &at(-90));
    refused(&gateway, &key.sign(&json!({"sub": "ann"}), None));
}

#[test]
fn a_session_ends_with_4004_when_its_token_does() {
    let (gateway, key) = with_secret(&[]);
    let exp = ids::now_ms() / 1_000 - 57;
    let token = key.sign(&json!({"sub": "ann", "exp": exp}), None);
    let mut client = Client::connect(&gateway.url()).unwrap();
    let welcome = client.hello(&json!({"token": token, "device": "phone"}));
    assert!(welcome.get("welcome").is_some(), "{welcome}");
    assert_eq!(client.closed_within(Duration::from_secs(15)).code, Some(4004));
}

#[test]
fn not_before_is_respected_with_the_same_leeway() {
    let (gateway, key) = with_secret(&[]);
    let at = |seconds: u64| {
        let mut claims = claims("ann");
        claims["nbf"] = json!(ids::now_ms() / 1_000 + seconds);
        key.sign(&claims, None)
    };
    accepted(&gateway, &at(30), "ann");
    refused(&gateway, &at(90));
}

#[test]
fn audience_and_issuer_must_fit_where_they_are_asked_for() {
    let (gateway, key) = with_secret(&["--jwt-audience", "chat", "--jwt-issuer", "us"]);
    let with = |audience: Value, issuer: Value| {
        let mut claims = claims("ann");
        claims["aud"] = audience;
        claims["iss"] = issuer;
        key.sign(&claims, None)
    };
    accepted(&gateway, &with(json!("chat"), json!("us")), "ann");
    accepted(&gateway, &with(json!(["mail", "chat"]), json!("us")), "ann");
    refused(&gateway, &with(json!("mail"), json!("us")));
    refused(&gateway, &with(json!("chat"), json!("them")));
    refused(&gateway, &key.sign(&claims("ann"), None));
}

#[test]
fn a_user_name_that_is_not_allowed_is_refused() {
    let (gateway, key) = with_secret(&[]);
    for user in ["", "a b", "ü", &"x".repeat(65)] {
        refused(&gateway, &key.sign(&claims(user), None));
    }
}

#[test]
fn a_token_bound_to_a_device_is_good_for_that_device_only() {
    let (gateway, key) = with_secret(&[]);
    let bound = |device: &str| {
        let mut claims = claims("ann");
        claims["device"] = json!(device);
        key.sign(&claims, None)
    };
    accepted(&gateway, &bound("phone"), "ann");
    assert!(hello(&gateway, &bound("laptop")).is_err());
}

#[test]
fn with_a_key_nobody_is_believed_without_a_token() {
    let (gateway, _) = with_secret(&[]);
    let mut client = Client::connect(&gateway.url()).unwrap();
    let id = client.request("hello", &json!({"user": "ann", "device": "phone"}));
    if let Ok(answer) = client.answer(id) {
        assert_eq!(answer["error"]["code"], "unauthenticated");
    }
    assert_eq!(client.closed_within(Duration::from_secs(10)).code, Some(4401));
}

#[test]
fn the_token_may_come_with_the_request_instead() {
    let (gateway, key) = with_secret(&[]);
    let token = key.sign(&claims("ann"), None);
    let bearer = format!("Bearer {token}");
    let protocols = format!("throng.v1.json, throng.bearer.{token}");
    for headers in [
        vec![("Sec-WebSocket-Protocol", "throng.v1.json"), ("Authorization", bearer.as_str())],
        vec![("Sec-WebSocket-Protocol", protocols.as_str())],
    ] {
        let mut client = Client::connect_with(&gateway.url(), &headers).unwrap();
        let welcome = client.hello(&json!({"device": "phone"}));
        assert_eq!(welcome["welcome"]["user"], "ann", "{welcome}");
    }
    let bad = [("Sec-WebSocket-Protocol", "throng.v1.json"), ("Authorization", "Bearer x.y.z")];
    match Client::connect_with(&gateway.url(), &bad) {
        Err(Refused::Status(status)) => assert_eq!(status, 401),
        Err(other) => panic!("{other:?}"),
        Ok(mut client) => {
            client.request("hello", &json!({"device": "phone"}));
            assert_eq!(client.closed_within(Duration::from_secs(10)).code, Some(4401));
        }
    }
}

#[test]
fn a_token_is_never_written_to_the_log() {
    let (gateway, key) = with_secret(&["--log", "trace"]);
    let good = key.sign(&claims("ann"), None);
    let bad = Key::secret(b"fedcba9876543210fedcba9876543210", gateway.dir(), "other")
        .sign(&claims("ann"), None);
    accepted(&gateway, &good, "ann");
    refused(&gateway, &bad);
    let log = gateway.log();
    for token in [good, bad] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "a token's signature is in the log");
    }
}
