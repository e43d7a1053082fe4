//! Metrics: what a scrape answers, and what Prometheus makes of it.

mod endpoint;
mod observability;
mod prometheus;
mod scrape;
mod scraped;
