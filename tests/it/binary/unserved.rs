//! Jobs whose kind no worker serves.

use crate::support::{Dev, Remote};

async fn dev_with_two_resizers() -> (Dev, [Remote; 2]) {
    let dev = Dev::start(&["--demo=false"]).await;
    let resizer = async || Remote::connected(&dev, &["--exec", "thumb.resize=cat"]).await;
    let resizers = [resizer().await, resizer().await];
    (dev, resizers)
}

#[tokio::test]
async fn a_job_that_no_worker_serves_gets_a_warning_with_near_kinds() {
    let (dev, _resizers) = dev_with_two_resizers().await;
    let warning = "warning: no worker serves thumb.resiz; did you mean thumb.resize (2 workers)?\n";
    for command in [
        "jobstream submit thumb.resiz",
        "jobstream submit thumb.resiz --delay 1h",
        "jobstream submit thumb.resiz --wait=1ms",
        "jobstream run thumb.resiz --timeout 1ms",
    ] {
        let stderr = dev.sh(&format!("{command} 2>&1 >/dev/null || true")).await;
        assert!(stderr.contains(warning), "{command}: {stderr}");
    }
    let quiet =
        "jobstream submit -q thumb.resiz 2>&1 >/dev/null; jobstream submit thumb.resize 2>&1 >/dev/null";
    assert_eq!(dev.sh(quiet).await, "");
}

#[tokio::test]
async fn a_required_worker_is_checked_before_the_submit() {
    let (dev, _resizers) = dev_with_two_resizers().await;
    for command in ["submit", "run"] {
        let script = format!(
            "jobstream {command} thumb.resiz --require-worker 2>&1 && code=0 || code=$?; echo $code
             jobstream jobs ls --kind thumb.resiz 2>&1"
        );
        let output = dev.sh(&script).await;
        let first = "error: no worker serves thumb.resiz; did you mean thumb.resize (2 workers)?\n";
        assert!(output.starts_with(first) && output.ends_with("\n5\nno jobs match\n"), "{output}");
        let served = dev.sh(&format!("jobstream {command} thumb.resize '1' --require-worker")).await;
        assert!(!served.is_empty(), "{command}");
    }
}
