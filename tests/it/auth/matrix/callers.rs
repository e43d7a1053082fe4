//! The server of the matrix, its callers and its jobs.

use std::collections::BTreeSet;

use jobstream::access::Grants;
use jobstream::job::Timestamp;
use jobstream::proto::v1;
use jobstream::proto::v1::access_service_client::AccessServiceClient;
use jobstream::proto::v1::watch_jobs_response;
use jobstream::server::{Identity, IdentityOptions, StaticToken};
use sha2::{Digest, Sha256};
use tonic::{Request, Streaming};

use crate::support::{Http, TestServer, new_id, text, wait_for};

/// The grants of the limited callers. All of them are the principal alice.
const GRANTS: [&[&str]; 14] = [
    &[],
    &["submit"],
    &["list"],
    &["read"],
    &["control"],
    &["work"],
    &["admin"],
    &["metrics"],
    &["read own"],
    &["read own", "control own", "list own"],
    &["read", "control", "submit"],
    &["all own"],
    &["all queue=mail"],
    &["submit queue=mail", "read own queue=mail", "list queue=other"],
];

/// A caller of the matrix, with its own statement of what its grants mean.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) token: String,
    pub(super) grants: Vec<&'static str>,
    /// The only job that it reads, for a minted token.
    pub(super) reads: Option<String>,
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) owner: &'static str,
    pub(super) queue: &'static str,
}

impl Job {
    /// A text of its payload and its result. No answer to a caller that may not read the job has it.
    pub(super) fn secret(&self) -> String {
        format!("secret of {}", self.id.to_uppercase())
    }
}

impl Caller {
    /// Whether it may act on this job.
    pub(super) fn may(&self, action: &str, job: &Job) -> bool {
        match &self.reads {
            Some(id) => action == "read" && *id == job.id,
            None => self.covers(action, job.owner == "alice", job.queue),
        }
    }

    /// Whether it may act on a new job of its own in this queue, or on the queue.
    pub(super) fn may_new(&self, action: &str, queue: &str) -> bool {
        self.reads.is_none() && self.covers(action, true, queue)
    }

    pub(super) fn may_some(&self, action: &str) -> bool {
        self.grants.iter().any(|grant| grant.starts_with(action) || grant.starts_with("all"))
    }

    /// Whether it may act on the server as a whole.
    pub(super) fn may_all(&self, action: &str) -> bool {
        let is_whole = |grant: &&str| !grant.contains("queue=") && !grant.contains("kind=");
        self.grants.iter().filter(|grant| is_whole(grant)).any(|grant| {
            let name = grant.split(' ').next().unwrap_or_default();
            name == action || name == "all"
        })
    }

    fn covers(&self, action: &str, is_own: bool, queue: &str) -> bool {
        self.grants.iter().any(|grant| {
            let words: Vec<_> = grant.split(' ').collect();
            let is_limited = words.contains(&"own") && ["list", "read", "control"].contains(&action);
            (words[0] == action || words[0] == "all")
                && (is_own || !is_limited)
                && words.iter().all(|word| !word.starts_with("queue=") || **word == format!("queue={queue}"))
        })
    }
}

/// A server that accepts the callers.
pub(super) struct Callers {
    pub(super) server: TestServer,
    pub(super) http2: Http,
    pub(super) http1: Http,
    limited: Vec<Caller>,
    expired: String,
}

impl Callers {
    pub(super) async fn start() -> Self {
        let token = |name: &str| format!("jst_{name}-{}", new_id());
        let limited: Vec<_> = GRANTS
            .iter()
            .map(|grants| Caller { token: token("l"), grants: grants.to_vec(), reads: None })
            .collect();
        let expired = token("expired");
        let mut options = IdentityOptions::default();
        for caller in &limited {
            let grants = Grants::parse(caller.grants.iter().copied()).expect("grants");
            options.tokens.push(StaticToken::new("alice", &caller.token, grants).expect("a token"));
        }
        for owner in ["alice", "bob"] {
            options
                .tokens
                .push(StaticToken::new(owner, &owner_token(owner), Grants::all()).expect("a token"));
        }
        let digest = Sha256::digest(&expired).into();
        let past = Some(Timestamp::from_micros(1));
        options.tokens.push(StaticToken::with_digest("late", digest, Grants::all(), past).expect("a token"));
        let identity = Identity::new(options).expect("callers");
        let server = TestServer::with(|setup| setup.server.serve.identity = Some(identity)).await;
        let (http2, http1) = (Http::new(server.address, true), Http::new(server.address, false));
        Self { server, http2, http1, limited, expired }
    }

