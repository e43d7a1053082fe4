package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

// command is a command of the driver with the fields of every op.
type command struct {
	ID int64  `json:"id"`
	Op string `json:"op"`

	Address     string  `json:"address"`
	CallTimeout *millis `json:"call_timeout"`
	Patience    *millis `json:"patience"`
	Tries       int     `json:"tries"`

	// Interceptors are the names of those of submits or handlers.
	Interceptors []string `json:"interceptors"`

	credentials

	submission
	Wait *millis `json:"wait"`

	State jobstream.State `json:"state"`
	Limit int             `json:"limit"`

	// Jobs is the number of jobs of a load, or the list of jobs of a batch.
	Jobs     json.RawMessage `json:"jobs"`
	InFlight int             `json:"in_flight"`

	Reason    string  `json:"reason"`
	Grace     *millis `json:"grace"`
	After     uint32  `json:"after"`
	Heartbeat *millis `json:"heartbeat"`

	States      []jobstream.State `json:"states"`
	AfterCursor string            `json:"after_cursor"`

	Name         string            `json:"name"`
	Slots        int               `json:"slots"`
	Handlers     map[string]string `json:"handlers"`
	Signals      bool              `json:"signals"`
	DrainTimeout *millis           `json:"drain_timeout"`

	MessageBytesMax int `json:"message_bytes_max"`

	Target int64  `json:"target"`
	Within millis `json:"within"`

	worker *jobstream.Worker
}

// credentials are those of a secured server.
type credentials struct {
	CA                string            `json:"ca"`
	ClientCertificate string            `json:"client_certificate"`
	ClientKey         string            `json:"client_key"`
	Token             string            `json:"token"`
	Tokens            []string          `json:"tokens"`
	Metadata          map[string]string `json:"metadata"`
}

func (c *credentials) credentialOptions() []jobstream.Option {
	options := []jobstream.Option{jobstream.WithMetadata(c.Metadata)}
	if c.CA != "" {
		options = append(options, jobstream.WithCAFile(c.CA))
	}
	if c.ClientCertificate != "" {
		options = append(options, jobstream.WithClientCertificateFiles(c.ClientCertificate, c.ClientKey))
	}
	if c.Token != "" {
		options = append(options, jobstream.WithToken(c.Token))
	}
	if c.Tokens != nil {
		var calls atomic.Int64
		options = append(options, jobstream.WithTokenFunc(func(context.Context) (string, error) {
			return c.Tokens[min(int(calls.Add(1)), len(c.Tokens))-1], nil
		}))
	}
	return options
}

// submission is the fields of a job to submit.
type submission struct {
	JobID          string            `json:"job_id"`
	Payload        *payload          `json:"payload"`
	Kind           string            `json:"kind"`
	Queue          string            `json:"queue"`
	Priority       int               `json:"priority"`
	Delay          *millis           `json:"delay"`
	Timeout        *millis           `json:"timeout"`
	AttemptTimeout *millis           `json:"attempt_timeout"`
	MaxAttempts    int               `json:"max_attempts"`
	InitialBackoff *millis           `json:"initial_backoff"`
	Retention      *millis           `json:"retention"`
	Labels         map[string]string `json:"labels"`
	Headers        map[string]string `json:"headers"`

	TraceContext *jobstream.TraceContext `json:"trace_context"`
}

// millis is a duration in milliseconds.
type millis float64

func (m millis) duration() time.Duration {
	return time.Duration(float64(m) * float64(time.Millisecond))
}

// appendIf adds an option with this duration if it is set.
func appendIf[Option any](options []Option, given *millis, option func(time.Duration) Option) []Option {
	if given == nil {
		return options
	}
	return append(options, option(given.duration()))
}

func (c *command) clientOptions() []jobstream.Option {
	options := append(c.credentialOptions(), jobstream.WithTries(jobstream.Tries{Max: c.Tries}))
	if c.MessageBytesMax != 0 {
		options = append(options, jobstream.WithMessageBytesMax(c.MessageBytesMax))
	}
	options = appendIf(options, c.CallTimeout, jobstream.WithCallTimeout)
	return appendIf(options, c.Patience, jobstream.WithPatience)
}

