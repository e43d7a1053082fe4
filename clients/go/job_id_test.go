package jobstream

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestMalformedJobIDIsRejectedBeforeACall(t *testing.T) {
	client, err := New("127.0.0.1:1") // No server.
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	for _, id := range []string{"order-123", "", "00000000-0000-0000-0000-000000000000"} {
		job := client.Job(id)
		calls := map[string]func() error{
			"Get":    func() error { _, err := client.Get(ctx, id); return err },
			"State":  func() error { _, err := job.State(ctx); return err },
			"Result": func() error { _, err := job.Result(ctx); return err },
			"Cancel": func() error { _, err := job.Cancel(ctx, "enough"); return err },
			"Watch": func() error {
				for _, err := range job.Watch(ctx) {
					return err
				}
				return nil
			},
		}
		if id != "" { // An empty id means a new one.
			calls["Submit"] = func() error { _, err := Submit[any](ctx, client, "kind", nil, WithJobID(id)); return err }
			calls["Run"] = func() error { _, err := Run[any](ctx, client, "kind", nil, WithJobID(id)); return err }
		}
		for name, call := range calls {
			err := call()
			var invalid *InvalidRequest
			if !errors.As(err, &invalid) || !strings.HasSuffix(invalid.Violations[0].Field, "job_id") {
				t.Errorf("%s of %q: %T %v", name, id, err, err)
				continue
			}
			for _, part := range []string{id, "must be a UUID", "UUIDv5"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s of %q does not say %q: %v", name, id, part, err)
				}
			}
		}
	}
}

func TestUsualFormatsOfAUUIDAreJobIDs(t *testing.T) {
	const id = "0190c0de-0000-7000-8000-00000000000a"
	for _, text := range []string{id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id} {
		if err := checkJobID("job_id", text); err != nil {
			t.Error(err)
		}
	}
}
