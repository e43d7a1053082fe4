/**
 * The Java client and worker library of jobstream, a gRPC job service.
 *
 * <p>{@link io.github.jobstream.Client} and {@link io.github.jobstream.Job} submit jobs and wait for them, {@link
 * io.github.jobstream.Worker} and {@link io.github.jobstream.JobContext} run them. Every error is a {@link
 * io.github.jobstream.JobstreamException}.
 */
package io.github.jobstream;
