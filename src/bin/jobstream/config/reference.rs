//! The reference of the config file, made from the declarations of its keys: docs/configuration.md and the comments of
//! `--print-config`.

use std::collections::BTreeSet;

use clap::{Arg, Args, Command};

use super::quota::QuotaConfig;
use super::{
    AuthConfig, CertificateConfig, CommandConfig, HttpConfig, JwtConfig, LimitsConfig, LogConfig,
    ServerConfig, TlsConfig, WorkerConfig,
};

/// Opens the default at the end of a documentation.
const DEFAULT: &str = " [default: ";

/// A key of the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// `limits`; empty for a key above all tables.
    table: &'static str,
    name: String,
    value: String,
    default: String,
    meaning: String,
    flag: Option<String>,
    variable: Option<String>,
}

impl Key {
    /// The key of a flag.
    fn of_flag(table: &'static str, arg: &Arg) -> Self {
        let value_name =
            arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let is_list = arg.get_value_delimiter().is_some();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let (meaning, default) = split(&help);
        Self {
            table,
            // Some names are those of other flags as well, whose ids they are.
            name: arg.get_id().as_str().trim_start_matches("jwt_").to_owned(),
            value: value_type(value_name, is_list).to_owned(),
            default,
            meaning,
            flag: arg.get_long().map(|long| format!("--{long}")),
            variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        }
    }

    /// A key that has no flag.
    fn without_flag(table: &'static str, name: &str, rust_type: &str, documentation: &str) -> Self {
        let (meaning, default) = split(documentation);
        let value = match rust_type {
            "PathBuf" | "Option<PathBuf>" => "path",
            "Vec<String>" | "Option<Vec<String>>" => "list of text",
            "Vec<u8>" => "list of numbers",
            "BTreeMap<String, String>" => "table of text",
            "Duration" | "Option<Duration>" => "duration",
            "Option<u64>" => "size",
            "Option<NonZeroU32>" | "Option<u32>" => "number",
            _ => "text",
        };
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { table, name, value, default, meaning, flag: None, variable: None }
    }

    /// `Retention of finished jobs. Default: 1h. --retention, JOBSTREAM_RETENTION`.
    fn comment(&self) -> String {
        let Self { meaning, default, flag, variable, .. } = self;
        let default = if default.is_empty() { String::new() } else { format!(" Default: {default}.") };
        let overrides: Vec<_> = [flag, variable].into_iter().flatten().map(String::as_str).collect();
        format!("{meaning}.{default} {}", overrides.join(", ")).trim_end().to_owned()
    }
}

/// The type of a value in the file, by the name of the flag's value.
fn value_type(value_name: &str, is_list: bool) -> &'static str {
    match value_name {
        _ if is_list => "list of text",
        "SIZE" => "size",
        "SPAN" => "duration",
        "N" | "PERCENT" => "number",
        "BOOL" => "true or false",
        "DIR" | "FILE" => "path",
        _ => "text",
    }
}

/// The meaning and the default.
fn split(documentation: &str) -> (String, String) {
    let text = documentation.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.split_once(DEFAULT) {
        Some((meaning, default)) => (meaning.to_owned(), default.trim_end_matches(']').to_owned()),
        None => (text, String::new()),
    }
}

/// All keys, in the order of the file.
fn keys() -> Vec<Key> {
    let tables = [
        ("log", flags::<LogConfig>()),
        ("tls", flags::<TlsConfig>()),
        ("auth", flags_without::<AuthConfig, JwtConfig>()),
        ("auth.jwt", flags::<JwtConfig>()),
        ("limits", flags::<LimitsConfig>()),
        ("worker", flags::<WorkerConfig>()),
    ];
    let in_tables: BTreeSet<_> =
        tables.iter().flat_map(|(_, flags)| flags).map(|flag| flag.get_id().clone()).collect();
    let top = flags::<ServerConfig>().into_iter().filter(|flag| !in_tables.contains(flag.get_id()));
    let mut keys: Vec<_> = top.map(|flag| Key::of_flag("", &flag)).collect();
    let exec = "Programs as kind=program args, like --exec; they override [commands] [default: none]";
    keys.push(Key::without_flag("", "exec", "Vec<String>", exec));
    for (table, flags) in &tables {
        keys.extend(flags.iter().map(|flag| Key::of_flag(table, flag)));
    }
    for (table, declared) in [
        ("auth.quota", QuotaConfig::KEYS),
        ("auth.certificates", CertificateConfig::KEYS),
        ("commands", CommandConfig::KEYS),
        ("http", HttpConfig::KEYS),
    ] {
        let declared = declared.iter();
        keys.extend(declared.map(|(name, rust_type, text)| Key::without_flag(table, name, rust_type, text)));
    }
    keys
}

