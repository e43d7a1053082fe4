//! A snapshot as a request of the OpenTelemetry protocol, OTLP.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AttributeValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as PointValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as OtlpHistogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Family, Histogram, Kind, Labels, Snapshot, Value};
use crate::job::Timestamp;

/// The time of a snapshot, and since when its counters count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    pub(crate) start: Timestamp,
    pub(crate) now: Timestamp,
}

impl Period {
    fn nanos(time: Timestamp) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or_default().saturating_mul(1_000)
    }
}

/// The request with all families, of a process with these attributes.
pub(super) fn request(
    snapshot: &Snapshot,
    period: Period,
    resource: &[(String, String)],
) -> ExportMetricsServiceRequest {
    // A collector measures processes by itself, under other names.
    let families = snapshot.families().filter(|(family, _)| !family.name.starts_with("process_"));
    let metrics = families.map(|(family, samples)| metric(family, samples, period)).collect();
    let scope = InstrumentationScope {
        name: "jobstream".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let attributes = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

/// The name in OpenTelemetry: dots, and neither the unit nor `_total`. A collector that writes for Prometheus adds them.
fn otlp_name(family: &Family) -> String {
    let name = family.name.trim_end_matches("_total").trim_end_matches(family.unit());
    name.trim_end_matches('_').replace('_', ".")
}

fn metric(family: &'static Family, samples: &BTreeMap<Labels, Value>, period: Period) -> Metric {
    let temporality = AggregationTemporality::Cumulative.into();
    let attributes = |labels: &Labels| -> Vec<KeyValue> {
        family.labels.iter().zip(labels).map(|(key, value)| attribute(key, value)).collect()
    };
    let numbers = || {
        let point = |(labels, value): (&Labels, &Value)| match value {
            Value::Number(number) => Some(number_point(attributes(labels), *number, period)),
            Value::Histogram(_) => None,
        };
        samples.iter().filter_map(point).collect()
    };
    let data = match family.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Counter => {
            let data_points = numbers();
            Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic: true })
        }
        Kind::Histogram => {
            let point = |(labels, value): (&Labels, &Value)| match value {
                Value::Histogram(histogram) => Some(histogram_point(attributes(labels), histogram, period)),
                Value::Number(_) => None,
            };
            let data_points = samples.iter().filter_map(point).collect();
            Data::Histogram(OtlpHistogram { data_points, aggregation_temporality: temporality })
        }
    };
    let unit = match family.unit() {
        "seconds" => "s",
        "bytes" => "By",
        _ => "1",
    };
    Metric {
        name: otlp_name(family),
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number_point(attributes: Vec<KeyValue>, number: f64, period: Period) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: Period::nanos(period.start),
        time_unix_nano: Period::nanos(period.now),
        value: Some(PointValue::AsDouble(number)),
        ..NumberDataPoint::default()
    }
}

fn histogram_point(attributes: Vec<KeyValue>, histogram: &Histogram, period: Period) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: Period::nanos(period.start),
        time_unix_nano: Period::nanos(period.now),
        count: histogram.count(),
        sum: Some(histogram.sum()),
        bucket_counts: histogram.counts().to_vec(),
        explicit_bounds: histogram.buckets().to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(AttributeValue::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{CALL_BUCKETS, PROCESS_OPEN_FDS, STORE_OP_DURATION, SUBMIT_REJECTED, WORKER_SLOTS};

    #[test]
    fn a_request_has_every_sample_with_its_labels() {
        let mut snapshot = Snapshot::default();
        snapshot.add(&WORKER_SLOTS, &["remote"], 8.0);
        snapshot.add(&PROCESS_OPEN_FDS, &[], 9.0);
        snapshot.add(&SUBMIT_REJECTED, &["QUEUE_FULL"], 2.0);
        let counts: Vec<_> = (0..=CALL_BUCKETS.len() as u64).collect();
        let histogram = Histogram::of(CALL_BUCKETS, &counts, Duration::from_secs(3));
        snapshot.add_histogram(&STORE_OP_DURATION, &["sync", "disk"], &histogram);
        let period = Period { start: Timestamp::from_micros(1), now: Timestamp::from_micros(2) };
        let request = snapshot.to_otlp(period, &[("service.name".to_owned(), "jobs".to_owned())]);

        let [resource] = &request.resource_metrics[..] else { panic!("one resource") };
        assert_eq!(resource.resource.as_ref().unwrap().attributes, [attribute("service.name", "jobs")]);
        let metrics = &resource.scope_metrics[0].metrics;
        let names: Vec<_> = metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
        let expected = [
            ("jobstream.store.op.duration", "s"),
            ("jobstream.submit.rejected", "1"),
            ("jobstream.worker.slots", "1"),
        ];
        assert_eq!(names, expected);
        let Some(Data::Histogram(durations)) = &metrics[0].data else { panic!("a histogram") };
        let point = &durations.data_points[0];
        assert_eq!(
            (point.bucket_counts.len(), point.explicit_bounds.len()),
            (counts.len(), CALL_BUCKETS.len())
        );
        assert_eq!((point.count, point.sum), (counts.iter().sum(), Some(3.0)));
        assert_eq!(point.attributes, [attribute("op", "sync"), attribute("backend", "disk")]);
        let Some(Data::Sum(rejected)) = &metrics[1].data else { panic!("a counter") };
        assert!(rejected.is_monotonic);
        assert_eq!(rejected.data_points[0].value, Some(PointValue::AsDouble(2.0)));
        assert_eq!((rejected.data_points[0].start_time_unix_nano, point.time_unix_nano), (1_000, 2_000));
    }
}
