// Package jobstream is the client of a jobstream server: submit a job, get its result, watch it live, and run jobs
// anywhere.
//
//	client, err := jobstream.New("")  // JOBSTREAM_ADDRESS, else http://127.0.0.1:7070
//	job, err := jobstream.Submit[Thumbnail](ctx, client, "resize", Resize{Width: 64})
//	thumbnail, err := job.Result(ctx)
//
// Input and results are JSON, except for []byte, which is sent as it is, and [Payload], which says itself what it is.
// Integers stay exact: where the type is any, a number is read as a [encoding/json.Number].
//
// Calls that may arrive twice are tried again while the server is away or full. A wait for a result and a watch go on
// across lost connections. Their context ends the waiting, never the job.
//
// A [Worker] takes jobs from the server and runs a function for each kind, see [Handle]. Package jobstreamtest starts a
// real server for tests, and runs handlers without one. The generated stubs are in package jobstreamv1 and work on
// [Client.Conn].
package jobstream
