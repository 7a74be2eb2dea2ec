package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	kjson "sigs.k8s.io/json"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// stdin is the name of the standard input, for requests as for files.
const stdin = gather.Stdin

// A request is one line of --requests. A purpose or entrustment that is absent, null or empty is not declared.
type request struct {
	Namespace   string `json:"namespace"`
	Purpose     string `json:"purpose"`
	Entrustment string `json:"entrustment"`
	Store       string `json:"store"`
}

// A failure answers a line that is no request.
type failure struct {
	Allowed bool   `json:"allowed"` // never
	Error   string `json:"error"`
}

// answerRequests answers every line of the file, in order, and returns what was wrong with those that are no requests.
func (c *can) answerRequests(ctx context.Context) error {
	in := c.streams.In
	if c.requests != stdin {
		file, err := os.Open(c.requests)
		if err != nil {
			return fmt.Errorf("--requests: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	snapshot, err := c.snapshot(ctx)
	if err != nil {
		return err
	}

	var wrong []error
	lines, out := bufio.NewReader(in), bufio.NewWriter(c.streams.Out)
	for number, more := 1, true; more; number++ {
		line, err := lines.ReadBytes('\n')
		switch more = err == nil; {
		case err != nil && !errors.Is(err, io.EOF):
			return errors.Join(append(wrong, fmt.Errorf("--requests: %w", err), out.Flush())...)
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		var answer any
		if asked, err := parseRequest(line); err != nil {
			err = fmt.Errorf("%s:%d: %w", c.requests, number, err)
			wrong, answer = append(wrong, err), failure{Error: err.Error()}
		} else {
			answer = newAnswer(snapshot.Authorize(asked), c.zone.Location)
		}
		if err := writeLine(out, answer); err != nil {
			return err
		}
		if lines.Buffered() == 0 { // whoever asks one question at a time waits for its answer
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(append(wrong, out.Flush())...)
}

// parseRequest reads a line strictly: a misspelt field would make another question.
func parseRequest(line []byte) (entrustment.Request, error) {
	var r request
	strict, err := kjson.UnmarshalStrict(line, &r)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped) && mistyped.Field == "":
		return entrustment.Request{}, fmt.Errorf("must be an object, not %s", mistyped.Value)
	case errors.As(err, &mistyped):
		return entrustment.Request{}, fmt.Errorf("%s must be a string, not %s", mistyped.Field, mistyped.Value)
	case err != nil:
		return entrustment.Request{}, err
	case len(strict) > 0: // the first is enough: a line has one answer
		return entrustment.Request{}, strict[0]
	}
	if r.Namespace == "" {
		return entrustment.Request{}, errors.New("namespace is required")
	}
	store, err := storeKey(r.Store)
	if err != nil {
		return entrustment.Request{}, fmt.Errorf("store: %w", err)
	}
	return entrustment.Request{Namespace: r.Namespace, Purpose: r.Purpose, Entrustment: r.Entrustment, Store: store}, nil
}
