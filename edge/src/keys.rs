//! Who a token is for: JSON Web Tokens (RFC 7519) and the keys that verify them.
//!
//! Every key is bound to one algorithm when it is loaded (RFC 8725 section 3.1): a token never
//! chooses how it is verified, so `none` and an RSA key taken for an HMAC secret have no way in.
//! Keys are immutable; a rotation makes a new [`Keys`] and hands it to the shards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

/// The algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256: a secret that the token's issuer shares.
    #[value(name = "HS256")]
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[value(name = "RS256")]
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[value(name = "ES256")]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<JwtAlgorithm> for Algorithm {
    fn from(algorithm: JwtAlgorithm) -> Self {
        match algorithm {
            JwtAlgorithm::Hs256 => Self::HS256,
            JwtAlgorithm::Rs256 => Self::RS256,
            JwtAlgorithm::Es256 => Self::ES256,
            JwtAlgorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// Where keys come from and what tokens must say.
#[derive(Clone, Debug, Default)]
pub struct KeySource {
    /// A PEM public key, or a raw secret.
    pub key: Option<PathBuf>,
    /// The algorithm of `key`; a raw secret needs it to be told.
    pub algorithm: Option<JwtAlgorithm>,
    /// A JSON Web Key Set (RFC 7517).
    pub jwks: Option<PathBuf>,
    /// Tokens must name this audience.
    pub audience: Option<String>,
    /// Tokens must name this issuer.
    pub issuer: Option<String>,
}

impl KeySource {
    /// Whether tokens are asked for at all.
    pub fn is_configured(&self) -> bool {
        self.key.is_some() || self.jwks.is_some()
    }
}

/// Why keys could not be loaded.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file {}: {source}; check --jwt-key and --jwks, and that this \
        user may read it", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not PEM and no algorithm says that it is a secret.
    #[error("{} is not PEM; if it is a shared secret, say --jwt-alg HS256", .0.display())]
    SecretWithoutAlgorithm(PathBuf),
    /// The file is not PEM, and the algorithm is one of those with a public key.
    #[error("{} is not PEM, and {algorithm:?} wants a public key as \
        `openssl pkey -pubout` writes it; if it is a shared secret, say --jwt-alg HS256",
        path.display())]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What it was said to be for.
        algorithm: Algorithm,
    },
    /// Who has the private key can sign: it belongs to the issuer alone.
    #[error("{} is a private key; give the gateway the public one: \
        openssl pkey -in {} -pubout -out public.pem", .0.display(), .0.display())]
    Private(PathBuf),
    /// A public key was given for HMAC: whoever knows the public key could sign.
    #[error("{} is a PEM key and HS256 wants a secret; name the key's own algorithm", .0.display())]
    PemAsSecret(PathBuf),
    /// The secret can be guessed (RFC 7518 section 3.2).
    #[error("the secret in {} has {bytes} bytes, HS256 wants at least {}: make one with \
        `openssl rand -base64 48`, for the issuer and for the gateway", path.display(),
        limits::HMAC_SECRET_BYTES_MIN)]
    ShortSecret {
        /// Which.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The key is not one of the algorithm that was named.
    #[error("{} is not a public key for {algorithm:?} ({detail}); without --jwt-alg the algorithm \
        is taken from the key", path.display())]
    OtherAlgorithm {
        /// Which.
        path: PathBuf,
        /// What it was said to be for.
        algorithm: Algorithm,
        /// What the parser said.
        detail: String,
    },
    /// PEM, but no key of ours.
    #[error("{} holds neither an RSA, nor a P-256, nor an Ed25519 public key; look at it with \
        `openssl pkey -pubin -text -noout -in {}`", .0.display(), .0.display())]
    Unusable(PathBuf),
    /// Not a key set at all.
    #[error("{} is not a JSON Web Key Set: {detail}; --jwks wants {{\"keys\": [...]}}, a PEM key \
        or a secret goes to --jwt-key", path.display())]
    NotASet {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        detail: String,
    },
    /// A key of a set is broken.
    #[error("{}: the key with kid {kid:?} cannot be used: {detail}; ask its issuer for the set \
        again", path.display())]
    BrokenInSet {
        /// Which.
        path: PathBuf,
        /// The key's id, if it has one.
        kid: Option<String>,
        /// What the parser said.
        detail: String,
    },
    /// A key set in which nothing can be used.
    #[error("{} holds no key for HS256, RS256, ES256 or EdDSA that may verify signatures; ask its \
        issuer for one", .0.display())]
    Empty(PathBuf),
}

/// Why a token was refused. Always the client's fault; what it is told is only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a token, or one above the size limit.
    #[error("malformed token")]
    Malformed,
    /// No key has its `kid` and algorithm.
    #[error("no key for this token")]
    UnknownKey,
    /// The signature, the audience or the issuer is wrong, or a claim is missing.
    #[error("token refused")]
    Refused,
    /// After its `exp`.
    #[error("token expired")]
    Expired,
    /// Before its `nbf`.
    #[error("token not valid yet")]
    NotYetValid,
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub user: String,
    /// `device`, if the token is bound to one.
    pub device: Option<String>,
    /// `exp`, Unix seconds.
    pub expires_s: u64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    device: Option<String>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

/// The keys of one moment.
pub struct Keys {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

impl Keys {
    /// Reads the files that `source` names.
    ///
    /// # Errors
    /// The first file that cannot be used; nothing is loaded then.
    pub fn load(source: &KeySource) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        if let Some(path) = &source.key {
            let (algorithm, decoding) = single(path, source.algorithm)?;
            keys.push(Key { id: None, algorithm, decoding, validation: rules(algorithm, source) });
        }
        if let Some(path) = &source.jwks {
            load_set(path, source, &mut keys)?;
        }
        Ok(Self { keys })
    }

