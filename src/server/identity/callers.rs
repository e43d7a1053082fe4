//! The callers that a server accepts now: their tokens and certificates, each with its principal.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CERTIFICATES_MAX, CertificatePrincipal, IdentityOptions, StaticToken, tokens::TokenTable};
#[cfg(feature = "tls")]
use super::{jwks::Keys, jwt::JwtVerifier};
use crate::access::{Principal, Quotas};
use crate::api::grpc::ClientCertificate;
use crate::error::{Error, ErrorKind, Result};
use crate::job::quoted;

/// The callers that are accepted now. An update replaces all of them.
#[derive(Debug)]
pub(super) struct AcceptedCallers {
    pub(super) tokens: TokenTable,
    /// The principals of client certificates, by a name of the certificate.
    pub(super) certificates: HashMap<String, Arc<Principal>>,
    pub(super) anonymous: Option<Arc<Principal>>,
    /// The verifier of JSON Web Tokens.
    #[cfg(feature = "tls")]
    pub(super) jwt: Option<JwtVerifier>,
    pub(super) quotas: Quotas,
}

impl AcceptedCallers {
    /// The callers of the options, except those with JSON Web Tokens: `jwt` is set afterwards.
    pub(super) fn new(options: IdentityOptions) -> Result<Self> {
        let IdentityOptions { mut tokens, mut certificates, quotas, .. } = options;
        let principals = tokens.iter_mut().map(StaticToken::principal_mut);
        let principals = principals.chain(certificates.iter_mut().map(|known| &mut known.principal));
        principals.for_each(|principal| *principal = with_quota(principal.clone(), &quotas));
        Ok(Self {
            tokens: TokenTable::new(tokens)?,
            certificates: by_subject_name(certificates)?,
            quotas,
            #[cfg(feature = "tls")]
            jwt: None,
            anonymous: options.anonymous.map(|grants| Arc::new(Principal::anonymous(grants))),
        })
    }

    #[cfg(feature = "tls")]
    pub(super) fn jwt_keys(&self) -> Option<Arc<Keys>> {
        self.jwt.as_ref().map(|jwt| jwt.keys().clone())
    }

    /// The principal of a request without a token.
    pub(super) fn without_token(&self, certificate: Option<&ClientCertificate>) -> Result<Arc<Principal>> {
        let mut names = certificate.into_iter().flat_map(ClientCertificate::names);
        if let Some(principal) = names.find_map(|name| self.certificates.get(name)) {
            return Ok(principal.clone());
        }
        self.anonymous.clone().ok_or_else(|| {
            let message = match certificate {
                Some(_) => "the client certificate has no name that is a caller of this server, and the request no token: add its URI or DNS name to auth.certificates.NAME.subject_names",
                None => "the request has no credential: send a token in the header \"authorization: Bearer TOKEN\"",
            };
            Error::new(ErrorKind::Unauthenticated { reason: "CREDENTIAL_REQUIRED" }, message)
        })
    }
}

/// The principals by their names in certificates.
///
/// # Errors
///
/// `InvalidField` if there are too many, or a name stands for two principals.
fn by_subject_name(certificates: Vec<CertificatePrincipal>) -> Result<HashMap<String, Arc<Principal>>> {
    if certificates.len() > CERTIFICATES_MAX {
        let description = format!("has {} names, the limit is {CERTIFICATES_MAX}", certificates.len());
        return Err(Error::invalid("certificates", description));
    }
    let mut principals: HashMap<String, Arc<Principal>> = HashMap::new();
    for CertificatePrincipal { subject_name, principal } in certificates {
        if let Some(earlier) = principals.get(&subject_name).filter(|earlier| **earlier != principal) {
            let (earlier, name) = (earlier.name(), principal.name());
            let description =
                format!("{earlier} and {name} have the name {}: each needs its own", quoted(&subject_name));
            return Err(Error::invalid("certificates", description));
        }
        principals.insert(subject_name, principal);
    }
    Ok(principals)
}

/// The principal with the quota of its name.
pub(super) fn with_quota(principal: Arc<Principal>, quotas: &Quotas) -> Arc<Principal> {
    let quota = quotas.of(principal.name());
    match *principal.quota() == quota {
        true => principal,
        false => Arc::new(Arc::unwrap_or_clone(principal).with_quota(quota)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Grants;

    fn accepted(certificates: &[(&str, &str)]) -> Result<AcceptedCallers> {
        let mut options = IdentityOptions::default();
        let principal = |(name, subject_name): &(&str, &str)| {
            CertificatePrincipal::new(name, subject_name, Grants::default()).expect("a principal")
        };
        options.certificates = certificates.iter().map(principal).collect();
        AcceptedCallers::new(options)
    }

    #[test]
    fn a_certificate_stands_for_the_principal_of_its_first_known_name() {
        let callers = accepted(&[("ann", "ann.example"), ("bob", "spiffe://bob")]).expect("valid callers");
        let name_of = |uris: &[&str], dns_names: &[&str]| {
            let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let certificate = ClientCertificate { uris: texts(uris), dns_names: texts(dns_names) };
            callers.without_token(Some(&certificate)).ok().map(|principal| principal.name().to_string())
        };
        assert_eq!(name_of(&[], &["other.example", "ann.example"]).as_deref(), Some("ann"));
        assert_eq!(name_of(&["spiffe://bob"], &["ann.example"]).as_deref(), Some("bob"));
        assert_eq!(name_of(&["ann.example.org"], &["bob"]), None);
    }

    #[test]
    fn a_name_of_certificates_has_one_principal() {
        let twice = [("ann", "ann.example"), ("ann", "ann.example")];
        assert_eq!(accepted(&twice).expect("the same principal").certificates.len(), 1);
        let error = accepted(&[("ann", "a.example"), ("bob", "a.example")]).expect_err("two principals");
        assert!(error.message().contains("ann and bob have the name \"a.example\""), "{error}");
        assert!(accepted(&vec![("ann", "a.example"); CERTIFICATES_MAX + 1]).is_err());
    }
}
