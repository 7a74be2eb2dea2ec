package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	superviseCommand = "supervise" // not for people
	readyLine        = "ready"
	stayLine         = "stay"

	lockFile = "lock"           // held while anything of the cluster is left
	pidFile  = "supervisor.pid" // held while the supervisor runs

	stopTimeout = time.Minute
)

// up starts a supervisor in a session of its own and returns when the operator is ready.
//
// The two are bound by pipes while the cluster starts. The supervisor's output tells how far it is. Its input is a
// lifeline: it stays only if it is told to, so whatever ends up before that, a kill included, ends the supervisor too.
func up(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	lock, err := tryLock(filepath.Join(dir, lockFile))
	if err == nil && lock == nil {
		if _, runs := supervisor(dir); runs {
			fmt.Printf("The cluster of this checkout is already running.\n\n%s", howToUse(dir))
			return nil
		}
		lock, err = waitLock(ctx, dir) // the leash is clearing away what a killed supervisor left
	}
	if err != nil {
		return err
	}
	defer lock.Close() // the supervisor has its own descriptor of the same lock
	if err := cleanUp(dir); err != nil {
		return err
	}

	child, lifeline, progress, err := startSupervisor(dir, lock)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = lifeline.Close()
	}()
	ready := false
	for lines := bufio.NewScanner(progress); !ready && lines.Scan(); {
		if ready = lines.Text() == readyLine; !ready {
			fmt.Println(lines.Text())
		}
	}
	if ready && ctx.Err() == nil {
		if _, err := fmt.Fprintln(lifeline, stayLine); err == nil {
			fmt.Printf("\nThe cluster is up.\n\n%s", howToUse(dir))
			return child.Process.Release()
		}
	}
	_ = lifeline.Close()
	_ = child.Wait() // its log says more
	if ctx.Err() != nil {
		return errors.Join(errInterrupted, os.RemoveAll(dir))
	}
	text, err := os.ReadFile(filepath.Join(dir, "supervisor.log"))
	return errors.Join(fmt.Errorf("the cluster did not start: %s", strings.TrimSpace(string(text))), err)
}

func startSupervisor(dir string, lock *os.File) (*exec.Cmd, io.WriteCloser, io.Reader, error) {
	log, err := os.Create(filepath.Join(dir, "supervisor.log"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(program, superviseCommand)
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{lock} // passed on to all it starts, so it is free only when nothing of the cluster is left
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make the lifeline: %w", err)
	}
	progress, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make the progress pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return cmd, lifeline, progress, nil
}

// supervise runs the cluster until it is told to stop or the operator ends. Progress goes to standard output until the
// cluster is ready, what is wrong to standard error, which is the log.
func supervise(ctx context.Context, dir string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if line, _ := bufio.NewReader(os.Stdin).ReadString('\n'); line != stayLine+"\n" {
			cancel()
		}
	}()
	record, err := tryLock(filepath.Join(dir, pidFile)) // kept to itself: it is free as soon as this process has ended
	if err != nil || record == nil {
		return fmt.Errorf("another supervisor runs the cluster in %s: %w", dir, err)
	}
	defer record.Close()
	if _, err := fmt.Fprintln(record, os.Getpid()); err != nil {
		return fmt.Errorf("record the supervisor: %w", err)
	}
	c, err := start(ctx, dir, func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	fmt.Println(readyLine)
	_ = os.Stdout.Close() // nobody reads it from now on
	if err := c.wait(ctx); !errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// down stops the supervisor, waits until all it ran has ended, and removes the directory.
func down(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		fmt.Println("No cluster of this checkout is running.")
		return nil
	}
	began := time.Now()
	if pid, runs := supervisor(dir); runs {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return fmt.Errorf("stop the supervisor (process %d): %w", pid, err)
		}
	}
	lock, err := waitLock(ctx, dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	fmt.Println(step("Stopped the cluster and removed what it left", began))
	return nil
}

// supervisor finds the process that runs the cluster of a directory, if one does.
func supervisor(dir string) (pid int, runs bool) {
	path := filepath.Join(dir, pidFile)
	if record, err := tryLock(path); record != nil || err != nil {
		_ = record.Close() // nil is refused, which does not matter
		return 0, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return pid, err == nil
}

// waitLock returns the lock of the directory once nothing of its cluster is left.
func waitLock(ctx context.Context, dir string) (*os.File, error) {
	deadline := time.After(stopTimeout)
	for {
		lock, err := tryLock(filepath.Join(dir, lockFile))
		if lock != nil || err != nil {
			return lock, err
		}
		select {
		case <-time.After(50 * time.Millisecond): // waiting for a lock cannot be given up
		case <-ctx.Done():
			return nil, errInterrupted
		case <-deadline:
			return nil, fmt.Errorf("the cluster in %s did not end within %s", dir, stopTimeout)
		}
	}
}

// tryLock opens and locks a file, or returns nil while somebody else has it locked. Closing the file gives the lock back,
// once every process that inherited it has ended too.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// cleanUp removes what a cluster that did not end in good order has left, all but the lock that the caller holds.
func cleanUp(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	for _, entry := range entries {
		if entry.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("clear %s: %w", dir, err)
		}
	}
	return nil
}

func howToUse(dir string) string {
	return fmt.Sprintf(`In your shell:

  export KUBECONFIG=%[1]s/kubeconfig PATH=%[1]s/bin:$PATH
  kubectl apply -f config/samples/policy
  kubectl get privacy -A

`, dir)
}
