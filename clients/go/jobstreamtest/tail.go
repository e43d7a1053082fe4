package jobstreamtest

import "sync"

// tailBytes is how much of a server's log is kept.
const tailBytes = 16 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, text...)
	if extra := len(t.kept) - tailBytes; extra > 0 {
		t.kept = t.kept[extra:]
	}
	return len(text), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
