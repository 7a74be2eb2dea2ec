package revocation

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// wire is all that an operator has of the cluster. It keeps in mind what was written, and ends the operator before a write.
type wire struct {
	mu     sync.Mutex
	tick   int // of the order in which writes began and ended
	writes []*write
	left   int           // writes that still get through; negative: all
	held   string        // end of the paths to which none gets through; empty: there is none
	killed chan struct{} // closed when one did not
}

// write is a request that changed the cluster.
type write struct {
	method, path string
	began, ended int // ticks
	at           time.Time
}

var (
	errKilled = errors.New("the operator was killed")
	errHeld   = errors.New("held back")
)

func newWire() *wire { return &wire{left: -1, killed: make(chan struct{})} }

func (w *wire) carry(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		this, err := w.begin(r)
		if err != nil {
			return nil, err
		}
		response, err := next.RoundTrip(r)
		if this != nil {
			w.end(this)
		}
		return response, err
	})
}

// begin lets a request through; of one that only asks nothing is kept.
func (w *wire) begin(r *http.Request) (*write, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isKilled() {
		return nil, errKilled
	}
	if !changes(r) {
		return nil, nil
	}
	if w.held != "" && strings.HasSuffix(r.URL.Path, w.held) {
		return nil, errHeld
	}
	if w.left == 0 {
		close(w.killed)
		return nil, errKilled
	}
	w.left--
	w.tick++
	this := &write{method: r.Method, path: r.URL.Path, began: w.tick, at: time.Now()}
	w.writes = append(w.writes, this)
	return this, nil
}

func (w *wire) end(this *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick++
	this.ended = w.tick
}

func (w *wire) isKilled() bool {
	select {
	case <-w.killed:
		return true
	default:
		return false
	}
}

// arm lets so many writes through from now on.
func (w *wire) arm(writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = writes
}

// hold lets no write through to the paths that end so; empty: all again.
func (w *wire) hold(paths string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = paths
}

// since are the writes that began at an instant or later.
func (w *wire) since(instant time.Time) (later []write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, each := range w.writes {
		if !each.at.Before(instant) {
			later = append(later, *each)
		}
	}
	return later
}

// quiet says whether nothing was written for a while.
func (w *wire) quiet() bool { return len(w.since(time.Now().Add(-500*time.Millisecond))) == 0 }

// changes says whether a request changes what anybody else sees. Events are told, not kept, and a review of somebody's access is
// a question.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events") && !strings.HasSuffix(r.URL.Path, "/subjectaccessreviews")
}

// of are the writes of one resource, but for those of statuses; an empty method is any.
func of(writes []write, method, resource string) []write {
	return slices.DeleteFunc(slices.Clone(writes), func(w write) bool {
		return !strings.Contains(w.path, "/"+resource+"/") || w.isStatus() || method != "" && w.method != method
	})
}

func (w write) isStatus() bool { return strings.HasSuffix(w.path, "/status") }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
