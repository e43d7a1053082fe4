//! Jobs that a command changes: by the end of their ids, from stdin and by filters.

use crate::support::Dev;

/// Submits jobs that fail and waits for their ends. Returns their ids.
async fn failed_jobs(dev: &Dev, count: usize) -> Vec<String> {
    let submit = "id=$(jobstream submit demo.fail --label team=web); echo $id
        jobstream -q result $id --wait >&2 || true\n";
    dev.sh(&submit.repeat(count)).await.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_empty_list_of_ids_is_not_an_error() {
    let dev = Dev::start(&[]).await;
    for verb in ["retry", "cancel", "rm"] {
        let script = format!(
            "jobstream jobs {verb} $(jobstream -q jobs ls --state failed | cut -f1) 2>&1
             jobstream -q jobs ls --state failed | jobstream jobs {verb} - 2>&1
             jobstream jobs {verb} --state failed --yes 2>&1"
        );
        let nothing = format!(": there is nothing to {verb}\n");
        assert_eq!(dev.sh(&script).await, format!("no ids{nothing}no ids{nothing}no jobs match{nothing}"));
    }
}

#[tokio::test]
async fn the_output_of_a_list_is_retried() {
    let dev = Dev::start(&[]).await;
    failed_jobs(&dev, 2).await;
    let retried = dev.sh("jobstream jobs ls --state failed | jobstream jobs retry -").await;
    assert_eq!(retried.lines().count(), 2, "{retried}");
    let refused = dev.sh("echo no jobs | jobstream jobs retry - 2>&1 && code=0 || code=$?; echo $code").await;
    assert!(refused.contains("\"no\" is not a job id") && refused.ends_with("\n2\n"), "{refused}");
}

#[tokio::test]
async fn filters_select_jobs_after_a_confirmation() {
    let dev = Dev::start(&[]).await;
    let failed = failed_jobs(&dev, 2).await;
    let unconfirmed =
        dev.sh("jobstream jobs rm --kind demo.fail 2>&1 && code=0 || code=$?; echo $code").await;
    assert!(unconfirmed.contains("--yes") && unconfirmed.ends_with("\n2\n"), "{unconfirmed}");
    let mixed = "jobstream jobs rm $id --kind demo.fail --yes 2>&1 && code=0 || code=$?; echo $code";
    let mixed = dev.sh(&format!("id={}; {mixed}", failed[0])).await;
    assert!(mixed.contains("cannot be combined") && mixed.ends_with("\n2\n"), "{mixed}");
    let filters = "--kind demo.fail --label team=web --queue default --since 1h";
    let dry = dev.sh(&format!("jobstream jobs rm {filters} --dry-run")).await;
    assert_eq!(dry.lines().collect::<Vec<_>>(), failed, "oldest first");
    assert_eq!(dev.sh(&format!("jobstream jobs rm {filters} --yes")).await, dry);
    assert_eq!(dev.sh("jobstream -q jobs ls").await, "");

    let cancelled =
        "jobstream submit demo.echo --delay 1h >/dev/null; jobstream jobs cancel --kind demo.echo --yes";
    let cancelled = dev.sh(cancelled).await;
    assert!(cancelled.ends_with("\tCANCELLED\n") && cancelled.lines().count() == 1, "{cancelled}");
}

#[tokio::test]
async fn every_command_accepts_the_end_of_an_id() {
    let dev = Dev::start(&[]).await;
    let script = "id=$(jobstream submit demo.echo 1); end=$(echo $id | tail -c 9)
        test $(jobstream result $end --wait) = 1; test $(jobstream watch $end -q) = 1
        jobstream jobs get $end | grep -q $id; jobstream jobs retry $end
        test $(jobstream jobs rm $end) = $id
        late=$(jobstream submit demo.echo --delay 1h); jobstream jobs cancel $(echo $late | tail -c 13)";
    let output = dev.sh(script).await;
    assert!(output.ends_with("\tCANCELLED\n"), "{output}");

    let script =
        "for n in 1 2; do jobstream submit demo.echo --job-id 0189000$n-0000-7000-8000-00000000000a; done
        for end in 0000000a 0000000b 00a; do
            jobstream jobs get $end 2>&1 && code=0 || code=$?; echo $code
        done";
    let output = dev.sh(script).await;
    for part in [
        "error: 2 jobs have an id that ends with 0000000a\n  01890002-",
        "give more characters, or the whole id\n2\n",
        "error: no job has an id that ends with 0000000b\n  help: `jobstream jobs ls` lists the jobs\n5\n",
        "at least its last 8 characters",
    ] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
}
