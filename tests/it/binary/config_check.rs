//! `jobstream config check` finds what keeps a server from starting.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::new_id;

/// A directory with config files, removed when dropped.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-check-{}", new_id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file");
    }

    /// Runs `config check` in the directory. Returns the exit code, stdout and stderr.
    fn check(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
        command.args(["config", "check"]).args(line.split_whitespace()).env_clear().current_dir(&self.0);
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A remaining directory is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(name: &str, digit: char, grant: &str) -> String {
    let digest = digit.to_string().repeat(64);
    format!("[[token]]\nname = '{name}'\nsha256 = '{digest}'\ngrants = ['{grant}']\n")
}

#[test]
fn a_valid_config_is_valid_and_nothing_is_started() {
    let files = Files::new();
    files.write("tokens.toml", &entry("billing", '0', "submit queue=billing/*"));
    // Port 1 cannot be bound by most users, and the directory of the jobs does not exist.
    files.write("js.toml", "listen = '0.0.0.0:1'\ndata = 'jobs'\n[auth]\ntokens_file = 'tokens.toml'\n");
    let (code, stdout, stderr) = files.check("--config js.toml");
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "the configuration is valid\n", ""));
    assert!(!files.0.join("jobs").exists(), "the data directory is not created");
    assert_eq!(files.check("").0, Some(0), "the defaults");
    let (code, _, stderr) = files.check("--listen 0.0.0.0:7070 --allow-anonymous");
    assert!(code == Some(0) && stderr.contains("warning: --allow-anonymous: anyone who reaches"), "{stderr}");
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let files = Files::new();
    let tokens = [
        entry("billing", '0', "submit"),
        entry("b c", '1', "read"),
        entry("ops", 'x', "all"),
        "[[token]]\nname = 'web'\nsha_256 = ''\n".to_owned(),
    ];
    files.write("tokens.toml", &tokens.concat());
    files.write("token.key", "0123\n");
    files.write(
        "js.toml",
        "slotz = 1\nlisten = '0.0.0.0:7070'\ncors_origins = ['nothing']\n\
         [limits]\nretention = 'soon'\nidempotency_window = 5\n\
         [tls]\ncert = 'no.crt'\nkey = 'no.key'\nclient_ca = 'no-ca.crt'\n\
         [auth]\ntokens_file = 'tokens.toml'\ntoken_key_file = 'token.key'\nanonymous_grants = ['write']\n\
         [auth.certificates.alice]\nsubject_names = ['alice']\ngrants = ['fly']\n\
         [commands.resize]\nprogram = 'no-such-program'\n[http.mail]\nurl = 'ftp://x'\n",
    );
    let (code, stdout, stderr) = files.check("--config js.toml");
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    for expected in [
        "error: js.toml:1: unknown key \"slotz\"",
        "error: js.toml:5: ",
        "error: js.toml:6: write a number and a unit in quotes, such as \"30s\"",
        "error: tokens.toml:5: token \"b c\": name",
        "error: tokens.toml:9: token \"ops\": sha256",
        "error: tokens.toml:15: unknown key \"sha_256\"",
        "error: token.key: ",
        "\"write\"",
        "error: auth.certificates.alice: ",
        "no-such-program",
        "the endpoint of kind mail",
        "cannot read no.crt",
        "cannot read no-ca.crt",
        "CORS origin is \"nothing\"",
    ] {
        assert!(stderr.contains(expected), "no {expected:?} in:\n{stderr}");
    }
    let (_, _, stderr) = files.check("--anonymous-grant submit --worker-lease 1s --data-bytes-max 1GiB");
    assert_eq!(stderr.matches("error: ").count(), 3, "values that contradict each other:\n{stderr}");
}

#[test]
fn what_serve_refuses_is_a_problem() {
    let files = Files::new();
    let same = [entry("billing", '0', "submit"), entry("ops", '0', "all")];
    files.write("same.toml", &same.concat());
    let certificate =
        |name| format!("[auth.certificates.{name}]\nsubject_names = ['a.example']\ngrants = ['all']\n");
    files.write("same-name.toml", &[certificate("ann"), certificate("bob")].concat());
    files.write("empty.toml", "# none yet\n");
    for (line, problem) in [
        ("--listen 0.0.0.0:7070", "other machines need a credential"),
        ("--auth-tokens same.toml", "billing and ops have the same token"),
        ("--auth-tokens empty.toml", "error: empty.toml has no token: add one with"),
        ("--config same-name.toml", "auth.certificates: ann and bob have the name \"a.example\""),
        ("--auth-tokens no-such-file.toml", "no-such-file.toml"),
        ("--config no-such-file.toml", "no-such-file.toml"),
        (
            "--jwt-issuer a --jwt-audience b --jwt-jwks no-such-keys.json --jwt-grant submit",
            "no-such-keys.json",
        ),
        ("--log-level a=b=c", "log level"),
        ("--log-level inof", "\"inof\" is not a level"),
        ("--allowed-host a/b", "a/b"),
        ("--tls-cert server.crt", "tls.cert is set without tls.key"),
    ] {
        let (code, _, stderr) = files.check(line);
        assert!(code == Some(2) && stderr.contains(problem), "{line}: {stderr}");
    }
}

#[test]
fn the_keys_of_minted_tokens_are_private() {
    let files = Files::new();
    files.write("token.key", &"0".repeat(64));
    let key = files.0.join("token.key");
    let is_of_root = fs::metadata(&key).expect("a file").uid() == 0;
    for (mode, is_accepted) in [
        (0o400, true),
        (0o600, true),
        (0o440, is_of_root),
        (0o640, is_of_root),
        (0o660, false),
        (0o604, false),
    ] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("it is ours");
        let (code, _, stderr) = files.check("--token-key token.key");
        let expected = if is_accepted { (Some(0), false) } else { (Some(2), true) };
        assert_eq!((code, stderr.contains("chmod 600 token.key")), expected, "{mode:o}: {stderr}");
    }
}