    pub(super) fn limited(&self) -> &[Caller] {
        &self.limited
    }

    /// Credentials that are refused, and the reasons.
    pub(super) fn bad_credentials(&self) -> [(Option<String>, &'static str); 3] {
        let wrong = format!("jst_{}{}", new_id(), new_id());
        [
            (None, "CREDENTIAL_REQUIRED"),
            (Some(wrong), "CREDENTIAL_INVALID"),
            (Some(self.expired.clone()), "CREDENTIAL_EXPIRED"),
        ]
    }

    /// A job of this owner that has succeeded.
    pub(super) async fn job(&self, owner: &'static str, queue: &'static str) -> Job {
        let job = Job { id: new_id(), owner, queue };
        let (job_id, payload) = (job.id.clone(), Some(text(&job.secret())));
        let spec = v1::JobSpec { job_id, queue: queue.to_owned(), payload, ..crate::support::echo("") };
        let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
        let request = with_token(request, &owner_token(owner));
        wait_for("Submit", self.server.jobs().submit(request)).await.expect("an accepted job");
        let wait = Some(prost_types::Duration { seconds: 10, nanos: 0 });
        let request = with_token(v1::GetResultRequest { job_id: job.id.clone(), wait }, &owner_token(owner));
        let result = wait_for("GetResult", self.server.jobs().get_result(request)).await.expect("a result");
        assert_eq!(result.into_inner().state(), v1::JobState::Succeeded);
        job
    }

    /// The holder of a token for this job, minted by its owner.
    pub(super) async fn mint(&self, job: &Job) -> Caller {
        let request = v1::MintTokenRequest { job_id: job.id.clone(), lifetime: None };
        let request = with_token(request, &owner_token(job.owner));
        let mut access = AccessServiceClient::new(self.server.channel());
        let token = access.mint_token(request).await.expect("a token").into_inner().token;
        Caller { token, grants: Vec::new(), reads: Some(job.id.clone()) }
    }

    /// A feed of all jobs, with short heartbeats.
    pub(super) async fn feed(&self, token: &str) -> Feed {
        let heartbeat = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let request = v1::WatchJobsRequest { heartbeat, ..v1::WatchJobsRequest::default() };
        let opened = wait_for("WatchJobs", self.server.jobs().watch_jobs(with_token(request, token))).await;
        let mut feed = Feed(opened.expect("a feed").into_inner());
        feed.next().await;
        feed
    }

    /// The feed of an owner, who may list every job.
    pub(super) async fn feed_of_owner(&self) -> Feed {
        self.feed(&owner_token("bob")).await
    }

    /// Undoes what a permitted call has changed for the next cell.
    pub(super) async fn restore(&self, queue: &str) {
        let request = with_token(v1::ResumeQueueRequest { queue: queue.to_owned() }, &owner_token("bob"));
        // A queue without jobs is unknown.
        drop(self.server.admin().resume_queue(request).await);
    }
}

/// An open feed. Its first message was received.
pub(super) struct Feed(Streaming<v1::WatchJobsResponse>);

impl Feed {
    /// The cursor of the next message, and the job of its change.
    async fn next(&mut self) -> (String, Option<String>) {
        let message = wait_for("a message of the feed", self.0.message()).await.expect("an open feed");
        let message = message.expect("an open feed");
        let job = match message.message {
            Some(watch_jobs_response::Message::Change(change)) => Some(change.job_id),
            _ => None,
        };
        (message.cursor, job)
    }

    /// Reads this number of changes. Returns the cursor of the last one.
    pub(super) async fn read_changes(&mut self, mut count: usize) -> String {
        loop {
            let (cursor, job) = self.next().await;
            count -= usize::from(job.is_some());
            if count == 0 {
                return cursor;
            }
        }
    }

    /// Reads up to a cursor. Returns the jobs.
    pub(super) async fn read_to(&mut self, end: &str) -> BTreeSet<String> {
        let mut jobs = BTreeSet::new();
        loop {
            let (cursor, job) = self.next().await;
            jobs.extend(job);
            if cursor == end {
                return jobs;
            }
        }
    }
}

fn owner_token(owner: &str) -> String {
    format!("jst_{owner}-0123456789-0123456789-0123456789")
}

/// A request with this token.
pub(super) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}
