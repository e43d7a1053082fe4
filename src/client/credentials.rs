//! What a client adds to every call: its bearer token and further metadata. A token is sent over TLS or to a loopback
//! address only, and is never shown.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tonic::Status;

use super::ClientOptions;
use super::error::{Error, ErrorKind, Result, reason};

/// Names that gRPC or HTTP sets.
const RESERVED: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "user-agent",
];
/// The beginning of further names that gRPC sets.
const RESERVED_PREFIX: &str = "grpc-";

type BoxError = Box<dyn StdError + Send + Sync>;
type TokenFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;
type TokenFunction = Arc<dyn Fn() -> TokenFuture + Send + Sync>;

/// The bearer token of a client: a text, or a function that returns the current one.
///
/// The function is called for each call and each stream; its result is not cached. A call that is refused as
/// UNAUTHENTICATED is repeated once, with a new token of the function. `Debug` does not show the token.
///
/// ```
/// use jobstream::client::{BearerToken, ClientOptions};
///
/// let mut options = ClientOptions::default();
/// options.token = Some(BearerToken::new("jst_..."));
/// // A file that another program renews.
/// options.token = Some(BearerToken::from_fn(|| async { std::fs::read_to_string("/run/jobstream.token") }));
/// ```
#[derive(Clone)]
pub struct BearerToken(Source);

#[derive(Clone)]
enum Source {
    Text(String),
    Function(TokenFunction),
}

impl BearerToken {
    /// A token that stays the same.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Source::Text(text.into()))
    }

    /// Checks that a text can be sent as a token: it is one word of ASCII characters. White space around it is not sent.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with what is wrong, without the text.
    pub fn check(text: &str) -> Result<()> {
        bearer(text).map(drop).map_err(|why| invalid(why.to_owned()))
    }

    /// The token that the function returns. If it fails, the call fails with TOKEN_UNAVAILABLE and is retried like a call
    /// to an unavailable server.
    pub fn from_fn<F, Fut, E>(current: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Source::Function(Arc::new(move || {
            let token = current();
            Box::pin(async move { token.await.map_err(Into::into) })
        })))
    }

    /// Whether another call may have another token.
    pub(super) fn is_renewed(&self) -> bool {
        matches!(self.0, Source::Function(_))
    }
}

impl From<&str> for BearerToken {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for BearerToken {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for BearerToken {
    /// Functions are equal if they are clones.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Text(text), Source::Text(other)) => text == other,
            (Source::Function(function), Source::Function(other)) => Arc::ptr_eq(function, other),
            (Source::Text(_), Source::Function(_)) | (Source::Function(_), Source::Text(_)) => false,
        }
    }
}

impl Eq for BearerToken {}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_renewed() { "BearerToken(function)" } else { "BearerToken(text)" })
    }
}

/// Further metadata of every call and stream. `Debug` shows the names only: a value may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallMetadata(HeaderMap);

impl CallMetadata {
    /// Adds a header. A name may have several values.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the name or the value cannot be sent, or gRPC sets the name.
    pub fn add(&mut self, name: &str, value: &str) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        let header = HeaderName::try_from(&lower);
        let Ok(header) = header.map_err(drop) else {
            return Err(invalid(format!("{name:?} is not a name of metadata: use letters, digits, - and _")));
        };
        if RESERVED.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX) {
            return Err(invalid(format!("the metadata {lower} is set by gRPC: use another name")));
        }
        let value = secret(value)
            .ok_or_else(|| invalid(format!("the value of the metadata {lower} cannot be sent: use ASCII")))?;
        self.0.append(header, value);
        Ok(())
    }

    /// Whether a header of this name was added.
    fn has_credential(&self) -> bool {
        self.0.contains_key(AUTHORIZATION)
    }
}

/// The value of a header that `Debug` does not show and that compression does not store.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let token = token.trim();
    match token {
        "" => Err("the token is empty"),
        _ if token.contains(|c: char| !c.is_ascii_graphic()) => {
            Err("the token has characters that cannot be sent: check for a line break or a space in it")
        }
        _ => secret(&format!("Bearer {token}")).ok_or("the token cannot be sent"),
    }
}

/// What is added to the headers of every request.
pub(super) struct Credentials {
    /// The metadata, with a token that stays the same.
    headers: HeaderMap,
    function: Option<TokenFunction>,
}

impl Credentials {
    /// The credentials of the options for the server at this address; `None` if there is nothing to add.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the token cannot be sent, or not to this address.
    pub(super) fn of(options: &ClientOptions, address: &str, uri: &Uri) -> Result<Option<Arc<Self>>> {
        let ClientOptions { token, metadata, allow_insecure_token, .. } = options;
        if token.is_some() && metadata.has_credential() {
            return Err(invalid("set either the option token or the metadata authorization".to_owned()));
        }
        let has_credential = token.is_some() || metadata.has_credential();
        if has_credential && !is_protected(uri) && !allow_insecure_token {
            let why = format!("{address} is plain text: everyone on the way could read the token");
            let message = format!("{why}: use https://, or allow it with allow_insecure_token");
            let error = Error::new(ErrorKind::InvalidArgument, reason::INSECURE_TOKEN, message);
            return Err(error.with_short_message(&why));
        }
        let (mut headers, mut function) = (metadata.0.clone(), None);
        match token.as_ref().map(|token| &token.0) {
            None => {}
            Some(Source::Text(text)) => {
                let value = bearer(text).map_err(|why| invalid(why.to_owned()))?;
                headers.insert(AUTHORIZATION, value);
            }
            Some(Source::Function(current)) => function = Some(current.clone()),
        }
        let is_empty = headers.is_empty() && function.is_none();
        Ok((!is_empty).then(|| Arc::new(Self { headers, function })))
    }

