package controlplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	stopTimeout = 20 * time.Second // then a process is killed
	tailLines   = 12               // of a log, quoted in errors
)

// record writes the process id where the leash looks for it and becomes the program. Whoever dies in between leaves
// nothing behind, as it would if the id were written after the start.
const record = `echo $$ > "$0" && exec "$@"`

// Process is a program that runs beside the API server and ends no later than it.
type Process struct {
	name    string
	log     string
	pidFile string
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // of Wait; valid once done is closed

	reported atomic.Bool // that it ended by itself
}

// Command prepares a program, for the caller to start and to stop, that does not outlive this process. It runs in a process
// group of its own: an interrupt on the terminal reaches the caller alone, who then stops everything in the right order.
func (c *ControlPlane) Command(name, path string, args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", record, c.pidFile(name), path}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// Run starts a program that ends no later than the control plane, under a name that is used for its log and in errors.
// Its output goes to the file that [ControlPlane.Log] names.
func (c *ControlPlane) Run(name, path string, args ...string) (*Process, error) {
	log, err := os.Create(c.Log(name))
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close() // the program has its own descriptor

	p := &Process{name: name, log: c.Log(name), pidFile: c.pidFile(name), cmd: c.Command(name, path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	c.processes = append(c.processes, p)
	return p, nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended, with the last lines of its log. It is nil while the program runs.
func (p *Process) Err() error {
	if !p.ended() {
		return nil
	}
	p.reported.Store(true)
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended by itself (%s)%s", p.name, how, quote(p.log))
}

// Stop ends the program and waits for it. That it had ended by itself is an error, unless Err has told it before.
func (p *Process) Stop() error {
	defer os.Remove(p.pidFile)
	if p.ended() {
		if p.reported.Load() {
			return nil
		}
		return p.Err()
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill() // fails only if it has ended at last
		<-p.done
		return fmt.Errorf("%s did not stop within %s and was killed%s", p.name, stopTimeout, quote(p.log))
	}
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// leash starts the process that clears away when this one dies. Calling what it returns lets it go.
func leash(dir string, temporary bool) (release func() error, err error) {
	cmd := exec.Command("/bin/sh", "-c", leashScript, "leash.sh", dir)
	if temporary {
		cmd.Args = append(cmd.Args, "remove")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make the leash's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the leash: %w", err)
	}
	return func() error {
		_ = hold.Close() // it may have gone already; Wait tells
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("end the leash: %w", err)
		}
		return nil
	}, nil
}

// wrapper writes a script that records its process id for the leash and becomes the program. It stands in for the
// program where envtest is the one to start it.
func wrapper(dir, name, program, pidFile string) (string, error) {
	path := filepath.Join(dir, name)
	script := fmt.Sprintf("#!/bin/sh\necho $$ > %s && exec %s \"$@\"\n", shellQuote(pidFile), shellQuote(program))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write the wrapper of %s: %w", name, err)
	}
	return path, nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

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