func (s *submission) options() []jobstream.SubmitOption {
	options := []jobstream.SubmitOption{
		jobstream.WithJobID(s.JobID), jobstream.WithQueue(s.Queue), jobstream.WithPriority(s.Priority),
		jobstream.WithLabels(s.Labels), jobstream.WithHeaders(s.Headers),
	}
	if s.MaxAttempts != 0 {
		options = append(options, jobstream.WithMaxAttempts(s.MaxAttempts))
	}
	if s.TraceContext != nil {
		options = append(options, jobstream.WithTraceContext(*s.TraceContext))
	}
	options = appendIf(options, s.InitialBackoff, jobstream.WithInitialBackoff)
	options = appendIf(options, s.Delay, jobstream.WithDelay)
	options = appendIf(options, s.Timeout, jobstream.WithTimeout)
	options = appendIf(options, s.AttemptTimeout, jobstream.WithAttemptTimeout)
	return appendIf(options, s.Retention, jobstream.WithRetention)
}

// request converts a job of a batch.
func (s *submission) request() (jobstream.JobRequest, error) {
	value, err := s.Payload.value()
	return jobstream.JobRequest{Kind: s.Kind, Input: value, Options: s.options()}, err
}

func (c *command) filter() jobstream.JobFilter {
	filter := jobstream.JobFilter{Kind: c.Kind, Queue: c.Queue, Labels: c.Labels}
	if c.State != "" {
		filter.States = []jobstream.State{c.State}
	}
	return filter
}

func (c *command) changeFilter() jobstream.ChangeFilter {
	return jobstream.ChangeFilter{States: c.States, Kind: c.Kind, Queue: c.Queue, Labels: c.Labels}
}

func (c *command) cancelOptions() []jobstream.CancelOption {
	return appendIf(nil, c.Grace, jobstream.WithGrace)
}

func (c *command) watchOptions() []jobstream.WatchOption {
	return appendIf([]jobstream.WatchOption{jobstream.WithAfterSequence(c.After)}, c.Heartbeat, jobstream.WithHeartbeat)
}

// payload is a payload in the agent protocol.
type payload struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Base64      string `json:"base64"`
	ContentType string `json:"content_type"`
}

// value converts a payload to an input.
func (p *payload) value() (any, error) {
	if p == nil {
		return nil, nil
	}
	switch p.Type {
	case "json":
		var value any
		err := jobstream.TextOf(p.Text, "application/json").Decode(&value)
		return value, err
	case "text":
		return jobstream.Text(p.Text), nil
	case "data":
		data, err := base64.StdEncoding.DecodeString(p.Base64)
		return jobstream.Data(data, p.ContentType), err
	default:
		return nil, fmt.Errorf("unknown payload type %q", p.Type)
	}
}

// read converts a payload to the result of a handler.
func (p *payload) read() (jobstream.Payload, error) {
	value, err := p.value()
	if err != nil {
		return jobstream.Payload{}, err
	}
	if payload, isPayload := value.(jobstream.Payload); isPayload {
		return payload, nil
	}
	return jobstream.JSON(value)
}

// show encodes a payload for the driver.
func show(p jobstream.Payload) (map[string]any, error) {
	switch {
	case p.ContentType() == "application/json":
		var value any
		if err := p.Decode(&value); err != nil {
			return nil, err
		}
		again, err := jobstream.JSON(value)
		return map[string]any{"type": "json", "text": again.Text()}, err
	case strings.HasPrefix(p.ContentType(), "text/plain"):
		return map[string]any{"type": "text", "text": p.Text()}, nil
	default:
		text := base64.StdEncoding.EncodeToString(p.Bytes())
		return map[string]any{"type": "data", "base64": text, "content_type": p.ContentType()}, nil
	}
}
