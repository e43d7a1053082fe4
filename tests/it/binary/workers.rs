//! The commands about workers against a real server.

use super::Dev;

#[tokio::test]
async fn the_servers_own_workers_are_listed_and_cannot_be_drained() {
    let dev = Dev::start(&["--exec", "upper=tr a-z A-Z"]).await;
    let listed = dev.sh("jobstream workers ls").await;
    let pools: Vec<_> = listed.lines().filter(|line| line.contains("\tlocal\tPOOL\tCONNECTED\t0/")).collect();
    assert!(pools.len() == listed.lines().count() && pools.iter().any(|line| line.contains("\tupper\t*\t")));
    let script = "jobstream workers drain local 2>&1 && code=0 || code=$?; echo $code
        jobstream workers drain nobody 2>&1 && code=0 || code=$?; echo $code";
    let said = dev.sh(script).await;
    for part in ["part of the server", "(ILLEGAL_STATE)\n", "jobstream queues pause", "\n10\n"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    for part in ["has the id or name nobody", "(WORKER_NOT_FOUND)\n", "jobstream workers ls", "\n5\n"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}
