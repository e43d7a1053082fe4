package jobstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// boots remembers which start of the server the client talks to: a server that keeps jobs in memory loses them with its
// next one.
type boots struct {
	admin   jobstreamv1.AdminServiceClient
	timeout time.Duration

	mu      sync.Mutex
	present *boot
}

// boot is one start of the server; its id comes later, or never.
type boot struct {
	mu sync.Mutex
	id string
}

func (b *boot) get() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id
}

func (b *boot) set(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id = id
}

func newBoots(links *connections, timeout time.Duration) *boots {
	return &boots{admin: jobstreamv1.NewAdminServiceClient(links), timeout: timeout}
}

// ask learns the present boot unless it is known, without anybody waiting for it.
func (b *boots) ask() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.present != nil {
		return
	}
	asked := &boot{}
	b.present = asked
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
		defer cancel()
		info, err := b.admin.GetServerInfo(ctx, &jobstreamv1.GetServerInfoRequest{})
		if err != nil {
			b.forgetOnly(asked)
			return
		}
		asked.set(info.BootId)
	}()
}

// current is the boot that answers now, as far as it is known; nil if it was not asked for.
func (b *boots) current() *boot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.present
}

// forget notes that the server may be another one from now on.
func (b *boots) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.present = nil
}

func (b *boots) forgetOnly(asked *boot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.present == asked {
		b.present = nil
	}
}

// explain makes a ServerRestarted of a JobNotFound that comes from another boot than the one that had the job.
func (b *boots) explain(err error, jobID string, had *boot, address string) error {
	var missing *JobNotFound
	if had == nil || !errors.As(err, &missing) {
		return err
	}
	known, told := had.get(), missing.Metadata["boot_id"]
	if known == "" || told == "" || known == told {
		return err
	}
	b.forget()
	missing.Message = fmt.Sprintf(
		"job %s is gone: the server at %s was started anew and keeps jobs in memory only: submit it again", jobID, address)
	return &ServerRestarted{missing}
}
