//! Warnings about the files with secrets that other users can use. The keys of minted tokens are not among them: such a file is
//! refused.

use std::collections::BTreeSet;

use jobstream::secret_file;

use crate::config::ServerConfig;

/// What to log about the files of a config, of a server or a worker.
pub(crate) fn warnings(config: &ServerConfig) -> Vec<String> {
    let key = config.tls.key.iter().map(|path| ("TLS key", path));
    // Kinds may share a file.
    let of_http: BTreeSet<_> = config.http.values().filter_map(|table| table.secret_file.as_ref()).collect();
    let files = key.chain(of_http.into_iter().map(|path| ("secret file", path)));
    files.filter_map(|(what, path)| secret_file::warning(what, path)).collect()
}
