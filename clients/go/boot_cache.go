package jobstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// bootCache caches the boot id of the server. A server in memory mode loses its jobs when it restarts; its boot id then
// differs.
type bootCache struct {
	admin   jobstreamv1.AdminServiceClient
	timeout time.Duration

	mu     sync.Mutex
	latest *boot
}

// boot is one run of the server process. Its id is empty until the server has returned it.
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

func newBootCache(admin jobstreamv1.AdminServiceClient, timeout time.Duration) *bootCache {
	return &bootCache{admin: admin, timeout: timeout}
}

// lookUp requests the boot id in the background unless it is cached.
func (b *bootCache) lookUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.latest != nil {
		return
	}
	pending := &boot{}
	b.latest = pending
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
		defer cancel()
		info, err := b.admin.GetServerInfo(ctx, &jobstreamv1.GetServerInfoRequest{})
		if code := status.Code(err); code == codes.Unauthenticated || code == codes.PermissionDenied {
			return // Without the permission for the lookup no call looks it up again.
		}
		if err != nil {
			b.invalidateIf(pending)
			return
		}
		pending.set(info.BootId)
	}()
}

// current returns the cached boot; nil if no lookup was started.
func (b *bootCache) current() *boot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest
}

// invalidate drops the cached boot: the server may have restarted.
func (b *bootCache) invalidate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest = nil
}

func (b *bootCache) invalidateIf(pending *boot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.latest == pending {
		b.latest = nil
	}
}

// detectRestart converts JobNotFound to ServerRestarted if the boot that accepted the job is not the one that
// responded.
func (b *bootCache) detectRestart(err error, jobID string, acceptedBy *boot, address string) error {
	var missing *JobNotFound
	if acceptedBy == nil || !errors.As(err, &missing) {
		return err
	}
	known, present := acceptedBy.get(), missing.Metadata["boot_id"]
	if known == "" || present == "" || known == present {
		return err
	}
	b.invalidate()
	missing.Message = fmt.Sprintf(
		"job %s is lost: the server at %s restarted and holds jobs in memory only: submit it again", jobID, address)
	return &ServerRestarted{missing}
}
