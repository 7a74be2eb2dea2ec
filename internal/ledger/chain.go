package ledger

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxQueue bounds what waits to be written: some minutes of refusals, about 30 MB. What does not fit is counted.
const maxQueue = 1 << 16

// saveTimeout bounds one attempt to keep a head; a manager that stops waits three times as long.
const saveTimeout = 10 * time.Second

// Keeper keeps the heads of chains where they outlive the process.
type Keeper interface {
	// Load returns the head of a chain; the zero Head if there is none.
	Load(ctx context.Context, chain string) (Head, error)
	// Save keeps the head of a chain.
	Save(ctx context.Context, chain string, head Head) error
}

// Chain writes the lines of one replica.
type Chain struct {
	Name   string
	Out    io.Writer
	Keeper Keeper
	Clock  clock.PassiveClock
	Retry  time.Duration // between attempts to keep the head

	mu    sync.Mutex
	queue []Entry
	lost  int
	wake  chan struct{}
}

// NewChain returns a chain that is not written yet.
func NewChain(name string, out io.Writer, keeper Keeper, c clock.PassiveClock) *Chain {
	return &Chain{Name: name, Out: out, Keeper: keeper, Clock: c, Retry: time.Second, wake: make(chan struct{}, 1)}
}

// Record adds entries to the chain. It never waits and never fails: nothing that is to be recorded may depend on the record.
func (c *Chain) Record(entries ...Entry) {
	now := c.Clock.Now().UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if len(c.queue) >= maxQueue {
			c.lost++
			continue
		}
		e.Chain, e.Time = c.Name, now
		c.queue = append(c.queue, e)
	}
	select {
	case c.wake <- struct{}{}:
	default: // it is due already
	}
}

// Start writes what is recorded until the context ends, and then what is left.
func (c *Chain) Start(ctx context.Context) error {
	head, err := c.load(ctx)
	if err != nil {
		return err
	}
	for {
		if head, err = c.flush(ctx, head); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			_, err = c.flush(ctx, head)
			return err
		case <-c.wake:
		}
	}
}

// NeedLeaderElection is for the manager: each replica has a chain.
func (c *Chain) NeedLeaderElection() bool { return false }

// load waits for the head: lines that do not follow it would be taken for a forgery.
func (c *Chain) load(ctx context.Context) (Head, error) {
	for {
		head, err := c.Keeper.Load(ctx, c.Name)
		if err == nil {
			return head, nil
		}
		select {
		case <-ctx.Done():
			return Head{}, fmt.Errorf("reading the head of ledger %s: %w", c.Name, err)
		case <-time.After(c.Retry):
		}
	}
}

// flush writes all that waits as one batch: one head is kept for it.
func (c *Chain) flush(ctx context.Context, head Head) (Head, error) {
	batch := c.take()
	if len(batch) == 0 {
		return head, nil
	}
	lines, next := bytes.Buffer{}, head
	for _, e := range batch {
		line, extended, err := next.extend(e)
		if err != nil {
			return head, err
		}
		next = extended
		lines.Write(line)
	}
	for {
		err := c.save(ctx, next)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return head, fmt.Errorf("keeping the head of ledger %s, so %d entries are not written: %w", c.Name, len(batch), err)
		case <-time.After(c.Retry):
		}
	}
	if _, err := c.Out.Write(lines.Bytes()); err != nil {
		return next, fmt.Errorf("writing ledger %s: %w", c.Name, err)
	}
	return next, nil
}

// save keeps a head. The end of the process does not cut that short: nobody would know whether it was kept, and lines that do
// not follow a kept head are missing for ever.
func (c *Chain) save(ctx context.Context, head Head) error {
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return c.Keeper.Save(attempt, c.Name, head)
}

func (c *Chain) take() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue
	c.queue = nil
	if c.lost > 0 {
		batch = append(batch, Entry{
			Chain: c.Name, Time: c.Clock.Now().UTC(), Event: Lost, Actor: "entrustment-operator",
			Message: fmt.Sprintf("%d entries could not be recorded, because too many waited to be written", c.lost),
		})
		c.lost = 0
	}
	return batch
}
