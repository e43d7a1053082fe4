//! Reports of a worker: accepts, events, outcomes and heartbeats.

use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::{JobContext, Worker};

use super::{connect, every_kind, gate_worker};
use crate::support::{Gate, ScriptedServer, assignment, data, lease_id, terms, text};

fn result(report: &v1::AttemptReport) -> v1::Payload {
    match &report.news {
        Some(News::Complete(complete)) => complete.result.clone().expect("a result"),
        other => panic!("not complete: {other:?}"),
    }
}

fn failure(report: &v1::AttemptReport) -> v1::Failure {
    match &report.news {
        Some(News::Fail(fail)) => fail.failure.clone().expect("a failure"),
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn short_handlers_report_a_batch_of_jobs_in_one_message() {
    let mut server = ScriptedServer::start().await;
    connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let (mut stream, _) = server.joined(terms()).await;
    let jobs = (1..=100).map(|number| assignment(number, "demo.echo", &number.to_string())).collect();
    stream.assign(jobs).await;
    let request = stream.next().await;
    assert_eq!((request.slots, request.heartbeat, request.accepted_lease_ids.len()), (None, None, 0));
    assert_eq!(request.reports.len(), 100);
    for (number, report) in (1..).zip(&request.reports) {
        assert_eq!((report.report_sequence, &report.lease_id), (number, &lease_id(number.into())));
        assert_eq!(result(report), text(&number.to_string()));
    }
}

#[tokio::test]
async fn a_result_has_its_encoding_and_content_type() {
    let mut server = ScriptedServer::start().await;
    connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let (mut stream, _) = server.joined(terms()).await;
    let typed = v1::Payload { content_type: "image/png".to_owned(), ..data(vec![0xff; 40]) };
    let json = crate::support::json(serde_json::json!({"a": [1, null]}));
    for payload in [typed, json] {
        let job = v1::Assignment { payload: Some(payload.clone()), ..assignment(1, "demo.echo", "") };
        stream.assign(vec![job]).await;
        assert_eq!(result(&stream.end().await), payload);
    }
}

#[tokio::test]
async fn running_attempts_are_accepted_and_listed_in_heartbeats() {
    let gate = Gate::new();
    let (_server, _running, mut stream) = gate_worker(4, &gate).await;
    stream.assign(vec![assignment(7, "test.gate", "hi"), assignment(8, "test.gate", "ho")]).await;
    let request = stream.next().await;
    assert_eq!(request.accepted_lease_ids, [lease_id(7), lease_id(8)]);
    assert!(request.reports.is_empty());
    stream.ping().await;
    let mut alive = stream.heartbeat().await;
    alive.sort();
    assert_eq!(alive, [lease_id(7), lease_id(8)]);
    gate.open(1);
    let ended = stream.end().await;
    stream.ping().await;
    let alive = stream.heartbeat().await;
    assert_eq!(alive.len(), 1);
    assert_ne!(alive[0], ended.lease_id);
    gate.open(1);
    stream.end().await;
    stream.ping().await;
    assert!(stream.heartbeat().await.is_empty());
}

#[tokio::test]
async fn a_handler_can_read_its_job() {
    let mut server = ScriptedServer::start().await;
    connect(
        Worker::new().raw_handler("seen", |context: JobContext| async move {
            let left = context.deadline() - tokio::time::Instant::now();
            Ok(Payload::text(format!(
                "{} {} {} {} {} {}",
                context.job_id(),
                context.attempt(),
                context.kind(),
                context.queue(),
                context.header("who").unwrap_or_default(),
                left.as_secs() > 50 && left.as_secs() <= 60,
            )))
        }),
        &server,
    );
    let (mut stream, _) = server.joined(terms()).await;
    let headers = [("who".to_owned(), "me".to_owned())].into();
    let job = v1::Assignment { attempt: 3, queue: "other".to_owned(), headers, ..assignment(1, "seen", "") };
    stream.assign(vec![job.clone()]).await;
    assert_eq!(result(&stream.end().await), text(&format!("{} 3 seen other me true", job.job_id)));
}

#[tokio::test]
async fn only_the_newest_progress_is_sent_and_other_reports_in_order() {
    let gate = Gate::new();
    let mut server = ScriptedServer::start().await;
    connect(every_kind(&gate), &server);
    let mut streams = [server.joined(terms()).await, server.joined(terms()).await];
    streams.sort_by_key(|(_, hello)| hello.kinds.len());
    let [_, (mut stream, _)] = streams;
    let asked = r#"{"progress": 1000, "outputs": 2, "output_bytes": 10, "logs": 2}"#;
    stream.assign(vec![assignment(1, "test.chatter", asked)]).await;
    let mut progress = Vec::new();
    let mut others = Vec::new();
    let mut numbers = Vec::new();
    while others.len() < 5 {
        for report in stream.next().await.reports {
            numbers.push(report.report_sequence);
            match report.news.expect("news") {
                News::Progress(made) => progress.push(made.done()),
                News::Output(output) => others.push(format!("{:?}", output.payload.unwrap().body.unwrap())),
                News::Log(log) => others.push(log.text),
                end => others.push(format!("{end:?}")),
            }
        }
    }
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(progress.len() < 1000 && *progress.last().expect("some") == 1000.0, "{}", progress.len());
    assert!(others[0].contains("chunk 0") && others[1].contains("chunk 1"), "{others:?}");
    assert_eq!(others[2..4], ["line 0", "line 1"]);
    assert!(others[4].starts_with("Complete"), "{others:?}");
}

#[tokio::test]
async fn failures_have_their_reasons() {
    let mut server = ScriptedServer::start().await;
    let worker = Worker::new()
        .raw_handler("panics", |context: JobContext| async move {
            std::panic::resume_unwind(Box::new(context.queue().to_owned()))
        })
        .raw_handler("large", |_| async { Ok(Payload::data(vec![0; (1 << 20) + 1])) });
    connect(worker, &server);
    let (mut stream, _) = server.joined(terms()).await;
    let nameless = v1::Assignment { job_id: "nobody".to_owned(), ..assignment(4, "large", "") };
    for (job, reason, words) in [
        (assignment(1, "panics", ""), v1::FailureReason::Panic, "default"),
        (assignment(2, "unheard-of", ""), v1::FailureReason::UnknownKind, "unheard-of"),
        (assignment(3, "large", ""), v1::FailureReason::ResultTooLarge, "1048577"),
        (nameless, v1::FailureReason::BadPayload, "nobody"),
    ] {
        let lease = job.lease_id.clone();
        stream.assign(vec![job]).await;
        let report = stream.end().await;
        let failure = failure(&report);
        assert_eq!((failure.reason(), &report.lease_id), (reason, &lease));
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}
