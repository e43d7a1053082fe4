package jobstream

import (
	"fmt"

	"github.com/google/uuid"
)

// newJobID returns a UUID of version 7.
func newJobID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// checkJobID returns an InvalidRequest unless the id is a UUID and not the nil UUID.
func checkJobID(field, id string) error {
	if parsed, err := uuid.Parse(id); err == nil && parsed != uuid.Nil {
		return nil
	}
	return invalid(field, fmt.Sprintf("%.200q is not a job id: it must be a UUID; "+
		"uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)) of github.com/google/uuid derives one from a name (UUIDv5)", id))
}
