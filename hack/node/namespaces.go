package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// prefix of the directory of a run, and of its control groups. Short, because paths of sockets are.
	prefix   = "entrustment-node-"
	lockFile = "lock" // held while any process of the run lives

	cgroupRoot    = "/sys/fs/cgroup"
	cgroupTimeout = 20 * time.Second
)

// outside runs the stages inside, and removes what no namespace holds.
func outside(ctx context.Context, args []string) (err error) {
	if err := sweep(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return fmt.Errorf("make a directory for the node: %w", err)
	}
	defer func() { err = errors.Join(err, left(dir)) }()
	lock, err := tryLock(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := fmt.Fprint(lock, os.Getpid()); err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	before, err := traces()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, beforeFile), []byte(strings.Join(before, "\n")), 0o600); err != nil {
		return fmt.Errorf("note what the machine has: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}

	child := exec.Command(program, append([]string{stageInit, dir}, args...)...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{lock}
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // an interrupt on the terminal comes through this process alone
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start a process in namespaces of its own: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	select {
	case err = <-done:
		return endOf(err)
	case <-ctx.Done():
		_ = child.Process.Signal(syscall.SIGTERM) // fails only if it has ended
		return errors.Join(errInterrupted, <-done)
	}
}

// sweep removes what runs that were killed left.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockOfDead(dir)
		if err != nil {
			return err
		}
		if lock == nil {
			continue // it runs
		}
		errs = append(errs, left(dir))
		_ = lock.Close() // nothing was written
	}
	return errors.Join(errs...)
}

// lockOfDead takes the lock of a run whose first process has ended, or returns nil. What a killed one started is dead soon after it.
func lockOfDead(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	for deadline := time.Now().Add(cgroupTimeout); ; time.Sleep(50 * time.Millisecond) { // it can only be tried
		lock, err := tryLock(path)
		if lock != nil || err != nil {
			return lock, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the lock: %w", err)
		}
		first, _ := strconv.Atoi(string(text)) // 0, which is this process's group, while it is not written yet
		if syscall.Kill(first, 0) == nil || time.Now().After(deadline) {
			return nil, nil
		}
	}
}

// remove removes the directory of a run and its control groups.
func remove(dir string) error {
	var errs []error
	for _, group := range controlGroups(filepath.Base(dir)) {
		errs = append(errs, removeGroup(group))
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// controlGroups are the groups of that name: one in each hierarchy, or the one of the unified hierarchy.
func controlGroups(name string) []string {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroupRoot, name)}
	}
	hierarchies, _ := filepath.Glob(cgroupRoot + "/*") // the pattern is right
	for i := range hierarchies {
		hierarchies[i] = filepath.Join(hierarchies[i], name)
	}
	return hierarchies
}

// removeGroup removes a control group with all below it, once the last process has left it.
func removeGroup(group string) error {
	for deadline := time.Now().Add(cgroupTimeout); ; time.Sleep(50 * time.Millisecond) { // nothing tells when it is empty
		var below []string
		_ = filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				below = append(below, path)
			}
			return nil // what has gone meanwhile is as it should be
		})
		var err error
		for i := len(below) - 1; i >= 0; i-- {
			if failure := syscall.Rmdir(below[i]); !errors.Is(failure, syscall.ENOENT) {
				err = errors.Join(err, failure)
			}
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove the control group %s: %w", group, err)
		}
	}
}

// makeGroups makes the control groups under which the kubelet makes those of pods.
func makeGroups(name string) error {
	for _, group := range controlGroups(name) {
		err := os.Mkdir(group, 0o755)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			continue // a hierarchy without controllers
		}
		if err != nil && !errors.Is(err, fs.ErrExist) { // cpu and cpuacct may be one
			return fmt.Errorf("make a control group: %w", err)
		}
		if err := prepareGroup(group); err != nil {
			return fmt.Errorf("prepare the control group %s: %w", group, err)
		}
	}
	return nil
}

// prepareGroup gives a group what its kind of hierarchy needs: the processors of the one above, or its controllers.
func prepareGroup(group string) error {
	above := filepath.Dir(group)
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(above, file))
		if err == nil && above != cgroupRoot {
			err = os.WriteFile(filepath.Join(group, file), text, 0o644)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if above != cgroupRoot {
		return nil
	}
	controllers, err := os.ReadFile(filepath.Join(above, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enable := "+" + strings.Join(strings.Fields(string(controllers)), " +")
	for _, each := range []string{above, group} {
		if err := os.WriteFile(filepath.Join(each, "cgroup.subtree_control"), []byte(enable), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tryLock opens and locks a file, or returns nil while somebody else has it locked.
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

// beInit is the first process of its namespace: the kernel hands it orphans, and ends everything when it ends.
func beInit(args []string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if err := mountOwn(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	child, err := syscall.ForkExec(program, append([]string{program, stageInside}, args...), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, fmt.Errorf("start the stage inside: %w", err))
		return 1
	}
	go func() {
		for range signals {
			_ = syscall.Kill(child, syscall.SIGTERM) // fails only if it has ended
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, fmt.Errorf("wait for the stage inside: %w", err))
			return 1
		case pid == child && status.Signaled():
			return 128 + int(status.Signal())
		case pid == child:
			return status.ExitStatus()
		}
	}
}

// tunables of the kernel that the kubelet insists on. It is shown the values that it wants, and the machine's stay.
var tunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// mountOwn hides from the machine what will be mounted, and from the node what the machine has at the same places.
func mountOwn(dir string) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	mounts := []mount{
		{"none", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		// Where containerd, its plugins, the kubelet and Calico keep what cannot be kept elsewhere.
		{"tmpfs", "/run", "tmpfs", 0},
		{"tmpfs", "/var/lib", "tmpfs", 0},
		{"tmpfs", "/var/log", "tmpfs", 0},
		{os.TempDir(), os.TempDir(), "", syscall.MS_BIND | syscall.MS_REC},
		{dir, dir, "", syscall.MS_BIND}, // volumes of pods are shared below it
		{"none", dir, "", syscall.MS_SHARED},
		// Some of them make directories wherever they like. Here they cannot.
		{"none", "/", "", syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY},
	}
	for name, value := range tunables {
		file := filepath.Join(dir, "tunable-"+filepath.Base(name))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("prepare the node: %w", err)
		}
		mounts = append(mounts, mount{file, filepath.Join("/proc/sys", name), "", syscall.MS_BIND})
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}