    /// Whether another call may have another token.
    #[cfg(feature = "worker")]
    pub(super) fn are_renewed(&self) -> bool {
        self.function.is_some()
    }

    /// Adds what is known. Names that the request has already stay as they are. Returns the token that is still missing.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) -> Option<PendingToken> {
        for name in self.headers.keys().filter(|name| !headers.contains_key(*name)).collect::<Vec<_>>() {
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let current = self.function.as_ref().filter(|_| !headers.contains_key(AUTHORIZATION))?;
        Some(PendingToken(current()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// A token that the function has not returned yet.
pub(super) struct PendingToken(TokenFuture);

impl PendingToken {
    /// Waits for the token and adds it.
    pub(super) async fn add_to(self, headers: &mut HeaderMap) -> Result<(), Status> {
        let token = self.0.await.map_err(|error| TokenError(error.to_string()).into_status())?;
        let value = bearer(&token).map_err(|why| TokenError(why.to_owned()).into_status())?;
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

/// The function of a token failed. It is the source of its status.
#[derive(Debug)]
pub(super) struct TokenError(String);

impl TokenError {
    /// Its code is that of an outage, because the next call of the function may succeed.
    fn into_status(self) -> Status {
        let mut status = Status::unavailable(self.to_string());
        status.set_source(Arc::new(self));
        status
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot get the token: {}", self.0)
    }
}

impl StdError for TokenError {}

/// Whether nobody on the way can read what is sent there.
fn is_protected(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    uri.scheme_str() == Some("https") || is_loopback || host.eq_ignore_ascii_case("localhost")
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str, options: &ClientOptions) -> Result<Option<Arc<Credentials>>> {
        Credentials::of(options, address, &address.parse().expect("an address"))
    }

    fn with_token(token: BearerToken) -> ClientOptions {
        ClientOptions { token: Some(token), ..ClientOptions::default() }
    }

    #[test]
    fn a_token_is_sent_over_tls_or_to_loopback_only() {
        let mut options = with_token("jst_secret".into());
        for address in
            ["https://jobs:7070", "http://localhost:7070", "http://127.0.0.9:7070", "http://[::1]:7070"]
        {
            assert!(of(address, &options).expect("it is protected").is_some(), "{address}");
        }
        for address in ["http://jobs:7070", "http://10.0.0.1:7070", "http://localhost.evil.example:7070"] {
            let error = of(address, &options).map(drop).expect_err(address);
            assert_eq!(error.reason(), reason::INSECURE_TOKEN);
            assert!(error.message().contains("allow_insecure_token") && !error.message().contains("secret"));
        }
        options.allow_insecure_token = true;
        assert!(of("http://jobs:7070", &options).expect("it is allowed").is_some());
    }

    #[test]
    fn metadata_with_a_credential_is_a_token_too() {
        let mut options = ClientOptions::default();
        options.metadata.add("Authorization", "Basic c2VjcmV0").expect("valid");
        assert_eq!(of("http://jobs:7070", &options).map(drop).unwrap_err().reason(), reason::INSECURE_TOKEN);
        options.token = Some("jst_secret".into());
        assert!(of("https://jobs:7070", &options).map(drop).unwrap_err().message().contains("either"));
    }

    #[test]
    fn neither_a_token_nor_metadata_is_shown() {
        let mut options = with_token("jst_secret".into());
        options.metadata.add("x-key", "secret").expect("valid");
        let credentials = of("https://jobs:7070", &options).expect("valid");
        let mut headers = HeaderMap::new();
        assert!(credentials.as_ref().expect("credentials").add_to(&mut headers).is_none());
        assert_eq!(headers[AUTHORIZATION], "Bearer jst_secret");
        let shown = format!("{options:?} {credentials:?} {headers:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_its_value() {
        let mut metadata = CallMetadata::default();
        for (name, value) in
            [("a b", "x"), ("", "x"), ("grpc-timeout", "1S"), ("TE", "x"), ("x-key", "se\ncret")]
        {
            let error = metadata.add(name, value).expect_err(name);
            assert!(!error.message().contains("cret"), "{error}");
        }
        for token in ["", " \n", "se cret", "se\ncret", "ge\u{e4}ndert"] {
            let error = of("https://jobs:7070", &with_token(token.into())).map(drop).expect_err(token);
            assert!(!error.message().contains("cret"), "{error}");
            assert_eq!(BearerToken::check(token), Err(error));
        }
        assert_eq!(BearerToken::check("jst_a\n"), Ok(()));
        assert!(
            of("https://jobs:7070", &with_token("jst_a\n".into())).is_ok(),
            "a line of a file is a token"
        );
    }

    #[test]
    fn several_values_are_sent_and_those_of_the_request_win() {
        let mut options = ClientOptions::default();
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("x-b", "3")] {
            options.metadata.add(name, value).expect("valid");
        }
        let mut headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-b"), HeaderValue::from_static("own"))]);
        of("http://jobs:7070", &options).expect("no credential").expect("metadata").add_to(&mut headers);
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers.get_all("x-b").iter().collect::<Vec<_>>(), ["own"]);
    }
}
