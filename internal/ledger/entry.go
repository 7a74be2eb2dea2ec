package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Event says what happened.
type Event string

// What is recorded.
const (
	Started        Event = "Started"        // a replica began, or went on
	GrantMade      Event = "GrantMade"      // a namespace may do something that it might not
	GrantWidened   Event = "GrantWidened"   // … and now reaches more stores, or longer
	GrantNarrowed  Event = "GrantNarrowed"  // … and now reaches fewer stores, or less long
	GrantWithdrawn Event = "GrantWithdrawn" // … and now may not any more
	PodsEnded      Event = "PodsEnded"      // … and the pods that acted under it were told to end
	Refused        Event = "Refused"        // somebody was refused something
	Intervened     Event = "Intervened"     // somebody used break-glass
	Suspended      Event = "Suspended"      // a contract, a party or a store was suspended
	Resumed        Event = "Resumed"        // … and is not any more

	ContractEnded      Event = "ContractEnded"      // its term is over
	ContractTerminated Event = "ContractTerminated" // the object was deleted
	DisposalRecorded   Event = "DisposalRecorded"   // the data were returned or erased
	ReviewRecorded     Event = "ReviewRecorded"     // the entrustee was reviewed
	ApprovalGiven      Event = "ApprovalGiven"      // a sub-entrustment is permitted that was not
	ApprovalWithdrawn  Event = "ApprovalWithdrawn"  // … and is not any more

	DriftRepaired Event = "DriftRepaired" // something that others had changed was put back
	Lost          Event = "Lost"          // the queue was full; the message says how many entries are missing
)

// Entry is one line. What does not apply is left out. It never holds the content of a Secret.
type Entry struct {
	// Chain, Sequence, Previous and Time are set when the entry is recorded.
	Chain    string    `json:"chain"`              // name of the replica
	Sequence uint64    `json:"sequence"`           // from 1, without a gap
	Previous string    `json:"previous,omitempty"` // SHA-256 of the line before, without its end, in hexadecimal
	Time     time.Time `json:"time"`

	Event   Event    `json:"event"`
	Actor   string   `json:"actor"` // user name as the API server knows it
	Objects []Object `json:"objects,omitempty"`
	Grant   *Grant   `json:"grant,omitempty"`
	Reason  string   `json:"reason,omitempty"` // a word of the API
	Message string   `json:"message,omitempty"`
}

// Object is an object that the event is about, as it was then.
type Object struct {
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Generation int64  `json:"generation,omitempty"`
}

// Grant is what pods of a namespace may do.
type Grant struct {
	Namespace   string     `json:"namespace"`
	Purpose     string     `json:"purpose"`
	Entrustment string     `json:"entrustment,omitempty"` // absent: the data controller's own handling
	Stores      []string   `json:"stores,omitempty"`      // "namespace/name"; of a change, those that it is about
	NotAfter    *time.Time `json:"notAfter,omitempty"`
}

// Head is the end of a chain. The zero Head is that of one without lines.
type Head struct {
	Sequence uint64
	Hash     string
}

// String is the form in which a head is kept.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Sequence, h.Hash) }

// ParseHead reads what String wrote.
func ParseHead(text string) (Head, error) {
	var h Head
	if _, err := fmt.Sscanf(text, "%d %s", &h.Sequence, &h.Hash); err != nil {
		return Head{}, fmt.Errorf("%q is not the head of a ledger, which is a number and a hash: %w", text, err)
	}
	if raw, err := hex.DecodeString(h.Hash); err != nil || len(raw) != sha256.Size {
		return Head{}, fmt.Errorf("%q is not the head of a ledger: the hash is not SHA-256 in hexadecimal", text)
	}
	return h, nil
}

// extend adds an entry to a chain, and returns its line, which ends with a line feed, and the new head.
func (h Head) extend(e Entry) ([]byte, Head, error) {
	e.Sequence, e.Previous = h.Sequence+1, h.Hash
	line, err := json.Marshal(e)
	if err != nil {
		return nil, h, fmt.Errorf("encoding an entry of the ledger: %w", err)
	}
	return append(line, '\n'), Head{e.Sequence, hash(line)}, nil
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