    /// Number of keys.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Verifies a token at `now_s` (Unix seconds).
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Identity, TokenError> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        let key = self.find(header.kid.as_deref(), header.alg).ok_or(TokenError::UnknownKey)?;
        let claims = decode::<Claims>(token, &key.decoding, &key.validation)
            .map_err(|_| TokenError::Refused)?
            .claims;
        check_time(&claims, now_s as f64)?;
        Ok(Identity { user: claims.sub, device: claims.device, expires_s: claims.exp as u64 })
    }

    /// A `kid` only says which key to try (RFC 7515 section 4.1.4): a key without an id, as a key
    /// file holds, is tried on every token of its algorithm, and the signature decides. A token
    /// without one is for the only key of its algorithm.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithm == algorithm
                && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
        });
        let first = fitting.next()?;
        let named = |key: &&Key| id.is_some() && key.id.as_deref() == id;
        match fitting.next() {
            None => Some(first),
            Some(_) => self.keys.iter().filter(|key| key.algorithm == algorithm).find(named),
        }
    }
}

fn check_time(claims: &Claims, now_s: f64) -> Result<(), TokenError> {
    let leeway = limits::TOKEN_LEEWAY_S as f64;
    if !claims.exp.is_finite() || claims.exp + leeway <= now_s {
        return Err(TokenError::Expired);
    }
    match claims.nbf {
        Some(nbf) if nbf > now_s + leeway => Err(TokenError::NotYetValid),
        _ => Ok(()),
    }
}

/// What the library checks beside the signature. Time is checked here, on the shard's clock.
fn rules(algorithm: Algorithm, source: &KeySource) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    let mut required = vec!["exp", "sub"];
    validation.validate_aud = source.audience.is_some();
    if let Some(audience) = &source.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = &source.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    fs::read(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })
}

fn single(
    path: &Path,
    algorithm: Option<JwtAlgorithm>,
) -> Result<(Algorithm, DecodingKey), KeyError> {
    let bytes = read(path)?;
    if !bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        return match algorithm {
            Some(JwtAlgorithm::Hs256) => secret(path, &bytes),
            Some(told) => Err(KeyError::NotPem { path: path.to_owned(), algorithm: told.into() }),
            None => Err(KeyError::SecretWithoutAlgorithm(path.to_owned())),
        };
    }
    if is_private(&bytes) {
        return Err(KeyError::Private(path.to_owned()));
    }
    match algorithm {
        Some(JwtAlgorithm::Hs256) => Err(KeyError::PemAsSecret(path.to_owned())),
        Some(told) => pem(&bytes, told).map_err(|error| KeyError::OtherAlgorithm {
            path: path.to_owned(),
            algorithm: told.into(),
            detail: error.to_string(),
        }),
        None => [JwtAlgorithm::EdDsa, JwtAlgorithm::Es256, JwtAlgorithm::Rs256]
            .into_iter()
            .find_map(|guess| pem(&bytes, guess).ok())
            .ok_or_else(|| KeyError::Unusable(path.to_owned())),
    }
}

/// By the label of the first block (RFC 7468), of which several end so.
fn is_private(pem: &[u8]) -> bool {
    let first_line = pem.trim_ascii_start().split(|byte| *byte == b'\n').next();
    first_line.is_some_and(|line| line.trim_ascii_end().ends_with(b"PRIVATE KEY-----"))
}

fn secret(path: &Path, bytes: &[u8]) -> Result<(Algorithm, DecodingKey), KeyError> {
    let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < limits::HMAC_SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret { path: path.to_owned(), bytes: secret.len() });
    }
    Ok((Algorithm::HS256, DecodingKey::from_secret(secret)))
}

fn pem(
    bytes: &[u8],
    algorithm: JwtAlgorithm,
) -> Result<(Algorithm, DecodingKey), jsonwebtoken::errors::Error> {
    let key = match algorithm {
        JwtAlgorithm::Rs256 => DecodingKey::from_rsa_pem(bytes)?,
        JwtAlgorithm::Es256 => DecodingKey::from_ec_pem(bytes)?,
        JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem(bytes)?,
        JwtAlgorithm::Hs256 => return Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into()),
    };
    Ok((algorithm.into(), key))
}

fn load_set(path: &Path, source: &KeySource, keys: &mut Vec<Key>) -> Result<(), KeyError> {
    let set: JwkSet = parse_set(path)?;
    let before = keys.len();
    for jwk in &set.keys {
        let Some(algorithm) = algorithm_of(jwk) else {
            tracing::warn!(kid = ?jwk.common.key_id, "key skipped: not one of our algorithms");
            continue;
        };
        let id = jwk.common.key_id.clone();
        let decoding = DecodingKey::from_jwk(jwk).map_err(|error| KeyError::BrokenInSet {
            path: path.to_owned(),
            kid: id.clone(),
            detail: error.to_string(),
        })?;
        keys.push(Key { id, algorithm, decoding, validation: rules(algorithm, source) });
    }
    if keys.len() == before { Err(KeyError::Empty(path.to_owned())) } else { Ok(()) }
}

fn parse_set(path: &Path) -> Result<JwkSet, KeyError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| KeyError::NotASet { path: path.to_owned(), detail: error.to_string() })
}

/// The one algorithm a key of a set is for: from its type and curve, and its `alg` must agree.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    match jwk.common.key_algorithm {
        Some(told) if told.to_string() != format!("{algorithm:?}") => None,
        _ => Some(algorithm),
    }
}
