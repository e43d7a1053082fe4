//! Numbers pass the command line and programs without a loss of digits.

use crate::support::Dev;

const NUMBERS: [&str; 6] = [
    r#"{"id":9007199254740993}"#,
    r#"{"id": 123456789012345678901234567890, "pi": 3.14159265358979323846264338327950288}"#,
    "[18446744073709551615,-9223372036854775808]",
    "0.1234567890123456789",
    "1e400",
    "-9007199254740992",
];

#[tokio::test]
async fn numbers_keep_all_digits_through_the_command_line() {
    let dev = Dev::start(&["--exec", "same=cat"]).await;
    for number in NUMBERS {
        for kind in ["demo.echo", "same"] {
            let script = format!("printf %s '{number}' | jobstream run {kind} - -q");
            assert_eq!(dev.sh(&script).await.trim_end(), number, "{kind}");
            let script = format!("jobstream submit {kind} '{number}' --wait -q");
            assert_eq!(dev.sh(&script).await.trim_end(), number, "{kind}");
        }
        let script = format!("jobstream run demo.echo '{number}' -q -o json | tr -d '\\\\'");
        assert!(dev.sh(&script).await.contains(number), "{number}");
    }
}
