package main

import (
	"encoding/base64"
	"fmt"
	"strings"
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

	JobID   string   `json:"job_id"`
	Payload *payload `json:"payload"`
	Wait    *millis  `json:"wait"`

	Kind           string            `json:"kind"`
	Queue          string            `json:"queue"`
	Priority       int               `json:"priority"`
	Delay          *millis           `json:"delay"`
	Timeout        *millis           `json:"timeout"`
	AttemptTimeout *millis           `json:"attempt_timeout"`
	MaxAttempts    int               `json:"max_attempts"`
	Retention      *millis           `json:"retention"`
	Labels         map[string]string `json:"labels"`
	Headers        map[string]string `json:"headers"`

	Jobs     int64 `json:"jobs"`
	InFlight int   `json:"in_flight"`

	Reason    string  `json:"reason"`
	Grace     *millis `json:"grace"`
	After     uint32  `json:"after"`
	Heartbeat *millis `json:"heartbeat"`

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
	options := []jobstream.Option{jobstream.WithTries(jobstream.Tries{Max: c.Tries})}
	options = appendIf(options, c.CallTimeout, jobstream.WithCallTimeout)
	return appendIf(options, c.Patience, jobstream.WithPatience)
}

func (c *command) submitOptions() []jobstream.SubmitOption {
	options := []jobstream.SubmitOption{
		jobstream.WithJobID(c.JobID), jobstream.WithQueue(c.Queue), jobstream.WithPriority(c.Priority),
		jobstream.WithLabels(c.Labels), jobstream.WithHeaders(c.Headers),
	}
	if c.MaxAttempts != 0 {
		options = append(options, jobstream.WithMaxAttempts(c.MaxAttempts))
	}
	options = appendIf(options, c.Delay, jobstream.WithDelay)
	options = appendIf(options, c.Timeout, jobstream.WithTimeout)
	options = appendIf(options, c.AttemptTimeout, jobstream.WithAttemptTimeout)
	return appendIf(options, c.Retention, jobstream.WithRetention)
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