fn flags<T: Args>() -> Vec<Arg> {
    T::augment_args(Command::new("")).get_arguments().cloned().collect()
}

/// The flags of `T` that are not those of the table `U` in it.
fn flags_without<T: Args, U: Args>() -> Vec<Arg> {
    let inner = flags::<U>();
    flags::<T>()
        .into_iter()
        .filter(|flag| !inner.iter().any(|other| other.get_id() == flag.get_id()))
        .collect()
}

/// Tables by name or kind, and their descriptions.
const BY_NAME: [(&str, &str, &str); 3] = [
    ("auth.certificates", "NAME", "The principal NAME, with its client certificates"),
    ("commands", "KIND", "A program that runs the jobs of KIND"),
    ("http", "KIND", "An HTTP endpoint that runs the jobs of KIND"),
];

/// Adds a comment to every key of a config file, and the keys of each table by name if it has no such table.
pub(crate) fn with_comments(config: &str) -> String {
    let keys = keys();
    let mut text = String::new();
    let mut table = "";
    for line in config.lines() {
        if let Some(header) = line.strip_prefix('[') {
            table = match header.trim_end_matches(']') {
                header if header.starts_with("commands.") && header.ends_with(".env") => "env",
                header if header.starts_with("http.") && header.ends_with(".headers") => "headers",
                header if header.starts_with("auth.certificates.") => "auth.certificates",
                header if header.starts_with("commands.") => "commands",
                header if header.starts_with("http.") => "http",
                header => header,
            };
        }
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        if let Some(key) = keys.iter().find(|key| key.table == table && key.name == name) {
            text += &format!("# {}\n", key.comment());
        }
        text += &format!("{line}\n");
    }
    for (table, name, description) in BY_NAME {
        if config.contains(&format!("[{table}.")) {
            continue;
        }
        text += &format!("\n# {description}:\n# [{table}.{name}]\n");
        for key in keys.iter().filter(|key| key.table == table) {
            text += &format!("# {} ({}): {}\n", key.name, key.value, key.comment());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    const HEAD: &str = "\
# Configuration

`jobstream serve --config FILE` reads a TOML file. A flag overrides the variable beside it, that the file, and that the
default. Unknown keys are errors. `jobstream serve --print-config` prints the effective config with comments.
`jobstream worker --config FILE` reads a file that has `[commands.KIND]` and `[http.KIND]` tables only.

A duration is text such as `\"90s\"`, `\"15m\"` or `\"1h 30m\"`. A size is text such as `\"64KiB\"` or `\"1MiB\"`, or a number of
bytes. Defaults marked (m) are shares of the memory budget, see [memory](memory.md).

SIGHUP reads the file again, with the flags and variables of the start, and the files that it names. Keys with `yes` in the
column reload change in the running server, `[tls]` and `[auth]` if it began with TLS, or with callers to verify, and
`[http.KIND]` for the kinds that it began with. The others change at the next start: a warning names them. The log says
what has changed. If a value or a file cannot be used, an error names it, and nothing changes.

This page is made from the source: `UPDATE_PAGES=1 cargo test --bin jobstream reference` writes it.
";

    /// The path of the key, with a placeholder for the name or kind of a table.
    fn is_reloadable(key: &Key) -> bool {
        let mut path: Vec<_> = key.table.split('.').filter(|part| !part.is_empty()).collect();
        path.extend(BY_NAME.iter().find(|(table, ..)| *table == key.table).map(|(_, name, _)| *name));
        path.push(&key.name);
        super::super::reloadable::is_reloadable(&path)
    }

    fn row(key: &Key) -> String {
        let Key { name, value, default, meaning, flag, variable, .. } = key;
        let default = if default.is_empty() { "required" } else { default };
        let overrides = [flag, variable].into_iter().flatten().map(|text| format!("`{text}`"));
        let overrides = overrides.collect::<Vec<_>>().join(" ");
        let reload = if is_reloadable(key) { "yes" } else { "no" };
        format!("| `{name}` | {value} | {default} | {meaning} | {overrides} | {reload} |\n")
    }

    fn page() -> String {
        let keys = keys();
        let mut text = HEAD.to_owned();
        for (table, title) in [
            ("", "Server"),
            ("log", "[log]"),
            ("tls", "[tls]: see [tls](tls.md)"),
            ("auth", "[auth]: see [authentication](authentication.md)"),
            ("auth.jwt", "[auth.jwt]: JSON Web Tokens of an identity provider"),
            ("auth.quota", "[auth.quota]: of each principal without a quota of its own"),
            ("auth.certificates", "[auth.certificates.NAME]: the principal of client certificates"),
            ("limits", "[limits]"),
            ("worker", "[worker]: leases and timeouts of remote workers"),
            ("commands", "[commands.KIND]: a program that runs the jobs of a kind"),
            ("http", "[http.KIND]: an HTTP endpoint that runs the jobs of a kind"),
        ] {
            text += &format!(
                "\n## {title}\n\n| key | type | default | meaning | flag, variable | reload |\n|---|---|---|---|---|---|\n"
            );
            text.extend(keys.iter().filter(|key| key.table == table).map(row));
        }
        text
    }

    #[test]
    fn configuration_page_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        if env::var_os("UPDATE_PAGES").is_some() {
            fs::write(&path, page()).expect("the page can be written");
        }
        let current = fs::read_to_string(path).unwrap_or_default();
        assert!(current == page(), "run UPDATE_PAGES=1 cargo test --bin jobstream reference");
    }

    /// The keys that the parser of a table names when it refuses an unknown one.
    fn parsed_keys(config: &str) -> BTreeSet<String> {
        let error = toml::from_str::<ServerConfig>(config).expect_err("an unknown key").to_string();
        let (_, known) = error.split_once("expected ").expect("the known keys");
        known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_of_the_file_is_in_the_reference() {
        for (table, config) in [
            ("", "unknown = 1"),
            ("tls", "[tls]\nunknown = 1"),
            ("auth", "[auth]\nunknown = 1"),
            ("auth.jwt", "[auth.jwt]\nunknown = 1"),
            ("auth.quota", "[auth.quota]\nunknown = 1"),
            ("auth.certificates", "[auth.certificates.x]\nunknown = 1"),
            ("limits", "[limits]\nunknown = 1"),
            ("worker", "[worker]\nunknown = 1"),
            ("commands", "[commands.x]\nunknown = 1"),
            ("http", "[http.x]\nunknown = 1"),
        ] {
            let mut expected = parsed_keys(config);
            // Former names of keys.
            expected.retain(|key| !key.starts_with("checkpoint_"));
            let tables = [
                "log",
                "tls",
                "auth",
                "limits",
                "worker",
                "commands",
                "http",
                "certificates",
                "jwt",
                "quota",
            ];
            expected.retain(|key| !tables.contains(&key.as_str()));
            let keys = keys().into_iter().filter(|key| key.table == table);
            assert_eq!(keys.map(|key| key.name).collect::<BTreeSet<_>>(), expected, "[{table}]");
        }
    }

    #[test]
    fn every_key_has_a_default_or_is_required() {
        for key in keys() {
            assert!(!key.meaning.is_empty(), "{}", key.name);
            assert_eq!(
                key.default.is_empty(),
                key.flag.is_none() && ["program", "url", "subject_names", "grants"].contains(&&*key.name),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn comments_are_above_their_keys() {
        let config =
            "slots = 1\n\n[limits]\nretention = \"1h\"\n\n[commands.slots]\nprogram = \"x\"\nslots = 2\n";
        let text = with_comments(config);
        assert!(
            text.starts_with("# Concurrent attempts. Default: 256. --slots, JOBSTREAM_SLOTS\nslots = 1\n"),
            "{text}"
        );
        assert!(text.contains("# Retention of finished jobs. Default: 1h. --retention, JOBSTREAM_RETENTION\nretention = \"1h\"\n"), "{text}");
        assert!(text.contains("# Concurrent runs of this kind. Default: 8.\nslots = 2\n"), "{text}");
        assert!(!text.contains("[commands.KIND]"), "{text}");
        let without = with_comments("slots = 1\n");
        assert!(without.contains("# [commands.KIND]\n# program (path): "), "{without}");
        assert!(without.contains("# [http.KIND]\n# url (text): "), "{without}");
        assert_eq!(toml::from_str::<toml::Table>(&without).expect("TOML").len(), 1);
    }
}
