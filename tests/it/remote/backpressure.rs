//! Backpressure of a slow connection: output waits, log lines are dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jobstream::job::Payload;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::{JobContext, JobError, Worker};

use super::connect;
use crate::support::{ScriptedServer, assignment, terms, until};

const CHUNK_BYTES: usize = 512 << 10;
const CHUNKS: usize = 40;

#[tokio::test]
async fn output_waits_for_the_acknowledgement_of_earlier_reports() {
    let mut server = ScriptedServer::start().await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let worker = Worker::new().raw_handler("floods", move |context: JobContext| {
        let count = count.clone();
        async move {
            for _ in 0..CHUNKS {
                context.output(Payload::data(vec![7; CHUNK_BYTES])).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Payload::default())
        }
    });
    connect(worker, &server);
    let (mut stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "floods", "")]).await;
    // Without acknowledgements the buffer of 8 MiB has space for 15 chunks and their overhead.
    let mut outputs = stream.reports(15).await;
    stream.ping().await;
    stream.heartbeat().await;
    assert_eq!((outputs.len(), written.load(Ordering::Relaxed)), (15, 15));
    while outputs.len() < CHUNKS + 1 {
        stream.ack(outputs.last().expect("reports").report_sequence).await;
        outputs.extend(stream.reports(1).await);
        let ahead = written.load(Ordering::Relaxed) * CHUNK_BYTES;
        assert!(ahead <= (outputs.len() + 15) * CHUNK_BYTES, "{ahead} bytes ahead");
    }
    assert!(matches!(outputs[CHUNKS].news, Some(News::Complete(_))));
    let numbers: Vec<_> = outputs.iter().map(|report| report.report_sequence).collect();
    assert_eq!(numbers, (1..=CHUNKS as u64 + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn log_lines_above_the_buffer_limit_are_dropped_and_counted() {
    const LINES: usize = 2_000;
    let mut server = ScriptedServer::start().await;
    let worker = Worker::new().raw_handler("floods", move |context: JobContext| async move {
        for _ in 0..LINES {
            context.log("x".repeat(16 << 10));
        }
        Ok(Payload::text("done"))
    });
    connect(worker, &server);
    let (mut stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "floods", "")]).await;
    let (mut lines, mut note) = (0, String::new());
    loop {
        let mut reports = stream.next().await.reports.into_iter();
        let last = reports.find_map(|report| match report.news {
            Some(News::Log(log)) if log.text.starts_with('x') => {
                lines += 1;
                None
            }
            Some(News::Log(log)) => {
                note = log.text;
                None
            }
            other => other,
        });
        if let Some(news) = last {
            assert!(matches!(news, News::Complete(_)), "{news:?}");
            break;
        }
    }
    assert!((400..600).contains(&lines), "{lines} lines of 16 KiB in 8 MiB");
    assert!(note.starts_with(&format!("{} log lines were dropped", LINES - lines)), "{note}");
}

#[tokio::test]
async fn a_chunk_above_the_message_limit_is_rejected_at_once() {
    let mut server = ScriptedServer::start().await;
    let worker = Worker::new().raw_handler("large", |context: JobContext| async move {
        let error = context.output(Payload::data(vec![0; (1 << 20) + 1])).await;
        assert!(error.is_err());
        Ok::<_, JobError>(Payload::text("refused"))
    });
    connect(worker, &server);
    let (mut stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "large", "")]).await;
    let reports = stream.reports(1).await;
    assert!(matches!(reports[0].news, Some(News::Complete(_))), "{reports:?}");
}

#[tokio::test]
async fn a_result_above_the_batch_limit_is_sent_alone() {
    let mut server = ScriptedServer::start().await;
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    let worker = Worker::new().inline_handler("large", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Payload::data(vec![0; 1 << 20]))
    });
    connect(worker, &server);
    let (mut stream, _) = server.joined(terms()).await;
    stream.assign((1..=5).map(|lease| assignment(lease, "large", "")).collect()).await;
    until("all have run", || async { done.load(Ordering::Relaxed) == 5 }).await;
    for number in 1..=5 {
        let request = stream.next().await;
        let numbers: Vec<_> = request.reports.iter().map(|report| report.report_sequence).collect();
        assert_eq!(numbers, [number]);
    }
}
