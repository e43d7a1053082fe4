//! Sizes of responses of the admin service.

use std::collections::BTreeSet;

use jobstream::proto::v1;

use super::{assert_fits, submit_all};
use crate::support::raw_worker::{RawWorker, hello};
use crate::support::{TestServer, job, wait_for};

const WORKERS: u128 = 70;
const SERVED: usize = 1_000;

/// Returns names of maximal length.
fn names(what: &str) -> Vec<String> {
    (0..SERVED).map(|number| format!("{what}-{number:0>width$}", width = 127 - what.len())).collect()
}

/// Opens workers with the maximal number of distinct kinds and queues.
async fn workers_with_max_kinds(server: &TestServer) -> Vec<RawWorker> {
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let kinds = names(&format!("kind{number}"));
        let queues = names(&format!("queue{number}"));
        let hello = v1::Hello { name: "wide".into(), kinds, queues, ..hello(number + 1, 1) };
        workers.push(RawWorker::open(server, hello).await);
    }
    workers
}

#[tokio::test]
async fn workers_are_paged_and_their_kinds_truncated() {
    let server = TestServer::start().await;
    let workers = workers_with_max_kinds(&server).await;
    let info = server.info().await;
    assert_fits(&info);
    let own = server.info().await.kinds_total as usize - WORKERS as usize * SERVED;
    assert!(own > 0 && info.kinds.len() > 20_000, "{} kinds are listed", info.kinds.len());
    assert!(info.kinds.is_sorted());

    let mut request = v1::ListWorkersRequest { page_size: 1_000, ..v1::ListWorkersRequest::default() };
    let mut ids = BTreeSet::new();
    loop {
        let page = wait_for("ListWorkers answers", server.admin().list_workers(request.clone())).await;
        let page = page.expect("a client reads it").into_inner();
        assert_fits(&page);
        for worker in page.workers.into_iter().filter(|worker| worker.link() != v1::WorkerLink::Pool) {
            assert_eq!((worker.kinds.len(), worker.queues.len()), (SERVED, SERVED));
            assert_eq!((worker.kinds_total, worker.queues_total), (1_000, 1_000));
            assert!(ids.insert(worker.worker_id), "listed once");
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let connected: BTreeSet<_> = workers.iter().map(|worker| worker.welcome.worker_id.clone()).collect();
    assert_eq!(ids, connected);

    let request = v1::DrainWorkerRequest { worker: "wide".into(), within: None };
    let drained = wait_for("DrainWorker answers", server.admin().drain_worker(request)).await;
    let drained = drained.expect("a client reads it").into_inner();
    assert_fits(&drained);
    assert!(drained.workers.len() > 10);
    for mut worker in workers {
        worker.drained().await;
    }
}

#[tokio::test]
async fn queues_with_many_unserved_kinds_fit_their_page() {
    let server = TestServer::start().await;
    let specs = (0..10_000).map(|number| v1::JobSpec {
        queue: format!("queue-{:0>122}", number % 3),
        ..job(&format!("kind-{number:0>123}"))
    });
    submit_all(&server, specs.collect()).await;
    let request = v1::ListQueuesRequest { page_size: 1_000, ..v1::ListQueuesRequest::default() };
    let page = wait_for("ListQueues answers", server.admin().list_queues(request)).await;
    let page = page.expect("a client reads it").into_inner();
    assert_fits(&page);
    let unserved: usize = page.queues.iter().map(|queue| queue.unserved_kinds.len()).sum();
    assert_eq!((page.queues.len(), unserved), (3, 10_000));
}
