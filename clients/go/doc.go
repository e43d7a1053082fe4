// Package jobstream is the Go client and worker library of the jobstream service,
// https://github.com/jobstream/jobstream.
//
//	client, err := jobstream.New("")  // JOBSTREAM_ADDRESS, else http://127.0.0.1:7070
//	job, err := jobstream.Submit[Thumbnail](ctx, client, "resize", Resize{Width: 64})
//	thumbnail, err := job.Result(ctx)
//
// Inputs and results are encoded as JSON, except []byte, which is sent unchanged, and [Payload], which has its own
// content type. Integers are exact: a number decoded into any is a [encoding/json.Number].
//
// Idempotent calls are retried while the server is unavailable or overloaded. A wait for a result and a watch reconnect
// after a lost connection. Their context ends the wait and does not cancel the job.
//
// A [Worker] receives jobs from the server and runs a handler for each kind, see [Handle]. Package jobstreamtest starts
// a real server for tests and runs handlers without a server. Package jobstreamv1 has the generated stubs; they work on
// [Client.Conn].
package jobstream
