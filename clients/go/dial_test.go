package jobstream

import (
	"errors"
	"testing"
)

func TestAddressNeedsNoScheme(t *testing.T) {
	t.Setenv("JOBSTREAM_ADDRESS", "")
	for given, expected := range map[string]string{
		"":                    "http://127.0.0.1:7070",
		"jobs:7070":           "http://jobs:7070",
		"http://[::1]:7070/":  "http://[::1]:7070",
		"https://jobs":        "https://jobs:443",
		"http://jobs.example": "http://jobs.example:80",
	} {
		if read, err := parseAddress(given); err != nil || read.String() != expected {
			t.Errorf("%q is %v, %v", given, read, err)
		}
	}
	t.Setenv("JOBSTREAM_ADDRESS", "elsewhere:1")
	if read, err := parseAddress(""); err != nil || read.String() != "http://elsewhere:1" {
		t.Error(read, err)
	}
}

func TestInvalidAddressIsNamedInTheError(t *testing.T) {
	for _, given := range []string{"ftp://jobs:1", "http://", "jobs 7070", "http://jobs/path", "http://me@jobs", "http://jobs:x", "jobs:70000", "jobs:0"} {
		if _, err := New(given); !errors.As(err, new(*InvalidRequest)) {
			t.Errorf("%q: %v", given, err)
		}
	}
}
