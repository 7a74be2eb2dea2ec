package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const tailLines = 12 // of a log, quoted in errors

// process is a program of the node. Nobody stops it: it ends with the namespace.
type process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{}
	err       error // valid once done is closed
}

// run starts a program. Its output goes to a file of its name.
func (n *node) run(name string, env []string, program string, args ...string) error {
	log, err := os.Create(n.path("logs", name+".log"))
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close() // the program has its own descriptor
	p := &process{name: name, log: log.Name(), cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
		select {
		case n.broken <- p:
		default: // one is enough
		}
	}()
	return nil
}

// failure says how a process ended that should not have.
func (p *process) failure() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended by itself (%s)%s", p.name, how, quote(p.log))
}

// quote returns the end of a log in a form that can follow an error's text, or nothing if there is no log.
func quote(log string) string {
	text, err := os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err != nil || lines[0] == "" {
		return ""
	}
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return "; the end of its log:\n\t" + strings.Join(lines, "\n\t")
}

// do runs a command to its end, and quotes it if it fails.
func do(ctx context.Context, stdin string, command ...string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(command[0]), strings.Join(command[1:], " "), err, output.String())
	}
	return nil
}

// until asks again and again until the answer is yes.
func (n *node) until(ctx context.Context, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond): // readiness can only be asked
		case p := <-n.broken:
			return fmt.Errorf("wait for %s: %w", what, p.failure())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready: %w: %w", what, ctx.Err(), err)
		}
	}
}

// answers asks a health endpoint of the node.
func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
