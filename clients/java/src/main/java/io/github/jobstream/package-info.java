/**
 * Client and worker of jobstream, a gRPC job service: submit a job, get its result, watch it live; workers anywhere.
 *
 * <p>{@link io.github.jobstream.Client} and {@link io.github.jobstream.Job} are for callers, {@link
 * io.github.jobstream.Worker} and {@link io.github.jobstream.JobContext} for handlers. Everything that goes wrong is a
 * {@link io.github.jobstream.JobstreamException}.
 */
package io.github.jobstream;
