//! The token in the query of an address, which an EventSource needs because it cannot send headers.

/// The name of the query parameter.
const ACCESS_TOKEN: &str = "access_token";

/// The token in a query, and the query without it; `None` if it has no token. Of several tokens the first is used.
pub(super) fn split_access_token(query: &str) -> Option<(String, Option<String>)> {
    let mut token = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match form_urlencoded::parse(pair.as_bytes()).next() {
            Some((name, value)) if name == ACCESS_TOKEN => {
                token.get_or_insert_with(|| value.into_owned());
            }
            _ => rest.push(pair),
        }
    }
    let rest = rest.join("&");
    Some((token?, (!rest.is_empty()).then_some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_removed_and_the_rest_stays_as_it_is() {
        let split = |query| split_access_token(query);
        assert_eq!(split("types=LOG&wait=1s"), None);
        assert_eq!(split("access_token=a%2Db"), Some(("a-b".to_owned(), None)));
        let rest = Some("types=%4cOG&x".to_owned());
        assert_eq!(split("types=%4cOG&access_token=t&x"), Some(("t".to_owned(), rest)));
        assert_eq!(split("access%5Ftoken=t&access_token=u"), Some(("t".to_owned(), None)), "encoded names");
    }
}
