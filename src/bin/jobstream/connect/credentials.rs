//! The credentials of commands that talk to a server: a bearer token and further headers.

use std::env;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use jobstream::client::{BearerToken, ClientOptions};
use jobstream::secret_file;

use super::{Address, Defaults};
use crate::error::{Error, Result};
use crate::output::Output;

const TOKEN: &str = "JOBSTREAM_TOKEN";
const TOKEN_FILE: &str = "JOBSTREAM_TOKEN_FILE";

/// Flags of the credentials. There is none for the token itself: other users of the machine could see it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CredentialArgs {
    /// File with a bearer token; it is read again when it changes
    /// [env: JOBSTREAM_TOKEN_FILE, or JOBSTREAM_TOKEN with the token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// 'NAME: VALUE', sent with every call; repeatable
    #[arg(long = "rpc-header", value_name = "HEADER", value_parser = header)]
    rpc_headers: Vec<(String, String)>,
    /// Send a token in plain text, also to another machine
    #[arg(long)]
    insecure_token: bool,
}

/// Where a token comes from.
enum Token {
    File(PathBuf),
    Text(String),
}

impl CredentialArgs {
    /// Reads the token into the options of a client, and warns of a file that other users can use. The address gets the flags
    /// for the commands that messages suggest.
    ///
    /// # Errors
    ///
    /// A usage error if the file has no token, or a header cannot be sent.
    pub(super) fn apply(
        &self,
        address: &mut Address,
        defaults: &Defaults,
        options: &mut ClientOptions,
        output: &Output,
    ) -> Result<()> {
        for (name, value) in &self.rpc_headers {
            let added = options.metadata.add(name, value);
            added.map_err(|error| Error::usage(format!("--rpc-header: {}", error.message())))?;
        }
        if let Some(file) = &self.token_file {
            address.add_file("--token-file", file);
        }
        if self.insecure_token {
            address.add_flag("--insecure-token");
        }
        let of_context = defaults.context.as_ref().is_some_and(|context| context.insecure_token);
        options.allow_insecure_token = self.insecure_token || of_context;
        options.token = match self.token(defaults)? {
            None => None,
            Some(Token::Text(text)) => Some(BearerToken::new(text)),
            Some(Token::File(path)) => {
                let warning = warning(&path);
                let token = of_file(path)?;
                warning.iter().for_each(|warning| output.warning(warning));
                Some(token)
            }
        };
        Ok(())
    }

    fn token(&self, defaults: &Defaults) -> Result<Option<Token>> {
        if let Some(file) = &self.token_file {
            return Ok(Some(Token::File(file.clone())));
        }
        let of_context = defaults.context.as_ref().and_then(|context| {
            let file = context.token_file.clone().map(Token::File);
            file.or_else(|| context.token.clone().map(|token| Token::Text(token.0)))
        });
        match of_context {
            Some(token) if defaults.is_context_first => Ok(Some(token)),
            of_context => Ok(of_variables()?.or(of_context)),
        }
    }
}

fn of_variables() -> Result<Option<Token>> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    match (set(TOKEN), set(TOKEN_FILE)) {
        (None, None) => Ok(None),
        (None, Some(file)) => Ok(Some(Token::File(file.into()))),
        (Some(token), None) => match token.into_string() {
            Ok(token) => Ok(Some(Token::Text(token))),
            Err(_) => Err(Error::usage(format!("the token in {TOKEN} is not UTF-8"))),
        },
        (Some(_), Some(_)) => Err(Error::usage(format!("{TOKEN} and {TOKEN_FILE} are both set: unset one"))),
    }
}

/// The warning about a token file that other users can use.
fn warning(path: &Path) -> Option<String> {
    secret_file::warning("token file", path)
}

/// Parses `name: value`. The error does not show the value.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write it as 'name: value'".to_owned()),
    }
}

/// The token in a file.
///
/// # Errors
///
/// If it cannot be read, or is empty.
fn of_file(path: PathBuf) -> Result<BearerToken> {
    let file = TokenFile::read(path).map_err(|error| Error::usage(error.to_string()))?;
    let file = Arc::new(Mutex::new(file));
    Ok(BearerToken::from_fn(move || {
        let token = file.lock().unwrap_or_else(PoisonError::into_inner).current();
        async move { token }
    }))
}

/// A file with a token, and what was read from it. A pipe is read only once.
struct TokenFile {
    path: PathBuf,
    version: Version,
    token: String,
}

/// Differs when the content does: device, inode, length and time of modification.
type Version = (u64, u64, u64, i64, i64);

fn version(metadata: &Metadata) -> Version {
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

impl TokenFile {
    fn read(path: PathBuf) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::other(format!("cannot read the token file {}: {error}", path.display()))
        };
        // Before the content: a change between the two is read with the next call.
        let version = version(&fs::metadata(&path).map_err(named)?);
        let token = fs::read_to_string(&path).map_err(named)?.trim().to_owned();
        BearerToken::check(&token).map_err(|error| {
            io::Error::other(format!("the token file {} is unusable: {}", path.display(), error.message()))
        })?;
        Ok(Self { path, version, token })
    }

    fn current(&mut self) -> io::Result<String> {
        if is_changed(&self.path, self.version) {
            *self = Self::read(self.path.clone())?;
            // A worker logs it.
            if let Some(warning) = warning(&self.path) {
                tracing::warn!("{warning}");
            }
        }
        Ok(self.token.clone())
    }
}

/// Whether the file must be read again. One that is gone is, so that the error names it.
fn is_changed(path: &Path, read: Version) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file() && version(&metadata) != read,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(header("X-Key:  a: b "), Ok(("X-Key".to_owned(), "a: b".to_owned())));
        assert_eq!(header("x-empty:"), Ok(("x-empty".to_owned(), String::new())));
        for wrong in ["secret", ": secret"] {
            assert!(!header(wrong).expect_err(wrong).contains("secret"));
        }
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let path = std::env::temp_dir().join(format!("jobstream-token-{}", std::process::id()));
        fs::write(&path, "jst_one\n").expect("a file");
        let mut file = TokenFile::read(path.clone()).expect("a token");
        assert_eq!(file.current().expect("a token"), "jst_one");
        fs::write(&path, "jst_second\n").expect("a file");
        assert_eq!(file.current().expect("a token"), "jst_second");
        fs::write(&path, "\n").expect("a file");
        assert!(file.current().expect_err("no token").to_string().ends_with("is empty"));
        fs::write(&path, "jst_one\njst_two\n").expect("a file");
        assert!(
            file.current().expect_err("two tokens").to_string().contains("characters that cannot be sent")
        );
        fs::remove_file(&path).expect("removed");
        assert!(file.current().expect_err("no file").to_string().contains(&path.display().to_string()));
    }
}
