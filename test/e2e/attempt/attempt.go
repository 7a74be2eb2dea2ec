// Package attempt is what agent tells the suite: one attempt to reach something, and what came of it.
package attempt

import "time"

// Outcome of an attempt.
type Outcome string

// Outcomes of attempts.
const (
	Open     Outcome = "open"     // a connection was made
	Answered Outcome = "answered" // the database answered a query
	Rejected Outcome = "rejected" // the database answered with an error
	Silent   Outcome = "silent"   // nothing came back in time, as when packets are dropped
	Refused  Outcome = "refused"  // the host answered that nobody listens
	NoName   Outcome = "no name"  // the name could not be resolved
	Failed   Outcome = "failed"   // anything else
)

// Attempt is one line of an agent's log.
type Attempt struct {
	Target  string    `json:"target"`
	Outcome Outcome   `json:"outcome"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Detail  string    `json:"detail,omitempty"`
}
